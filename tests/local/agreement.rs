//! Both strategies, decision by decision: a provider and the naive model of the contract are given the
//! same random operations and the same draws, and may never differ in an answer, a hint, a factor or a
//! usage.
//!
//! `PROPTEST_CASES` is the number of cases of the first property; the others follow in proportion.
//! Cases that have failed are kept in `tests/proptest-regressions/` and are run again first.

use std::collections::VecDeque;
use std::sync::Arc;

use proptest::prelude::*;

use crate::common::check::{self, asked_for};
use crate::common::draws::{Draws, Told};
use crate::common::ops::{self, Op, Step};
use crate::common::provider::{HardFactor, Side};
use crate::common::trial::{LATEST_NS, duration};
use crate::common::two_windows;
use crate::common::{Answer, Case, LocalAbsolute, LocalSuppressed, Provider};

const CASES: u32 = 20_000;
/// Long cases shrink to a few operations in far less than this.
const SHRINK_ITERS: u32 = 200_000;

/// So many cases out of each [`CASES`].
fn share(cases: u32) -> u32 {
    let share = u64::from(asked_for(CASES)) * u64::from(cases) / u64::from(CASES);
    u32::try_from(share).unwrap_or(u32::MAX).max(1)
}

/// G1, without the model: one rate, nothing but `inc`, whatever is drawn, and no interval of a
/// window's length in which more was admitted than the capacity, or the hard limit.
fn no_window_holds_more_than_the_limit<P: Provider>(case: &Case) -> Result<(), TestCaseError> {
    let grid = case.grid;
    let (rate, capacity) = case.rates[0].resolve(grid);
    let Some(capacity) = capacity else { return Ok(()) };
    let limit = match P::SIDE {
        Side::Absolute => capacity,
        Side::Suppressed => case.suppression.hard_factor.of(capacity),
    };
    let window_ns = u128::from(grid.window_ms.next_multiple_of(grid.bucket_ms)) * 1_000_000;

    let told = Arc::new(Told::default());
    let provider = P::build(case.settings(), Arc::clone(&told));
    let mut draws = Draws::new(case.suppression.seed);
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
            told.next_is(draws.next());
            let history = &mut admitted[usize::from(key)];
            history.retain(|&(then_ns, _)| now_ns - then_ns <= window_ns);
            let answer = Answer::from(provider.inc(key, &rate, count));
            if answer.is_allowed() && count > 0 {
                history.push_back((now_ns, count));
                let units = history.iter().map(|&(_, units)| u128::from(units)).sum::<u128>();
                prop_assert!(
                    units <= u128::from(limit),
                    "op {index}, {op:?}: {units} of {limit} units in the window up to {now_ns} ns"
                );
            }
            // At a factor of 1 soft and hard limit are one, and there is nothing to draw for.
            if P::SIDE == Side::Suppressed && case.suppression.hard_factor == HardFactor::NONE {
                let refused = Answer::Suppressed { factor: 1.0, is_allowed: false };
                prop_assert!(answer == Answer::Allowed || answer == refused, "{answer:?}");
            }
            if buckets > 0 {
                now_ns = Step::Edge { buckets: 1, off_ns: 0 }.resolve(grid, now_ns, |_| None);
                provider.set_time(duration(now_ns));
            }
        }
    }
    Ok(())
}

fn agrees<P: Provider>(cases: u32, kept_in: &'static str, strategy: &impl Strategy<Value = Case>) {
    check::agrees_with_the_model::<P>(share(cases), kept_in, SHRINK_ITERS, strategy);
}

fn no_window_overflows<P: Provider>(
    cases: u32,
    kept_in: &'static str,
    strategy: &impl Strategy<Value = Case>,
) {
    let property = no_window_holds_more_than_the_limit::<P>;
    check::check(share(cases), kept_in, SHRINK_ITERS, strategy, property);
}

/// Cases that failed in a strategy are kept in a file of their own.
macro_rules! kept {
    ($name:literal) => {
        concat!("tests/proptest-regressions/", $name, ".txt")
    };
}

mod absolute {
    use super::*;

    // proves (property): G1 G2 G3 G9
    #[test]
    fn short_cases_agree_with_the_model() {
        agrees::<LocalAbsolute>(CASES, kept!("local-short"), &ops::cases(60));
    }

    // proves (property): G1 G2 G3 G9
    #[test]
    fn long_cases_agree_with_the_model() {
        agrees::<LocalAbsolute>(CASES / 100, kept!("local-long"), &ops::cases(4_000));
    }

    // proves (property): G1 G2 G3 G9
    #[test]
    fn two_windows_agree_with_their_models() {
        let (number, kept_in) = (share(CASES), kept!("local-two-windows"));
        let cases = two_windows::cases(60);
        check::agrees_in_two_windows::<LocalAbsolute>(number, kept_in, SHRINK_ITERS, &cases);
    }

    // proves (property): G1
    #[test]
    fn no_window_overflows() {
        super::no_window_overflows::<LocalAbsolute>(
            CASES / 4,
            kept!("local-windows"),
            &ops::additions(60),
        );
    }
}

mod suppressed {
    use super::*;

    // proves (property): G1 G2 G9 suppression
    #[test]
    fn short_cases_agree_with_the_model() {
        let cases = ops::suppressed(ops::cases(60));
        agrees::<LocalSuppressed>(CASES, kept!("suppressed-local"), &cases);
    }

    // proves (property): G1 G2 G9 suppression
    #[test]
    fn long_cases_agree_with_the_model() {
        let cases = ops::suppressed(ops::cases(800));
        agrees::<LocalSuppressed>(CASES / 100, kept!("suppressed-local"), &cases);
    }

    // proves (property): G1 G2 G9 suppression
    #[test]
    fn two_windows_agree_with_their_models() {
        let (number, kept_in) = (share(CASES), kept!("suppressed-local-two-windows"));
        let cases = ops::suppressed(two_windows::cases(60));
        check::agrees_in_two_windows::<LocalSuppressed>(number, kept_in, SHRINK_ITERS, &cases);
    }

    // proves (property): G1
    #[test]
    fn no_window_overflows() {
        super::no_window_overflows::<LocalSuppressed>(
            CASES / 2,
            kept!("suppressed-local-hard"),
            &ops::suppressed(ops::additions(60)),
        );
    }
}
