//! Limiters from configuration files: rates as text, and [`LimiterConfig`].

mod text;

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Limiter, LocalRateLimiter, LocalRateLimiterBuilder, Strategy, TrypemaError};
#[cfg(feature = "redis")]
use crate::{OnUnavailable, RedisRateLimiter, RedisRateLimiterBuilder};

/// The longest pause between two sweeps for [`LimiterConfig::stale_after`].
const INTERVAL: Duration = Duration::from_secs(30);

/// A limiter as a file describes it: provider, strategy and settings, in any format that serde reads.
///
/// Every setting may be left out; it then has the default of the provider's builder, which also documents
/// it. Times are text: a whole number and a unit from `ms` to `week`. An unknown setting is an error that
/// names it; from [`build`](LimiterConfig::build), so is a setting that the provider does not use.
///
/// ```
/// use trypema::{LimiterConfig, RateLimit};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config: LimiterConfig = toml::from_str(
///     r#"
///     provider = "local"
///     strategy = "absolute"
///     window = "1min"
///     max_keys = 100000
///     stale_after = "10min"
///     "#,
/// )?;
/// let limiter = config.build()?;
/// let rate: RateLimit = "100/minute".parse()?;
/// assert!(limiter.inc("alice", &rate, 1)?.is_allowed());
///
/// let error = toml::from_str::<LimiterConfig>("max_key = 100").unwrap_err();
/// assert!(error.to_string().contains("unknown field `max_key`"));
/// # Ok(())
/// # }
/// ```
///
/// Clocks, observers and certificates are not in files: [`local_builder`](LimiterConfig::local_builder)
#[cfg_attr(
    feature = "redis",
    doc = "and [`redis_builder`](LimiterConfig::redis_builder) give a builder to set them with."
)]
#[cfg_attr(not(feature = "redis"), doc = "gives a builder to set them with.")]
///
/// `Debug` does not show the URL, which may hold a password; writing the configuration to a file does.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LimiterConfig {
    /// The place of the state. Default: `local`.
    pub provider: Provider,
    /// The behaviour near the limit: `absolute` or `suppressed`. Default: `absolute`.
    pub strategy: Strategy,
    /// The windows that rates are judged over: a time, or a list of them. May be written `window`.
    /// Unless there are any, each rate is judged over its own period.
    #[serde(alias = "window", with = "text::times", skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Duration>,
    /// The grain of time, where there is one window.
    #[serde(with = "text::time", skip_serializing_if = "Option::is_none")]
    pub bucket: Option<Duration>,
    /// For `suppressed`: the hard limit as a multiple of the capacity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hard_limit_factor: Option<f64>,
    /// For `suppressed`: how long a key's perceived rate is used before it is computed again.
    #[serde(with = "text::time", skip_serializing_if = "Option::is_none")]
    pub suppression_refresh: Option<Duration>,
    /// Local: the most keys to hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_keys: Option<usize>,
    /// Local: a background thread forgets keys that have been idle for this time. It looks every 30 s, or
    /// at intervals of this time if that is shorter. Without this setting no such thread runs, and keys are
    /// held for ever, up to `max_keys`.
    #[serde(with = "text::time", skip_serializing_if = "Option::is_none")]
    pub stale_after: Option<Duration>,
    /// Redis: its URL, for example `redis://127.0.0.1:6379`.
    #[cfg(feature = "redis")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Redis: the prefix of the names of all keys.
    #[cfg(feature = "redis")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Redis: the most connections to each server.
    #[cfg(feature = "redis")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool_size: Option<usize>,
    /// Redis: a connection that was idle for this time is not used again.
    #[cfg(feature = "redis")]
    #[serde(with = "text::time", skip_serializing_if = "Option::is_none")]
    pub max_idle: Option<Duration>,
    /// Redis: a connection of this age is not used again.
    #[cfg(feature = "redis")]
    #[serde(with = "text::time", skip_serializing_if = "Option::is_none")]
    pub max_lifetime: Option<Duration>,
    /// Redis: the longest that a call may take.
    #[cfg(feature = "redis")]
    #[serde(with = "text::time", skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
    /// Redis: how to answer calls during an outage: `error`, `allow`, `reject` or `local`.
    #[cfg(feature = "redis")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_unavailable: Option<OnUnavailable>,
    /// Redis, with `local` for `on_unavailable`: the share of a rate that this process may admit by
    /// itself.
    #[cfg(feature = "redis")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_share: Option<f64>,
    /// Redis: how long a rejection may be repeated without asking again. `"0ms"` turns it off.
    #[cfg(feature = "redis")]
    #[serde(with = "text::time", skip_serializing_if = "Option::is_none")]
    pub denial_cache: Option<Duration>,
}

