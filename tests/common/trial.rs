//! Runs a case on a provider and on the model side by side, and compares every answer.

use std::time::Duration;

use proptest::prelude::*;
use trypema::RateLimit;

use super::ops::{Count, Op, Step};
use super::{Answer, Case, Model, Provider};

/// Moments under test stay below 400 years, unless the provider says otherwise: a clock of 64 bits
/// holds 584, and what happens near its end is not part of these comparisons.
pub(crate) const LATEST_NS: u128 = 400 * 365 * 86_400_000_000_000;
const MILLI: u128 = 1_000_000;

/// What a run met with, so that a property can tell whether its cases were worth running.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) allowed: u64,
    pub(crate) to_be_retried: u64,
    pub(crate) never: u64,
    pub(crate) waited_for: u64,
    pub(crate) refunds: u64,
    pub(crate) filled_up: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.allowed += other.allowed;
        self.to_be_retried += other.to_be_retried;
        self.never += other.never;
        self.waited_for += other.waited_for;
        self.refunds += other.refunds;
        self.filled_up += other.filled_up;
    }
}

pub(crate) struct Trial<'a, P> {
    provider: P,
    model: Model,
    most: u64,
    case: &'a Case,
    rates: Vec<(RateLimit, Option<u64>)>,
    tally: Tally,
}

impl<'a, P: Provider> Trial<'a, P> {
    /// Runs all of the case, and fails where provider and model differ.
    pub(crate) fn run(case: &'a Case) -> Result<Tally, TestCaseError> {
        let most = P::most(case.grid);
        let mut trial = Self {
            provider: P::start(case.grid),
            model: Model::new(case.grid, most),
            most,
            case,
            rates: case.rates.iter().map(|rate| rate.resolve(case.grid)).collect(),
            tally: Tally::default(),
        };
        trial.go_to(case.start_ns.into());
        for (index, op) in case.ops.iter().enumerate() {
            let started_ns = trial.model.now_ns();
            trial.apply(*op).and_then(|()| trial.compare_keys()).map_err(|error| {
                TestCaseError::fail(format!(
                    "op {index}, {op:?}, begun at {started_ns} ns: {error}"
                ))
            })?;
        }
        Ok(trial.tally)
    }

    fn apply(&mut self, op: Op) -> Result<(), TestCaseError> {
        match op {
            Op::Inc { key, rate, count } => {
                self.inc(self.key(key), rate, self.count(rate, count))?;
            }
            Op::IsAllowed { key, rate, count } => {
                self.is_allowed(self.key(key), rate, self.count(rate, count))?;
            }
            Op::IncPatiently { key, rate, count } => {
                self.inc_patiently(self.key(key), rate, self.count(rate, count))?;
            }
            Op::Spread { key, rate, count, buckets } => {
                for _ in 0..buckets {
                    self.inc(self.key(key), rate, self.count(rate, count))?;
                    self.advance(Step::Edge { buckets: 1, off_ns: 0 });
                }
            }
            Op::Advance(step) => self.advance(step),
            Op::Record { key, count } => {
                let (key, count) = (self.key(key), self.count(0, count));
                self.tally.filled_up += u64::from(count > self.most - self.model.usage(key));
                prop_assert_eq!(self.provider.record(key, count), self.model.record(key, count));
            }
            Op::Refund { key, count } => {
                let (key, count) = (self.key(key), self.count(0, count));
                let expected = self.model.refund(key, count);
                self.tally.refunds += u64::from(expected > 0);
                prop_assert_eq!(self.provider.refund(key, count), expected, "units refunded");
            }
            Op::Reset { key } => {
                let key = self.key(key);
                prop_assert_eq!(self.provider.reset(key), self.model.reset(key), "known to reset");
            }
        }
        Ok(())
    }

    fn inc(&mut self, key: u8, rate: u8, count: u64) -> Result<Answer, TestCaseError> {
        let (limit, capacity) = self.rate(rate);
        let answer = Answer::from(self.provider.inc(key, &limit, count));
        let expected = self.model.inc(key, capacity, count);
        prop_assert_eq!(answer, expected, "inc({}, {}, {})", key, limit, count);
        match answer {
            Answer::Allowed => self.tally.allowed += 1,
            Answer::Rejected { retry_after_ms: Some(_), .. } => self.tally.to_be_retried += 1,
            Answer::Rejected { retry_after_ms: None, .. } => self.tally.never += 1,
        }
        Ok(answer)
    }

    fn is_allowed(&self, key: u8, rate: u8, count: u64) -> Result<Answer, TestCaseError> {
        let (limit, capacity) = self.rate(rate);
        let answer = Answer::from(self.provider.is_allowed(key, &limit, count));
        let expected = self.model.is_allowed(key, capacity, count);
        prop_assert_eq!(answer, expected, "is_allowed({}, {}, {})", key, limit, count);
        Ok(answer)
    }

    /// The hint as a caller would use it: one millisecond earlier is too early, then it fits.
    fn inc_patiently(&mut self, key: u8, rate: u8, count: u64) -> Result<(), TestCaseError> {
        let Answer::Rejected { retry_after_ms: Some(ms), remaining_after_waiting } =
            self.inc(key, rate, count)?
        else {
            return Ok(());
        };
        prop_assert!(ms > 0, "told to retry at once");
        let then = self.model.now_ns() + u128::from(ms) * MILLI;
        if then > P::LATEST_NS {
            return Ok(());
        }
        self.go_to(then - MILLI);
        prop_assert_ne!(self.is_allowed(key, rate, count)?, Answer::Allowed, "a ms too late");
        self.go_to(then);
        prop_assert_eq!(self.provider.usage(key), remaining_after_waiting);
        prop_assert_eq!(self.is_allowed(key, rate, count)?, Answer::Allowed);
        prop_assert_eq!(self.inc(key, rate, count)?, Answer::Allowed);
        self.tally.waited_for += 1;
        Ok(())
    }

    /// What can be seen of every key without changing it.
    fn compare_keys(&self) -> Result<(), TestCaseError> {
        for key in 0..self.case.keys {
            prop_assert_eq!(self.provider.usage(key), self.model.usage(key), "usage of {}", key);
            self.is_allowed(key, 0, 1)?;
        }
        prop_assert_eq!(self.provider.len(), self.model.len(), "keys held");
        Ok(())
    }

    fn advance(&mut self, step: Step) {
        let expiries = |key| self.model.expiries(self.key(key));
        self.go_to(step.resolve(self.case.grid, self.model.now_ns(), expiries));
    }

    /// Steps back, and steps out of range, are not taken.
    fn go_to(&mut self, then_ns: u128) {
        if (self.model.now_ns()..=P::LATEST_NS).contains(&then_ns) {
            self.model.set_time(then_ns);
            self.provider.set_time(duration(then_ns));
        }
    }

    fn key(&self, key: u8) -> u8 {
        key % self.case.keys
    }

    fn rate(&self, rate: u8) -> (RateLimit, Option<u64>) {
        self.rates[usize::from(rate) % self.rates.len()]
    }

    fn count(&self, rate: u8, count: Count) -> u64 {
        count.resolve(self.rate(rate).1.unwrap_or(self.most), self.most)
    }
}

pub(crate) fn duration(ns: u128) -> Duration {
    Duration::from_nanos(u64::try_from(ns).expect("moments under test fit into 64 bits"))
}
