//! Absolute over Redis.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use ::redis::Value;

use crate::redis::RedisStats;
use crate::redis::counters::DecisionSource;
use crate::redis::denial_cache::{Ask, DenialCache, Ticket};
use crate::redis::engine::{Mode, Prepared, Settled};
use crate::redis::inner::{Engine, Inner, LONGEST_WAIT, check_count, check_key, parse};
use crate::redis::net::Failure;
use crate::redis::reply::{self, Judged, makes_sense};
use crate::redis::request::Argument;
use crate::redis::script::Scripts;
use crate::wait::Attempt;
use crate::{Key, LocalRateLimiter, RateLimit, RateLimitDecision, TrypemaError};

/// The Absolute strategy of a [`RedisRateLimiter`](crate::RedisRateLimiter): admits up to the rate's
/// capacity within any window, and not one unit more, whatever number of processes asks.
///
/// Cheap to clone, and an owned, `'static` value where one is wanted. Keys are 1 to 255 bytes long.
///
/// # Errors
/// Every call fails
/// - with [`InvalidKey`](TrypemaError::InvalidKey) for a key that is empty or too long;
/// - with [`CountTooLarge`](TrypemaError::CountTooLarge) for more than 2^53 - 1 units, which is as far
///   as the server counts exactly;
/// - with [`Redis`](TrypemaError::Redis), [`PoolTimeout`](TrypemaError::PoolTimeout) or
///   [`Unavailable`](TrypemaError::Unavailable) if Redis is away, unless
///   [`on_unavailable`](crate::RedisRateLimiterBuilder::on_unavailable) says otherwise. If the request
///   was sent and no answer came, the error says that its outcome is unknown: it may have counted,
///   once. It is never sent again;
/// - with [`Redis`](TrypemaError::Redis) or [`UnexpectedReply`](TrypemaError::UnexpectedReply) if Redis
///   does not let us, if something else is stored under the key's name, or if it is no Redis.
///
/// # Cost
/// One round trip, and never longer than the deadline. A rejection that the denial cache repeats costs
/// none.
#[derive(Clone)]
pub struct RedisAbsolute {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) engine: Engine,
    denial_cache: Option<DenialCache>,
}

/// What is to be remembered of a rejection, if anything.
type Kept = Option<(Ask, Option<Ticket>)>;

impl RedisAbsolute {
    pub(crate) fn new(
        inner: Arc<Inner>,
        scripts: Scripts,
        denial_cache: Option<DenialCache>,
    ) -> Self {
        let engine = Engine::new(inner, scripts, 'a');
        Self { shared: Arc::new(Shared { engine, denial_cache }) }
    }

    /// Checks and records in one atomic step: if `count` more units fit into the window under
    /// `rate`, they are counted and the answer is `Allowed`, else nothing changes and the answer is
    /// `Rejected`, with exact hints.
    ///
    /// - `count = 0` asks for nothing: `Allowed`, Redis is not asked.
    /// - A count above the rate's capacity is `Rejected` with `retry_after_ms: None`.
    /// - An unlimited rate always allows. Its units are counted, as by
    ///   [`record`](RedisAbsolute::record).
    /// - A finite rate with a capacity above 2^53 - 1 is judged as if that were its capacity.
    ///
    /// # Errors
    /// See [`RedisAbsolute`].
    pub fn inc(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<RateLimitDecision, TrypemaError> {
        self.shared.engine.decided(self.decide(Mode::Inc, key, rate, count, true))
    }

    /// Many calls of [`inc`](RedisAbsolute::inc), each decided by itself, in one round trip (on a
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
            calls.iter().map(|(key, rate, count)| self.begin(Mode::Inc, key, rate, *count, true));
        let settled = engine.execute_all(prepared, |index, kept, reply| {
            let (key, rate, count) = calls[index];
            self.finish(Mode::Inc, key, rate, count, kept, reply)
        });
        settled.into_iter().map(|settled| engine.decided(settled)).collect()
    }

