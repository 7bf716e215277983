//! Absolute over Redis.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use ::redis::Value;

use crate::redis::RedisStats;
use crate::redis::acquire::LONGEST_WAIT;
use crate::redis::engine::{Engine, Mode, Strategy};
use crate::redis::inner::Inner;
use crate::redis::net::failure::Kind;
use crate::redis::reply::{self, Verdict};
use crate::redis::request::Call;
use crate::redis::script::{Family, pack};
use crate::redis::windows::Window;
use crate::{
    Admitted, Bucket, Combined, Limiter, LocalRateLimiter, RateLimit, RateLimitDecision,
    SuppressedUsage, TrypemaError,
};

/// The Absolute strategy of a [`RedisRateLimiter`](crate::RedisRateLimiter): admits up to the rate's
/// capacity within any window, and not one unit more, however many processes ask.
///
/// Cheap to clone, and an owned, `'static` value where one is wanted. Keys are 1 to 255 bytes long.
///
/// # Errors
/// Every call fails
/// - with [`InvalidKey`](TrypemaError::InvalidKey) for a key that is empty or too long;
/// - with [`CountTooLarge`](TrypemaError::CountTooLarge) for more than 2^53 - 1 units, which is as far
///   as the server counts exactly;
/// - with [`Redis`](TrypemaError::Redis), [`PoolTimeout`](TrypemaError::PoolTimeout) or
///   [`Unavailable`](TrypemaError::Unavailable) in an outage of Redis, unless
///   [`on_unavailable`](crate::RedisRateLimiterBuilder::on_unavailable) says otherwise. If the request
///   was sent and no answer came, the error says that its outcome is unknown: it may have counted,
///   once. It is never sent again;
/// - with [`Redis`](TrypemaError::Redis) or [`UnexpectedReply`](TrypemaError::UnexpectedReply) if Redis
///   refuses us, if something else is stored under the key's name, or if the server is not Redis.
///
/// # Cost
/// One round trip, and never longer than the deadline. A rejection that the denial cache repeats costs
/// none.
#[derive(Clone)]
pub struct RedisAbsolute {
    engine: Arc<Engine<Absolute>>,
}

impl RedisAbsolute {
    pub(crate) fn new(engine: Engine<Absolute>) -> Self {
        Self { engine: Arc::new(engine) }
    }

    pub(crate) fn engine(&self) -> &Engine<Absolute> {
        &self.engine
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
        self.engine.decide(Mode::Inc, key, rate, count)
    }

    /// Many calls of [`inc`](RedisAbsolute::inc), each decided by itself, in one round trip (on a
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
    /// rates may repeat and mix.
    ///
    /// Calls of one key in one window are judged by the sum of their counts. Calls for nothing are
    /// skipped. The answer says which limit was the tightest; a rejection's hint is the longest wait of the
    /// limits that do not fit, hence exact.
    ///
    /// # Errors
    /// See [`RedisAbsolute`]. Also [`InvalidKey`](TrypemaError::InvalidKey) on a cluster, if the keys are in
    /// several slots: give them the same `{tag}`.
    pub fn inc_all(&self, calls: &[(&str, &RateLimit, u64)]) -> Result<Combined, TrypemaError> {
        self.engine.inc_all(calls)
    }

