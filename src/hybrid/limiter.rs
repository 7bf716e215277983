//! Both strategies, by leases from one Redis.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use crate::RateLimit;
use crate::hybrid::engine::Engine;
use crate::hybrid::{HybridAbsolute, HybridRateLimiterBuilder, HybridStats, HybridSuppressed};
use crate::redis::builder::Parts;
use crate::wait::Closed;

/// Limits rates per key in this process, by leases from Redis: processes and hosts that use the same Redis,
/// prefix, window, bucket and lease share their limits, decide without asking for each call, and
/// overshoot nothing.
///
/// Cheap to clone, and clones share all state: give each thread its own, or share one.
///
/// ```no_run
/// use core::time::Duration;
/// use trypema::{HybridRateLimiter, RateLimit, TrypemaError};
///
/// # fn main() -> Result<(), TrypemaError> {
/// let limiter = HybridRateLimiter::builder("redis://127.0.0.1:6379")
///     .lease(Duration::from_millis(100))
///     .build()?;
/// let rate = RateLimit::per_second(10_000)?;
///
/// match limiter.absolute().inc("tenant:9", &rate, 1) {
///     Ok(decision) if decision.is_allowed() => println!("served"),
///     Ok(decision) => println!("429, try again in {:?}", decision.retry_after()),
///     Err(error) => println!("503: {error}"), // no lease in hand, and an outage of Redis
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Guarantees
/// Those of [`RedisRateLimiter`](crate::RedisRateLimiter), across processes: no key admits more than its
/// capacity in any window, as long as the server keeps what it has acknowledged.
/// - A call for which there are leased units asks nobody: no lock, no I/O. Others take no longer than
///   their deadline.
/// - While Redis is away, leases are spent to their end; then `on_unavailable` says how calls are answered.
/// - In the long run a key admits `window / (window + lease)` of its rate, since units count for a lease longer.
///   Units in a lease that are not spent are given back when it ends; those of a process that dies then count
///   until they expire.
/// - One Redis key for each key and strategy, `{prefix}:{h or hs}:{window}.{bucket}.{lease}:{key}`, in
///   milliseconds: limiters that differ in them never meet.
#[derive(Clone)]
pub struct HybridRateLimiter {
    absolute: HybridAbsolute,
    suppressed: HybridSuppressed,
    closed: Closed,
}

impl HybridRateLimiter {
    /// A builder with default settings, for the Redis at this URL; see
    /// [`RedisRateLimiter::builder`](crate::RedisRateLimiter::builder).
    pub fn builder(url: impl Into<String>) -> HybridRateLimiterBuilder {
        HybridRateLimiterBuilder::new(url.into())
    }

    pub(crate) fn new(parts: Parts) -> Self {
        let shortest = parts.plan.shortest_lease();
        // Units that other processes give back do not end a rejection that is repeated here: they do that at
        // the end of their leases.
        let denial_cache = parts.denial_cache(parts.plan.leasing.longest());
        let Parts { inner, plan, .. } = parts;
        let (inner, closed) = (Arc::new(inner), plan.closed.clone());
        let absolute = Engine::new(Arc::clone(&inner), plan.clone(), denial_cache, shortest);
        let suppressed = Engine::new(inner, plan, None, shortest);
        Self {
            absolute: HybridAbsolute::new(absolute),
            suppressed: HybridSuppressed::new(suppressed),
            closed,
        }
    }

    /// Hard, predictable rejection over a sliding window.
    #[inline]
    #[must_use]
    pub fn absolute(&self) -> &HybridAbsolute {
        &self.absolute
    }

    /// Graceful, probabilistic degradation between a soft and a hard limit. Its state is separate
    /// from that of [`absolute`](HybridRateLimiter::absolute), for the same key too.
    #[inline]
    #[must_use]
    pub fn suppressed(&self) -> &HybridSuppressed {
        &self.suppressed
    }

    /// The window that this rate is judged over, as it was asked for.
    #[must_use]
    pub fn window(&self, rate: &RateLimit) -> Duration {
        self.absolute.engine().grid_of(rate).window()
    }

    /// The bucket of that window: units granted in the same one expire together.
    #[must_use]
    pub fn bucket(&self, rate: &RateLimit) -> Duration {
        self.absolute.engine().grid_of(rate).bucket()
    }

    /// The longest that units of that window are spent after Redis has counted them.
    #[must_use]
    pub fn lease(&self, rate: &RateLimit) -> Duration {
        self.absolute.engine().grid_of(rate).lease()
    }

    /// The units that this rate allows in its window.
    #[must_use]
    pub fn capacity(&self, rate: &RateLimit) -> u64 {
        rate.capacity(self.window(rate))
    }

    /// Ends every `acquire` of this process that waits, and every later one of at least one unit, with
    /// [`TrypemaError::Closed`](crate::TrypemaError::Closed), as
    /// [`RedisRateLimiter::close`](crate::RedisRateLimiter::close).
    pub fn close(&self) {
        self.closed.close();
        self.absolute.engine().remote.wake_all();
        self.suppressed.engine().remote.wake_all();
    }

    /// The statistics of both strategies, together. Each handle has its own `stats`.
    #[must_use]
    pub fn stats(&self) -> HybridStats {
        let mut stats = HybridStats::default();
        self.absolute.engine().add_to(&mut stats);
        self.suppressed.engine().add_to(&mut stats);
        stats
    }
}

impl fmt::Debug for HybridRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HybridRateLimiter")
            .field("absolute", &self.absolute)
            .field("suppressed", &self.suppressed)
            .finish()
    }
}
