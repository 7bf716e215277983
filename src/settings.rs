//! The settings that every provider has: their setters, defaults and checks.

use core::time::Duration;
use std::sync::Arc;

use crate::policy::Grid;
use crate::random::Random;
use crate::window::Layout;
use crate::{RateLimit, TrypemaError};

/// The most windows that a limiter can be given.
const MOST_WINDOWS: usize = 8;
/// The default bucket is the window over this, in whole milliseconds.
const DEFAULT_BUCKETS: u64 = 600;

/// As they were given, not checked yet.
#[derive(Clone)]
pub(crate) struct Settings {
    /// `None`: each rate is judged over its own period.
    pub(crate) windows: Option<Vec<Duration>>,
    pub(crate) bucket: Option<Duration>,
    pub(crate) hard_limit_factor: f64,
    pub(crate) suppression_refresh: Duration,
    pub(crate) max_waiting: usize,
    /// `None`: the default source, drawn from without an indirect call.
    pub(crate) random: Option<Arc<dyn Random>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            windows: None,
            bucket: None,
            hard_limit_factor: 1.5,
            suppression_refresh: Duration::from_millis(100),
            max_waiting: usize::MAX,
            random: None,
        }
    }
}

impl Settings {
    /// The windows, checked.
    ///
    /// # Errors
    /// [`TrypemaError::InvalidConfig`] for windows, a bucket or a factor that cannot be honoured.
    pub(crate) fn windowing(&self) -> Result<Windowing, TrypemaError> {
        let factor = self.hard_limit_factor;
        if !(factor.is_finite() && factor >= 1.0) {
            let allowed = "it must be a finite number, at least 1";
            return Err(TrypemaError::config("hard_limit_factor", factor, allowed));
        }
        let mut windows = match &self.windows {
            Some(windows) if (1..=MOST_WINDOWS).contains(&windows.len()) => windows.clone(),
            Some(windows) => {
                let allowed = format!("a limiter has 1 to {MOST_WINDOWS} windows");
                return Err(TrypemaError::config("windows", windows, allowed));
            }
            None => Vec::new(),
        };
        windows.sort_unstable();
        if let Some(twice) = windows.windows(2).find(|pair| pair[0] == pair[1]) {
            let allowed = "no two windows may be alike";
            return Err(TrypemaError::config("windows", twice[0], allowed));
        }
        if let (Some(bucket), false) = (self.bucket, windows.len() == 1) {
            let allowed = "a bucket goes with exactly one window: set that by `window`";
            return Err(TrypemaError::config("bucket", bucket, allowed));
        }
        let grid = |window: Duration| {
            let bucket = self.bucket.unwrap_or_else(|| default_bucket(window));
            Grid::new(window, bucket, Layout::LONGEST_SPAN)
        };
        Ok(Windowing(windows.into_iter().map(grid).collect::<Result<_, _>>()?))
    }
}

/// Says which window each rate is judged over.
///
/// Without windows of its own a limiter judges each rate over the rate's own period. With some, over
/// the shortest that is no shorter than the period, else over the longest.
#[derive(Debug, Clone)]
pub(crate) struct Windowing(Vec<Grid>);

impl Windowing {
    /// The windows that were set, the shortest first; none: each rate has its own period's.
    pub(crate) fn fixed(&self) -> &[Grid] {
        &self.0
    }
}

/// The window of a rate's own period.
pub(crate) fn own_grid(period_ms: u64) -> Grid {
    let window = Duration::from_millis(period_ms);
    #[expect(
        clippy::expect_used,
        reason = "a rate's period is whole milliseconds, at most 100 years"
    )]
    Grid::new(window, default_bucket(window), Layout::LONGEST_SPAN).expect("a period is a window")
}

/// A 600th of the window, in whole milliseconds, rounded up.
fn default_bucket(window: Duration) -> Duration {
    let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis.div_ceil(DEFAULT_BUCKETS).max(1))
}

/// The window in use that judges a rate of another period: the shortest that is longer, else the
/// longest. `windows_ms` is not empty.
pub(crate) fn nearest(windows_ms: impl Iterator<Item = u64> + Clone, rate: &RateLimit) -> u64 {
    let period_ms = rate.period_ms();
    let longer = windows_ms.clone().filter(|window_ms| *window_ms >= period_ms).min();
    longer.or_else(|| windows_ms.max()).unwrap_or(period_ms)
}

