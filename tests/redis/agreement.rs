//! Both strategies over Redis, decision by decision against the naive models: the operations, the
//! models and the comparison are those that the in-process provider is judged by.
//!
//! `PROPTEST_CASES` is the number of cases of each property. Cases that have failed are kept in
//! `tests/proptest-regressions/`, and are run again first.

// each proves: G1 G2 G3 G9

use std::time::Duration;

use trypema::RateLimit;

use crate::common::check::{agrees_in_two_windows, agrees_with_the_model, asked_for};
use crate::common::ops::{cases, suppressed};
use crate::common::provider::Side;
use crate::common::two_windows;
use crate::common::{Answer, Grid, Provider};
use crate::over_redis::{Absolute, Cached, MOST, REPEATED, Suppressed};

/// A case is some milliseconds of round trips.
pub(crate) const SHRINK_ITERS: u32 = 20_000;

fn agrees<P: Provider>(number: u32, most_ops: usize, kept_in: &'static str) {
    let number = asked_for(number);
    match P::SIDE {
        Side::Absolute => {
            agrees_with_the_model::<P>(number, kept_in, SHRINK_ITERS, &cases(most_ops));
        }
        Side::Suppressed => {
            let cases = suppressed(cases(most_ops));
            agrees_with_the_model::<P>(number, kept_in, SHRINK_ITERS, &cases);
        }
    }
}

#[test]
fn short_cases_agree() {
    agrees::<Absolute>(1_500, 60, "tests/proptest-regressions/redis-short.txt");
}

#[test]
fn long_cases_agree() {
    agrees::<Absolute>(16, 1_500, "tests/proptest-regressions/redis-long.txt");
}

#[test]
fn repeated_denials_agree() {
    agrees::<Cached>(800, 60, "tests/proptest-regressions/redis-denials.txt");
    assert!(REPEATED.get() > 800, "{} repeated", REPEATED.get());
}

#[test]
fn short_cases_of_suppressed_agree() {
    agrees::<Suppressed>(1_500, 60, "tests/proptest-regressions/redis-suppressed.txt");
}

#[test]
fn long_cases_of_suppressed_agree() {
    agrees::<Suppressed>(12, 800, "tests/proptest-regressions/redis-suppressed-long.txt");
}

#[test]
fn two_windows_agree() {
    let kept_in = "tests/proptest-regressions/redis-two-windows.txt";
    let cases = two_windows::cases(60);
    agrees_in_two_windows::<Absolute>(asked_for(400), kept_in, SHRINK_ITERS, &cases);
}

#[test]
fn two_windows_of_suppressed_agree() {
    let kept_in = "tests/proptest-regressions/redis-suppressed-two-windows.txt";
    let cases = suppressed(two_windows::cases(60));
    agrees_in_two_windows::<Suppressed>(asked_for(400), kept_in, SHRINK_ITERS, &cases);
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
