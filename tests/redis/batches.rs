//! Many decisions in one round trip are what they would have been one after the other.

use proptest::collection::vec;
use proptest::prelude::*;
use trypema::RateLimit;

use crate::agreement::SHRINK_ITERS;
use crate::common::check::{asked_for, check};
use crate::common::trial::duration;
use crate::common::{Answer, Grid, Model, Provider};
use crate::over_redis::{Absolute, NAMES};

const GRID: Grid = Grid { window_ms: 1_000, bucket_ms: 50 };
/// Capacities of the rates that the calls of a batch choose from.
const CAPACITIES: [u64; 3] = [0, 4, 9];

/// A key, a rate and a count.
type Call = (usize, usize, u64);

/// Milliseconds to go on by, and then a batch.
fn batches() -> impl Strategy<Value = Vec<(u64, Vec<Call>)>> {
    let call = (0..NAMES.len(), 0..CAPACITIES.len(), 0..=6_u64);
    vec((0..=600_u64, vec(call, 0..=12)), 1..=20)
}

#[test]
fn batches_agree_with_the_model() {
    let rates = CAPACITIES.map(|capacity| {
        // Half a unit in a window is none.
        let rate = RateLimit::per_second((capacity as f64).max(0.5)).unwrap();
        assert_eq!(rate.capacity(duration(1_000_000_000)), capacity);
        rate
    });
    let kept_in = "tests/proptest-regressions/redis-batches.txt";
    check(asked_for(400), kept_in, SHRINK_ITERS, &batches(), |batches| {
        let (provider, mut model) = (Absolute::start(GRID), Model::new(GRID, u64::MAX));
        for (step_ms, batch) in batches {
            let now_ns = model.now_ns() + u128::from(*step_ms) * 1_000_000;
            model.set_time(now_ns);
            provider.set_time(duration(now_ns));
            let calls = batch.iter().map(|&(key, rate, count)| (NAMES[key], &rates[rate], count));
            let answers = provider.limiter.absolute().inc_many(&calls.collect::<Vec<_>>());
            prop_assert_eq!(answers.len(), batch.len());
            for (&(key, rate, count), answer) in batch.iter().zip(answers) {
                let answer = Answer::from(answer.unwrap());
                let expected = model.inc(key as u8, Some(CAPACITIES[rate]), count);
                prop_assert_eq!(answer, expected, "{} {} {}", key, rate, count);
            }
        }
        Ok(())
    });
}
