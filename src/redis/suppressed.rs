//! Suppressed over Redis.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use ::redis::Value;

use crate::redis::RedisStats;
use crate::redis::engine::{Engine, Mode, Strategy};
use crate::redis::inner::Inner;
use crate::redis::net::failure::Kind;
use crate::redis::reply::{self, Verdict};
use crate::redis::request::{Call, MAX_COUNT};
use crate::redis::script::{Family, pack};
use crate::redis::windows::Window;
use crate::{
    Admitted, Bucket, Combined, Limiter, LocalRateLimiter, RateLimit, RateLimitDecision,
    SuppressedUsage, TrypemaError,
};

/// The Suppressed strategy of a [`RedisRateLimiter`](crate::RedisRateLimiter): up to the rate's
/// capacity (the soft limit) everything is admitted, from there on a random share of the calls, and
/// beyond the hard limit none. The formula is that of [`LocalSuppressed`](crate::LocalSuppressed); all
/// processes share its inputs, including the perceived rate.
///
/// The hard limit is exact, however many processes ask. Cheap to clone, and an owned, `'static`
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
    engine: Arc<Engine<Suppressed>>,
}

impl RedisSuppressed {
    pub(crate) fn new(engine: Engine<Suppressed>) -> Self {
        Self { engine: Arc::new(engine) }
    }

    pub(crate) fn engine(&self) -> &Engine<Suppressed> {
        &self.engine
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
        self.engine.decide(Mode::Inc, key, rate, count)
    }

    /// Many calls of [`inc`](RedisSuppressed::inc), each decided by itself, in one round trip (on a
    /// cluster, one for each node that has some of the keys), under one deadline. The answers are in
    /// the order asked.
    ///
    /// Each answer is a `Result` of its own: losing some does not lose the others.
    pub fn inc_many(
        &self,
        calls: &[(&str, &RateLimit, u64)],
    ) -> Vec<Result<RateLimitDecision, TrypemaError>> {
        self.engine.inc_many(calls)
    }

    /// Several limits at once, in one script: all of the calls are admitted, or nothing is counted. Keys and
    /// rates may repeat and mix. Each key draws for itself, in order: the first that declines is
    /// counted as declined, and ends it.
    ///
    /// Calls of one key in one window are judged by the sum of their counts. Calls for nothing are
    /// skipped. The answer says which limit was the tightest; a rejection's hint is the longest wait of the
    /// limits that do not fit, hence exact.
    ///
    /// # Errors
    /// See [`RedisSuppressed`]. Also [`InvalidKey`](TrypemaError::InvalidKey) on a cluster, if the keys are in
    /// several slots: give them the same `{tag}`.
    pub fn inc_all(&self, calls: &[(&str, &RateLimit, u64)]) -> Result<Combined, TrypemaError> {
        self.engine.inc_all(calls)
    }

