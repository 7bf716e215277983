//! Suppressed over Redis.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use ::redis::Value;

use crate::redis::RedisStats;
use crate::redis::counters::DecisionSource;
use crate::redis::engine::{Mode, Prepared, Settled};
use crate::redis::inner::{Engine, Inner, LONGEST_WAIT, MAX_COUNT, check_count, check_key, parse};
use crate::redis::net::Failure;
use crate::redis::reply::{self, Waited, makes_sense};
use crate::redis::request::{Argument, Request};
use crate::redis::script::{MoreScripts, Script, Scripts};
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
    engine: Engine,
    more: MoreScripts,
}

impl RedisSuppressed {
    pub(crate) fn new(inner: Arc<Inner>, scripts: Scripts, more: MoreScripts) -> Self {
        Self { shared: Arc::new(Shared { engine: Engine::new(inner, scripts, 's'), more }) }
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
        self.shared.engine.decided(self.decide(Mode::Inc, key, rate, count))
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
        let engine = &self.shared.engine;
        let prepared =
            calls.iter().map(|(key, rate, count)| self.begin(Mode::Inc, key, rate, *count));
        let settled = engine.execute_all(prepared, |index, (), reply| {
            let (key, rate, count) = calls[index];
            self.finish(Mode::Inc, key, rate, count, reply)
        });
        settled.into_iter().map(|settled| engine.decided(settled)).collect()
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
        self.shared.engine.sourced(self.decide(Mode::Look, key, rate, count))
    }

