//! Counts of decisions, and of where they came from.

use core::time::Duration;

/// Counts of the decisions of a [`RedisRateLimiter`](crate::RedisRateLimiter), or of one of its strategies.
///
/// A snapshot: taken while others decide, its parts may be a few decisions apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisStats {
    /// Answers `Allowed` to `inc` and `acquire`.
    pub allowed: u64,
    /// Answers `Rejected` to `inc`.
    pub rejected: u64,
    /// Answers `Suppressed` that let the call through.
    pub suppressed_admitted: u64,
    /// Answers `Suppressed` that did not.
    pub suppressed_declined: u64,
    /// Decisions that Redis made.
    pub from_redis: u64,
    /// Rejections that the denial cache repeated.
    pub from_denial_cache: u64,
    /// Decisions of the local limiter during outages ([`OnUnavailable::Local`](crate::OnUnavailable::Local)).
    pub from_local: u64,
    /// Decisions by [`OnUnavailable::Allow`](crate::OnUnavailable::Allow) and
    /// [`OnUnavailable::Reject`](crate::OnUnavailable::Reject) during outages.
    pub from_policy: u64,
    /// Calls that ended in an error.
    pub errors: u64,
    /// Calls that met an outage of Redis, however they were answered.
    pub outages: u64,
    /// Of `outages`, calls that the breaker answered at once, without asking Redis.
    pub short_circuited: u64,
    /// Of `outages`, calls that found no free connection in time.
    pub pool_timeouts: u64,
    /// Connections opened so far.
    pub connections_opened: u64,
    /// Calls of `acquire` that were not admitted in time.
    pub timeouts: u64,
    /// Threads of this process that wait in `acquire` at present.
    pub waiting: u64,
    /// The longest that an `acquire` has waited until it was admitted.
    pub longest_wait: Duration,
}

impl RedisStats {
    /// Every field with its name, for exporters and logs. `waiting` can fall;
    /// all others only rise.
    ///
    /// ```
    /// use trypema::RedisRateLimiter;
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// // Nothing is connected to yet.
    /// let limiter = RedisRateLimiter::builder("redis://127.0.0.1:6379").build()?;
    /// assert!(limiter.stats().iter().all(|(_name, value)| value == 0));
    /// # Ok(())
    /// # }
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        // Each by name, so that a new one cannot be forgotten.
        let Self {
            allowed,
            rejected,
            suppressed_admitted,
            suppressed_declined,
            from_redis,
            from_denial_cache,
            from_local,
            from_policy,
            errors,
            outages,
            short_circuited,
            pool_timeouts,
            connections_opened,
            timeouts,
            waiting,
            longest_wait,
        } = *self;
        [
            ("allowed", allowed),
            ("rejected", rejected),
            ("suppressed_admitted", suppressed_admitted),
            ("suppressed_declined", suppressed_declined),
            ("from_redis", from_redis),
            ("from_denial_cache", from_denial_cache),
            ("from_local", from_local),
            ("from_policy", from_policy),
            ("errors", errors),
            ("outages", outages),
            ("short_circuited", short_circuited),
            ("pool_timeouts", pool_timeouts),
            ("connections_opened", connections_opened),
            ("timeouts", timeouts),
            ("waiting", waiting),
            ("longest_wait_ms", u64::try_from(longest_wait.as_millis()).unwrap_or(u64::MAX)),
        ]
        .into_iter()
    }
}