/// The setters of the settings above, for a builder with a field `settings`.
macro_rules! setters {
    () => {
        /// Judges every rate over this one sliding window: a rate's capacity is what it allows in this
        /// time. Without it, and without [`windows`](Self::windows), each rate is judged over its own
        /// period: `10/second` is 10 in any second, `5000/day` is 5000 in any 24 hours.
        ///
        /// A whole number of milliseconds. One that is not a whole number of buckets is held for the
        /// next longer time that is; capacities are still taken over the window given here. A rate that
        /// allows less than one unit in this time has a capacity of 0, and admits nothing.
        ///
        /// ```
        /// use std::time::Duration;
        /// use trypema::{LocalRateLimiter, RateLimit};
        ///
        /// # fn main() -> Result<(), trypema::TrypemaError> {
        /// let limiter = LocalRateLimiter::builder().window(Duration::from_secs(10)).build()?;
        /// assert_eq!(limiter.capacity(&RateLimit::per_minute(60)?), 10);
        /// assert_eq!(limiter.capacity(&RateLimit::per_hour(60)?), 0);
        /// # Ok(())
        /// # }
        /// ```
        pub fn window(self, window: core::time::Duration) -> Self {
            self.windows([window])
        }

        /// Judges rates over these windows, 1 to 8 of them, no two alike: each rate over the shortest
        /// that is no shorter than its period, else over the longest, by its capacity in that. Of
        /// `window` and `windows` the later call counts.
        ///
        /// Windows are separate: units counted in one do not count in another.
        ///
        /// ```
        /// use std::time::Duration;
        /// use trypema::{LocalRateLimiter, RateLimit};
        ///
        /// # fn main() -> Result<(), trypema::TrypemaError> {
        /// let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3_600));
        /// let limiter = LocalRateLimiter::builder().windows([second, hour]).build()?;
        /// assert_eq!(limiter.window(&RateLimit::per_second(5)?), second);
        /// assert_eq!(limiter.window(&RateLimit::per_minute(5)?), hour); // the shortest that is no shorter
        /// assert_eq!(limiter.window(&RateLimit::per_day(5)?), hour); // the longest
        /// # Ok(())
        /// # }
        /// ```
        pub fn windows(mut self, windows: impl IntoIterator<Item = core::time::Duration>) -> Self {
            self.settings.windows = Some(windows.into_iter().collect());
            self
        }

        /// The grain of time: units admitted in the same bucket expire together, when the bucket's
        /// *end* is older than the window, hence after more than the window and at most a window and a
        /// bucket. Default: a 600th of each window, at least 1 ms. It can be set with exactly one
        /// [`window`](Self::window). A client that keeps exactly to its rate is rejected now and
        /// then, as its units expire up to a bucket late: give it a slightly higher rate, or finer buckets.
        ///
        /// A whole number of milliseconds, at most the window. Finer buckets make for smoother limits
        /// and take more memory per key, for each bucket in use.
        pub fn bucket(mut self, bucket: core::time::Duration) -> Self {
            self.settings.bucket = Some(bucket);
            self
        }

        /// For the Suppressed strategy: the hard limit as a multiple of the capacity. Default: 1.5.
        /// At least 1; at 1 there is no graceful degradation between the limits.
        pub fn hard_limit_factor(mut self, factor: f64) -> Self {
            self.settings.hard_limit_factor = factor;
            self
        }

        /// For the Suppressed strategy: how long a key's perceived rate is used before it is computed
        /// again. Default: 100 ms. Zero computes it for every call between the limits.
        pub fn suppression_refresh(mut self, refresh: core::time::Duration) -> Self {
            self.settings.suppression_refresh = refresh;
            self
        }

        /// The most threads that may wait in `acquire` for the same key in the same window. Default: no
        /// bound.
        ///
        /// One more gets [`TrypemaError::TooManyWaiting`](crate::TrypemaError::TooManyWaiting) at once. With
        /// 0 nobody waits: a call is admitted at once, or gets that error, or `Timeout` if it has no time.
        pub fn max_waiting(mut self, max_waiting: usize) -> Self {
            self.settings.max_waiting = max_waiting;
            self
        }

        /// The source of the Suppressed strategy's draws. Default: a
        /// [`ThreadRandom`](crate::ThreadRandom). Tests use a [`SeededRandom`](crate::SeededRandom).
        pub fn random(mut self, random: impl crate::Random + 'static) -> Self {
            self.settings.random = Some(std::sync::Arc::new(random));
            self
        }
    };
}
pub(crate) use setters;
