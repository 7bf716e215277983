//! Settings, and what they have to satisfy.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;
use core::time::Duration;

use crate::clock::{Clock, MonotonicClock, Source};
use crate::key::Layout;
use crate::keys::Key;
use crate::limiter::{Frame, LocalRateLimiter};
use crate::policy::Grid;
use crate::{DefaultHashBuilder, TrypemaError};

/// Settings of a [`LocalRateLimiter`], made by
/// [`LocalRateLimiter::builder`](LocalRateLimiter::builder).
#[must_use = "a builder does nothing until it is built"]
pub struct LocalRateLimiterBuilder<K = Key, S = DefaultHashBuilder> {
    window: Duration,
    bucket: Duration,
    clock: Option<Box<dyn Clock>>,
    hasher: S,
    keys: PhantomData<fn() -> K>,
}

impl LocalRateLimiterBuilder {
    pub(crate) fn new() -> Self {
        Self {
            window: Duration::from_secs(60),
            bucket: Duration::from_millis(100),
            clock: None,
            hasher: DefaultHashBuilder::default(),
            keys: PhantomData,
        }
    }
}

impl<K, S> LocalRateLimiterBuilder<K, S> {
    /// The sliding window: a rate's capacity is what it allows in this time. Default: 60 s.
    ///
    /// A whole number of milliseconds. One that is not a whole number of buckets is held for the
    /// next longer time that is; capacities are still taken over the window given here.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// The grain of time: units admitted in the same bucket expire together, when the bucket's
    /// *end* is older than the window, hence after more than the window and at most a window and a
    /// bucket. Default: 100 ms.
    ///
    /// A whole number of milliseconds, at most the window. Finer buckets make for smoother limits
    /// and take 8 bytes per key for each bucket in use. The number of buckets in a window also
    /// decides how many units it can hold:
    ///
    /// | buckets in a window, at most | units |
    /// |---:|---|
    /// | 2,045 | below 2^40 |
    /// | 4,093 | below 2^38 |
    /// | 8,189 | below 2^36 |
    /// | 16,381 | below 2^34 |
    /// | 32,765 | below 2^32 |
    /// | 65,533 | below 2^30 |
    /// | 131,069 | below 2^28 |
    /// | 262,141 | below 2^26 |
    /// | 524,285 | below 2^24 |
    pub fn bucket(mut self, bucket: Duration) -> Self {
        self.bucket = bucket;
        self
    }

    /// Where time is read from. Default: a [`MonotonicClock`].
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// How keys are hashed. Default: a keyed hash that resists flooding with colliding keys.
    pub fn hasher<T: BuildHasher>(self, hasher: T) -> LocalRateLimiterBuilder<K, T> {
        let Self { window, bucket, clock, hasher: _, keys } = self;
        LocalRateLimiterBuilder { window, bucket, clock, hasher, keys }
    }

    /// The type of the keys. Default: strings, looked up by `&str`.
    ///
    /// ```
    /// use std::net::IpAddr;
    /// use trypema::{LocalRateLimiter, RateLimit};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let limiter = LocalRateLimiter::builder().keys::<IpAddr>().build()?;
    /// let peer = IpAddr::from([127, 0, 0, 1]);
    /// assert!(limiter.absolute().inc(&peer, &RateLimit::per_second(5.0)?, 1).is_allowed());
    /// # Ok(())
    /// # }
    /// ```
    pub fn keys<T>(self) -> LocalRateLimiterBuilder<T, S>
    where
        T: Hash + Eq + Clone + Send + Sync + 'static,
    {
        let Self { window, bucket, clock, hasher, keys: _ } = self;
        LocalRateLimiterBuilder { window, bucket, clock, hasher, keys: PhantomData }
    }

    /// Checks the settings and builds the limiter.
    ///
    /// # Errors
    /// [`TrypemaError::InvalidConfig`] for a window or bucket that is zero, not a whole number of
    /// milliseconds or longer than 100 years, for a bucket longer than the window, and for more
    /// buckets in a window than the largest in the table at
    /// [`bucket`](LocalRateLimiterBuilder::bucket).
    pub fn build(self) -> Result<LocalRateLimiter<K, S>, TrypemaError>
    where
        K: Hash + Eq + Clone + Send + Sync + 'static,
        S: BuildHasher + Clone + Send + Sync + 'static,
    {
        let grid = Grid::new(self.window, self.bucket, Layout::LONGEST_SPAN)?;
        let clock = match self.clock {
            Some(clock) => Source::Custom(clock),
            None => Source::Monotonic(MonotonicClock::new()),
        };
        Ok(LocalRateLimiter::new(
            Frame::new(grid, Layout::for_span(grid.span()), clock),
            self.hasher,
        ))
    }
}

impl<K, S> fmt::Debug for LocalRateLimiterBuilder<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRateLimiterBuilder")
            .field("window", &self.window)
            .field("bucket", &self.bucket)
            .field("custom_clock", &self.clock.is_some())
            .finish_non_exhaustive()
    }
}
