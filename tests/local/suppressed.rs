//! Suppressed, decision by decision: a provider and the naive model of the contract are given the
//! same random operations and the same draws, and may never differ in an answer, a factor or a
//! usage.
//!
//! `PROPTEST_CASES` is the number of cases of the first property; the others follow in proportion.
//! Cases that have failed are kept in `tests/proptest-regressions/` and are run again first.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::common::Grid;
use crate::common::ops::{self, Op, Step};
use crate::common::thinned::{Fate, HardFactor};
use crate::common::thinned_provider::{LocalThinned, Settings, ThinnedProvider, Told};
use crate::common::thinned_trial::{Tally, ThinnedCase, ThinnedTrial, thin, thinned_cases};
use crate::common::trial::{LATEST_NS, duration};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use trypema::RateLimit;

const CASES: u32 = 20_000;

/// Runs a property on so many cases out of each [`CASES`].
fn check(
    cases: u32,
    kept_in: &'static str,
    strategy: &impl Strategy<Value = ThinnedCase>,
    property: impl Fn(&ThinnedCase) -> Result<(), TestCaseError>,
) -> u32 {
    let default = Config::default();
    let asked = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { CASES };
    let cases = u64::from(asked) * u64::from(cases) / u64::from(CASES);
    let cases = u32::try_from(cases).unwrap_or(u32::MAX).max(1);
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(kept_in))),
        max_shrink_iters: 200_000,
        max_shrink_time: 120_000,
        ..default
    });
    if let Err(failure) = runner.run(strategy, |case| property(&case)) {
        panic!("{failure}");
    }
    cases
}

fn agrees_with_the_model<P: ThinnedProvider>(
    cases: u32,
    kept_in: &'static str,
    strategy: &impl Strategy<Value = ThinnedCase>,
) {
    let tally = Cell::new(Tally::default());
    let cases = check(cases, kept_in, strategy, |case| {
        let mut sum = tally.get();
        sum.add(ThinnedTrial::<P>::run(case)?);
        tally.set(sum);
        Ok(())
    });
    // A property whose cases never meet what it is about holds, and says nothing.
    let (tally, cases) = (tally.get(), u64::from(cases));
    if cases >= 100 {
        assert!(tally.allowed > cases, "{tally:?}");
        assert!(tally.let_through > cases, "{tally:?}");
        assert!(tally.thinned_out > cases, "{tally:?}");
        assert!(tally.above_hard > cases, "{tally:?}");
        assert!(tally.by_kept_rate > cases / 4, "{tally:?}");
        assert!(tally.refunds > cases / 4, "{tally:?}");
    }
}

/// G1, without the model: one rate, nothing but `inc`, whatever is drawn, and no interval of a
/// window's length in which more was admitted than the hard limit.
fn no_window_holds_more_than_the_hard_limit<P: ThinnedProvider>(
    thinned: &ThinnedCase,
) -> Result<(), TestCaseError> {
    let (case, grid) = (&thinned.case, thinned.case.grid);
    let (rate, capacity) = case.rates[0].resolve(grid);
    let Some(capacity) = capacity else { return Ok(()) };
    let hard = thinned.hard_factor.of(capacity);
    let window_ns = u128::from(grid.window_ms.next_multiple_of(grid.bucket_ms)) * 1_000_000;

    let told = Arc::new(Told::default());
    let provider = P::start(thinned.settings(), Arc::clone(&told));
    let (mut draws, mut now_ns) = (thinned.draws(), u128::from(case.start_ns));
    provider.set_time(duration(now_ns));
    // The admissions of each key within the last window: when, and how many units.
    let mut admitted = [const { VecDeque::<(u128, u64)>::new() }; 3];
    for (index, op) in case.ops.iter().enumerate() {
        let (key, count, buckets) = match *op {
            Op::Inc { key, count, .. } => (key, count, 0),
            Op::Spread { key, count, buckets, .. } => (key, count, buckets),
            Op::Advance(step) => {
                let expiries = |key: u8| {
                    let times = &admitted[usize::from(key % case.keys)];
                    Some((times.front()?.0 + window_ns, times.back()?.0 + window_ns))
                };
                let then_ns = step.resolve(grid, now_ns, expiries);
                now_ns = if then_ns <= LATEST_NS { now_ns.max(then_ns) } else { now_ns };
                provider.set_time(duration(now_ns));
                continue;
            }
            other => unreachable!("{other:?} is no addition"),
        };
        let key = key % case.keys;
        let count = count.resolve(capacity, P::most(grid));
        for _ in 0..=buckets {
            told.next_is(draws.next());
            let history = &mut admitted[usize::from(key)];
            history.retain(|&(then_ns, _)| now_ns - then_ns <= window_ns);
            let fate = Fate::from(provider.inc(key, &rate, count));
            if fate.is_allowed() && count > 0 {
                history.push_back((now_ns, count));
                let units = history.iter().map(|&(_, units)| u128::from(units)).sum::<u128>();
                prop_assert!(
                    units <= u128::from(hard),
                    "op {index}, {op:?}: {units} units in the window up to {now_ns} ns, of {hard}"
                );
            }
            // At a factor of 1 soft and hard limit are one, and there is nothing to draw for.
            if thinned.hard_factor == HardFactor::NONE {
                let refused = Fate::Suppressed { factor: 1.0, is_allowed: false };
                prop_assert!(fate == Fate::Allowed || fate == refused, "{:?}", fate);
            }
            if buckets > 0 {
                now_ns = Step::Edge { buckets: 1, off_ns: 0 }.resolve(grid, now_ns, |_| None);
                provider.set_time(duration(now_ns));
            }
        }
    }
    Ok(())
}

