//! Calls that ask for no decision: about a key's units, or to forget the key.

use crate::redis::engine::{Engine, Strategy};
use crate::redis::net::{Deadline, Failure};
use crate::redis::reply;
use crate::redis::request::{Argument, Arguments, Call, MAX_COUNT, Request, check_key};
use crate::redis::script::Operation;
use crate::{Bucket, Key, Limiter, LocalRateLimiter, RateLimit, SuppressedUsage, TrypemaError};

impl<S: Strategy> Engine<S> {
    /// Units that count.
    pub(crate) fn usage(
        &self,
        key: &str,
        rate: &RateLimit,
        local: impl FnOnce(&LocalRateLimiter, &RateLimit) -> SuppressedUsage,
    ) -> Result<SuppressedUsage, TrypemaError> {
        let usage = Call::new(&self.windows, key, rate, 0).and_then(|call| {
            let asked = self.ask(Operation::Usage, &call, [], reply::usage);
            self.settle(0, asked, |limiter| Ok(local(limiter, rate)))
        });
        self.counters.checked(usage)
    }

    pub(crate) fn suppression_factor(
        &self,
        key: &str,
        rate: &RateLimit,
        local: impl FnOnce(&LocalRateLimiter, &RateLimit) -> f64,
    ) -> Result<f64, TrypemaError> {
        let factor = Call::new(&self.windows, key, rate, 0).and_then(|call| {
            if rate.is_unlimited() {
                return Ok(0.0);
            }
            let arguments = [Argument::Real(rate.as_per_second())];
            let asked = self.ask(Operation::Factor, &call, arguments, reply::factor);
            let local_rate = self.inner.local_rate(call.window, rate);
            self.settle(0, asked, |limiter| Ok(local(limiter, &local_rate)))
        });
        self.counters.checked(factor)
    }

    /// Counts units whatever the limit.
    pub(crate) fn record(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<bool, TrypemaError> {
        let recorded = Call::new(&self.windows, key, rate, count).and_then(|call| {
            if count == 0 {
                return Ok(true);
            }
            let count = [Argument::Whole(call.count)];
            let asked = self.ask(Operation::Record, &call, count, reply::counted).map(|_| true);
            self.settle(call.count, asked, |limiter| {
                S::stand_in(limiter).record(key, rate, call.count)
            })
        });
        self.counters.checked(recorded)
    }

    /// Gives units back.
    pub(crate) fn refund(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<u64, TrypemaError> {
        self.refund_within((key, rate, count), Ok(self.deadline()))
    }

    /// The same, in the time that is left; or the answer to a failure that came before.
    pub(crate) fn refund_within(
        &self,
        (key, rate, count): (&str, &RateLimit, u64),
        time: Result<Deadline, Failure>,
    ) -> Result<u64, TrypemaError> {
        let arguments = [Argument::Whole(count.min(MAX_COUNT))];
        self.take_back(Operation::Refund, (key, rate, count), arguments, time, |limiter| {
            limiter.refund(key, rate, count)
        })
    }

    /// Takes units out of the bucket that they were counted in.
    pub(crate) fn undo(
        &self,
        key: &str,
        rate: &RateLimit,
        bucket: Bucket,
        count: u64,
    ) -> Result<u64, TrypemaError> {
        self.undo_within((key, rate, count), bucket, Ok(self.deadline()))
    }

    /// The same, as [`Engine::refund_within`].
    pub(crate) fn undo_within(
        &self,
        (key, rate, count): (&str, &RateLimit, u64),
        bucket: Bucket,
        time: Result<Deadline, Failure>,
    ) -> Result<u64, TrypemaError> {
        let count = if bucket == Bucket::NONE { 0 } else { count };
        let arguments = [Argument::Whole(count.min(MAX_COUNT)), Argument::Whole(bucket.tick())];
        self.take_back(Operation::Undo, (key, rate, count), arguments, time, |limiter| {
            limiter.undo(key, rate, bucket, count)
        })
    }

    fn take_back<const N: usize>(
        &self,
        operation: Operation,
        (key, rate, count): (&str, &RateLimit, u64),
        arguments: [Argument; N],
        time: Result<Deadline, Failure>,
        local: impl FnOnce(&dyn Limiter) -> Result<u64, TrypemaError>,
    ) -> Result<u64, TrypemaError> {
        // No key holds more than that, so more cannot be given back either.
        let count = count.min(MAX_COUNT);
        let taken = Call::new(&self.windows, key, rate, count).and_then(|call| {
            if count == 0 {
                return Ok(0);
            }
            let asked = time.and_then(|deadline| {
                let request =
                    self.request(operation, &call, Arguments::new(arguments), reply::count);
                self.inner.router.ask(&request, deadline)
            });
            let taken = self.settle(count, asked, |limiter| local(S::stand_in(limiter)));
            // Even if the server's reply was lost: it may have given them back.
            self.forget_denial(key);
            call.window.waiting.units_freed(key, || Key::from(key));
            taken
        });
        self.counters.checked(taken)
    }

    /// Forgets a key in all windows that were set, or else that may be in use.
    pub(crate) fn reset(&self, key: &str) -> Result<bool, TrypemaError> {
        self.reset_within(key, Ok(self.deadline()))
    }

    /// The same, as [`Engine::refund_within`].
    pub(crate) fn reset_within(
        &self,
        key: &str,
        time: Result<Deadline, Failure>,
    ) -> Result<bool, TrypemaError> {
        if let Some(limiter) = &self.inner.outage_policy.local {
            // A local reset cannot fail.
            let _ = S::stand_in(limiter).reset(key);
        }
        let known = check_key(key).and_then(|()| {
            let deadline = match time {
                Ok(deadline) => deadline,
                Err(failure) => return Err(self.outage(0, failure)?.into_error(0)),
            };
            let script = self.windows.reset();
            let now = self.inner.server_time.as_ref().filter(|_| script.is_some());
            let now_us = now.map(|clock| clock.now_nanos() / 1_000);
            let requests = self.windows.names_of(key).into_iter().map(|(key, settings)| {
                let (mut packed, arguments) = (Vec::new(), Arguments::new([]));
                if script.is_some() {
                    settings.pack_reset(&mut packed);
                }
                Request {
                    script,
                    key,
                    more_keys: Vec::new(),
                    packed,
                    arguments: now_us.map_or(arguments, |now_us| arguments.with_time(now_us)),
                    parse: reply::count,
                }
            });
            let requests = requests.collect::<Vec<_>>();
            let replies = self.inner.router.ask_many(&requests, deadline);
            self.forget_denial(key);
            for window in self.windows.iter() {
                window.waiting.units_freed(key, || Key::from(key));
            }
            let mut forgotten = 0;
            for reply in replies {
                forgotten += match reply {
                    Ok(forgotten) => forgotten,
                    Err(failure) => return Err(self.outage(0, failure)?.into_error(0)),
                };
            }
            Ok(forgotten > 0)
        });
        self.counters.checked(known)
    }

    pub(crate) fn forget_denial(&self, key: &str) {
        if let Some(denial_cache) = &self.denial_cache {
            denial_cache.forget(key);
        }
    }
}