    /// The answer that [`inc`](RedisSuppressed::inc) might give now, without counting anything. Between the
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
        self.engine.decide(Mode::Look, key, rate, count)
    }

    /// Units that count: admitted and declined. Zero for a key that is not known.
    ///
    /// # Errors
    /// See [`RedisSuppressed`].
    pub fn usage(&self, key: &str, rate: &RateLimit) -> Result<SuppressedUsage, TrypemaError> {
        self.engine.usage(key, rate, |limiter, rate| limiter.suppressed().usage(key, rate))
    }

    /// The factor `f` of the formula for this key now, from 0.0 (nothing is declined) to 1.0 (everything
    /// is). Computed afresh, and changes nothing. 0 for a key that is not known.
    ///
    /// # Errors
    /// See [`RedisSuppressed`].
    pub fn suppression_factor(&self, key: &str, rate: &RateLimit) -> Result<f64, TrypemaError> {
        self.engine.suppression_factor(key, rate, |limiter, rate| {
            limiter.suppressed().suppression_factor(key, rate)
        })
    }

    /// Counts `count` units as admitted, whatever the limit: for work whose cost is known only
    /// afterwards. Always `true`, unless the local limiter that stands in for Redis has no room for
    /// a new key.
    ///
    /// # Errors
    /// See [`RedisSuppressed`]. Also [`CountTooLarge`](TrypemaError::CountTooLarge), and nothing is
    /// counted, if the key would then hold more than 2^53 - 1 admitted units.
    pub fn record(&self, key: &str, rate: &RateLimit, count: u64) -> Result<bool, TrypemaError> {
        self.engine.record(key, rate, count)
    }

    /// Gives up to `count` admitted units back, those that would expire first before the others.
    /// Returns how many: fewer where fewer still count. Declined units stay.
    ///
    /// # Errors
    /// See [`RedisSuppressed`].
    pub fn refund(&self, key: &str, rate: &RateLimit, count: u64) -> Result<u64, TrypemaError> {
        self.engine.refund(key, rate, count)
    }

    /// Takes up to `count` units out of the very bucket in which an admission counted them (see
    /// [`RateLimitDecision::bucket`]): afterwards all is as if they had never been asked for. Returns how
    /// many: fewer if that many are no longer counted there, and 0 once the bucket has expired. Units that a
    /// refund has given back are not given back again.
    ///
    /// Redis knows a bucket by its time alone: after a [`reset`](RedisSuppressed::reset), a new bucket of the
    /// same time is taken for the old one.
    ///
    /// # Errors
    /// See [`RedisSuppressed`].
    pub fn undo(
        &self,
        key: &str,
        rate: &RateLimit,
        bucket: Bucket,
        count: u64,
    ) -> Result<u64, TrypemaError> {
        self.engine.undo(key, rate, bucket, count)
    }

    /// Forgets the key and all its units, in the windows that were set. If none were: in those of a second, a
    /// minute, an hour, a day and a week, and of every other period that this limiter has been asked about.
    /// Returns whether Redis knew it.
    ///
    /// # Errors
    /// See [`RedisSuppressed`]. Also an error while a local limiter stands in for Redis: the local
    /// limiter forgets the key, but Redis still has it.
    pub fn reset(&self, key: &str) -> Result<bool, TrypemaError> {
        self.engine.reset(key)
    }

    /// Parks this thread until the call is admitted, and returns how long that took, and where its units
    /// were counted.
    ///
    /// As [`RedisAbsolute::acquire`](crate::RedisAbsolute::acquire). Between the limits it draws again
    /// each time that the perceived rate is computed anew. A wait that times out is counted as one
    /// decline, which is one more round trip.
    ///
    /// # Errors
    /// - [`TrypemaError::ExceedsCapacity`] at once, if `count` is above the hard limit.
    /// - [`TrypemaError::TooManyWaiting`] at once, if
    ///   [`max_waiting`](crate::RedisRateLimiterBuilder::max_waiting) threads wait for this key already.
    /// - [`TrypemaError::Closed`] after [`close`](crate::RedisRateLimiter::close).
    /// - [`TrypemaError::Timeout`] if not admitted in time.
    /// - The errors of [`RedisSuppressed`], as soon as an attempt fails.
    pub fn acquire(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
        timeout: Duration,
    ) -> Result<Admitted, TrypemaError> {
        self.engine.acquire(key, rate, count, timeout)
    }

    /// The window that this rate is judged over.
    #[must_use]
    pub fn window(&self, rate: &RateLimit) -> Duration {
        self.engine.grid_of(rate).window()
    }

    /// The units that this rate allows in its window.
    #[must_use]
    pub fn capacity(&self, rate: &RateLimit) -> u64 {
        rate.capacity(self.window(rate))
    }

    /// Counts of this strategy's decisions, and where they came from.
    #[must_use]
    pub fn stats(&self) -> RedisStats {
        self.engine.stats()
    }
}

impl fmt::Debug for RedisSuppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSuppressed").field("engine", &self.engine).finish()
    }
}

/// The strategy.
pub(crate) struct Suppressed;

impl Strategy for Suppressed {
    const FAMILY: Family = Family::Suppressed;
    const NEVER: RateLimitDecision = RateLimitDecision::suppressed(1.0, false).never();

    fn arguments(inner: &Inner, call: &Call<'_>) -> Vec<u8> {
        let mut packed = Vec::with_capacity(37);
        let limits = [call.window.capacity(call.rate), Self::limit(call.window, call.rate)];
        [call.count].into_iter().chain(limits).for_each(|count| pack::<7>(count, &mut packed));
        packed.extend_from_slice(&call.rate.as_per_second().to_le_bytes());
        packed.extend_from_slice(&inner.draw().to_le_bytes());
        packed
    }

    fn pack(inner: &Inner, call: &Call<'_>, out: &mut Vec<u8>) {
        let soft = call.window.capacity(call.rate);
        let limits = [soft, Self::limit(call.window, call.rate)];
        let (limits, rate) = if call.rate.is_unlimited() {
            ([MAX_COUNT; 2], f64::INFINITY)
        } else {
            (limits, call.rate.as_per_second())
        };
        call.window.settings.pack_suppressed(call.count, limits, [rate, inner.draw()], out);
    }

    fn parse(mode: Mode) -> fn(Value) -> Result<Verdict, Kind> {
        match mode {
            Mode::Inc | Mode::Look => reply::suppressed,
            Mode::Wait => reply::waited,
        }
    }

    /// The hard limit.
    fn limit(window: &Window, rate: &RateLimit) -> u64 {
        window.hard_limit(rate)
    }

    /// Until the demand is perceived anew: another draw before that would meet the same odds.
    fn pause(window: &Window) -> Duration {
        Duration::from_nanos(window.settings.suppression.refresh_ns)
    }

    fn stand_in(local: &LocalRateLimiter) -> &dyn Limiter {
        local.suppressed()
    }
}