/// A window of 10 s in buckets of 100 ms, and a rate of 1 per second: soft limit 10, hard limit 15.
fn ten_in_ten_seconds<P: ThinnedProvider>(refresh: Duration) -> (P, Arc<Told>, RateLimit) {
    let settings = Settings {
        grid: Grid { window_ms: 10_000, bucket_ms: 100 },
        hard_factor: HardFactor { over: 3, under: 2 },
        refresh,
    };
    let told = Arc::new(Told::default());
    (P::start(settings, Arc::clone(&told)), told, RateLimit::per_second(1.0).unwrap())
}

const fn suppressed(factor: f64, is_allowed: bool) -> Fate {
    Fate::Suppressed { factor, is_allowed }
}

/// By hand: each line of the contract once.
fn goes_by_the_book<P: ThinnedProvider>() {
    let (limiter, told, rate) = ten_in_ten_seconds::<P>(Duration::from_millis(250));
    let inc = |count, draw| {
        told.next_is(draw);
        Fate::from(limiter.inc(0, &rate, count))
    };
    // Of an unknown key nothing is turned away, and looking leaves no trace.
    assert_eq!(limiter.suppression_factor(0, &rate), 0.0);
    assert_eq!(Fate::from(limiter.is_allowed(0, &rate, 12)), suppressed(0.0, true));
    assert_eq!(Fate::from(limiter.is_allowed(0, &rate, 16)), suppressed(1.0, false));
    assert_eq!((limiter.usage(0), limiter.len()), ((0, 0), 0));

    // Up to the soft limit, then by the last second: 10 observed in it, for 1 per second.
    limiter.set_time(Duration::from_millis(50));
    assert_eq!(inc(10, 0.0), Fate::Allowed);
    assert_eq!(inc(1, 0.899_999), suppressed(0.9, false));
    assert_eq!(inc(1, 0.900_001), suppressed(0.9, true), "11 observed, but 10 is kept");
    assert_eq!(limiter.usage(0), (11, 1));
    assert!((limiter.suppression_factor(0, &rate) - (1.0 - 1.0 / 12.0)).abs() < 1e-12);

    // Kept for 250 ms, to the nanosecond.
    limiter.set_time(Duration::from_nanos(299_999_999));
    assert_eq!(inc(1, 0.899_999), suppressed(0.9, false));
    limiter.set_time(Duration::from_millis(300));
    assert_eq!(inc(1, 0.0), suppressed(1.0 - 1.0 / 13.0, false));

    // 11 admitted: 4 more is the hard limit, 5 more is above it, and counts as declined.
    assert_eq!(inc(5, 0.999), suppressed(1.0, false));
    assert_eq!(inc(4, 0.999), suppressed(1.0 - 1.0 / 13.0, true));
    assert_eq!(inc(1, 0.999), suppressed(1.0, false));
    assert_eq!(limiter.usage(0), (15, 9));

    // What was observed in the first bucket leaves the last second at 1.1 s, and the window at
    // 10.1 s; the rest was observed from 0.2 s on, in two buckets.
    limiter.set_time(Duration::from_nanos(1_099_999_999));
    assert!((limiter.suppression_factor(0, &rate) - (1.0 - 1.0 / 24.0)).abs() < 1e-12);
    limiter.set_time(Duration::from_millis(1_100));
    assert!((limiter.suppression_factor(0, &rate) - (1.0 - 1.0 / 12.0)).abs() < 1e-12);
    limiter.set_time(Duration::from_millis(1_400));
    assert!((limiter.suppression_factor(0, &rate) - (1.0 - 1.0 / 2.4)).abs() < 1e-12, "24 in 10 s");
    limiter.set_time(Duration::from_nanos(10_099_999_999));
    assert_eq!(limiter.usage(0), (15, 9));
    limiter.set_time(Duration::from_millis(10_100));
    assert_eq!(limiter.usage(0), (4, 8));
    limiter.set_time(Duration::from_secs(11));
    assert_eq!(limiter.usage(0), (0, 0));
    assert_eq!(limiter.suppression_factor(0, &rate), 0.0);
}

