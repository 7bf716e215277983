//! Absolute, decision by decision: a provider and the naive model of the contract are given the
//! same random operations, and may never differ in an answer, a hint or a usage.
//!
//! `PROPTEST_CASES` is the number of cases of the first property; the others follow in proportion.
//! Cases that have failed are kept in `tests/proptest-regressions/` and are run again first.

use std::cell::Cell;
use std::collections::VecDeque;

use crate::common::ops::{self, Op, Step};
use crate::common::trial::{LATEST_NS, Tally, Trial, duration};
use crate::common::{Case, Local, Provider};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

const CASES: u32 = 20_000;

/// Runs a property on so many cases out of each [`CASES`].
fn check(
    cases: u32,
    kept_in: &'static str,
    strategy: &impl Strategy<Value = Case>,
    property: impl Fn(&Case) -> Result<(), TestCaseError>,
) -> u32 {
    let default = Config::default();
    let asked = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { CASES };
    let cases = u64::from(asked) * u64::from(cases) / u64::from(CASES);
    let cases = u32::try_from(cases).unwrap_or(u32::MAX).max(1);
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(kept_in))),
        // Long cases shrink to a few operations in far less than this.
        max_shrink_iters: 200_000,
        max_shrink_time: 120_000,
        ..default
    });
    if let Err(failure) = runner.run(strategy, |case| property(&case)) {
        panic!("{failure}");
    }
    cases
}

/// A property whose cases never meet what it is about holds, and says nothing.
fn assert_worthwhile(tally: Tally, cases: u32) {
    if cases >= 100 {
        let cases = u64::from(cases);
        assert!(tally.allowed > cases, "{tally:?}");
        assert!(tally.to_be_retried > cases, "{tally:?}");
        assert!(tally.never > cases / 4, "{tally:?}");
        assert!(tally.waited_for > cases / 4, "{tally:?}");
        assert!(tally.refunds > cases / 4, "{tally:?}");
        assert!(tally.filled_up > cases / 20, "{tally:?}");
    }
}

fn agrees_with_the_model<P: Provider>(
    cases: u32,
    kept_in: &'static str,
    strategy: &impl Strategy<Value = Case>,
) {
    let tally = Cell::new(Tally::default());
    let cases = check(cases, kept_in, strategy, |case| {
        let mut sum = tally.get();
        sum.add(Trial::<P>::run(case)?);
        tally.set(sum);
        Ok(())
    });
    assert_worthwhile(tally.get(), cases);
}

/// G1, without the model: one rate, nothing but `inc`, and no interval of a window's length in
/// which more was admitted than the capacity.
fn no_window_holds_more_than_the_capacity<P: Provider>(case: &Case) -> Result<(), TestCaseError> {
    let grid = case.grid;
    let (rate, capacity) = case.rates[0].resolve(grid);
    let Some(capacity) = capacity else { return Ok(()) };
    let window_ns = u128::from(grid.window_ms.next_multiple_of(grid.bucket_ms)) * 1_000_000;

    let provider = P::start(grid);
    let mut now_ns = u128::from(case.start_ns);
    provider.set_time(duration(now_ns));
    // The admissions of each key within the last window: when, and how many units.
    let mut admitted = [const { VecDeque::<(u128, u64)>::new() }; 3];
    for (index, op) in case.ops.iter().enumerate() {
        let (key, count, buckets) = match *op {
            Op::Inc { key, count, .. } => (key, count, 0),
            Op::Spread { key, count, buckets, .. } => (key, count, buckets),
            Op::Advance(step) => {
                // The edge that matters here: a window after the oldest admission, or the newest.
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
            let history = &mut admitted[usize::from(key)];
            history.retain(|&(then_ns, _)| now_ns - then_ns <= window_ns);
            if provider.inc(key, &rate, count).is_allowed() && count > 0 {
                history.push_back((now_ns, count));
                let units = history.iter().map(|&(_, units)| u128::from(units)).sum::<u128>();
                prop_assert!(
                    units <= u128::from(capacity),
                    "op {index}: {units} of {capacity} units in the window up to {now_ns} ns"
                );
            }
            if buckets > 0 {
                now_ns = Step::Edge { buckets: 1, off_ns: 0 }.resolve(grid, now_ns, |_| None);
                provider.set_time(duration(now_ns));
            }
        }
    }
    Ok(())
}

/// The suite, for one provider.
macro_rules! suite {
    ($name:ident: $provider:ty) => {
        mod $name {
            use super::*;

            // proves (property): G1 G2 G3 G9
            #[test]
            fn short_cases_agree_with_the_model() {
                agrees_with_the_model::<$provider>(
                    CASES,
                    concat!("tests/proptest-regressions/", stringify!($name), "-short.txt"),
                    &ops::cases(60),
                );
            }

            // proves (property): G1 G2 G3 G9
            #[test]
            fn long_cases_agree_with_the_model() {
                agrees_with_the_model::<$provider>(
                    CASES / 100,
                    concat!("tests/proptest-regressions/", stringify!($name), "-long.txt"),
                    &ops::cases(4_000),
                );
            }

            // proves (property): G1
            #[test]
            fn no_window_overflows() {
                check(
                    CASES / 4,
                    concat!("tests/proptest-regressions/", stringify!($name), "-windows.txt"),
                    &ops::additions(60),
                    no_window_holds_more_than_the_capacity::<$provider>,
                );
            }
        }
    };
}

suite!(local: Local);
