//! Suppressed, by leases from Redis.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use crate::hybrid::HybridStats;
use crate::hybrid::engine::Engine;
use crate::redis::suppressed::Suppressed;
use crate::{
    Admitted, Bucket, Combined, RateLimit, RateLimitDecision, SuppressedUsage, TrypemaError,
};

/// The Suppressed strategy of a [`HybridRateLimiter`](crate::HybridRateLimiter): up to the rate's
/// capacity (the soft limit) everything is admitted, from there on a random share of the calls, and
/// beyond the hard limit none. The formula is that of [`LocalSuppressed`](crate::LocalSuppressed), by the demand
/// that Redis saw when it granted the lease.
///
/// The hard limit is exact, however many processes ask. Declines of this process are brought to Redis with the next
/// request. Cheap to clone, and an owned, `'static` value where one is wanted.
///
/// # Errors
/// As those of [`HybridAbsolute`](crate::HybridAbsolute).
///
/// # Cost
/// As [`HybridAbsolute`](crate::HybridAbsolute).
#[derive(Clone)]
pub struct HybridSuppressed {
    engine: Arc<Engine<Suppressed>>,
}

impl HybridSuppressed {
    pub(crate) fn new(engine: Arc<Engine<Suppressed>>) -> Self {
        Self { engine }
    }

    pub(crate) fn engine(&self) -> &Engine<Suppressed> {
        &self.engine
    }

    /// Checks and counts in one atomic step: the call is counted as admitted or as declined, whichever the
    /// answer says, by this process's lease or else by Redis.
    ///
    /// `count = 0` asks for nothing: `Allowed`. An unlimited rate always allows.
    ///
    /// # Errors
    /// See [`HybridSuppressed`].
    #[inline]
    pub fn inc(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<RateLimitDecision, TrypemaError> {
        self.engine.inc(key, rate, count)
    }

    /// Many calls of [`inc`](HybridSuppressed::inc), each decided by itself. Those for which no lease is in hand share
    /// one round trip (on a cluster, one for each node that has some of the keys) under one deadline. The
    /// answers are in the order asked.
    pub fn inc_many(
        &self,
        calls: &[(&str, &RateLimit, u64)],
    ) -> Vec<Result<RateLimitDecision, TrypemaError>> {
        self.engine.inc_many(calls)
    }

    /// Several limits at once, in one script on the server: all of the calls are admitted, or nothing is
    /// counted. As [`RedisSuppressed::inc_all`](crate::RedisSuppressed::inc_all). It spends no leases: units that are
    /// leased, here or elsewhere, count as used.
    ///
    /// # Errors
    /// See [`HybridSuppressed`]. Also [`InvalidKey`](TrypemaError::InvalidKey) on a cluster, if the keys are in
    /// several slots: give them the same `{tag}`.
    pub fn inc_all(&self, calls: &[(&str, &RateLimit, u64)]) -> Result<Combined, TrypemaError> {
        self.engine.remote.inc_all(calls)
    }

    /// The answer of the lease in hand, or else of Redis, without counting anything. For Redis all leased units
    /// are used, also those of this process; [`inc`](HybridSuppressed::inc) gives these back before it asks. So near the
    /// limit a call may be admitted that this says is not.
    ///
    /// # Errors
    /// See [`HybridSuppressed`].
    pub fn is_allowed(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<RateLimitDecision, TrypemaError> {
        self.engine.is_allowed(key, rate, count)
    }

    /// Units that count: admitted, recorded, or leased by another process and not spent; and declined. Zero for a
    /// key that is not known.
    ///
    /// # Errors
    /// See [`HybridSuppressed`].
    pub fn usage(&self, key: &str, rate: &RateLimit) -> Result<SuppressedUsage, TrypemaError> {
        self.engine.usage(key, rate, |limiter, rate| limiter.suppressed().usage(key, rate))
    }

    /// The factor `f` of the formula for this key now, as Redis sees it, from 0.0 (nothing is declined) to 1.0
    /// (everything is). Computed afresh, and changes nothing. 0 for a key that is not known.
    ///
    /// # Errors
    /// See [`HybridSuppressed`].
    pub fn suppression_factor(&self, key: &str, rate: &RateLimit) -> Result<f64, TrypemaError> {
        self.engine.remote.suppression_factor(key, rate, |limiter, rate| {
            limiter.suppressed().suppression_factor(key, rate)
        })
    }

    /// Counts `count` units whatever the limit: for work whose cost is known only afterwards. As
    /// [`RedisSuppressed::record`](crate::RedisSuppressed::record).
    ///
    /// # Errors
    /// See [`RedisSuppressed::record`](crate::RedisSuppressed::record).
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
    /// See [`HybridSuppressed`].
    pub fn refund(&self, key: &str, rate: &RateLimit, count: u64) -> Result<u64, TrypemaError> {
        self.engine.refund(key, rate, count)
    }

    /// Takes up to `count` units out of the very bucket in which an admission counted them. As
    /// [`RedisSuppressed::undo`](crate::RedisSuppressed::undo); and as for [`refund`](HybridSuppressed::refund), only
    /// units that were admitted.
    ///
    /// # Errors
    /// See [`HybridSuppressed`].
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
    /// See [`RedisSuppressed::reset`](crate::RedisSuppressed::reset).
    pub fn reset(&self, key: &str) -> Result<bool, TrypemaError> {
        self.engine.reset(key)
    }

    /// Parks this thread until the call is admitted, and returns how long that took, and where its units
    /// were counted. As [`RedisSuppressed::acquire`](crate::RedisSuppressed::acquire); a lease in hand is spent first.
    ///
    /// # Errors
    /// See [`RedisSuppressed::acquire`](crate::RedisSuppressed::acquire).
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

impl fmt::Debug for HybridSuppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HybridSuppressed").field("engine", &self.engine).finish()
    }
}
