//! Runs a case on a provider and on the model side by side, and compares every answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use trypema::{RateLimit, RateLimitDecision};

use super::admissions::Admissions;
use super::answer::{Answer, same_factor};
use super::draws::{Draws, Told};
use super::model::{Ask, Model};
use super::ops::{Case, Count, Op, Step};
use super::provider::{Provider, Side};

/// Moments under test stay below 400 years, unless the provider says otherwise: a clock of 64 bits
/// holds 584, and what happens near its end is not part of these comparisons.
pub(crate) const LATEST_NS: u128 = 400 * 365 * 86_400_000_000_000;
const MILLI: u128 = 1_000_000;

/// How often a run met with what, so that a property can tell whether its cases were worth running.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    pub(crate) fn met(&mut self, what: &'static str, times: u64) {
        *self.0.entry(what).or_default() += times;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, times)| self.met(what, *times));
    }

    pub(crate) fn times(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// A property whose cases never meet what it is about holds, and says nothing.
    pub(crate) fn assert_more_than(&self, times: u64, whats: &[&str]) {
        for what in whats {
            let met = self.times(what);
            assert!(met > times, "{what} {met} times, not {times}: {self:?}");
        }
    }

    /// The same of a property's cases of a strategy.
    pub(crate) fn assert_worthwhile(&self, side: Side, cases: u64) {
        if cases < 100 {
            return;
        }
        self.assert_more_than(cases, &["allowed"]);
        self.assert_more_than(cases / 4, &["refunded", "undone", "undone in part"]);
        self.assert_more_than(cases / 20, &["undone too late", "undone after a reset"]);
        match side {
            Side::Absolute => {
                self.assert_more_than(cases, &["to be retried"]);
                self.assert_more_than(cases / 4, &["never"]);
                // Over two windows, 400 cases wait about a hundred times: half of that is never missed by chance.
                self.assert_more_than(cases / 8, &["waited for"]);
                self.assert_more_than(cases / 20, &["filled up"]);
            }
            Side::Suppressed => {
                self.assert_more_than(cases, &["let through", "suppressed", "above hard"]);
                self.assert_more_than(cases / 4, &["by a kept rate"]);
            }
        }
    }
}

/// A strategy of a provider, and the model of it.
pub(crate) struct Trial<P> {
    pub(crate) provider: P,
    pub(crate) model: Model,
    told: Arc<Told>,
    draws: Draws,
    most: u64,
    rates: Vec<(RateLimit, Option<u64>)>,
    pub(crate) admissions: Admissions,
    pub(crate) tally: Tally,
}

impl<P: Provider> Trial<P> {
    /// Runs all of the case, and fails where provider and model differ.
    pub(crate) fn run(case: &Case) -> Result<Tally, TestCaseError> {
        let told = Arc::new(Told::default());
        let mut trial = Self::new(P::build(case.settings(), Arc::clone(&told)), told, case);
        trial.go_to(case.start_ns.into());
        for (index, op) in case.ops.iter().enumerate() {
            let started_ns = trial.model.now_ns();
            trial.apply(case, *op).and_then(|()| trial.compare_keys(case)).map_err(|error| {
                TestCaseError::fail(format!(
                    "op {index}, {op:?}, begun at {started_ns} ns: {error}"
                ))
            })?;
        }
        Ok(trial.tally)
    }

    pub(crate) fn new<O>(provider: P, told: Arc<Told>, case: &Case<O>) -> Self {
        let most = P::most(case.grid);
        let model = match P::SIDE {
            Side::Absolute => Model::new(case.grid, most),
            Side::Suppressed => Model::suppressed(case.settings(), most),
        };
        let rates = case.rates.iter().map(|rate| rate.resolve(case.grid)).collect();
        let draws = Draws::new(case.suppression.seed);
        let (admissions, tally) = (Admissions::default(), Tally::default());
        Self { provider, model, told, draws, most, rates, admissions, tally }
    }

    pub(crate) fn apply(&mut self, case: &Case, op: Op) -> Result<(), TestCaseError> {
        let known = |key: u8| key % case.keys;
        match op {
            Op::Inc { key, rate, count } => {
                self.inc(known(key), rate, self.count(rate, count))?;
            }
            Op::IsAllowed { key, rate, count } => {
                self.is_allowed(known(key), rate, self.count(rate, count))?;
            }
            Op::IncPatiently { key, rate, count } => {
                self.inc_patiently(known(key), rate, self.count(rate, count))?;
            }
            Op::Spread { key, rate, count, buckets } => {
                for _ in 0..buckets {
                    self.inc(known(key), rate, self.count(rate, count))?;
                    self.advance(case, Step::Edge { buckets: 1, off_ns: 0 });
                }
            }
            Op::Advance(step) => self.advance(case, step),
            Op::Record { key, count } => self.record(known(key), self.count(0, count))?,
            Op::Refund { key, count } => self.refund(known(key), self.count(0, count))?,
            Op::Undo { key, back, count } => {
                self.undo(known(key), back, self.count(0, count))?;
            }
            Op::Reset { key } => {
                let is_known = self.model.reset(known(key));
                prop_assert_eq!(self.reset(known(key)), is_known, "known to reset");
            }
            other => unreachable!("{other:?} is for both strategies at once"),
        }
        Ok(())
    }

