//! Suppressed over Redis.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use ::redis::Value;

use crate::redis::RedisStats;
use crate::redis::answer::{self, Waited, makes_sense};
use crate::redis::command::{Argument, Command};
use crate::redis::core::{Core, LONGEST_WAIT, MOST, Side, check_count, check_key, understood};
use crate::redis::net::Failure;
use crate::redis::script::{MoreScripts, Script, Scripts};
use crate::redis::side::{Begun, Settled, Way};
use crate::redis::tally::Source;
use crate::wait::Attempt;
use crate::{Key, LocalRateLimiter, RateLimit, RateLimitDecision, SuppressedUsage, TrypemaError};

/// The least time after which a waiting thread draws again.
const SHORTEST_REDRAW: Duration = Duration::from_millis(1);

/// The Suppressed strategy of a [`RedisRateLimiter`](crate::RedisRateLimiter): up to the rate's
/// capacity (the soft limit) everything is admitted, from there on a random share of the calls, and
/// beyond the hard limit none. The formula is that of [`LocalSuppressed`](crate::LocalSuppressed); what
/// it goes by, the perceived rate included, is shared by all processes.
///
/// The hard limit is exact, whatever number of processes asks. Cheap to clone, and an owned, `'static`
/// value where one is wanted.
///
/// # Errors
/// As those of [`RedisAbsolute`](crate::RedisAbsolute).
///
/// # Cost
/// One round trip, and never longer than the deadline. Declines are counted, so all of them reach the
/// server: there is no denial cache here.
#[derive(Clone)]
pub struct RedisSuppressed {
    shared: Arc<Shared>,
}

struct Shared {
    side: Side,
    more: MoreScripts,
}

impl RedisSuppressed {
    pub(crate) fn new(core: Arc<Core>, scripts: Scripts, more: MoreScripts) -> Self {
        Self { shared: Arc::new(Shared { side: Side::new(core, scripts, 's'), more }) }
    }

