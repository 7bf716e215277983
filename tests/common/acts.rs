//! Random sequences of everything that can be done to a limiter, with cleanup in between.

use proptest::collection::vec;
use proptest::prelude::*;

use super::Grid;
use super::ops::{Count, Period, Rate, Step};

/// Keys are numbered from 0 to below this.
pub(crate) const KEYS: u8 = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Absolute,
    Suppressed,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    Inc(Side, u8, u8, Count),
    IsAllowed(Side, u8, u8, Count),
    Record(Side, u8, Count),
    Refund(Side, u8, Count),
    Reset(Side, u8),
    Clear,
    Cleanup(Stale),
    Advance(Step),
    /// Sets the clock back by so many milliseconds, which is to be ignored.
    SetBack(u64),
}

/// For how long a key must have been idle.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stale {
    Zero,
    Millis(u64),
    /// So many eighths of the window.
    Windows(u8),
    Forever,
}

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) grid: Grid,
    /// In eighths of the window.
    pub(crate) refresh: u32,
    pub(crate) rates: Vec<Rate>,
    pub(crate) seed: u64,
    pub(crate) acts: Vec<Act>,
}

pub(crate) fn plans() -> impl Strategy<Value = Plan> {
    let grid = prop::sample::select(vec![
        (1_000, 100),
        (10, 10),
        (25, 10),
        (1, 1),
        (60_000, 100),
        (10_000, 1_000),
        (3_000, 3_000),
        (700, 7),
    ]);
    let grid = grid.prop_map(|(window_ms, bucket_ms)| Grid { window_ms, bucket_ms });
    let rate = prop_oneof![
        12 => (1..=12_u64).prop_map(|units| Rate::Allowing(units, Period::Second)),
        2 => (1..=500_u64).prop_map(|units| Rate::Allowing(units, Period::Minute)),
        1 => Just(Rate::Tiny(Period::Hour)),
        1 => Just(Rate::Unlimited),
    ];
    // A perceived rate that is kept for longer than the window is lost when its key is forgotten.
    let refresh = 0..=8_u32;
    (grid, refresh, vec(rate, 1..=3), any::<u64>(), vec(act(), 1..=120))
        .prop_map(|(grid, refresh, rates, seed, acts)| Plan { grid, refresh, rates, seed, acts })
}

fn act() -> impl Strategy<Value = Act> {
    let side = || prop_oneof![Just(Side::Absolute), Just(Side::Suppressed)];
    // Most of the time few keys, so that they fill.
    let key = || prop_oneof![3 => 0..=1_u8, 2 => 0..KEYS];
    let count = || {
        prop_oneof![
            10 => (1..=4_u64).prop_map(Count::Units),
            1 => Just(Count::Units(0)),
            2 => (-1..=1_i8).prop_map(Count::Capacity),
            3 => (2..=4_u8).prop_map(Count::CapacityOver),
        ]
    };
    let off_ns = || prop::sample::select(vec![0, -1, 1]);
    let step = prop_oneof![
        5 => (0..=600_u16).prop_map(Step::Part),
        3 => (0..=4_u8, off_ns()).prop_map(|(buckets, off_ns)| Step::Edge { buckets, off_ns }),
        3 => (key(), off_ns()).prop_map(|(key, off_ns)| Step::OldestExpiry { key, off_ns }),
        3 => (key(), off_ns()).prop_map(|(key, off_ns)| Step::NewestExpiry { key, off_ns }),
        3 => (1..=3_u8, off_ns()).prop_map(|(windows, off_ns)| Step::Windows { windows, off_ns }),
        1 => (1..=3_u8, 16..=30_u8).prop_map(|(times, bits)| Step::Leap { times, bits, off: 0 }),
    ];
    let stale = prop_oneof![
        4 => Just(Stale::Zero),
        2 => (1..=100_u64).prop_map(Stale::Millis),
        4 => (1..=24_u8).prop_map(Stale::Windows),
        1 => Just(Stale::Forever),
    ];
    prop_oneof![
        24 => (side(), key(), 0..=2_u8, count()).prop_map(|(s, k, r, c)| Act::Inc(s, k, r, c)),
        2 => (side(), key(), 0..=2_u8, count()).prop_map(|(s, k, r, c)| Act::IsAllowed(s, k, r, c)),
        2 => (side(), key(), count()).prop_map(|(s, k, c)| Act::Record(s, k, c)),
        2 => (side(), key(), count()).prop_map(|(s, k, c)| Act::Refund(s, k, c)),
        2 => (side(), key()).prop_map(|(s, k)| Act::Reset(s, k)),
        1 => Just(Act::Clear),
        6 => stale.prop_map(Act::Cleanup),
        9 => step.prop_map(Act::Advance),
        1 => (0..=100_000_u64).prop_map(Act::SetBack),
    ]
}
