//! Absolute, by leases from Redis.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use crate::hybrid::HybridStats;
use crate::hybrid::engine::Engine;
use crate::redis::absolute::Absolute;
use crate::{
    Admitted, Bucket, Combined, LocalRateLimiter, RateLimit, RateLimitDecision, SuppressedUsage,
    TrypemaError,
};

/// The Absolute strategy of a [`HybridRateLimiter`](crate::HybridRateLimiter): admits up to the rate's
/// capacity within any window, and not one unit more, however many processes ask.
///
/// Cheap to clone, and an owned, `'static` value where one is wanted. Keys are 1 to 255 bytes long.
///
/// # Errors
/// As those of [`RedisAbsolute`](crate::RedisAbsolute). A call that is answered by a lease cannot meet an
/// outage.
///
/// # Cost
/// [`inc`](HybridAbsolute::inc): one look in a map and one compare-and-swap, where a lease is in hand; else a
/// round trip, which callers that come at the same time share. Other calls take a round trip, unless they say
/// otherwise.
#[derive(Clone)]
pub struct HybridAbsolute {
    engine: Arc<Engine<Absolute>>,
}

impl HybridAbsolute {
    pub(crate) fn new(engine: Arc<Engine<Absolute>>) -> Self {
        Self { engine }
    }

    pub(crate) fn engine(&self) -> &Engine<Absolute> {
        &self.engine
    }

    /// Checks and counts in one atomic step: spends units of this process's lease, or else asks Redis. The
    /// answer is `Allowed`; or it is `Rejected`, with hints, and nothing has changed. Hints count units in
    /// leases of other processes as used: where these are given back, the call fits sooner, by up to a window.
    ///
    /// - `count = 0` asks for nothing: `Allowed`.
    /// - A count above the rate's capacity is `Rejected` with `retry_after_ms: None`.
    /// - An unlimited rate always allows. Its units are counted by Redis, as by
    ///   [`record`](HybridAbsolute::record).
    ///
    /// # Errors
    /// See [`HybridAbsolute`].
    #[inline]
    pub fn inc(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<RateLimitDecision, TrypemaError> {
        self.engine.inc(key, rate, count)
    }

    /// Many calls of [`inc`](HybridAbsolute::inc), each decided by itself. Those for which no lease is in hand share
    /// one round trip (on a cluster, one for each node that has some of the keys) under one deadline. The
    /// answers are in the order asked.
    pub fn inc_many(
        &self,
        calls: &[(&str, &RateLimit, u64)],
    ) -> Vec<Result<RateLimitDecision, TrypemaError>> {
        self.engine.inc_many(calls)
    }

    /// Several limits at once, in one script on the server: all of the calls are admitted, or nothing is
    /// counted. As [`RedisAbsolute::inc_all`](crate::RedisAbsolute::inc_all). It spends no leases: units that are
    /// leased, here or elsewhere, count as used.
    ///
    /// # Errors
    /// See [`HybridAbsolute`]. Also [`InvalidKey`](TrypemaError::InvalidKey) on a cluster, if the keys are in
    /// several slots: give them the same `{tag}`.
    pub fn inc_all(&self, calls: &[(&str, &RateLimit, u64)]) -> Result<Combined, TrypemaError> {
        self.engine.remote.inc_all(calls)
    }

    /// The answer of the lease in hand, or else of Redis, without counting anything. For Redis all leased units
    /// are used, also those of this process; [`inc`](HybridAbsolute::inc) gives these back before it asks. So near the
    /// limit a call may be admitted that this says is not.
    ///
    /// # Errors
    /// See [`HybridAbsolute`].
    pub fn is_allowed(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<RateLimitDecision, TrypemaError> {
        self.engine.is_allowed(key, rate, count)
    }

    /// Units that count: admitted, recorded, or leased by another process and not spent. 0 for a key that is
    /// not known.
    ///
    /// # Errors
    /// See [`HybridAbsolute`].
    pub fn usage(&self, key: &str, rate: &RateLimit) -> Result<u64, TrypemaError> {
        let local = |limiter: &LocalRateLimiter, rate: &RateLimit| SuppressedUsage {
            admitted: limiter.absolute().usage(key, rate),
            declined: 0,
        };
        self.engine.usage(key, rate, local).map(|usage| usage.admitted)
    }

    /// Counts `count` units whatever the limit: for work whose cost is known only afterwards. As
    /// [`RedisAbsolute::record`](crate::RedisAbsolute::record).
    ///
    /// # Errors
    /// See [`RedisAbsolute::record`](crate::RedisAbsolute::record).
    pub fn record(&self, key: &str, rate: &RateLimit, count: u64) -> Result<bool, TrypemaError> {
        self.engine.remote.record(key, rate, count)
    }

    /// Gives up to `count` admitted or recorded units back, those that would expire first before the
    /// others. Returns how many: fewer where fewer still count.
    ///
    /// Refund only units that were admitted: Redis cannot tell those that other processes have leased and not
    /// spent yet from those that were spent.
    ///
    /// # Errors
    /// See [`HybridAbsolute`].
    pub fn refund(&self, key: &str, rate: &RateLimit, count: u64) -> Result<u64, TrypemaError> {
        self.engine.refund(key, rate, count)
    }

    /// Takes up to `count` units out of the very bucket in which an admission counted them. As
    /// [`RedisAbsolute::undo`](crate::RedisAbsolute::undo); and as for [`refund`](HybridAbsolute::refund), only
    /// units that were admitted.
    ///
    /// # Errors
    /// See [`HybridAbsolute`].
    pub fn undo(
        &self,
        key: &str,
        rate: &RateLimit,
        bucket: Bucket,
        count: u64,
    ) -> Result<u64, TrypemaError> {
        self.engine.undo(key, rate, bucket, count)
    }

    /// Forgets the key, all its units, and the leases of this process. Returns whether Redis knew it. Leases
    /// that other processes hold are spent to their end. Units that are admitted next may count for a bucket
    /// longer.
    ///
    /// # Errors
    /// See [`RedisAbsolute::reset`](crate::RedisAbsolute::reset).
    pub fn reset(&self, key: &str) -> Result<bool, TrypemaError> {
        self.engine.reset(key)
    }

    /// Parks this thread until the call is admitted, and returns how long that took, and where its units
    /// were counted. As [`RedisAbsolute::acquire`](crate::RedisAbsolute::acquire); a lease in hand is spent first.
    ///
    /// # Errors
    /// See [`RedisAbsolute::acquire`](crate::RedisAbsolute::acquire).
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

    /// Counts of this strategy's decisions, of where they came from, and of leased units.
    #[must_use]
    pub fn stats(&self) -> HybridStats {
        self.engine.stats()
    }
}

impl fmt::Debug for HybridAbsolute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HybridAbsolute").field("engine", &self.engine).finish()
    }
}
