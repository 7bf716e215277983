//! Settings: those of a limiter over Redis, and the lease.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use crate::clock::Clock;
use crate::hybrid::{HybridRateLimiter, fork};
use crate::redis::windows::Leasing;
use crate::redis::{OnUnavailable, RedisConnections, RedisEvent, RedisRateLimiterBuilder};
use crate::{RedisRateLimiter, TrypemaError};

/// Settings of a [`HybridRateLimiter`], made by
/// [`HybridRateLimiter::builder`](HybridRateLimiter::builder).
///
/// All but [`lease`](HybridRateLimiterBuilder::lease) are those of a [`RedisRateLimiterBuilder`], which
/// documents them.
#[must_use = "a builder does nothing until it is built"]
pub struct HybridRateLimiterBuilder {
    redis: RedisRateLimiterBuilder,
    /// `None`: by the window.
    lease: Option<Duration>,
}

/// Setters that are handed on.
macro_rules! redis_setters {
    ($($setter:ident($($name:ident: $type:ty),+);)+) => {$(
        #[doc = concat!("See [`RedisRateLimiterBuilder::", stringify!($setter), "`].")]
        pub fn $setter(mut self, $($name: $type),+) -> Self {
            self.redis = self.redis.$setter($($name),+);
            self
        }
    )+};
}

impl HybridRateLimiterBuilder {
    pub(crate) fn new(url: String) -> Self {
        Self { redis: RedisRateLimiter::builder(url), lease: None }
    }

    /// How long this process may spend units after Redis has counted them. Default: the hundredth part of
    /// each window, but no less than 10 ms and no more than a second. A whole number of milliseconds, at
    /// least 1 ms, and at most the shortest window that is set; a window of a rate's own period that is shorter
    /// than this has leases of its own length.
    ///
    /// Longer leases ask Redis less often. But all units count for as much longer, so that in the long run a
    /// key admits `window / (window + lease)` of its rate; and units that this process leased and does not spend
    /// are kept from others for as long. Limiters with different leases never meet in Redis.
    ///
    /// ```
    /// use std::time::Duration;
    /// use trypema::{HybridRateLimiter, RateLimit};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let url = "redis://127.0.0.1:6379"; // nothing is connected to yet
    /// let limiter = HybridRateLimiter::builder(url).lease(Duration::from_millis(50)).build()?;
    /// assert_eq!(limiter.lease(&RateLimit::per_second(100)?), Duration::from_millis(50));
    /// let limiter = HybridRateLimiter::builder(url).build()?;
    /// assert_eq!(limiter.lease(&RateLimit::per_minute(100)?), Duration::from_millis(600));
    /// # Ok(())
    /// # }
    /// ```
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }

    redis_setters! {
        window(window: Duration);
        windows(windows: impl IntoIterator<Item = Duration>);
        bucket(bucket: Duration);
        hard_limit_factor(factor: f64);
        suppression_refresh(refresh: Duration);
        random(random: impl crate::Random + 'static);
        prefix(prefix: impl Into<String>);
        connections(connections: &RedisConnections);
        pool_size(connections: usize);
        max_idle(time: Duration);
        max_lifetime(time: Duration);
        address_map(map: impl Fn(&str, u16) -> Option<(String, u16)> + Send + Sync + 'static);
        deadline(deadline: Duration);
        on_unavailable(policy: OnUnavailable);
        local_share(share: f64);
        max_waiting(threads: usize);
        denial_cache(longest: Duration);
        denial_cache_keys(keys: usize);
        observer(observer: impl Fn(&RedisEvent<'_>) + Send + Sync + 'static);
        breaker(failures: u32, pause: Duration);
        tls_roots(pem: impl Into<Vec<u8>>);
        tls_config(config: Arc<rustls::ClientConfig>);
        tls_client(certificates: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>);
        credentials(user: impl Into<String>, password: impl Into<String>);
        sentinel_credentials(user: impl Into<String>, password: impl Into<String>);
    }

    /// Overrides the server's time and this process's, for tests.
    #[doc(hidden)]
    pub fn server_time(mut self, clock: impl Clock + 'static) -> Self {
        self.redis = self.redis.server_time(clock);
        self
    }

    /// With the settings that it shares with limiters over Redis.
    #[cfg(feature = "serde")]
    pub(crate) fn over(redis: RedisRateLimiterBuilder) -> Self {
        Self { redis, lease: None }
    }

    /// Checks the settings and builds the limiter. Nothing is connected to yet.
    ///
    /// # Errors
    /// Those of [`RedisRateLimiterBuilder::build`], and [`TrypemaError::InvalidConfig`] for a lease that is no
    /// whole number of milliseconds, is below 1 ms, or is longer than a window that was set.
    pub fn build(self) -> Result<HybridRateLimiter, TrypemaError> {
        let leasing = self.lease.map_or(Ok(Leasing::ByWindow), leasing)?;
        let parts = self.redis.parts(leasing)?;
        let windows = parts.plan.windowing.fixed();
        if let Some(lease) = self.lease
            && windows.iter().any(|window| window.window() < lease)
        {
            let allowed = "a lease is at most the window";
            return Err(TrypemaError::config("lease", lease, allowed));
        }
        if !fork::watch() {
            let allowed =
                "the system must be able to tell when this process forks: it is out of memory";
            return Err(TrypemaError::config("lease", "any", allowed));
        }
        Ok(HybridRateLimiter::new(parts))
    }
}

fn leasing(lease: Duration) -> Result<Leasing, TrypemaError> {
    let millis = u64::try_from(lease.as_millis()).ok();
    match millis.filter(|millis| Duration::from_millis(*millis) == lease) {
        Some(millis @ 1..) => Ok(Leasing::Millis(millis)),
        _ => {
            let allowed = "it must be a whole number of milliseconds, at least 1 ms";
            Err(TrypemaError::config("lease", lease, allowed))
        }
    }
}

impl fmt::Debug for HybridRateLimiterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HybridRateLimiterBuilder")
            .field("redis", &self.redis)
            .field("lease", &self.lease)
            .finish()
    }
}