    /// Units that count: admitted and declined. Zero for a key that is not known.
    ///
    /// # Errors
    /// See [`RedisSuppressed`].
    pub fn usage(&self, key: &str) -> Result<SuppressedUsage, TrypemaError> {
        let usage = self.shared.engine.usage(key, |limiter| {
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
        let Shared { engine, more } = &*self.shared;
        let arguments = [Argument::Real(rate.as_per_second())];
        let is_answer = |value: &Value| makes_sense(&reply::factor(value));
        let request = engine.request(Some(&more.factor), key, arguments, is_answer);
        let factor = request.and_then(|request| {
            if rate.is_unlimited() {
                return Ok(0.0);
            }
            engine.settle_locally(0, engine.ask(&request, reply::factor), |limiter| {
                limiter.suppressed().suppression_factor(key, &engine.inner.local_rate(rate))
            })
        });
        engine.counters.checked(factor)
    }

    /// Counts `count` units as admitted, whatever the limit: for work whose cost is known only
    /// afterwards. Always `true`, unless the local limiter that stands in for Redis has no room for
    /// a new key.
    ///
    /// # Errors
    /// See [`RedisSuppressed`]. Also [`CountTooLarge`](TrypemaError::CountTooLarge), and nothing is
    /// counted, if the key would then hold more than 2^53 - 1 admitted units.
    pub fn record(&self, key: &str, count: u64) -> Result<bool, TrypemaError> {
        self.shared.engine.record(key, count, |limiter| limiter.suppressed().record(key, count))
    }

    /// Gives up to `count` admitted units back, those that would expire first before the others.
    /// Returns how many: fewer where fewer still count. Declined units stay.
    ///
    /// # Errors
    /// See [`RedisSuppressed`].
    pub fn refund(&self, key: &str, count: u64) -> Result<u64, TrypemaError> {
        let refunded = self
            .shared
            .engine
            .refund(key, count, |limiter| limiter.suppressed().refund(key, count));
        self.shared.engine.line.units_freed(|| Key::from(key));
        refunded
    }

    /// Forgets the key and all that it has used. Returns whether Redis knew it.
    ///
    /// # Errors
    /// See [`RedisSuppressed`]. Also while a local limiter stands in for Redis: it forgets the key,
    /// but Redis has not.
    pub fn reset(&self, key: &str) -> Result<bool, TrypemaError> {
        let known = self.shared.engine.reset(key, |limiter| limiter.suppressed().reset(key));
        self.shared.engine.line.units_freed(|| Key::from(key));
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
        let engine = &self.shared.engine;
        let acquired = check_key(key).and_then(|()| check_count(count)).and_then(|()| {
            if count == 0 {
                return Ok(Duration::ZERO);
            }
            let (_, hard) = self.limits(rate);
            if count > hard {
                return Err(TrypemaError::CountTooLarge { given: count, most: hard });
            }
            let acquired = engine.acquire(key, timeout, || self.attempt(key, rate, count));
            if let Err(TrypemaError::Timeout { .. }) = acquired {
                // A measure of the demand, and no more: if it is lost, so be it.
                let _ = self.renounce(key, count);
            }
            acquired
        });
        engine.counters.checked(acquired)
    }

    /// What this strategy has done.
    #[must_use]
    pub fn stats(&self) -> RedisStats {
        let mut stats = RedisStats::default();
        self.shared.engine.add_to(&mut stats);
        stats
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    fn decide(&self, mode: Mode, key: &str, rate: &RateLimit, count: u64) -> Settled {
        let prepared = self.begin(mode, key, rate, count)?;
        self.shared.engine.execute(prepared, |(), reply| self.finish(mode, key, rate, count, reply))
    }

    /// What can be said without asking, or what to send.
    fn begin(
        &self,
        mode: Mode,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<Prepared<'_, ()>, TrypemaError> {
        let engine = &self.shared.engine;
        check_key(key)?;
        check_count(count)?;
        if count == 0 {
            return Ok(Prepared::Local(RateLimitDecision::Allowed, DecisionSource::Nobody));
        }
        if rate.is_unlimited() {
            return Ok(Prepared::Remote(engine.recording(key, count)?, ()));
        }
        let script = match mode {
            Mode::Inc => &engine.scripts.inc,
            Mode::Look => &engine.scripts.look,
        };
        Ok(Prepared::Remote(self.suppression(script, key, rate, count)?, ()))
    }

    fn finish(
        &self,
        mode: Mode,
        key: &str,
        rate: &RateLimit,
        count: u64,
        reply: Result<Value, Failure>,
    ) -> Settled {
        let engine = &self.shared.engine;
        let asked = parse(reply, reply::suppressed);
        engine.settle(count, self.at_best(rate, count), asked, |limiter: &LocalRateLimiter| {
            let rate = &engine.inner.local_rate(rate);
            match mode {
                Mode::Inc => limiter.suppressed().inc(key, rate, count),
                Mode::Look => limiter.suppressed().is_allowed(key, rate, count),
            }
        })
    }

    /// A call that is judged by the formula.
    fn suppression<'a>(
        &'a self,
        script: &'a Script,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<Request<'a>, TrypemaError> {
        let engine = &self.shared.engine;
        let (soft, hard) = self.limits(rate);
        let arguments = [
            Argument::Whole(count),
            Argument::Whole(soft),
            Argument::Whole(hard),
            Argument::Real(rate.as_per_second()),
            Argument::Real(engine.inner.draw()),
        ];
        let is_answer = |value: &Value| makes_sense(&reply::waited(value));
        engine.request(Some(script), key, arguments, is_answer)
    }

    /// The soft and the hard limit.
    fn limits(&self, rate: &RateLimit) -> (u64, u64) {
        let inner = &self.shared.engine.inner;
        let soft = inner.capacity(rate);
        (soft, inner.suppression.hard_limit(soft, MAX_COUNT))
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
        let Shared { engine, more } = &*self.shared;
        if rate.is_unlimited() {
            return self.decide(Mode::Inc, key, rate, count).map(|(decision, source)| {
                engine.counters.came_from(source);
                engine.counters.decided(&decision);
                Attempt::Admitted
            });
        }
        let redraw = Duration::from_nanos(engine.inner.suppression.refresh_ns);
        let redraw = redraw.clamp(SHORTEST_REDRAW, LONGEST_WAIT);
        let request = self.suppression(&more.wait, key, rate, count)?;
        let asked = engine.ask(&request, reply::waited).map(|waited| match waited {
            Waited::Admitted(decision) => (Some(decision), Duration::ZERO),
            Waited::Microseconds(wait) => (None, Duration::from_micros(wait).min(LONGEST_WAIT)),
            Waited::Redraw => (None, redraw),
        });
        let (decision, source) = match asked {
            Ok((Some(decision), _)) => (decision, DecisionSource::Redis),
            Ok((None, wait)) => return Ok(Attempt::Later(wait)),
            // As the user wants it.
            Err(refusal) => {
                engine.settle(count, RateLimitDecision::Allowed, Err(refusal), |limiter| {
                    limiter.suppressed().inc(key, &engine.inner.local_rate(rate), count)
                })?
            }
        };
        if !decision.is_allowed() {
            let wait = decision.retry_after().unwrap_or(redraw);
            return Ok(Attempt::Later(wait.clamp(SHORTEST_REDRAW, LONGEST_WAIT)));
        }
        engine.counters.came_from(source);
        engine.counters.decided(&decision);
        Ok(Attempt::Admitted)
    }

    fn renounce(&self, key: &str, count: u64) -> Result<(), TrypemaError> {
        let Shared { engine, more } = &*self.shared;
        let is_answer = |value: &Value| makes_sense(&reply::recorded(value));
        let renounce = Some(&more.renounce);
        let request = engine.request(renounce, key, [Argument::Whole(count)], is_answer)?;
        engine.settle_locally(count, engine.ask(&request, reply::recorded), |_| ())
    }
}

impl fmt::Debug for RedisSuppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSuppressed")
            .field("grid", &self.shared.engine.inner.grid)
            .field("suppression", &self.shared.engine.inner.suppression)
            .finish_non_exhaustive()
    }
}
