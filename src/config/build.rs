//! Limiters and builders from a configuration.

use core::time::Duration;
#[cfg(feature = "redis")]
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{LimiterConfig, Provider};
#[cfg(feature = "redis")]
use crate::{
    HybridRateLimiterBuilder, RedisConnectionSettings, RedisRateLimiter, RedisRateLimiterBuilder,
};
use crate::{Limiter, LocalRateLimiter, LocalRateLimiterBuilder, Strategy, TrypemaError};

/// The longest pause between two sweeps for [`LimiterConfig::stale_after`].
const INTERVAL: Duration = Duration::from_secs(30);

/// Gives a builder what the file sets.
macro_rules! set {
    ($builder:ident from $config:ident: $($setting:ident),+) => {$(
        if let Some(value) = $config.$setting.clone() {
            $builder = $builder.$setting(value);
        }
    )+};
}

/// The name of the first of the settings that is there.
#[cfg(feature = "redis")]
macro_rules! first_set {
    ($config:ident: $($setting:ident),+) => {
        [$(($config.$setting.is_some(), stringify!($setting))),+]
            .into_iter()
            .find_map(|(is_set, name)| is_set.then_some(name))
    };
}

impl LimiterConfig {
    /// The limiter that this describes, with its strategy. It runs a thread of its own if
    /// `stale_after` is set, until its last clone is dropped. Over Redis nothing is connected to yet.
    ///
    /// The trait has no `close` and no `stats`: a program that shuts down in order, or is watched, takes
    /// `local_builder` (or `redis_builder`, `hybrid_builder`), and starts the cleanup loop itself.
    ///
    /// # Errors
    /// [`TrypemaError::InvalidConfig`] for a setting that is missing, that the provider does not use, or
    /// that its builder refuses.
    ///
    /// # Panics
    /// If `stale_after` is set and the system cannot start a thread.
    pub fn build(&self) -> Result<Arc<dyn Limiter>, TrypemaError> {
        match self.provider {
            Provider::Local => {
                let limiter = self.local_builder()?.build()?;
                if let Some(stale_after) = self.stale_after {
                    limiter.run_cleanup_loop_with(stale_after, stale_after.min(INTERVAL));
                }
                Ok(match self.strategy {
                    Strategy::Absolute => Arc::new(limiter.absolute().clone()),
                    Strategy::Suppressed => Arc::new(limiter.suppressed().clone()),
                })
            }
            #[cfg(feature = "redis")]
            Provider::Redis => {
                let limiter = self.redis_builder()?.build()?;
                Ok(match self.strategy {
                    Strategy::Absolute => Arc::new(limiter.absolute().clone()),
                    Strategy::Suppressed => Arc::new(limiter.suppressed().clone()),
                })
            }
            #[cfg(feature = "redis")]
            Provider::Hybrid => {
                let limiter = self.hybrid_builder()?.build()?;
                Ok(match self.strategy {
                    Strategy::Absolute => Arc::new(limiter.absolute().clone()),
                    Strategy::Suppressed => Arc::new(limiter.suppressed().clone()),
                })
            }
        }
    }

    /// A builder with these settings, for settings that a file cannot hold: a clock, an observer, another
    /// type of key. The caller picks the strategy, and starts the thread that forgets idle keys.
    ///
    /// ```
    /// use core::time::Duration;
    /// use trypema::{LimiterConfig, ManualClock, RateLimit};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let config: LimiterConfig = toml::from_str(r#"window = "10s""#)?;
    /// let clock = ManualClock::new();
    /// let limiter = config.local_builder()?.clock(clock.clone()).build()?;
    /// assert!(limiter.absolute().inc("alice", &"1/10s".parse()?, 1).is_allowed());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TrypemaError::InvalidConfig`] for a setting that a limiter in this process does not use.
    pub fn local_builder(&self) -> Result<LocalRateLimiterBuilder, TrypemaError> {
        #[cfg(feature = "redis")]
        if let Some(field) = first_set!(
            self: url, prefix, pool_size, max_idle, max_lifetime, deadline, on_unavailable, local_share,
            denial_cache, denial_cache_keys, breaker_failures, breaker_pause, user, password, sentinel_user,
            sentinel_password, tls_roots, tls_certificates, tls_key, address_map, lease
        ) {
            return Err(of_no_use(field, "only a limiter over Redis uses it"));
        }
        if self.stale_after.is_some_and(|time| time.is_zero()) {
            let allowed = "it must be above zero";
            return Err(TrypemaError::config("stale_after", Duration::ZERO, allowed));
        }
        let mut builder = LocalRateLimiter::builder();
        if !self.windows.is_empty() {
            builder = builder.windows(self.windows.iter().copied());
        }
        set!(builder from self: bucket, hard_limit_factor, suppression_refresh, max_waiting, max_keys);
        Ok(builder)
    }