    /// The answer that [`inc`](RedisAbsolute::inc) would give now, without counting anything.
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
        self.engine.decide(Mode::Look, key, rate, count)
    }

    /// Units admitted or recorded that still count. 0 for a key that is not known.
    ///
    /// # Errors
    /// See [`RedisAbsolute`].
    pub fn usage(&self, key: &str, rate: &RateLimit) -> Result<u64, TrypemaError> {
        let local = |limiter: &LocalRateLimiter, rate: &RateLimit| SuppressedUsage {
            admitted: limiter.absolute().usage(key, rate),
            declined: 0,
        };
        self.engine.usage(key, rate, local).map(|usage| usage.admitted)
    }

    /// Counts `count` units whatever the limit: for work whose cost is known only afterwards. Always
    /// `true`, unless the local limiter that stands in for Redis has no room for a new key.
    ///
    /// # Errors
    /// See [`RedisAbsolute`]. Also [`CountTooLarge`](TrypemaError::CountTooLarge), and nothing is
    /// counted, if the key would then hold more than 2^53 - 1 units.
    pub fn record(&self, key: &str, rate: &RateLimit, count: u64) -> Result<bool, TrypemaError> {
        self.engine.record(key, rate, count)
    }

    /// Gives up to `count` admitted or recorded units back, those that would expire first before the
    /// others. Returns how many: fewer where fewer still count.
    ///
    /// # Errors
    /// See [`RedisAbsolute`].
    pub fn refund(&self, key: &str, rate: &RateLimit, count: u64) -> Result<u64, TrypemaError> {
        self.engine.refund(key, rate, count)
    }

    /// Takes up to `count` units out of the very bucket in which an admission counted them (see
    /// [`RateLimitDecision::bucket`]): afterwards all is as if they had never been asked for. Returns how
    /// many: fewer if that many are no longer counted there, and 0 once the bucket has expired. Units that a
    /// refund has given back are not given back again.
    ///
    /// Redis knows a bucket by its time alone: after a [`reset`](RedisAbsolute::reset), a new bucket of the
    /// same time is taken for the old one.
    ///
    /// # Errors
    /// See [`RedisAbsolute`].
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
    /// See [`RedisAbsolute`]. Also an error while a local limiter stands in for Redis: the local limiter
    /// forgets the key, but Redis still has it.
    pub fn reset(&self, key: &str) -> Result<bool, TrypemaError> {
        self.engine.reset(key)
    }

    /// Parks this thread until the call is admitted, and returns how long that took, and where its units
    /// were counted.
    ///
    /// Nothing is counted until then. Threads of this process that wait for the same key are served
    /// in the order that they came; other processes, and `inc`, do not queue behind them. The first in
    /// line asks at once, again when the units in its way expire or when this process gives some back, and
    /// once a second, in case another process has given some back.
    ///
    /// The timeout bounds the waiting, in real time. An attempt that has begun is not cut off, since it
    /// might count, so `acquire` may take longer by the deadline of one call.
    ///
    /// # Errors
    /// - [`TrypemaError::ExceedsCapacity`] at once, if `count` is above the rate's capacity.
    /// - [`TrypemaError::TooManyWaiting`] at once, if
    ///   [`max_waiting`](crate::RedisRateLimiterBuilder::max_waiting) threads wait for this key already.
    /// - [`TrypemaError::Closed`] after [`close`](crate::RedisRateLimiter::close).
    /// - [`TrypemaError::Timeout`] if not admitted in time.
    /// - The errors of [`RedisAbsolute`], as soon as an attempt fails: it does not wait for Redis to come
    ///   back.
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

impl fmt::Debug for RedisAbsolute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisAbsolute").field("engine", &self.engine).finish()
    }
}

/// The strategy.
pub(crate) struct Absolute;

impl Strategy for Absolute {
    const FAMILY: Family = Family::Absolute;
    const NEVER: RateLimitDecision = RateLimitDecision::rejected(None, 0);

    fn arguments(_: &Inner, call: &Call<'_>) -> Vec<u8> {
        let mut packed = Vec::with_capacity(14);
        pack::<7>(call.count, &mut packed);
        pack::<7>(Self::limit(call.window, call.rate), &mut packed);
        packed
    }

    fn pack(_: &Inner, call: &Call<'_>, out: &mut Vec<u8>) {
        // An unlimited rate is judged by the most that can be counted: a call above that cannot be counted.
        let capacity = Self::limit(call.window, call.rate);
        call.window.settings.pack_absolute(call.count, capacity, out);
    }

    fn parse(_: Mode) -> fn(Value) -> Result<Verdict, Kind> {
        reply::absolute
    }

    fn limit(window: &Window, rate: &RateLimit) -> u64 {
        window.capacity(rate)
    }

    /// Only the local limiter says that a count which fits the rate never fits: its share is smaller.
    fn pause(_: &Window) -> Duration {
        LONGEST_WAIT
    }

    fn stand_in(local: &LocalRateLimiter) -> &dyn Limiter {
        local.absolute()
    }
}
