//! Runs a property, and keeps the cases in which it failed.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use super::ops::Case;
use super::provider::Provider;
use super::trial::{Tally, Trial};
use super::two_windows::{self, Act, TwoWindows};

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
    worthwhile::<P, _>(cases, kept_in, max_shrink_iters, strategy, Trial::<P>::run);
}

/// The same in two windows at once.
pub(crate) fn agrees_in_two_windows<P: TwoWindows>(
    cases: u32,
    kept_in: &'static str,
    max_shrink_iters: u32,
    strategy: &impl Strategy<Value = Case<Act>>,
) {
    worthwhile::<P, _>(cases, kept_in, max_shrink_iters, strategy, two_windows::run::<P>);
}

fn worthwhile<P: Provider, S: Strategy>(
    cases: u32,
    kept_in: &'static str,
    max_shrink_iters: u32,
    strategy: &S,
    run: impl Fn(&S::Value) -> Result<Tally, TestCaseError>,
) {
    let tally = RefCell::new(Tally::default());
    let cases = check(cases, kept_in, max_shrink_iters, strategy, |case| {
        tally.borrow_mut().add(&run(case)?);
        Ok(())
    });
    tally.borrow().assert_worthwhile(P::SIDE, cases);
    eprintln!("{cases} sequences agree");
}
