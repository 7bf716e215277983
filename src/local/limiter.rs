//! The in-process limiter: both strategies over one configuration.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::time::Duration;
use std::sync::Arc;

use crate::key::Key;
use crate::local::counters::Stats;
use crate::local::inner::{Inner, Plan};
use crate::local::{LocalAbsolute, LocalSuppressed};
use crate::{DefaultHashBuilder, RateLimit, Strategy};

/// How long a key is idle before the cleanup loop forgets it, unless told otherwise.
const STALE_AFTER: Duration = Duration::from_secs(600);
/// How long the cleanup loop pauses, unless told otherwise.
const INTERVAL: Duration = Duration::from_secs(30);

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
    suppressed: LocalSuppressed<K, S>,
    inner: Arc<Inner<K, S>>,
}

impl<K, S> LocalRateLimiter<K, S>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    pub(crate) fn new(plan: Plan<K, S>) -> Self {
        let inner = Arc::new(Inner::new(plan));
        Self {
            absolute: LocalAbsolute::new(Arc::clone(&inner)),
            suppressed: LocalSuppressed::new(Arc::clone(&inner)),
            inner,
        }
    }

    /// Hard, predictable rejection over a sliding window.
    #[inline]
    #[must_use]
    pub fn absolute(&self) -> &LocalAbsolute<K, S> {
        &self.absolute
    }

    /// Graceful, probabilistic degradation between a soft and a hard limit. Its state is separate
    /// from that of [`absolute`](LocalRateLimiter::absolute), for the same key too.
    #[inline]
    #[must_use]
    pub fn suppressed(&self) -> &LocalSuppressed<K, S> {
        &self.suppressed
    }

    /// The window that this rate is judged over, as it was asked for. Where each rate has its own, and more
    /// than 16 periods are in use, the strategies may differ: this is Absolute's, and each handle tells its own.
    #[must_use]
    pub fn window(&self, rate: &RateLimit) -> Duration {
        self.inner.absolute.grid_of(rate).window()
    }

    /// The bucket of that window: units admitted in the same one expire together.
    #[must_use]
    pub fn bucket(&self, rate: &RateLimit) -> Duration {
        self.inner.absolute.grid_of(rate).bucket()
    }

    /// The units that this rate allows in its window.
    #[must_use]
    pub fn capacity(&self, rate: &RateLimit) -> u64 {
        rate.capacity(self.window(rate))
    }

    /// Starts a background thread that forgets keys which have been idle for 10 minutes, every 30
    /// seconds. See [`run_cleanup_loop_with`](LocalRateLimiter::run_cleanup_loop_with).
    ///
    /// # Panics
    /// If the system cannot start a thread.
    pub fn run_cleanup_loop(&self) {
        self.run_cleanup_loop_with(STALE_AFTER, INTERVAL);
    }

    /// Starts a background thread, named `trypema-cleanup`, that calls
    /// [`cleanup(stale_after)`](LocalRateLimiter::cleanup) at every `interval` of real time. Does
    /// nothing if it runs already, with whatever settings.
    ///
    /// It ends when it is stopped, and when the last handle is dropped: it holds none itself.
    ///
    /// # Panics
    /// If the system cannot start a thread.
    pub fn run_cleanup_loop_with(&self, stale_after: Duration, interval: Duration) {
        self.inner.cleaner.start(Arc::downgrade(&self.inner), interval, move |inner, go_on| {
            inner.sweep(stale_after, go_on);
        });
    }

    /// Stops the background thread, and returns when it has ended: at once, or within the
    /// scan for idle keys that it still does. Does nothing if none runs.
    pub fn stop_cleanup_loop(&self) {
        self.inner.cleaner.stop();
    }

    /// Forgets keys that nothing counts on any more, and to which nothing was added for
    /// `stale_after` on the limiter's clock, counted in buckets: from the beginning of the bucket that
    /// the last addition came in. Returns how many states it removed. Rejections and looks are not
    /// additions. Units that still count are never forgotten, however small `stale_after` is.
    ///
    /// ```
    /// use std::time::Duration;
    /// use trypema::{LocalRateLimiter, ManualClock, RateLimit};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let clock = ManualClock::new();
    /// let limiter = LocalRateLimiter::builder().clock(clock.clone()).build()?;
    /// let _ = limiter.absolute().inc("alice", &RateLimit::per_minute(5)?, 1);
    /// assert_eq!(limiter.cleanup(Duration::ZERO), 0); // a unit still counts
    /// clock.advance(Duration::from_secs(120));
    /// assert_eq!(limiter.cleanup(Duration::ZERO), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cost
    /// A look at every key. Callers never wait: nothing is locked, and a key that is asked for while
    /// it is being removed begins afresh.
    pub fn cleanup(&self, stale_after: Duration) -> usize {
        self.inner.sweep(stale_after, &|| true)
    }

    /// Key states held at present: a key counts once for each strategy and window that holds it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.absolute.len() + self.inner.suppressed.len()
    }

    /// Whether no key is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shows each key that is held: by which strategy, in which window, and with how many admitted or
    /// recorded units that still count. A key is shown once for each strategy and window that holds it,
    /// also with a usage of 0, until it is forgotten.
    ///
    /// ```
    /// use trypema::{LocalRateLimiter, RateLimit};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let limiter = LocalRateLimiter::builder().build()?;
    /// let rate = RateLimit::per_minute(100)?;
    /// for (key, count) in [("alice", 7), ("bob", 30)] {
    ///     let _ = limiter.absolute().inc(key, &rate, count);
    /// }
    /// let mut busiest = None;
    /// limiter.for_each(|_strategy, key, _window, usage| {
    ///     busiest = busiest.take().max(Some((usage, key.to_string())));
    /// });
    /// assert_eq!(busiest, Some((30, "bob".to_owned())));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Each usage is true at the moment that the key is looked at; keys that come and go meanwhile may be
    /// shown or not. `visit` may call the limiter.
    ///
    /// # Cost
    /// A copy of every key, of one strategy and window at a time, and a look at each. Nobody is held up:
    /// nothing is locked, however long `visit` takes.
    ///
    /// # Panics
    /// If `visit` does.
    pub fn for_each(&self, mut visit: impl FnMut(Strategy, &K, Duration, u64)) {
        self.inner.absolute.for_each(&mut visit);
        self.inner.suppressed.for_each(&mut visit);
    }

    /// Forgets every key, whatever counts. Keys that are added to meanwhile may stay.
    ///
    /// It also ends the harm of a custom clock that once read far ahead: when keys are forgotten at such
    /// a time, new keys are judged no earlier than that, until the clock gets there.
    pub fn clear(&self) {
        self.inner.absolute.clear();
        self.inner.suppressed.clear();
    }

    /// Ends every `acquire` that waits, and every later one of at least one unit, with
    /// [`TrypemaError::Closed`](crate::TrypemaError::Closed): for a program that shuts down. All other
    /// calls go on as before. It cannot be undone.
    ///
    /// ```
    /// use core::time::Duration;
    /// use trypema::{LocalRateLimiter, RateLimit, TrypemaError};
    ///
    /// # fn main() -> Result<(), TrypemaError> {
    /// let limiter = LocalRateLimiter::builder().build()?;
    /// let rate = RateLimit::per_second(5)?;
    /// limiter.close();
    /// let late = limiter.absolute().acquire("alice", &rate, 1, Duration::from_secs(60));
    /// assert_eq!(late, Err(TrypemaError::Closed));
    /// assert!(limiter.absolute().inc("alice", &rate, 1).is_allowed());
    /// # Ok(())
    /// # }
    /// ```
    pub fn close(&self) {
        self.inner.close();
    }

    /// The statistics of both strategies, together. Each handle has its own `stats`.
    ///
    /// # Cost
    /// A sum over the threads that have used this limiter, and a look at up to 512 keys of each
    /// strategy.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        self.inner.absolute.add_to_stats(&mut stats);
        self.inner.suppressed.add_to_stats(&mut stats);
        stats
    }
}

impl<K, S> Clone for LocalRateLimiter<K, S> {
    fn clone(&self) -> Self {
        Self {
            absolute: self.absolute.clone(),
            suppressed: self.suppressed.clone(),
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<K, S> fmt::Debug for LocalRateLimiter<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRateLimiter")
            .field("absolute", &self.absolute)
            .field("suppressed", &self.suppressed)
            .finish()
    }
}