    pub(crate) fn inc(&mut self, key: u8, rate: u8, count: u64) -> Result<Answer, TestCaseError> {
        let (limit, ask, in_zone) = self.ask(key, rate, count);
        if in_zone {
            let fresh = self.model.suppression_factor(key, ask.per_second);
            let kept = self.model.zone_factor(key, ask.per_second);
            self.tally.met("by a kept rate", u64::from(!same_factor(fresh, kept)));
        }
        let is_clipped = count > self.most - self.model.usage(key);
        let decision = self.provider.inc(key, &limit, count);
        let answer = Answer::from(decision);
        let expected = self.model.add(key, ask);
        prop_assert_eq!(answer, expected, "inc({}, {}, {})", key, limit, count);
        self.check_remaining(key, ask, decision, 0)?;
        self.check_draws(in_zone)?;
        let is_counted = answer.is_allowed() && count > 0;
        // Past the most that a window holds, a provider need not say where units were counted.
        let has_bucket = decision.bucket().is_some();
        prop_assert!(has_bucket == is_counted || is_counted && is_clipped, "{:?}", decision);
        if P::SIDE == Side::Suppressed
            && P::TELLS_RESETS
            && count > 0
            && !answer.is_allowed()
            && self.model.usage(key) == 0
        {
            // A decline begins such a key afresh. All that was counted in its buckets has been
            // given back by then, or has expired: nothing is left of it to undo.
            self.admissions.begun_afresh(key);
        }
        if let Some(bucket) = decision.bucket() {
            self.admissions.note(key, bucket, self.model.tick());
        }
        let fate = match answer {
            Answer::Allowed => "allowed",
            Answer::Rejected { retry_after_ms: Some(_), .. } => "to be retried",
            Answer::Rejected { retry_after_ms: None, .. } => "never",
            Answer::Suppressed { is_allowed: true, .. } => "let through",
            Answer::Suppressed { .. } if in_zone => "suppressed",
            Answer::Suppressed { .. } => "above hard",
        };
        self.tally.met(fate, 1);
        Ok(answer)
    }

    pub(crate) fn is_allowed(
        &mut self,
        key: u8,
        rate: u8,
        count: u64,
    ) -> Result<Answer, TestCaseError> {
        let (limit, ask, in_zone) = self.ask(key, rate, count);
        let decision = self.provider.is_allowed(key, &limit, count);
        let answer = Answer::from(decision);
        let expected = self.model.judge(key, ask);
        prop_assert_eq!(answer, expected, "is_allowed({}, {}, {})", key, limit, count);
        self.check_remaining(key, ask, decision, if answer.is_allowed() { count } else { 0 })?;
        prop_assert!(decision.bucket().is_none(), "a look counts nothing: {:?}", decision);
        self.check_draws(in_zone)?;
        Ok(answer)
    }

    pub(crate) fn record(&mut self, key: u8, count: u64) -> Result<(), TestCaseError> {
        let is_filled = count > self.most - self.model.usage(key);
        self.tally.met("filled up", u64::from(is_filled));
        prop_assert_eq!(self.provider.record(key, count), self.model.record(key, count));
        Ok(())
    }

    pub(crate) fn refund(&mut self, key: u8, count: u64) -> Result<(), TestCaseError> {
        let expected = self.model.refund(key, count);
        self.tally.met("refunded", u64::from(expected > 0));
        prop_assert_eq!(self.provider.refund(key, count), expected, "units refunded");
        Ok(())
    }

    /// Undoes some of the latest admission of the key but so many, if there was one.
    pub(crate) fn undo(&mut self, key: u8, back: u8, count: u64) -> Result<(), TestCaseError> {
        let Some((admission, was_reset)) = self.admissions.latest_but(key, back) else {
            return Ok(());
        };
        let expected = match was_reset && P::TELLS_RESETS {
            true => 0,
            false => self.model.undo(key, admission.tick, count),
        };
        let undone = self.provider.undo(key, admission.bucket, count);
        prop_assert_eq!(undone, expected, "units undone of {:?}", admission);
        let what = match expected {
            0 if count == 0 => "nothing undone",
            0 if was_reset => "undone after a reset",
            0 => "undone too late",
            units if units < count => "undone in part",
            _ => "undone",
        };
        self.tally.met(what, 1);
        Ok(())
    }

