//! Cases from bytes: each byte string is one, and a small change to it is a small change to the case.

use arbitrary::{Result, Unstructured};

use crate::common::ops::{Case, Count, Grid, Op, Period, Rate, Refresh, Step, Suppression};
use crate::common::provider::HardFactor;

/// The models take time in the square of the buckets in use, and fuzzing is worth its runs a second.
const MOST_OPS: usize = 200;
const MOST_SPREAD: u16 = 400;

/// 50 years: the later half of them has ticks that are negative, in most widths.
const LATEST_START_NS: u64 = 50 * 365 * 86_400_000_000_000;

pub(crate) fn case(bytes: &mut Unstructured<'_>) -> Result<Case> {
    let grid = grid(bytes)?;
    let start_ns = if bytes.ratio(1, 2)? { bytes.int_in_range(0..=LATEST_START_NS)? } else { 0 };
    let keys = bytes.int_in_range(1..=3)?;
    let rates = (0..bytes.int_in_range(1..=3)?).map(|_| rate(bytes)).collect::<Result<_>>()?;
    let mut ops = Vec::new();
    let mut spread = MOST_SPREAD;
    while !bytes.is_empty() && ops.len() < MOST_OPS {
        ops.push(match op(bytes)? {
            Op::Spread { key, rate, count, buckets } => {
                let buckets = buckets.min(spread);
                spread -= buckets;
                Op::Spread { key, rate, count, buckets }
            }
            other => other,
        });
    }
    Ok(Case { grid, start_ns, keys, rates, ops, suppression: Suppression::NONE })
}

pub(crate) fn suppressed_case(bytes: &mut Unstructured<'_>) -> Result<Case> {
    let hard_factor = match bytes.int_in_range(0..=4)? {
        0 => HardFactor::NONE,
        1 => HardFactor { over: 3, under: 2 },
        2 => HardFactor { over: bytes.int_in_range(10..=30)?, under: 10 },
        3 => HardFactor { over: bytes.int_in_range(64..=128)?, under: 64 },
        _ => HardFactor { over: 1 << bytes.int_in_range(0..=60)?, under: 1 },
    };
    let refresh = match bytes.int_in_range(0..=3)? {
        0 => Refresh::Nanos(100_000_000),
        1 => Refresh::Nanos(0),
        2 => Refresh::Nanos(bytes.arbitrary()?),
        _ => Refresh::Windows(bytes.int_in_range(1..=24)?),
    };
    let seed = bytes.arbitrary::<u16>()?.into();
    let suppression = Suppression { hard_factor, refresh, seed };
    Ok(Case { suppression, ..case(bytes)? })
}

fn grid(bytes: &mut Unstructured<'_>) -> Result<Grid> {
    // The last of each width of counts, and the first that needs the next one.
    const WIDTHS: [u64; 9] =
        [2_045, 4_093, 8_189, 16_381, 32_765, 65_533, 131_069, 262_141, 524_284];
    let (bucket_ms, buckets) = match bytes.int_in_range(0..=4)? {
        0 => (bytes.int_in_range(1..=3)?, bytes.int_in_range(1..=5)?),
        1 => (bytes.int_in_range(1..=1_000)?, bytes.int_in_range(1..=20)?),
        2 => (bytes.int_in_range(1..=5)?, bytes.int_in_range(1..=2_045)?),
        3 => (bytes.int_in_range(1..=3)?, *bytes.choose(&WIDTHS)? + bytes.int_in_range(0..=1)?),
        // Up to a day; a window is at most a century, which is more than 36,500 of them.
        _ => (bytes.int_in_range(1..=86_400_000)?, bytes.int_in_range(1..=40)?),
    };
    // Also windows that are no whole number of buckets, and so are rounded up.
    let short = bytes.int_in_range(0..=3_u64)?.min(bucket_ms - 1);
    let window_ms = (bucket_ms * buckets - short).max(bucket_ms);
    Ok(Grid { window_ms, bucket_ms })
}

fn period(bytes: &mut Unstructured<'_>) -> Result<Period> {
    bytes.choose(&[Period::Second, Period::Minute, Period::Hour, Period::Day]).copied()
}

fn rate(bytes: &mut Unstructured<'_>) -> Result<Rate> {
    Ok(match bytes.int_in_range(0..=6)? {
        0 | 1 => Rate::Allowing(bytes.int_in_range(1..=12)?, period(bytes)?),
        2 => Rate::Allowing(bytes.int_in_range(1..=3_000)?, period(bytes)?),
        3 => Rate::Eighths(bytes.int_in_range(1..=200)?, period(bytes)?),
        4 => {
            // Near the most that a window can hold: 2^24 to 2^40 units.
            let units = 1_u64 << bytes.int_in_range(20..=41)?;
            Rate::Allowing(units - 2 + bytes.int_in_range(0..=4)?, period(bytes)?)
        }
        5 => *bytes.choose(&[Rate::Unlimited, Rate::Tiny(Period::Day), Rate::Huge(Period::Day)])?,
        _ => Rate::Allowing(bytes.arbitrary::<u64>()?.max(1), period(bytes)?),
    })
}

fn count(bytes: &mut Unstructured<'_>) -> Result<Count> {
    Ok(match bytes.int_in_range(0..=7)? {
        0..=2 => Count::Units(bytes.int_in_range(0..=4)?),
        3 => Count::Units(bytes.int_in_range(0..=255)?),
        4 => Count::Capacity(bytes.int_in_range(-2..=2)?),
        5 => Count::CapacityOver(bytes.int_in_range(1..=9)?),
        6 => Count::Most(bytes.int_in_range(-2..=2)?),
        _ => Count::Any(bytes.arbitrary()?),
    })
}

fn off_ns(bytes: &mut Unstructured<'_>) -> Result<i32> {
    bytes.choose(&[0, -1, 1, -1_000_000, 1_000_000]).copied()
}

fn step(bytes: &mut Unstructured<'_>) -> Result<Step> {
    Ok(match bytes.int_in_range(0..=6)? {
        0 => Step::Part(bytes.int_in_range(0..=600)?),
        1 => Step::Edge { buckets: bytes.int_in_range(0..=7)?, off_ns: off_ns(bytes)? },
        2 => Step::OldestExpiry { key: bytes.int_in_range(0..=2)?, off_ns: off_ns(bytes)? },
        3 => Step::NewestExpiry { key: bytes.int_in_range(0..=2)?, off_ns: off_ns(bytes)? },
        4 => Step::Windows { windows: bytes.int_in_range(1..=7)?, off_ns: off_ns(bytes)? },
        5 => Step::Leap {
            times: bytes.int_in_range(1..=4)?,
            bits: bytes.int_in_range(0..=46)?,
            off: bytes.int_in_range(-4..=4)?,
        },
        _ => Step::Years(bytes.int_in_range(1..=50)?),
    })
}

fn op(bytes: &mut Unstructured<'_>) -> Result<Op> {
    let kind = bytes.int_in_range(0..=15)?;
    if kind < 4 {
        return step(bytes).map(Op::Advance);
    }
    // Modulo how many there are.
    let (key, rate) = (bytes.int_in_range(0..=2)?, bytes.int_in_range(0..=2)?);
    let count = count(bytes)?;
    Ok(match kind {
        4..=8 => Op::Inc { key, rate, count },
        9 => Op::Spread { key, rate, count, buckets: bytes.int_in_range(1..=80)? },
        10 | 11 => Op::IncPatiently { key, rate, count },
        12 => Op::IsAllowed { key, rate, count },
        13 => Op::Record { key, count },
        14 => Op::Refund { key, count },
        _ => Op::Reset { key },
    })
}
