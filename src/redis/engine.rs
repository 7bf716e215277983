//! Calls that are the same whatever the strategy.

use core::time::Duration;

use ::redis::Value;

use crate::redis::counters::DecisionSource;
use crate::redis::inner::{Engine, MAX_COUNT, check_count};
use crate::redis::net::{Deadline, Failure};
use crate::redis::reply::{self, makes_sense};
use crate::redis::request::{Argument, Request};
use crate::wait::{Attempt, TimedOut, Wait};
use crate::{Key, LocalRateLimiter, RateLimitDecision, TrypemaError};

/// What a call has come to, and who has decided.
pub(crate) type Settled = Result<(RateLimitDecision, DecisionSource), TrypemaError>;

/// A call that asks for a decision, after a first look.
pub(crate) enum Prepared<'a, T> {
    /// Decided here.
    Local(RateLimitDecision, DecisionSource),
    /// To be sent; and what is needed when the answer is there.
    Remote(Request<'a>, T),
}

/// What a call that asks for a decision is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Counts.
    Inc,
    /// Looks.
    Look,
}

impl Engine {
    /// Sends what is to be sent.
    pub(crate) fn execute<T>(
        &self,
        prepared: Prepared<'_, T>,
        finish: impl FnOnce(T, Result<Value, Failure>) -> Settled,
    ) -> Settled {
        match prepared {
            Prepared::Local(decision, source) => Ok((decision, source)),
            Prepared::Remote(request, kept) => {
                let deadline = Deadline::after(self.inner.deadline);
                finish(kept, self.inner.router.ask(&request, deadline))
            }
        }
    }

    /// The same for many, in one round trip; `finish` is told which of them it is.
    pub(crate) fn execute_all<'a, T>(
        &self,
        prepared: impl Iterator<Item = Result<Prepared<'a, T>, TrypemaError>>,
        finish: impl Fn(usize, T, Result<Value, Failure>) -> Settled,
    ) -> Vec<Settled> {
        let (mut requests, mut kept) = (Vec::new(), Vec::new());
        let known = prepared.enumerate().map(|(index, prepared)| match prepared {
            Ok(Prepared::Local(decision, source)) => Some(Ok((decision, source))),
            Ok(Prepared::Remote(request, its)) => {
                requests.push(request);
                kept.push((index, its));
                None
            }
            Err(error) => Some(Err(error)),
        });
        let known = known.collect::<Vec<_>>();
        let deadline = Deadline::after(self.inner.deadline);
        let replies = match requests[..] {
            [] => Vec::new(),
            _ => self.inner.router.ask_many(&requests, deadline),
        };
        let answers = kept.into_iter().zip(replies);
        let mut answers = answers.map(|((index, its), reply)| finish(index, its, reply));
        // Those that are not known were sent, in this order.
        known.into_iter().filter_map(|known| known.or_else(|| answers.next())).collect()
    }

    pub(crate) fn recording(&self, key: &str, count: u64) -> Result<Request<'_>, TrypemaError> {
        let is_answer = |value: &Value| makes_sense(&reply::recorded(value));
        self.request(Some(&self.scripts.record), key, [Argument::Whole(count)], is_answer)
    }

    pub(crate) fn usage(
        &self,
        key: &str,
        local: impl FnOnce(&LocalRateLimiter) -> (u64, u64),
    ) -> Result<(u64, u64), TrypemaError> {
        let is_answer = |value: &Value| makes_sense(&reply::usage(value));
        let request = self.request(Some(&self.scripts.usage), key, [], is_answer);
        let usage = request
            .and_then(|request| self.settle_locally(0, self.ask(&request, reply::usage), local));
        self.counters.checked(usage)
    }

    pub(crate) fn record(
        &self,
        key: &str,
        count: u64,
        local: impl FnOnce(&LocalRateLimiter) -> bool,
    ) -> Result<bool, TrypemaError> {
        let recorded = check_count(count).and_then(|()| {
            let request = self.recording(key, count)?;
            if count == 0 {
                return Ok(true);
            }
            let asked = self.ask(&request, reply::recorded).map(|()| true);
            self.settle_locally(count, asked, local)
        });
        self.counters.checked(recorded)
    }

    pub(crate) fn refund(
        &self,
        key: &str,
        count: u64,
        local: impl FnOnce(&LocalRateLimiter) -> u64,
    ) -> Result<u64, TrypemaError> {
        // No key holds more than that, so more cannot be given back either.
        let count = count.min(MAX_COUNT);
        let is_answer = |value: &Value| makes_sense(&reply::count(value));
        let refund = Some(&self.scripts.refund);
        let refunded = self.request(refund, key, [Argument::Whole(count)], is_answer);
        let refunded = refunded.and_then(|request| {
            if count == 0 {
                return Ok(0);
            }
            self.settle_locally(count, self.ask(&request, reply::count), local)
        });
        self.counters.checked(refunded)
    }

    pub(crate) fn reset(
        &self,
        key: &str,
        local: impl FnOnce(&LocalRateLimiter) -> bool,
    ) -> Result<bool, TrypemaError> {
        if let Some(limiter) = &self.inner.outage_policy.local {
            local(limiter);
        }
        let is_answer = |value: &Value| makes_sense(&reply::count(value));
        let known = self.request(None, key, [], is_answer).and_then(|request| {
            match self.ask(&request, reply::count) {
                Ok(forgotten) => Ok(forgotten > 0),
                Err(refusal) => Err(self.outage(0, refusal)?.into()),
            }
        });
        self.counters.checked(known)
    }

    /// Waits until `attempt` is admitted or fails.
    pub(crate) fn acquire(
        &self,
        key: &str,
        timeout: Duration,
        mut attempt: impl FnMut() -> Result<Attempt, TrypemaError>,
    ) -> Result<Duration, TrypemaError> {
        let mut problem = None;
        let wait = Wait { queue: &self.line, clock: &self.real_time, timeout };
        let waited = wait.run(
            || Key::from(key),
            // There is no use in waiting any longer after a failure.
            || {
                attempt().unwrap_or_else(|error| {
                    problem = Some(error);
                    Attempt::Admitted
                })
            },
        );
        match (problem, waited) {
            (Some(error), _) => Err(error),
            (None, Ok(waited)) => Ok(waited),
            (None, Err(TimedOut)) => Err(TrypemaError::Timeout { waited: timeout }),
        }
    }
}