    /// The provider's answer.
    pub(crate) fn reset(&mut self, key: u8) -> bool {
        self.admissions.begun_afresh(key);
        self.provider.reset(key)
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
        self.tally.met("waited for", 1);
        Ok(())
    }

    /// Settles the next draw: not one so near the factor that rounding would decide.
    fn ask(&mut self, key: u8, rate: u8, count: u64) -> (RateLimit, Ask, bool) {
        let (limit, capacity) = self.rate(rate);
        let per_second = limit.as_per_second();
        let mut ask = Ask { per_second, capacity, count, draw: self.draws.next() };
        let in_zone = self.model.in_zone(key, ask);
        let factor = if in_zone { self.model.zone_factor(key, per_second) } else { 0.0 };
        if factor > 0.0 && (ask.draw - factor).abs() < 1e-9 {
            ask.draw = if factor < 0.5 { factor + 0.25 } else { factor - 0.25 };
        }
        self.told.next_is(ask.draw);
        self.told.take_draws();
        (limit, ask, in_zone)
    }

    /// Checks the units that a decision says are left. `more`: the units that a look would have counted.
    fn check_remaining(
        &self,
        key: u8,
        ask: Ask,
        decision: RateLimitDecision,
        more: u64,
    ) -> Result<(), TestCaseError> {
        // More than a window holds is not asked of every provider.
        if ask.count <= self.most {
            let expected = self.model.remaining(key, ask.capacity, more);
            prop_assert_eq!(decision.remaining(), expected, "left of {:?}, {:?}", ask, decision);
        }
        Ok(())
    }

    /// One draw for a call, however it is tried; where nothing hangs on it, none is as good. Absolute
    /// never draws.
    fn check_draws(&self, in_zone: bool) -> Result<(), TestCaseError> {
        let draws = self.told.take_draws();
        let most = u64::from(P::SIDE == Side::Suppressed);
        prop_assert!(draws <= most && (draws == 1 || !in_zone), "{} draws", draws);
        Ok(())
    }

    /// All that can be seen of a key without asking for anything.
    pub(crate) fn compare_key(&self, key: u8) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.provider.counts(key), self.model.counts(key), "usage of {}", key);
        Ok(())
    }

    /// All that can be seen of every key without changing it.
    fn compare_keys(&mut self, case: &Case) -> Result<(), TestCaseError> {
        for key in 0..case.keys {
            self.compare_key(key)?;
            for (limit, _) in self.rates.iter().filter(|_| P::SIDE == Side::Suppressed) {
                let factor = self.provider.suppression_factor(key, limit);
                let expected = self.model.suppression_factor(key, limit.as_per_second());
                let is_same = same_factor(factor, expected);
                prop_assert!(is_same, "factor({key}, {limit}) = {factor}, not {expected}");
            }
            self.is_allowed(key, 0, 1)?;
        }
        prop_assert_eq!(self.provider.len(), self.model.len(), "keys held");
        Ok(())
    }

    fn advance(&mut self, case: &Case, step: Step) {
        let expiries = |key| self.model.expiries(key % case.keys);
        self.go_to(step.resolve(case.grid, self.model.now_ns(), expiries));
    }

    /// Steps back, and steps out of range, are not taken.
    pub(crate) fn go_to(&mut self, then_ns: u128) {
        let then_ns = then_ns / P::GRAIN_NS * P::GRAIN_NS;
        if (self.model.now_ns()..=P::LATEST_NS).contains(&then_ns) {
            self.model.set_time(then_ns);
            self.provider.set_time(duration(then_ns));
        }
    }

    fn rate(&self, rate: u8) -> (RateLimit, Option<u64>) {
        self.rates[usize::from(rate) % self.rates.len()]
    }

    fn count(&self, rate: u8, count: Count) -> u64 {
        self.count_or(self.most, rate, count)
    }

    /// The count, by this capacity where the rate is unlimited.
    pub(crate) fn count_or(&self, capacity: u64, rate: u8, count: Count) -> u64 {
        count.resolve(self.rate(rate).1.unwrap_or(capacity), self.most)
    }
}

pub(crate) fn duration(ns: u128) -> Duration {
    Duration::from_nanos(u64::try_from(ns).expect("moments under test fit into 64 bits"))
}
