//! Random cases: a grid, some rates, and a sequence of operations.
//!
//! Operations are written relative to where they are run ("the capacity and one more", "1 ns before
//! the oldest unit expires"), so that random ones meet the edges often, and so that a sequence
//! still means something once shrinking has removed half of it.

use core::fmt;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use trypema::RateLimit;

use super::provider::{HardFactor, Settings};

/// Window and bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) window_ms: u64,
    pub(crate) bucket_ms: u64,
}

#[derive(Clone)]
pub(crate) struct Case<O = Op> {
    pub(crate) grid: Grid,
    pub(crate) start_ns: u64,
    pub(crate) keys: u8,
    pub(crate) rates: Vec<Rate>,
    pub(crate) ops: Vec<O>,
    pub(crate) suppression: Suppression,
}

/// On what else Suppressed depends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suppression {
    pub(crate) hard_factor: HardFactor,
    pub(crate) refresh: Refresh,
    /// Draws follow from it.
    pub(crate) seed: u64,
}

impl Suppression {
    pub(crate) const NONE: Self =
        Self { hard_factor: HardFactor::NONE, refresh: Refresh::Nanos(0), seed: 0 };
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Refresh {
    Nanos(u64),
    /// So many eighths of the window.
    Windows(u8),
}

impl<O> Case<O> {
    pub(crate) fn settings(&self) -> Settings {
        let Self { grid, suppression: Suppression { hard_factor, refresh, .. }, .. } = *self;
        let refresh = match refresh {
            Refresh::Nanos(nanos) => Duration::from_nanos(nanos),
            Refresh::Windows(eighths) => {
                Duration::from_millis(grid.window_ms) * u32::from(eighths) / 8
            }
        };
        Settings { grid, hard_factor, refresh }
    }
}

/// One operation a line, since that is what is read when a case has failed.
impl<O: fmt::Debug> fmt::Debug for Case<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { grid, start_ns, keys, rates, ops, suppression } = self;
        write!(f, "{grid:?}, {suppression:?}, start_ns: {start_ns}, keys: {keys}, ")?;
        write!(f, "rates: {rates:?}, ops:")?;
        ops.iter().enumerate().try_for_each(|(index, op)| write!(f, "\n{index:5}  {op:?}"))
    }
}

/// Keys and rates are taken modulo how many the case has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Op {
    Inc {
        key: u8,
        rate: u8,
        count: Count,
    },
    Advance(Step),
    IsAllowed {
        key: u8,
        rate: u8,
        count: Count,
    },
    /// Where it is rejected, waits as long as it was told, and tries again.
    IncPatiently {
        key: u8,
        rate: u8,
        count: Count,
    },
    /// An addition in each of so many buckets in a row: this is what makes rings of marks grow.
    Spread {
        key: u8,
        rate: u8,
        count: Count,
        buckets: u16,
    },
    Record {
        key: u8,
        count: Count,
    },
    Refund {
        key: u8,
        count: Count,
    },
    /// Out of the bucket of an earlier admission of this key: the latest but so many.
    Undo {
        key: u8,
        back: u8,
        count: Count,
    },
    Reset {
        key: u8,
    },
    // These are for both strategies at once, see `plans.rs`.
    Clear,
    Cleanup(Stale),
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

#[derive(Debug, Clone, Copy)]
pub(crate) enum Count {
    Units(u64),
    /// The capacity of the rate, and so many more or fewer.
    Capacity(i8),
    /// The capacity over this.
    CapacityOver(u8),
    /// The most that a window can hold, and so many more or fewer.
    Most(i8),
    Any(u64),
}