    /// A builder with these settings, for settings that a file cannot hold: an observer, for example. The
    /// caller picks the strategy.
    ///
    /// # Errors
    /// [`TrypemaError::InvalidConfig`] if there is no URL, for a setting that a limiter over Redis does not
    /// use, for one that lacks another which it goes with, and for an address that is none.
    #[cfg(feature = "redis")]
    pub fn redis_builder(&self) -> Result<RedisRateLimiterBuilder, TrypemaError> {
        if self.lease.is_some() {
            return Err(of_no_use("lease", "only a hybrid limiter uses it"));
        }
        self.over_redis()
    }

    /// The same for a hybrid limiter.
    ///
    /// # Errors
    /// As [`redis_builder`](LimiterConfig::redis_builder).
    #[cfg(feature = "redis")]
    pub fn hybrid_builder(&self) -> Result<HybridRateLimiterBuilder, TrypemaError> {
        let mut builder = HybridRateLimiterBuilder::over(self.over_redis()?);
        set!(builder from self: lease);
        Ok(builder)
    }

    #[cfg(feature = "redis")]
    fn over_redis(&self) -> Result<RedisRateLimiterBuilder, TrypemaError> {
        if let Some(field) = first_set!(self: max_keys, stale_after) {
            return Err(of_no_use(field, "only a limiter in this process uses it"));
        }
        let Some(url) = &self.url else {
            let allowed = "a limiter over Redis needs one, such as redis://127.0.0.1:6379";
            let given = "not set".to_owned();
            return Err(TrypemaError::InvalidConfig {
                field: "url",
                given,
                allowed: allowed.into(),
            });
        };
        let mut builder = RedisRateLimiter::builder(url);
        if !self.windows.is_empty() {
            builder = builder.windows(self.windows.iter().copied());
        }
        set!(builder from self: bucket, hard_limit_factor, suppression_refresh, max_waiting);
        set!(builder from self: prefix, pool_size, max_idle, max_lifetime, deadline, on_unavailable);
        set!(builder from self: local_share, denial_cache, denial_cache_keys, tls_roots);
        if self.breaker_failures.is_some() || self.breaker_pause.is_some() {
            let (failures, pause) = RedisConnectionSettings::BREAKER;
            builder = builder.breaker(
                self.breaker_failures.unwrap_or(failures),
                self.breaker_pause.unwrap_or(pause),
            );
        }
        if let Some((user, password)) = pair(("user", &self.user), ("password", &self.password))? {
            builder = builder.credentials(user, password);
        }
        let sentinel = ("sentinel_user", &self.sentinel_user);
        if let Some((user, password)) =
            pair(sentinel, ("sentinel_password", &self.sentinel_password))?
        {
            builder = builder.sentinel_credentials(user, password);
        }
        let certificates = ("tls_certificates", &self.tls_certificates);
        if let Some((certificates, key)) = pair(certificates, ("tls_key", &self.tls_key))? {
            if certificates.is_empty() {
                return Err(of_no_use("tls_key", "it goes with `tls_certificates`"));
            }
            builder = builder.tls_client(certificates, key);
        }
        if let Some(map) = &self.address_map {
            let map = addresses(map)?;
            builder =
                builder.address_map(move |host, port| map.get(&(host.to_owned(), port)).cloned());
        }
        Ok(builder)
    }
}

/// The error for a setting that would be ignored. It does not show the value, which may be a secret.
#[cfg(feature = "redis")]
fn of_no_use(field: &'static str, allowed: &str) -> TrypemaError {
    TrypemaError::InvalidConfig { field, given: "set".to_owned(), allowed: allowed.to_owned() }
}

/// The first with the second; the second goes without the first, which then is empty.
#[cfg(feature = "redis")]
fn pair(
    first: (&'static str, &Option<String>),
    second: (&'static str, &Option<String>),
) -> Result<Option<(String, String)>, TrypemaError> {
    match (first, second) {
        ((_, None), (_, None)) => Ok(None),
        ((_, first), (_, Some(second))) => {
            Ok(Some((first.clone().unwrap_or_default(), second.clone())))
        }
        ((first, Some(_)), (second, None)) => {
            Err(of_no_use(first, &format!("it goes with `{second}`")))
        }
    }
}

#[cfg(feature = "redis")]
type Addresses = BTreeMap<(String, u16), (String, u16)>;

#[cfg(feature = "redis")]
fn addresses(map: &BTreeMap<String, String>) -> Result<Addresses, TrypemaError> {
    let address = |text: &String| {
        let allowed = "an address is a host and a port, such as \"10.0.0.1:6379\"";
        let address = text.rsplit_once(':').and_then(|(host, port)| {
            let host =
                host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            (!host.is_empty()).then_some((host.to_owned(), port.parse().ok()?))
        });
        address.ok_or_else(|| TrypemaError::config("address_map", text, allowed))
    };
    map.iter().map(|(from, to)| Ok((address(from)?, address(to)?))).collect()
}
