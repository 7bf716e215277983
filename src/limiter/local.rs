//! The in-process limiter: both strategies over one configuration.

use core::fmt;
use core::hash::{BuildHasher, Hash};

use crate::DefaultHashBuilder;
use crate::builder::LocalRateLimiterBuilder;
use crate::keys::Key;
use crate::limiter::{Frame, LocalAbsolute};

/// Limits rates per key, with all state in this process.
///
/// Cheap to clone, and clones share their keys: give each thread its own, or share one.
///
/// ```
/// use core::time::Duration;
/// use trypema::{LocalRateLimiter, RateLimit};
///
/// # fn main() -> Result<(), trypema::TrypemaError> {
/// let limiter = LocalRateLimiter::builder().window(Duration::from_secs(10)).build()?;
/// let rate = RateLimit::per_second(0.2)?; // 2 in 10 seconds
///
/// assert!(limiter.absolute().inc("alice", &rate, 2).is_allowed());
/// let decision = limiter.absolute().inc("alice", &rate, 1);
/// assert!(!decision.is_allowed());
/// assert!(decision.retry_after().is_some_and(|wait| wait <= Duration::from_millis(10_100)));
/// # Ok(())
/// # }
/// ```
pub struct LocalRateLimiter<K = Key, S = DefaultHashBuilder> {
    absolute: LocalAbsolute<K, S>,
}

impl LocalRateLimiter {
    /// A builder with default settings, for string keys.
    pub fn builder() -> LocalRateLimiterBuilder {
        LocalRateLimiterBuilder::new()
    }
}

impl<K, S> LocalRateLimiter<K, S>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    pub(crate) fn new(frame: Frame, hasher: S) -> Self {
        Self { absolute: LocalAbsolute::new(frame, hasher) }
    }

    /// Hard, predictable rejection over a sliding window.
    #[inline]
    pub fn absolute(&self) -> &LocalAbsolute<K, S> {
        &self.absolute
    }

    /// Keys held at present, counted once for each strategy that holds them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.absolute.len()
    }

    /// Whether no key is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K, S> Clone for LocalRateLimiter<K, S> {
    fn clone(&self) -> Self {
        Self { absolute: self.absolute.clone() }
    }
}

impl<K, S> fmt::Debug for LocalRateLimiter<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRateLimiter").field("absolute", &self.absolute).finish()
    }
}
