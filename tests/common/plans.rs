//! Random sequences of everything that can be done to a limiter, with cleanup in between.

use proptest::collection::vec;
use proptest::prelude::*;

use super::ops::{self, Case, Count, Grid, Op, Period, Rate, Refresh, Stale, Step, Suppression};
use super::provider::{HardFactor, Side};

/// Keys are numbered from 0 to below this.
pub(crate) const KEYS: u8 = 12;

pub(crate) const HARD_FACTOR: HardFactor = HardFactor { over: 3, under: 2 };

/// An operation, and the strategy it is done to.
pub(crate) type Act = (Side, Op);

pub(crate) fn plans() -> impl Strategy<Value = Case<Act>> {
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
    let refresh = (0..=8_u8).prop_map(Refresh::Windows);
    (grid, refresh, vec(rate, 1..=3), any::<u64>(), vec(act(), 1..=120)).prop_map(
        |(grid, refresh, rates, seed, ops)| {
            let suppression = Suppression { hard_factor: HARD_FACTOR, refresh, seed };
            Case { grid, start_ns: 0, keys: KEYS, rates, ops, suppression }
        },
    )
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
    let (asked, given) = ((key(), 0..=2_u8, count()), (key(), count()));
    let both = |op| (Side::Absolute, op);
    prop_oneof![
        24 => (side(), asked.clone()).prop_map(|(side, (key, rate, count))| (side, Op::Inc { key, rate, count })),
        2 => (side(), asked).prop_map(|(side, (key, rate, count))| (side, Op::IsAllowed { key, rate, count })),
        2 => (side(), given.clone()).prop_map(|(side, (key, count))| (side, Op::Record { key, count })),
        2 => (side(), given).prop_map(|(side, (key, count))| (side, Op::Refund { key, count })),
        6 => (side(), key(), ops::back(), count())
            .prop_map(|(side, key, back, count)| (side, Op::Undo { key, back, count })),
        2 => (side(), key()).prop_map(|(side, key)| (side, Op::Reset { key })),
        1 => Just(both(Op::Clear)),
        6 => stale.prop_map(move |stale| both(Op::Cleanup(stale))),
        9 => step.prop_map(move |step| both(Op::Advance(step))),
        1 => (0..=100_000_u64).prop_map(move |ms| both(Op::SetBack(ms))),
    ]
}