    /// Checks and records in one atomic step: the call is counted as admitted or as declined,
    /// whichever the answer says.
    ///
    /// `count = 0` asks for nothing: `Allowed`, Redis is not asked. An unlimited rate always allows.
    ///
    /// # Errors
    /// See [`RedisSuppressed`].
    pub fn inc(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<RateLimitDecision, TrypemaError> {
        self.shared.side.decided(self.decide(Way::Inc, key, rate, count))
    }

    /// Many calls of [`inc`](RedisSuppressed::inc), each decided by itself, in one round trip (on a
    /// cluster, one for each node that has some of the keys), under one deadline. The answers are in
    /// the order asked.
    ///
    /// Where some of the answers are lost, the others are there all the same.
    pub fn inc_many(
        &self,
        calls: &[(&str, &RateLimit, u64)],
    ) -> Vec<Result<RateLimitDecision, TrypemaError>> {
        let side = &self.shared.side;
        let begun = calls.iter().map(|(key, rate, count)| self.begin(Way::Inc, key, rate, *count));
        let settled = side.carry_out_all(begun, |index, (), reply| {
            let (key, rate, count) = calls[index];
            self.finish(Way::Inc, key, rate, count, reply)
        });
        settled.into_iter().map(|settled| side.decided(settled)).collect()
    }

    /// What [`inc`](RedisSuppressed::inc) would answer now, without counting anything. Between the
    /// limits the answer is drawn, as that of `inc` is, and by a draw of its own.
    ///
    /// # Errors
    /// See [`RedisSuppressed`].
    pub fn is_allowed(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<RateLimitDecision, TrypemaError> {
        if rate.is_unlimited() {
            return check_key(key)
                .and_then(|()| check_count(count))
                .map(|()| RateLimitDecision::Allowed);
        }
        self.shared.side.sourced(self.decide(Way::Look, key, rate, count))
    }

    /// Units that count: admitted and declined. Zero for a key that is not known.
    ///
    /// # Errors
    /// See [`RedisSuppressed`].
    pub fn usage(&self, key: &str) -> Result<SuppressedUsage, TrypemaError> {
        let usage = self.shared.side.usage(key, |limiter| {
            let SuppressedUsage { admitted, declined } = limiter.suppressed().usage(key);
            (admitted, declined)
        });
        usage.map(|(admitted, declined)| SuppressedUsage { admitted, declined })
    }

    /// The factor `f` of the formula for this key now, from 0.0 (nothing is turned away) to 1.0:
    /// computed afresh, whatever is kept. 0 for a key that is not known. Leaves no trace.
    ///
    /// # Errors
    /// See [`RedisSuppressed`].
    pub fn suppression_factor(&self, key: &str, rate: &RateLimit) -> Result<f64, TrypemaError> {
        let Shared { side, more } = &*self.shared;
        let arguments = [Argument::Real(rate.as_per_second())];
        let is_answer = |value: &Value| makes_sense(&answer::factor(value));
        let command = side.command(Some(&more.factor), key, arguments, is_answer);
        let factor = command.and_then(|command| {
            if rate.is_unlimited() {
                return Ok(0.0);
            }
            side.settle_locally(0, side.ask(&command, answer::factor), |limiter| {
                limiter.suppressed().suppression_factor(key, &side.core.local_rate(rate))
            })
        });
        side.tally.checked(factor)
    }

    /// Counts `count` units as admitted, whatever the limit: for work whose cost is known only
    /// afterwards. Always `true`, unless the local limiter that stands in for Redis has no room for
    /// a new key.
    ///
    /// # Errors
    /// See [`RedisSuppressed`]. Also [`CountTooLarge`](TrypemaError::CountTooLarge), and nothing is
    /// counted, if the key would then hold more than 2^53 - 1 admitted units.
    pub fn record(&self, key: &str, count: u64) -> Result<bool, TrypemaError> {
        self.shared.side.record(key, count, |limiter| limiter.suppressed().record(key, count))
    }

    /// Gives up to `count` admitted units back, those that would expire first before the others.
    /// Returns how many: fewer where fewer still count. Declined units stay.
    ///
    /// # Errors
    /// See [`RedisSuppressed`].
    pub fn refund(&self, key: &str, count: u64) -> Result<u64, TrypemaError> {
        let refunded =
            self.shared.side.refund(key, count, |limiter| limiter.suppressed().refund(key, count));
        self.shared.side.line.units_freed(|| Key::from(key));
        refunded
    }

    /// Forgets the key and all that it has used. Returns whether Redis knew it.
    ///
    /// # Errors
    /// See [`RedisSuppressed`]. Also while a local limiter stands in for Redis: it forgets the key,
    /// but Redis has not.
    pub fn reset(&self, key: &str) -> Result<bool, TrypemaError> {
        let known = self.shared.side.reset(key, |limiter| limiter.suppressed().reset(key));
        self.shared.side.line.units_freed(|| Key::from(key));
        known
    }

    /// Parks this thread until the call is admitted, and returns how long that took.
    ///
    /// As [`RedisAbsolute::acquire`](crate::RedisAbsolute::acquire). Between the limits it draws again
    /// each time that the perceived rate is computed anew. A wait that times out is counted as one
    /// decline, which is one more round trip.
    ///
    /// # Errors
    /// - [`TrypemaError::CountTooLarge`] at once, if `count` is above the hard limit.
    /// - [`TrypemaError::Timeout`] if not admitted in time.
    /// - What [`RedisSuppressed`] says, as soon as an attempt fails.
    pub fn acquire(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
        timeout: Duration,
    ) -> Result<Duration, TrypemaError> {
        let side = &self.shared.side;
        let acquired = check_key(key).and_then(|()| check_count(count)).and_then(|()| {
            if count == 0 {
                return Ok(Duration::ZERO);
            }
            let (_, hard) = self.limits(rate);
            if count > hard {
                return Err(TrypemaError::CountTooLarge { given: count, most: hard });
            }
            let acquired = side.acquire(key, timeout, || self.attempt(key, rate, count));
            if let Err(TrypemaError::Timeout { .. }) = acquired {
                // A measure of the demand, and no more: if it is lost, so be it.
                let _ = self.renounce(key, count);
            }
            acquired
        });
        side.tally.checked(acquired)
    }

    /// What this strategy has done.
    #[must_use]
    pub fn stats(&self) -> RedisStats {
        let mut stats = RedisStats::default();
        self.shared.side.add_to(&mut stats);
        stats
    }

    pub(crate) fn side(&self) -> &Side {
        &self.shared.side
    }

    fn decide(&self, way: Way, key: &str, rate: &RateLimit, count: u64) -> Settled {
        let begun = self.begin(way, key, rate, count)?;
        self.shared.side.carry_out(begun, |(), reply| self.finish(way, key, rate, count, reply))
    }

    /// What can be said without asking, or what to send.
    fn begin(
        &self,
        way: Way,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<Begun<'_, ()>, TrypemaError> {
        let side = &self.shared.side;
        check_key(key)?;
        check_count(count)?;
        if count == 0 {
            return Ok(Begun::Done(RateLimitDecision::Allowed, Source::Nobody));
        }
        if rate.is_unlimited() {
            return Ok(Begun::Sent(side.recording(key, count)?, ()));
        }
        let script = match way {
            Way::Inc => &side.scripts.inc,
            Way::Look => &side.scripts.look,
        };
        Ok(Begun::Sent(self.thinning(script, key, rate, count)?, ()))
    }

    fn finish(
        &self,
        way: Way,
        key: &str,
        rate: &RateLimit,
        count: u64,
        reply: Result<Value, Failure>,
    ) -> Settled {
        let side = &self.shared.side;
        let asked = understood(reply, answer::suppressed);
        side.settle(count, self.at_best(rate, count), asked, |limiter: &LocalRateLimiter| {
            let rate = &side.core.local_rate(rate);
            match way {
                Way::Inc => limiter.suppressed().inc(key, rate, count),
                Way::Look => limiter.suppressed().is_allowed(key, rate, count),
            }
        })
    }

    /// A call that is judged by the formula.
    fn thinning<'a>(
        &'a self,
        script: &'a Script,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<Command<'a>, TrypemaError> {
        let side = &self.shared.side;
        let (soft, hard) = self.limits(rate);
        let arguments = [
            Argument::Whole(count),
            Argument::Whole(soft),
            Argument::Whole(hard),
            Argument::Real(rate.as_per_second()),
            Argument::Real(side.core.draw()),
        ];
        let is_answer = |value: &Value| makes_sense(&answer::waited(value));
        side.command(Some(script), key, arguments, is_answer)
    }

    /// The soft and the hard limit.
    fn limits(&self, rate: &RateLimit) -> (u64, u64) {
        let core = &self.shared.side.core;
        let soft = core.capacity(rate);
        (soft, core.thinning.hard_limit(soft, MOST))
    }

    /// What an unused key would say, but for a draw.
    fn at_best(&self, rate: &RateLimit, count: u64) -> RateLimitDecision {
        if rate.is_unlimited() || count <= self.limits(rate).1 {
            RateLimitDecision::Allowed
        } else {
            RateLimitDecision::suppressed(1.0, false)
        }
    }

    /// One attempt of a thread that waits.
    fn attempt(&self, key: &str, rate: &RateLimit, count: u64) -> Result<Attempt, TrypemaError> {
        let Shared { side, more } = &*self.shared;
        if rate.is_unlimited() {
            return self.decide(Way::Inc, key, rate, count).map(|(decision, source)| {
                side.tally.came_from(source);
                side.tally.decided(&decision);
                Attempt::Admitted
            });
        }
        let redraw = Duration::from_nanos(side.core.thinning.refresh_ns);
        let redraw = redraw.clamp(SHORTEST_REDRAW, LONGEST_WAIT);
        let command = self.thinning(&more.wait, key, rate, count)?;
        let asked = side.ask(&command, answer::waited).map(|waited| match waited {
            Waited::Admitted(decision) => (Some(decision), Duration::ZERO),
            Waited::Microseconds(wait) => (None, Duration::from_micros(wait).min(LONGEST_WAIT)),
            Waited::Redraw => (None, redraw),
        });
        let (decision, source) = match asked {
            Ok((Some(decision), _)) => (decision, Source::Redis),
            Ok((None, wait)) => return Ok(Attempt::Later(wait)),
            // As the user wants it.
            Err(refusal) => {
                side.settle(count, RateLimitDecision::Allowed, Err(refusal), |limiter| {
                    limiter.suppressed().inc(key, &side.core.local_rate(rate), count)
                })?
            }
        };
        if !decision.is_allowed() {
            let wait = decision.retry_after().unwrap_or(redraw);
            return Ok(Attempt::Later(wait.clamp(SHORTEST_REDRAW, LONGEST_WAIT)));
        }
        side.tally.came_from(source);
        side.tally.decided(&decision);
        Ok(Attempt::Admitted)
    }

    fn renounce(&self, key: &str, count: u64) -> Result<(), TrypemaError> {
        let Shared { side, more } = &*self.shared;
        let is_answer = |value: &Value| makes_sense(&answer::recorded(value));
        let renounce = Some(&more.renounce);
        let command = side.command(renounce, key, [Argument::Whole(count)], is_answer)?;
        side.settle_locally(count, side.ask(&command, answer::recorded), |_| ())
    }
}

impl fmt::Debug for RedisSuppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSuppressed")
            .field("grid", &self.shared.side.core.grid)
            .field("thinning", &self.shared.side.core.thinning)
            .finish_non_exhaustive()
    }
}
