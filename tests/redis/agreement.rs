//! Both strategies over Redis, decision by decision against the naive models: the operations, the
//! models and the comparison are those that the in-process provider is judged by.
//!
//! `PROPTEST_CASES` is the number of cases of each property. Cases that have failed are kept in
//! `tests/proptest-regressions/`, and are run again first.

use std::cell::Cell;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use trypema::RateLimit;

use crate::common::ops::cases;
use crate::common::thinned_trial::{Tally as ThinnedTally, ThinnedTrial, thinned_cases};
use crate::common::trial::{Tally, Trial};
use crate::common::{Answer, Grid, Provider};
use crate::over_redis::{Absolute, Cached, MOST, REPEATED, Suppressed};

/// Runs so many cases, or as many as the environment says, and returns how many.
pub(crate) fn check<S: Strategy>(
    cases: u32,
    kept_in: &'static str,
    strategy: &S,
    trial: impl Fn(&S::Value) -> Result<(), TestCaseError>,
) -> u64 {
    let default = Config::default();
    let asked = std::env::var_os("PROPTEST_CASES").map_or(cases, |_| default.cases);
    let mut runner = TestRunner::new(Config {
        cases: asked,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(kept_in))),
        // A case is some milliseconds of round trips.
        max_shrink_iters: 20_000,
        max_shrink_time: 120_000,
        ..default
    });
    let run = runner.run(strategy, |case| trial(&case));
    if let Err(failure) = run {
        panic!("{failure}");
    }
    u64::from(asked)
}

fn absolute<P: Provider>(number: u32, most_ops: usize, kept_in: &'static str) {
    let tally = Cell::new(Tally::default());
    let run = check(number, kept_in, &cases(most_ops), |case| {
        let mut sum = tally.get();
        sum.add(Trial::<P>::run(case)?);
        tally.set(sum);
        Ok(())
    });
    // A property whose cases never meet what it is about holds, and says nothing.
    let tally = tally.get();
    if run >= 100 {
        assert!(tally.allowed > run && tally.to_be_retried > run, "{tally:?}");
        assert!(tally.never > run / 4 && tally.waited_for > run / 4, "{tally:?}");
        assert!(tally.refunds > run / 4 && tally.filled_up > run / 20, "{tally:?}");
    }
}

#[test]
fn short_cases_agree() {
    absolute::<Absolute>(1_500, 60, "tests/proptest-regressions/redis-short.txt");
}

#[test]
fn long_cases_agree() {
    absolute::<Absolute>(16, 1_500, "tests/proptest-regressions/redis-long.txt");
}

#[test]
fn repeated_denials_agree() {
    absolute::<Cached>(800, 60, "tests/proptest-regressions/redis-denials.txt");
    assert!(REPEATED.get() > 800, "{} repeated", REPEATED.get());
}

fn suppressed(cases: u32, most_ops: usize, kept_in: &'static str) {
    let tally = Cell::new(ThinnedTally::default());
    let run = check(cases, kept_in, &thinned_cases(most_ops), |case| {
        let mut sum = tally.get();
        sum.add(ThinnedTrial::<Suppressed>::run(case)?);
        tally.set(sum);
        Ok(())
    });
    let tally = tally.get();
    if run >= 100 {
        assert!(tally.allowed > run && tally.let_through > run, "{tally:?}");
        assert!(tally.thinned_out > run && tally.above_hard > run, "{tally:?}");
        assert!(tally.by_kept_rate > run / 4 && tally.refunds > run / 4, "{tally:?}");
    }
}

#[test]
fn short_cases_of_suppressed_agree() {
    suppressed(1_500, 60, "tests/proptest-regressions/redis-suppressed.txt");
}

#[test]
fn long_cases_of_suppressed_agree() {
    suppressed(12, 800, "tests/proptest-regressions/redis-suppressed-long.txt");
}

/// A sum of two counts near the most there can be is no longer exact; a hint must not hang on one.
#[test]
fn hints_are_exact_near_the_most() {
    let provider = Absolute::start(Grid { window_ms: 2, bucket_ms: 1 });
    let huge = RateLimit::per_second(f64::MAX).unwrap();
    assert!(provider.inc(0, &huge, 1).is_allowed());
    provider.set_time(Duration::from_millis(1));
    assert!(provider.inc(0, &huge, 2).is_allowed());
    let answer = Answer::from(provider.inc(0, &huge, MOST - 1));
    // One unit would have to stay, and the newest bucket holds two.
    let expected = Answer::Rejected { retry_after_ms: Some(3), remaining_after_waiting: 0 };
    assert_eq!(answer, expected);
}
