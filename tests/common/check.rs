//! Runs a property, and keeps the cases in which it failed.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use super::ops::Case;
use super::provider::Provider;
use super::trial::{Tally, Trial};

/// So many cases, or as many as `PROPTEST_CASES` says.
pub(crate) fn asked_for(cases: u32) -> u32 {
    if std::env::var_os("PROPTEST_CASES").is_some() { Config::default().cases } else { cases }
}

/// Runs a property on so many cases, and returns how many. Those that failed before come first.
pub(crate) fn check<S: Strategy>(
    cases: u32,
    kept_in: &'static str,
    max_shrink_iters: u32,
    strategy: &S,
    property: impl Fn(&S::Value) -> Result<(), TestCaseError>,
) -> u64 {
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(kept_in))),
        max_shrink_iters,
        max_shrink_time: 120_000,
        ..Config::default()
    });
    if let Err(failure) = runner.run(strategy, |case| property(&case)) {
        panic!("{failure}");
    }
    u64::from(cases)
}

/// Provider and model agree, in cases that were worth running.
pub(crate) fn agrees_with_the_model<P: Provider>(
    cases: u32,
    kept_in: &'static str,
    max_shrink_iters: u32,
    strategy: &impl Strategy<Value = Case>,
) {
    let tally = RefCell::new(Tally::default());
    let run = check(cases, kept_in, max_shrink_iters, strategy, |case| {
        tally.borrow_mut().add(&Trial::<P>::run(case)?);
        Ok(())
    });
    tally.borrow().assert_worthwhile(P::SIDE, run);
}