/// The place where a limiter keeps its state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Provider {
    /// In this process: `local`.
    #[default]
    Local,
    /// In Redis: `redis`.
    #[cfg(feature = "redis")]
    Redis,
}

impl Default for LimiterConfig {
    fn default() -> Self {
        Self {
            provider: Provider::Local,
            strategy: Strategy::Absolute,
            windows: Vec::new(),
            bucket: None,
            hard_limit_factor: None,
            suppression_refresh: None,
            max_keys: None,
            stale_after: None,
            #[cfg(feature = "redis")]
            url: None,
            #[cfg(feature = "redis")]
            prefix: None,
            #[cfg(feature = "redis")]
            pool_size: None,
            #[cfg(feature = "redis")]
            max_idle: None,
            #[cfg(feature = "redis")]
            max_lifetime: None,
            #[cfg(feature = "redis")]
            deadline: None,
            #[cfg(feature = "redis")]
            on_unavailable: None,
            #[cfg(feature = "redis")]
            local_share: None,
            #[cfg(feature = "redis")]
            denial_cache: None,
        }
    }
}

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
            self: url, prefix, pool_size, max_idle, max_lifetime, deadline, on_unavailable, local_share, denial_cache
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
        set!(builder from self: bucket, hard_limit_factor, suppression_refresh, max_keys);
        Ok(builder)
    }

    /// A builder with these settings, for settings that a file cannot hold: certificates, for example. The
    /// caller picks the strategy.
    ///
    /// # Errors
    /// [`TrypemaError::InvalidConfig`] if there is no URL, and for a setting that a limiter over Redis
    /// does not use.
    #[cfg(feature = "redis")]
    pub fn redis_builder(&self) -> Result<RedisRateLimiterBuilder, TrypemaError> {
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
        set!(builder from self: bucket, hard_limit_factor, suppression_refresh);
        set!(builder from self: prefix, pool_size, max_idle, max_lifetime, deadline, on_unavailable, local_share, denial_cache);
        Ok(builder)
    }
}

/// The error for a setting that would be ignored. It does not show the value, which may be a secret.
#[cfg(feature = "redis")]
fn of_no_use(field: &'static str, allowed: &str) -> TrypemaError {
    TrypemaError::InvalidConfig { field, given: "set".to_owned(), allowed: allowed.to_owned() }
}

impl fmt::Debug for LimiterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut config = f.debug_struct("LimiterConfig");
        config
            .field("provider", &self.provider)
            .field("strategy", &self.strategy)
            .field("windows", &self.windows)
            .field("bucket", &self.bucket)
            .field("hard_limit_factor", &self.hard_limit_factor)
            .field("suppression_refresh", &self.suppression_refresh)
            .field("max_keys", &self.max_keys)
            .field("stale_after", &self.stale_after);
        #[cfg(feature = "redis")]
        config
            .field("url", &self.url.as_ref().map(|_| "set"))
            .field("prefix", &self.prefix)
            .field("pool_size", &self.pool_size)
            .field("max_idle", &self.max_idle)
            .field("max_lifetime", &self.max_lifetime)
            .field("deadline", &self.deadline)
            .field("on_unavailable", &self.on_unavailable)
            .field("local_share", &self.local_share)
            .field("denial_cache", &self.denial_cache);
        config.finish()
    }
}

impl Serialize for Provider {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Local => "local",
            #[cfg(feature = "redis")]
            Self::Redis => "redis",
        })
    }
}

/// By hand, to tell a provider that was not built in from one that does not exist.
impl<'de> Deserialize<'de> for Provider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(ProviderName)
    }
}

struct ProviderName;

impl Visitor<'_> for ProviderName {
    type Value = Provider;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a provider: \"local\" or \"redis\"")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Provider, E> {
        match name {
            "local" => Ok(Provider::Local),
            #[cfg(feature = "redis")]
            "redis" => Ok(Provider::Redis),
            #[cfg(not(feature = "redis"))]
            "redis" => Err(E::custom("the provider redis needs trypema's feature `redis`")),
            _ => Err(E::unknown_variant(name, &["local", "redis"])),
        }
    }
}