impl Count {
    pub(crate) fn resolve(self, capacity: u64, most: u64) -> u64 {
        match self {
            Self::Units(units) | Self::Any(units) => units,
            Self::Capacity(more) => capacity.saturating_add_signed(more.into()),
            Self::CapacityOver(parts) => capacity / u64::from(parts),
            Self::Most(more) => most.saturating_add_signed(more.into()),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// So many 256ths of a bucket.
    Part(u16),
    /// To so many bucket edges ahead.
    Edge {
        buckets: u8,
        off_ns: i32,
    },
    /// To the moment when the oldest units of a key expire.
    OldestExpiry {
        key: u8,
        off_ns: i32,
    },
    /// To the moment when all units of a key have expired.
    NewestExpiry {
        key: u8,
        off_ns: i32,
    },
    Windows {
        windows: u8,
        off_ns: i32,
    },
    /// So many times 2^bits buckets, and some buckets more or fewer. A packed tick has a power of
    /// two of values.
    Leap {
        times: u8,
        bits: u8,
        off: i8,
    },
    Years(u8),
}

impl Step {
    /// The moment to go to. `expiries` are those of a key's oldest and newest units.
    pub(crate) fn resolve(
        self,
        grid: Grid,
        now_ns: u128,
        expiries: impl Fn(u8) -> Option<(u128, u128)>,
    ) -> u128 {
        let bucket_ns = u128::from(grid.bucket_ms) * 1_000_000;
        let window_ns = u128::from(grid.window_ms) * 1_000_000;
        let off = |moment: u128, off_ns: i32| moment.saturating_add_signed(off_ns.into());
        let expiries = |key| expiries(key).unwrap_or((now_ns, now_ns));
        match self {
            Self::Part(parts) => now_ns + bucket_ns * u128::from(parts) / 256,
            Self::Edge { buckets, off_ns } => {
                off((now_ns / bucket_ns + u128::from(buckets)) * bucket_ns, off_ns)
            }
            Self::OldestExpiry { key, off_ns } => off(expiries(key).0, off_ns),
            Self::NewestExpiry { key, off_ns } => off(expiries(key).1, off_ns),
            Self::Windows { windows, off_ns } => {
                off(now_ns + window_ns * u128::from(windows), off_ns)
            }
            Self::Leap { times, bits, off } => {
                let buckets = (u128::from(times) << bits).saturating_add_signed(off.into());
                now_ns + buckets * bucket_ns
            }
            Self::Years(years) => now_ns + u128::from(years) * 365 * 86_400_000_000_000,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Period {
    Second,
    Minute,
    Hour,
    Day,
}

impl Period {
    fn millis(self) -> u64 {
        match self {
            Self::Second => 1_000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    fn rate(self, count: f64) -> RateLimit {
        let rate = match self {
            Self::Second => RateLimit::per_second(count),
            Self::Minute => RateLimit::per_minute(count),
            Self::Hour => RateLimit::per_hour(count),
            Self::Day => RateLimit::per_day(count),
        };
        rate.expect("rates under test are valid")
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Rate {
    /// The least whole number per period that allows this many units in the window.
    Allowing(u64, Period),
    /// So many eighths of a unit per period.
    Eighths(u32, Period),
    /// Less than any window needs for a single unit.
    Tiny(Period),
    /// More than can be counted.
    Huge(Period),
    Unlimited,
}

impl Rate {
    /// The rate, and what it allows in the window in exact arithmetic; `None` if it is unlimited.
    pub(crate) fn resolve(self, grid: Grid) -> (RateLimit, Option<u64>) {
        /// Whole numbers up to here are `f64`s.
        const WHOLE: u64 = 1 << 53;
        let share = |count: u64, period: Period, parts: u64| {
            let units = u128::from(count) * u128::from(grid.window_ms)
                / u128::from(parts * period.millis());
            u64::try_from(units).unwrap_or(u64::MAX)
        };
        match self {
            Self::Allowing(units, period) => {
                let count = (u128::from(units) * u128::from(period.millis()))
                    .div_ceil(grid.window_ms.into());
                let count = u64::try_from(count).unwrap_or(WHOLE).clamp(1, WHOLE);
                (period.rate(count as f64), Some(share(count, period, 1)))
            }
            Self::Eighths(eighths, period) => {
                let rate = period.rate(f64::from(eighths) / 8.0);
                (rate, Some(share(eighths.into(), period, 8)))
            }
            Self::Tiny(period) => (period.rate(f64::from_bits(1)), Some(0)),
            Self::Huge(period) => (period.rate(f64::MAX), Some(u64::MAX)),
            Self::Unlimited => (RateLimit::unlimited(), None),
        }
    }
}

/// Cases of all operations.
pub(crate) fn cases(most_ops: usize) -> impl Strategy<Value = Case> {
    case(vec(rate(), 1..=3), op(), most_ops)
}

/// Cases of additions at a single rate: nothing but `inc` and the passing of time.
pub(crate) fn additions(most_ops: usize) -> impl Strategy<Value = Case> {
    case(vec(rate(), 1), addition(), most_ops)
}

/// The same cases for Suppressed.
pub(crate) fn suppressed<O: fmt::Debug>(
    cases: impl Strategy<Value = Case<O>>,
) -> impl Strategy<Value = Case<O>> {
    let refresh = prop_oneof![
        2 => Just(Refresh::Nanos(0)),
        4 => Just(Refresh::Nanos(100_000_000)),
        1 => (1..=2_000_000_000_u64).prop_map(Refresh::Nanos),
        2 => (1..=24_u8).prop_map(Refresh::Windows),
        1 => Just(Refresh::Nanos(u64::MAX)),
    ];
    let fraction = |over, under| HardFactor { over, under };
    let hard_factor = prop_oneof![
        1 => Just(HardFactor::NONE),
        4 => Just(fraction(3, 2)),
        4 => (11..=30_u64).prop_map(move |tenths| fraction(tenths, 10)),
        2 => (1..=64_u64).prop_map(move |whole| fraction(whole, 1)),
        1 => (65..=128_u64).prop_map(move |parts| fraction(parts, 64)),
        1 => Just(fraction(1 << 60, 1)),
    ];
    (cases, hard_factor, refresh, any::<u64>()).prop_map(|(case, hard_factor, refresh, seed)| {
        Case { suppression: Suppression { hard_factor, refresh, seed }, ..case }
    })
}

fn case(
    rates: impl Strategy<Value = Vec<Rate>>,
    op: impl Strategy<Value = Op>,
    most_ops: usize,
) -> impl Strategy<Value = Case> {
    // Up to 50 years: the later half of them has ticks that are negative, in most widths.
    let start = prop_oneof![Just(0), 0..(50 * 365 * 86_400_000_000_000_u64)];
    (grid(), start, 1..=3_u8, rates, vec(op, 1..=most_ops)).prop_map(
        |(grid, start_ns, keys, rates, ops)| Case {
            grid,
            start_ns,
            keys,
            rates,
            ops,
            suppression: Suppression::NONE,
        },
    )
}

fn grid() -> impl Strategy<Value = Grid> {
    let exact = |bucket_ms: u64, buckets: u64| Grid { window_ms: bucket_ms * buckets, bucket_ms };
    // The last of each width, and the first that needs the next one; rounded up to it as well.
    let widths = vec![2_045_u64, 4_093, 8_189, 16_381, 32_765, 65_533, 131_069, 262_141];
    let widest = (proptest::sample::select(widths), 0..=1_u64, 1..=3_u64, 0..=2_u64);
    prop_oneof![
        2 => Just(exact(1, 1)),
        3 => (1..=1_000_u64).prop_map(move |bucket| exact(bucket, 1)),
        4 => (1..=20_u64, 1..=12_u64, 0..=19_u64).prop_map(move |(bucket, buckets, short)| {
            let window_ms = (bucket * buckets).saturating_sub(short).max(bucket);
            Grid { window_ms, bucket_ms: bucket }
        }),
        4 => (1..=1_000_u64, 1..=20_u64).prop_map(move |(bucket, buckets)| exact(bucket, buckets)),
        2 => Just(exact(100, 600)),
        3 => (1..=5_u64, 30..=2_044_u64).prop_map(move |(bucket, buckets)| exact(bucket, buckets)),
        1 => widest.prop_map(move |(buckets, more, bucket, short)| {
            let Grid { window_ms, bucket_ms } = exact(bucket, buckets + more);
            Grid { window_ms: window_ms - short.min(bucket - 1), bucket_ms }
        }),
        1 => Just(exact(1, 524_285)),
        1 => (1_000..=86_400_000_u64, 1..=40_u64)
            .prop_map(move |(bucket, buckets)| exact(bucket, buckets)),
    ]
}

fn period() -> impl Strategy<Value = Period> {
    prop_oneof![Just(Period::Second), Just(Period::Minute), Just(Period::Hour), Just(Period::Day)]
}

pub(crate) fn rate() -> impl Strategy<Value = Rate> {
    // Capacities near the most that a window can hold: 2^24 to 2^40 units.
    let vast = (23..=40_u32, -2..=2_i64).prop_map(|(bits, more)| {
        let units = 1_u64 << bits;
        units.saturating_add_signed(more)
    });
    prop_oneof![
        12 => (1..=12_u64, period()).prop_map(|(units, period)| Rate::Allowing(units, period)),
        4 => (1..=3_000_u64, period()).prop_map(|(units, period)| Rate::Allowing(units, period)),
        3 => (1..=200_u32, period()).prop_map(|(eighths, period)| Rate::Eighths(eighths, period)),
        3 => (vast, period()).prop_map(|(units, period)| Rate::Allowing(units, period)),
        1 => period().prop_map(Rate::Tiny),
        1 => period().prop_map(Rate::Huge),
        1 => Just(Rate::Unlimited),
    ]
}

fn count() -> impl Strategy<Value = Count> {
    prop_oneof![
        12 => (1..=4_u64).prop_map(Count::Units),
        1 => Just(Count::Units(0)),
        3 => (1..=100_u64).prop_map(Count::Units),
        4 => (-2..=2_i8).prop_map(Count::Capacity),
        5 => (2..=9_u8).prop_map(Count::CapacityOver),
    ]
}

/// Also counts that put a key out of use for a whole window.
fn any_count() -> impl Strategy<Value = Count> {
    prop_oneof![
        16 => count(),
        1 => (-2..=2_i8).prop_map(Count::Most),
        1 => any::<u64>().prop_map(Count::Any),
        1 => Just(Count::Any(u64::MAX)),
    ]
}

fn off_ns() -> impl Strategy<Value = i32> {
    proptest::sample::select(vec![0, -1, 1, -1_000_000, 1_000_000])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..=600_u16).prop_map(Step::Part),
        6 => (0..=4_u8, off_ns()).prop_map(|(buckets, off_ns)| Step::Edge { buckets, off_ns }),
        4 => (0..=2_u8, off_ns()).prop_map(|(key, off_ns)| Step::OldestExpiry { key, off_ns }),
        2 => (0..=2_u8, off_ns()).prop_map(|(key, off_ns)| Step::NewestExpiry { key, off_ns }),
        3 => (1..=5_u8, off_ns()).prop_map(|(windows, off_ns)| Step::Windows { windows, off_ns }),
        2 => (1..=3_u8, 16..=46_u8, -3..=3_i8)
            .prop_map(|(times, bits, off)| Step::Leap { times, bits, off }),
        1 => (1..=50_u8).prop_map(Step::Years),
    ]
}

/// Which admission is undone: a late one most of the time, and one long gone now and then.
pub(crate) fn back() -> impl Strategy<Value = u8> {
    prop_oneof![8 => 0..=3_u8, 3 => 0..=20_u8, 1 => any::<u8>()]
}

fn addition() -> impl Strategy<Value = Op> {
    let (key, rate) = (0..=2_u8, 0..=2_u8);
    prop_oneof![
        10 => (key.clone(), rate.clone(), any_count())
            .prop_map(|(key, rate, count)| Op::Inc { key, rate, count }),
        6 => step().prop_map(Op::Advance),
        1 => (key, rate, count(), 1..=80_u16)
            .prop_map(|(key, rate, count, buckets)| Op::Spread { key, rate, count, buckets }),
    ]
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let (key, rate) = (0..=2_u8, 0..=2_u8);
    prop_oneof![
        17 => addition(),
        3 => (key.clone(), rate.clone(), count())
            .prop_map(|(key, rate, count)| Op::IncPatiently { key, rate, count }),
        2 => (key.clone(), rate, any_count())
            .prop_map(|(key, rate, count)| Op::IsAllowed { key, rate, count }),
        1 => (key.clone(), any_count()).prop_map(|(key, count)| Op::Record { key, count }),
        2 => (key.clone(), any_count()).prop_map(|(key, count)| Op::Refund { key, count }),
        3 => (key.clone(), back(), any_count())
            .prop_map(|(key, back, count)| Op::Undo { key, back, count }),
        1 => key.prop_map(|key| Op::Reset { key }),
    ]
}