/// A factor of 0 lets every draw through, the lowest too; the answer still says that the key is
/// past its soft limit.
fn nothing_is_turned_away_below_the_rate<P: ThinnedProvider>() {
    let (limiter, told, rate) = ten_in_ten_seconds::<P>(Duration::ZERO);
    told.next_is(0.0);
    // The last second touches eleven buckets of a tenth: one unit in every eleventh is all that it
    // ever sees, and the window holds ten of them while its 101 buckets do.
    for bucket in (0..=99).step_by(11) {
        limiter.set_time(Duration::from_millis(bucket * 100));
        assert_eq!(Fate::from(limiter.inc(0, &rate, 1)), Fate::Allowed);
    }
    assert_eq!(limiter.usage(0), (10, 0));
    assert_eq!(Fate::from(limiter.is_allowed(0, &rate, 1)), suppressed(0.0, true));
    assert_eq!(Fate::from(limiter.inc(0, &rate, 1)), suppressed(0.0, true));
}

fn extremes<P: ThinnedProvider>() {
    let (limiter, told, rate) = ten_in_ten_seconds::<P>(Duration::from_millis(100));
    let most = P::most(Grid { window_ms: 10_000, bucket_ms: 100 });
    told.next_is(0.5);
    // No units at all.
    assert_eq!(Fate::from(limiter.inc(0, &rate, 0)), Fate::Allowed);
    assert_eq!((limiter.len(), told.take_draws()), (0, 0));
    // Above the hard limit whatever is in the window: declined, and so recorded.
    assert_eq!(Fate::from(limiter.inc(0, &rate, u64::MAX)), suppressed(1.0, false));
    assert_eq!(limiter.usage(0), (0, most));
    assert_eq!(Fate::from(limiter.inc(0, &rate, u64::MAX)), suppressed(1.0, false));
    assert_eq!(limiter.usage(0), (0, most), "clipped, not wrapped");
    assert_eq!(limiter.refund(0, u64::MAX), 0, "declined units are not given back");
    // A capacity of 0 has a hard limit of 0.
    let tiny = RateLimit::per_second(0.01).unwrap();
    assert_eq!(tiny.capacity(Duration::from_secs(10)), 0);
    assert_eq!(Fate::from(limiter.inc(1, &tiny, 1)), suppressed(1.0, false));
    assert_eq!(limiter.usage(1), (0, 1));
    // Unlimited is allowed at any sum, and clipped.
    let unlimited = RateLimit::unlimited();
    for _ in 0..3 {
        assert_eq!(Fate::from(limiter.inc(2, &unlimited, u64::MAX - 1)), Fate::Allowed);
        assert_eq!(Fate::from(limiter.is_allowed(2, &unlimited, u64::MAX)), Fate::Allowed);
        assert_eq!(limiter.suppression_factor(2, &unlimited), 0.0);
        assert_eq!(limiter.usage(2), (most, 0));
    }
    // And is seen by a call at a limited rate.
    assert_eq!(Fate::from(limiter.inc(2, &rate, 1)), suppressed(1.0, false));
    assert_eq!(limiter.usage(2), (most, 1));
}

/// The suite, for one provider.
macro_rules! suite {
    ($name:ident: $provider:ty) => {
        mod $name {
            use super::*;

            // proves (property): G1 G2 G9 suppression
            #[test]
            fn short_cases_agree_with_the_model() {
                agrees_with_the_model::<$provider>(
                    CASES,
                    concat!("tests/proptest-regressions/suppressed-", stringify!($name), ".txt"),
                    &thinned_cases(60),
                );
            }

            // proves (property): G1 G2 G9 suppression
            #[test]
            fn long_cases_agree_with_the_model() {
                agrees_with_the_model::<$provider>(
                    CASES / 100,
                    concat!("tests/proptest-regressions/suppressed-", stringify!($name), ".txt"),
                    &thinned_cases(800),
                );
            }

            // proves (property): G1
            #[test]
            fn no_window_overflows() {
                check(
                    CASES / 2,
                    concat!(
                        "tests/proptest-regressions/suppressed-",
                        stringify!($name),
                        "-hard.txt"
                    ),
                    &thin(ops::additions(60)),
                    no_window_holds_more_than_the_hard_limit::<$provider>,
                );
            }

            // proves: suppression G2 G9
            #[test]
            fn by_hand() {
                goes_by_the_book::<$provider>();
                nothing_is_turned_away_below_the_rate::<$provider>();
                extremes::<$provider>();
            }
        }
    };
}

suite!(local: LocalThinned);