    /// What [`inc`](RedisAbsolute::inc) would answer now, without counting anything.
    ///
    /// `is_allowed` followed by `inc` is not one step: others may come between. To act on the
    /// answer, call `inc` alone.
    ///
    /// # Errors
    /// See [`RedisAbsolute`].
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
        self.shared.engine.sourced(self.decide(Mode::Look, key, rate, count, true))
    }

    /// Units admitted or recorded that still count. 0 for a key that is not known.
    ///
    /// # Errors
    /// See [`RedisAbsolute`].
    pub fn usage(&self, key: &str) -> Result<u64, TrypemaError> {
        let engine = &self.shared.engine;
        let usage = engine.usage(key, |limiter| (limiter.absolute().usage(key), 0));
        usage.map(|(admitted, _)| admitted)
    }

    /// Counts `count` units whatever the limit: for work whose cost is known only afterwards. Always
    /// `true`, unless the local limiter that stands in for Redis has no room for a new key.
    ///
    /// # Errors
    /// See [`RedisAbsolute`]. Also [`CountTooLarge`](TrypemaError::CountTooLarge), and nothing is
    /// counted, if the key would then hold more than 2^53 - 1 units.
    pub fn record(&self, key: &str, count: u64) -> Result<bool, TrypemaError> {
        self.shared.engine.record(key, count, |limiter| limiter.absolute().record(key, count))
    }

    /// Gives up to `count` admitted or recorded units back, those that would expire first before the
    /// others. Returns how many: fewer where fewer still count.
    ///
    /// # Errors
    /// See [`RedisAbsolute`].
    pub fn refund(&self, key: &str, count: u64) -> Result<u64, TrypemaError> {
        let refunded =
            self.shared.engine.refund(key, count, |limiter| limiter.absolute().refund(key, count));
        self.freed(key);
        refunded
    }

    /// Forgets the key and all that it has used. Returns whether Redis knew it.
    ///
    /// # Errors
    /// See [`RedisAbsolute`]. Also while a local limiter stands in for Redis: it forgets the key, but
    /// Redis has not.
    pub fn reset(&self, key: &str) -> Result<bool, TrypemaError> {
        let known = self.shared.engine.reset(key, |limiter| limiter.absolute().reset(key));
        self.freed(key);
        known
    }

    /// Parks this thread until the call is admitted, and returns how long that took.
    ///
    /// Nothing is counted until then. Threads of this process that wait for the same key are served
    /// in the order that they came; other processes, and `inc`, do not queue behind them. It asks
    /// when it comes, and again when the units in its way expire, when this process gives some back,
    /// and once a second, in case that another one has.
    ///
    /// The timeout bounds the waiting, in real time. An attempt that has begun is not cut off, since
    /// it might count: so it may take as much longer as the deadline of a call.
    ///
    /// # Errors
    /// - [`TrypemaError::CountTooLarge`] at once, if `count` is above the rate's capacity.
    /// - [`TrypemaError::Timeout`] if not admitted in time.
    /// - What [`RedisAbsolute`] says, as soon as an attempt fails: it does not wait for Redis to come
    ///   back.
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
            let most = engine.inner.capacity(rate);
            if count > most {
                return Err(TrypemaError::CountTooLarge { given: count, most });
            }
            engine.acquire(key, timeout, || {
                let (decision, source) = self.decide(Mode::Inc, key, rate, count, false)?;
                Ok(match decision.retry_after() {
                    Some(wait) => Attempt::Later(wait.min(LONGEST_WAIT)),
                    None if decision.is_allowed() => {
                        engine.counters.came_from(source);
                        engine.counters.decided(&decision);
                        Attempt::Admitted
                    }
                    // No more than a local share of the rate, which may allow less than this.
                    None => Attempt::Later(LONGEST_WAIT),
                })
            })
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

    fn decide(&self, mode: Mode, key: &str, rate: &RateLimit, count: u64, cached: bool) -> Settled {
        let prepared = self.begin(mode, key, rate, count, cached)?;
        self.shared
            .engine
            .execute(prepared, |kept, reply| self.finish(mode, key, rate, count, kept, reply))
    }

    /// What can be said without asking, or what to send.
    fn begin(
        &self,
        mode: Mode,
        key: &str,
        rate: &RateLimit,
        count: u64,
        cached: bool,
    ) -> Result<Prepared<'_, Kept>, TrypemaError> {
        let Shared { engine, denial_cache } = &*self.shared;
        check_key(key)?;
        check_count(count)?;
        if count == 0 {
            return Ok(Prepared::Local(RateLimitDecision::Allowed, DecisionSource::Nobody));
        }
        if rate.is_unlimited() {
            return Ok(Prepared::Remote(engine.recording(key, count)?, None));
        }
        let ask = Ask { capacity: engine.inner.capacity(rate), count };
        let denial_cache = denial_cache.as_ref().filter(|_| cached);
        if let Some(decision) = denial_cache.and_then(|denial_cache| denial_cache.repeat(key, ask))
        {
            return Ok(Prepared::Local(decision, DecisionSource::DenialCache));
        }
        let ticket = denial_cache.map(|denial_cache| denial_cache.ticket(key));
        let script = match mode {
            Mode::Inc => &engine.scripts.inc,
            Mode::Look => &engine.scripts.look,
        };
        let arguments = [Argument::Whole(count), Argument::Whole(ask.capacity)];
        let is_answer = |value: &Value| makes_sense(&reply::absolute(value));
        let request = engine.request(Some(script), key, arguments, is_answer)?;
        Ok(Prepared::Remote(request, Some((ask, ticket))))
    }

    fn finish(
        &self,
        mode: Mode,
        key: &str,
        rate: &RateLimit,
        count: u64,
        kept: Kept,
        reply: Result<Value, Failure>,
    ) -> Settled {
        let Shared { engine, denial_cache } = &*self.shared;
        let asked = parse(reply, reply::absolute);
        if let (Ok(judged), Some(denial_cache), Some((ask, Some(ticket)))) =
            (&asked, denial_cache, kept)
        {
            denial_cache.remember(key, ask, ticket, judged);
        }
        let local = |limiter: &LocalRateLimiter| {
            let rate = &engine.inner.local_rate(rate);
            match mode {
                Mode::Inc => limiter.absolute().inc(key, rate, count),
                Mode::Look => limiter.absolute().is_allowed(key, rate, count),
            }
        };
        let at_best = match kept {
            Some((Ask { capacity, .. }, _)) if count > capacity => {
                RateLimitDecision::rejected(None, 0)
            }
            _ => RateLimitDecision::Allowed,
        };
        engine.settle(count, at_best, asked.map(Judged::decision), local)
    }

    /// Units may have been given back, even if the server's answer was lost.
    fn freed(&self, key: &str) {
        if let Some(denial_cache) = &self.shared.denial_cache {
            denial_cache.forget(key);
        }
        self.shared.engine.line.units_freed(|| Key::from(key));
    }
}

impl fmt::Debug for RedisAbsolute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisAbsolute")
            .field("grid", &self.shared.engine.inner.grid)
            .finish_non_exhaustive()
    }
}
