//! Both strategies over one Redis.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use crate::RateLimit;
use crate::redis::builder::Parts;
use crate::redis::engine::Engine;
use crate::redis::{RedisAbsolute, RedisRateLimiterBuilder, RedisStats, RedisSuppressed};
use crate::wait::Closed;

/// Limits rates per key, with all state in Redis: processes and hosts that use the same Redis, prefix,
/// window and bucket share their limits, and nobody overshoots them.
///
/// Cheap to clone, and clones share their connections: give each thread its own, or share one.
///
/// ```no_run
/// use core::time::Duration;
/// use trypema::{RateLimit, RedisRateLimiter, TrypemaError};
///
/// # fn main() -> Result<(), TrypemaError> {
/// let limiter = RedisRateLimiter::builder("redis://127.0.0.1:6379")
///     .window(Duration::from_secs(60))
///     .deadline(Duration::from_millis(100))
///     .build()?;
/// let rate = RateLimit::per_minute(100.0)?;
///
/// match limiter.absolute().inc("ip:203.0.113.7", &rate, 1) {
///     Ok(decision) if decision.is_allowed() => println!("served"),
///     Ok(decision) => println!("429, try again in {:?}", decision.retry_after()),
///     Err(error) => println!("503: {error}"), // an outage of Redis, not the client's fault
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Guarantees
/// Those of [`LocalRateLimiter`](crate::LocalRateLimiter), by the server's clock and across processes,
/// as long as the server keeps what it has acknowledged: units that it loses in a failover, evicts or is
/// told to delete are forgotten. Set its `maxmemory-policy` to `noeviction`.
/// - A call takes no longer than its deadline. Once Redis has failed some calls in a row, a breaker
///   answers at once.
/// - A request whose outcome is unknown is not sent again, so nothing counts twice.
/// - One Redis key for each key and strategy, `{prefix}:{a or s}:{window}.{bucket}:{key}`, with window
///   and bucket in milliseconds: limiters that differ in them never meet. It expires by itself, a
///   window and two buckets after its newest bucket began: there is nothing to clean up.
#[derive(Clone)]
pub struct RedisRateLimiter {
    absolute: RedisAbsolute,
    suppressed: RedisSuppressed,
    closed: Closed,
}

impl RedisRateLimiter {
    /// A builder with default settings, for the Redis at this URL:
    ///
    /// | URL | |
    /// |---|---|
    /// | `redis://[user:password@]host[:port][/database]` | one server |
    /// | `rediss://...` | the same with TLS |
    /// | `redis+unix:///path/to/socket[?db=..&user=..&pass=..]` | one server on this machine |
    /// | `redis-sentinel://[user:password@]host:port,host:port/service[/database]` | the master of a service, as these Sentinels see it |
    /// | `redis-cluster://[user:password@]host:port,host:port` | a cluster with these nodes among others |
    /// | `rediss-sentinel://...`, `rediss-cluster://...` | the same with TLS |
    ///
    /// Characters with a meaning in URLs, such as `@` and `:` in a password, are written as `%` and their code.
    pub fn builder(url: impl Into<String>) -> RedisRateLimiterBuilder {
        RedisRateLimiterBuilder::new(url.into())
    }

    pub(crate) fn new(parts: Parts) -> Self {
        let denial_cache = parts.denial_cache(Duration::MAX);
        let Parts { inner, plan, .. } = parts;
        let (inner, closed) = (Arc::new(inner), plan.closed.clone());
        let absolute = Engine::new(Arc::clone(&inner), plan.clone(), denial_cache);
        // Suppressed counts its declines, so all of its calls have to reach the server.
        let suppressed = Engine::new(inner, plan, None);
        Self {
            absolute: RedisAbsolute::new(absolute),
            suppressed: RedisSuppressed::new(suppressed),
            closed,
        }
    }

    /// Hard, predictable rejection over a sliding window.
    #[inline]
    #[must_use]
    pub fn absolute(&self) -> &RedisAbsolute {
        &self.absolute
    }

    /// Graceful, probabilistic degradation between a soft and a hard limit. Its state is separate
    /// from that of [`absolute`](RedisRateLimiter::absolute), for the same key too.
    #[inline]
    #[must_use]
    pub fn suppressed(&self) -> &RedisSuppressed {
        &self.suppressed
    }

    /// The window that this rate is judged over, as it was asked for.
    #[must_use]
    pub fn window(&self, rate: &RateLimit) -> Duration {
        self.absolute.engine().grid_of(rate).window()
    }

    /// The bucket of that window: units admitted in the same one expire together.
    #[must_use]
    pub fn bucket(&self, rate: &RateLimit) -> Duration {
        self.absolute.engine().grid_of(rate).bucket()
    }

    /// The units that this rate allows in its window.
    #[must_use]
    pub fn capacity(&self, rate: &RateLimit) -> u64 {
        rate.capacity(self.window(rate))
    }

    /// Ends every `acquire` of this process that waits, and every later one of at least one unit, with
    /// [`TrypemaError::Closed`](crate::TrypemaError::Closed): for a program that shuts down. A thread that is
    /// asking Redis at that moment waits for the answer first, within its deadline. All other calls go on as
    /// before, and so do other processes. It cannot be undone.
    ///
    /// ```
    /// use core::time::Duration;
    /// use trypema::{RateLimit, RedisRateLimiter, TrypemaError};
    ///
    /// # fn main() -> Result<(), TrypemaError> {
    /// // Nothing is connected to yet.
    /// let limiter = RedisRateLimiter::builder("redis://127.0.0.1:6379").build()?;
    /// let rate = RateLimit::per_second(5)?;
    /// limiter.close();
    /// let late = limiter.absolute().acquire("alice", &rate, 1, Duration::from_secs(60));
    /// assert_eq!(late, Err(TrypemaError::Closed));
    /// # Ok(())
    /// # }
    /// ```
    pub fn close(&self) {
        self.closed.close();
        self.absolute.engine().wake_all();
        self.suppressed.engine().wake_all();
    }

    /// The statistics of both strategies, together. Each handle has its own `stats`.
    #[must_use]
    pub fn stats(&self) -> RedisStats {
        let mut stats = RedisStats::default();
        self.absolute.engine().add_to(&mut stats);
        self.suppressed.engine().add_to(&mut stats);
        stats
    }
}

impl fmt::Debug for RedisRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRateLimiter")
            .field("absolute", &self.absolute)
            .field("suppressed", &self.suppressed)
            .finish()
    }
}
