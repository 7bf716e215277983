//! Settings, and their checks.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;
use std::sync::Arc;

use crate::clock::{Clock, ClockSource, MonotonicClock};
use crate::key::Key;
use crate::local::inner::Plan;
use crate::local::observer::Observer;
use crate::local::{Event, LocalRateLimiter};
use crate::settings::{Settings, setters};
use crate::wait::Closed;
use crate::{DefaultHashBuilder, TrypemaError};

/// The largest bound on keys: slots are numbered by 32 bits.
const MOST_KEYS: usize = (u32::MAX - 1) as usize;

/// Settings of a [`LocalRateLimiter`], made by
/// [`LocalRateLimiter::builder`](LocalRateLimiter::builder).
///
/// A key takes 8 bytes for each bucket in use. The number of buckets in a window also decides how many
/// units it can hold:
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
#[must_use = "a builder does nothing until it is built"]
pub struct LocalRateLimiterBuilder<K = Key, S = DefaultHashBuilder> {
    settings: Settings,
    max_keys: Option<usize>,
    clock: Option<Box<dyn Clock>>,
    observer: Option<Observer<K>>,
    hasher: S,
    keys: PhantomData<fn() -> K>,
}

// Here, so that `limiter` does not import its builder.
impl LocalRateLimiter {
    /// A builder with default settings, for string keys.
    pub fn builder() -> LocalRateLimiterBuilder {
        LocalRateLimiterBuilder {
            settings: Settings::default(),
            max_keys: None,
            clock: None,
            observer: None,
            hasher: DefaultHashBuilder::default(),
            keys: PhantomData,
        }
    }
}

impl<K, S> LocalRateLimiterBuilder<K, S> {
    setters!();

    /// Replaces the shared settings by another builder's.
    #[cfg(feature = "redis")]
    pub(crate) fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The most keys that each strategy may hold in each window. Default: no bound.
    ///
    /// A new key past it displaces one that is idle (nothing counts on it) if one is found among
    /// the next 16 that are looked at; else it is rejected, with the window as `retry_after_ms`,
    /// and counted in [`Stats::turned_away`](crate::Stats::turned_away). Keys in use are never
    /// displaced, and the bound is never passed, not even for a moment.
    ///
    /// Allocates 16 bytes for each key of the bound at once, and keeps a second copy of each key that is
    /// held.
    ///
    /// ```
    /// use trypema::{LocalRateLimiter, RateLimit};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let limiter = LocalRateLimiter::builder().max_keys(2).build()?;
    /// let rate = RateLimit::per_minute(5)?;
    /// for key in ["alice", "bob", "made up"] {
    ///     println!("{key}: {}", limiter.absolute().inc(key, &rate, 1).is_allowed());
    /// }
    /// assert_eq!((limiter.len(), limiter.stats().turned_away), (2, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn max_keys(mut self, max_keys: usize) -> Self {
        self.max_keys = Some(max_keys);
        self
    }

    /// Calls `observer` after every `inc`, and after every `acquire` that was admitted, on the
    /// calling thread. Default: none. Of an `inc_all` that is admitted it is told once for each key and
    /// window, with the sum of the counts; of another, once, for the key that refused. Each call then makes the key afresh for the observer.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use trypema::{Event, Key, LocalRateLimiter, RateLimit};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// static REJECTED: AtomicU64 = AtomicU64::new(0);
    /// let limiter = LocalRateLimiter::builder()
    ///     .observer(|event: &Event<'_, Key>| {
    ///         if !event.decision.is_allowed() {
    ///             REJECTED.fetch_add(event.count, Ordering::Relaxed);
    ///         }
    ///     })
    ///     .build()?;
    /// let _ = limiter.absolute().inc("alice", &RateLimit::per_minute(1.0)?, 2);
    /// assert_eq!(REJECTED.load(Ordering::Relaxed), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn observer(mut self, observer: impl Fn(&Event<'_, K>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Observer(Arc::new(observer)));
        self
    }

    /// The clock to read time from. Default: a [`MonotonicClock`].
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Box::new(clock));
        self
    }

    /// How keys are hashed. Default: a keyed hash that resists flooding with colliding keys.
    ///
    /// ```
    /// use std::hash::RandomState;
    /// use trypema::LocalRateLimiter;
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let limiter = LocalRateLimiter::builder().hasher(RandomState::new()).build()?;
    /// # assert!(limiter.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn hasher<T: BuildHasher>(self, hasher: T) -> LocalRateLimiterBuilder<K, T> {
        LocalRateLimiterBuilder {
            settings: self.settings,
            max_keys: self.max_keys,
            clock: self.clock,
            observer: self.observer,
            hasher,
            keys: PhantomData,
        }
    }

    /// The type of the keys. Default: strings, looked up by `&str`. An observer that was set
    /// before, for another type of key, is dropped.
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
        LocalRateLimiterBuilder {
            settings: self.settings,
            max_keys: self.max_keys,
            clock: self.clock,
            observer: None,
            hasher: self.hasher,
            keys: PhantomData,
        }
    }

    /// Checks the settings and builds the limiter.
    ///
    /// # Errors
    /// [`TrypemaError::InvalidConfig`] for a window or bucket that is zero, not a whole number of
    /// milliseconds or longer than 100 years, for a bucket longer than the window, and for more
    /// buckets in a window than the largest in the table at [`LocalRateLimiterBuilder`]; for an empty
    /// list of windows, more than 8, or two alike; and for a bucket without exactly one window. Also for a
    /// `hard_limit_factor` that is not a finite number of at least 1, and for `max_keys` of 0 or more than
    /// 2^32 - 2.
    pub fn build(self) -> Result<LocalRateLimiter<K, S>, TrypemaError>
    where
        K: Hash + Eq + Clone + Send + Sync + 'static,
        S: BuildHasher + Clone + Send + Sync + 'static,
    {
        let windowing = self.settings.windowing()?;
        let max_keys = self.max_keys.map(|max_keys| match u32::try_from(max_keys) {
            Ok(fits) if (1..=MOST_KEYS).contains(&max_keys) => Ok(fits),
            _ => {
                let allowed = format!("it must be at least 1 and at most {MOST_KEYS}");
                Err(TrypemaError::config("max_keys", max_keys, allowed))
            }
        });
        let clock = match self.clock {
            Some(clock) => ClockSource::Custom(clock),
            None => ClockSource::Monotonic(MonotonicClock::new()),
        };
        Ok(LocalRateLimiter::new(Plan {
            settings: self.settings,
            windowing,
            clock: Arc::new(clock),
            hasher: self.hasher,
            max_keys: max_keys.transpose()?,
            closed: Closed::default(),
            observer: self.observer,
        }))
    }
}

impl<K, S> fmt::Debug for LocalRateLimiterBuilder<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRateLimiterBuilder")
            .field("windows", &self.settings.windows)
            .field("bucket", &self.settings.bucket)
            .field("hard_limit_factor", &self.settings.hard_limit_factor)
            .field("suppression_refresh", &self.settings.suppression_refresh)
            .field("max_keys", &self.max_keys)
            .field("custom_clock", &self.clock.is_some())
            .finish_non_exhaustive()
    }
}
