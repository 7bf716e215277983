//! Calls that are the same whatever the strategy.

use core::time::Duration;

use ::redis::Value;

use crate::redis::answer::{self, makes_sense};
use crate::redis::command::{Argument, Command};
use crate::redis::core::{MOST, Side, check_count};
use crate::redis::net::{Deadline, Failure};
use crate::redis::tally::Source;
use crate::wait::{Attempt, TimedOut, Wait};
use crate::{Key, LocalRateLimiter, RateLimitDecision, TrypemaError};

/// What a call has come to, and who has decided.
pub(crate) type Settled = Result<(RateLimitDecision, Source), TrypemaError>;

/// A call that asks for a decision, after a first look.
pub(crate) enum Begun<'a, T> {
    /// Decided here.
    Done(RateLimitDecision, Source),
    /// To be sent; and what is needed when the answer is there.
    Sent(Command<'a>, T),
}

/// What a call that asks for a decision is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Counts.
    Inc,
    /// Looks.
    Look,
}

impl Side {
    /// Sends what is to be sent.
    pub(crate) fn carry_out<T>(
        &self,
        begun: Begun<'_, T>,
        finish: impl FnOnce(T, Result<Value, Failure>) -> Settled,
    ) -> Settled {
        match begun {
            Begun::Done(decision, source) => Ok((decision, source)),
            Begun::Sent(command, kept) => {
                let deadline = Deadline::after(self.core.deadline);
                finish(kept, self.core.directory.ask(&command, deadline))
            }
        }
    }

    /// The same for many, in one round trip; `finish` is told which of them it is.
    pub(crate) fn carry_out_all<'a, T>(
        &self,
        begun: impl Iterator<Item = Result<Begun<'a, T>, TrypemaError>>,
        finish: impl Fn(usize, T, Result<Value, Failure>) -> Settled,
    ) -> Vec<Settled> {
        let (mut commands, mut kept) = (Vec::new(), Vec::new());
        let known = begun.enumerate().map(|(index, begun)| match begun {
            Ok(Begun::Done(decision, source)) => Some(Ok((decision, source))),
            Ok(Begun::Sent(command, its)) => {
                commands.push(command);
                kept.push((index, its));
                None
            }
            Err(error) => Some(Err(error)),
        });
        let known = known.collect::<Vec<_>>();
        let deadline = Deadline::after(self.core.deadline);
        let replies = match commands[..] {
            [] => Vec::new(),
            _ => self.core.directory.ask_many(&commands, deadline),
        };
        let answers = kept.into_iter().zip(replies);
        let mut answers = answers.map(|((index, its), reply)| finish(index, its, reply));
        // Those that are not known were sent, in this order.
        known.into_iter().filter_map(|known| known.or_else(|| answers.next())).collect()
    }

    pub(crate) fn recording(&self, key: &str, count: u64) -> Result<Command<'_>, TrypemaError> {
        let is_answer = |value: &Value| makes_sense(&answer::recorded(value));
        self.command(Some(&self.scripts.record), key, [Argument::Whole(count)], is_answer)
    }

    pub(crate) fn usage(
        &self,
        key: &str,
        local: impl FnOnce(&LocalRateLimiter) -> (u64, u64),
    ) -> Result<(u64, u64), TrypemaError> {
        let is_answer = |value: &Value| makes_sense(&answer::usage(value));
        let command = self.command(Some(&self.scripts.usage), key, [], is_answer);
        let usage = command
            .and_then(|command| self.settle_locally(0, self.ask(&command, answer::usage), local));
        self.tally.checked(usage)
    }

    pub(crate) fn record(
        &self,
        key: &str,
        count: u64,
        local: impl FnOnce(&LocalRateLimiter) -> bool,
    ) -> Result<bool, TrypemaError> {
        let recorded = check_count(count).and_then(|()| {
            let command = self.recording(key, count)?;
            if count == 0 {
                return Ok(true);
            }
            let asked = self.ask(&command, answer::recorded).map(|()| true);
            self.settle_locally(count, asked, local)
        });
        self.tally.checked(recorded)
    }

    pub(crate) fn refund(
        &self,
        key: &str,
        count: u64,
        local: impl FnOnce(&LocalRateLimiter) -> u64,
    ) -> Result<u64, TrypemaError> {
        // No key holds more than that, so more cannot be given back either.
        let count = count.min(MOST);
        let is_answer = |value: &Value| makes_sense(&answer::count(value));
        let refund = Some(&self.scripts.refund);
        let refunded = self.command(refund, key, [Argument::Whole(count)], is_answer);
        let refunded = refunded.and_then(|command| {
            if count == 0 {
                return Ok(0);
            }
            self.settle_locally(count, self.ask(&command, answer::count), local)
        });
        self.tally.checked(refunded)
    }

    pub(crate) fn reset(
        &self,
        key: &str,
        local: impl FnOnce(&LocalRateLimiter) -> bool,
    ) -> Result<bool, TrypemaError> {
        if let Some(limiter) = &self.core.away.local {
            local(limiter);
        }
        let is_answer = |value: &Value| makes_sense(&answer::count(value));
        let known = self.command(None, key, [], is_answer).and_then(|command| {
            match self.ask(&command, answer::count) {
                Ok(forgotten) => Ok(forgotten > 0),
                Err(refusal) => Err(self.outage(0, refusal)?.into()),
            }
        });
        self.tally.checked(known)
    }

    /// Waits until `attempt` is admitted or fails.
    pub(crate) fn acquire(
        &self,
        key: &str,
        timeout: Duration,
        mut attempt: impl FnMut() -> Result<Attempt, TrypemaError>,
    ) -> Result<Duration, TrypemaError> {
        let mut problem = None;
        let wait = Wait { line: &self.line, clock: &self.real_time, timeout };
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
