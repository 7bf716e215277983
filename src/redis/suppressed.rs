//! Suppressed over Redis.

use core::time::Duration;

use crate::redis::RedisStats;
use crate::{RateLimit, RateLimitDecision, SuppressedUsage, TrypemaError};

/// The Suppressed strategy of a [`RedisRateLimiter`](crate::RedisRateLimiter).
#[derive(Debug, Clone)]
pub struct RedisSuppressed {}

fn skeleton<T>() -> Result<T, TrypemaError> {
    Err(TrypemaError::Unavailable {
        address: String::new(),
        cause: "not built yet".into(),
        retry_after: Duration::ZERO,
    })
}

impl RedisSuppressed {
    pub(crate) fn new() -> Self {
        Self {}
    }

    /// Checks and records in one atomic step.
    ///
    /// # Errors
    /// When Redis cannot decide.
    pub fn inc(
        &self,
        _key: &str,
        _rate: &RateLimit,
        _count: u64,
    ) -> Result<RateLimitDecision, TrypemaError> {
        skeleton()
    }

    /// Calls of [`inc`](RedisSuppressed::inc) in one round trip, each decided by itself, answered in the
    /// order asked.
    pub fn inc_many(
        &self,
        calls: &[(&str, &RateLimit, u64)],
    ) -> Vec<Result<RateLimitDecision, TrypemaError>> {
        calls.iter().map(|_| skeleton()).collect()
    }

    /// What `inc` would answer now, without counting anything.
    ///
    /// # Errors
    /// When Redis cannot decide.
    pub fn is_allowed(
        &self,
        _key: &str,
        _rate: &RateLimit,
        _count: u64,
    ) -> Result<RateLimitDecision, TrypemaError> {
        skeleton()
    }

    /// Units that still count.
    ///
    /// # Errors
    /// When Redis cannot tell.
    pub fn usage(&self, _key: &str) -> Result<SuppressedUsage, TrypemaError> {
        skeleton()
    }

    /// Counts `count` units whatever the limit.
    ///
    /// # Errors
    /// When Redis cannot be told.
    pub fn record(&self, _key: &str, _count: u64) -> Result<bool, TrypemaError> {
        skeleton()
    }

    /// Gives up to `count` units back, oldest first. Returns how many.
    ///
    /// # Errors
    /// When Redis cannot be told.
    pub fn refund(&self, _key: &str, _count: u64) -> Result<u64, TrypemaError> {
        skeleton()
    }

    /// Forgets the key. Returns whether it was known.
    ///
    /// # Errors
    /// When Redis cannot be told.
    pub fn reset(&self, _key: &str) -> Result<bool, TrypemaError> {
        skeleton()
    }

    /// Parks this thread until the call is admitted, and returns how long that took.
    ///
    /// # Errors
    /// When it was not admitted in time, or when Redis cannot decide.
    pub fn acquire(
        &self,
        _key: &str,
        _rate: &RateLimit,
        _count: u64,
        _timeout: Duration,
    ) -> Result<Duration, TrypemaError> {
        skeleton()
    }

    /// The factor `f` of the formula for this key now.
    ///
    /// # Errors
    /// When Redis cannot tell.
    pub fn suppression_factor(&self, _key: &str, _rate: &RateLimit) -> Result<f64, TrypemaError> {
        skeleton()
    }

    /// What this strategy has done.
    #[must_use]
    pub fn stats(&self) -> RedisStats {
        RedisStats::default()
    }
}
