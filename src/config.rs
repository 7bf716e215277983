//! Limiters from configuration files: rates as text, and [`LimiterConfig`].

mod build;
mod provider;
mod text;

use core::fmt;
use core::time::Duration;
#[cfg(feature = "redis")]
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[cfg(feature = "redis")]
use crate::OnUnavailable;
use crate::Strategy;
pub use provider::Provider;

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
/// Clocks and observers are not in files: [`local_builder`](LimiterConfig::local_builder)
#[cfg_attr(
    feature = "redis",
    doc = "[`redis_builder`](LimiterConfig::redis_builder) and [`hybrid_builder`](LimiterConfig::hybrid_builder) give a builder to set them with."
)]
#[cfg_attr(not(feature = "redis"), doc = "gives a builder to set them with.")]
/// A program that shuts down in order (`close`) or is watched (`stats`) takes such a builder, too: the trait
/// [`Limiter`](crate::Limiter) that [`build`](LimiterConfig::build) hands out has neither.
///
/// `Debug` shows no password, key or URL, which may hold a password; writing the configuration to a file does.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// The most threads that may wait in `acquire` for the same key in the same window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_waiting: Option<usize>,
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
    /// Redis: the most keys that the denial cache holds.
    #[cfg(feature = "redis")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denial_cache_keys: Option<usize>,
    /// Redis: after so many failures in a row, a server is not asked for a while.
    #[cfg(feature = "redis")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker_failures: Option<u32>,
    /// Redis: for how long.
    #[cfg(feature = "redis")]
    #[serde(with = "text::time", skip_serializing_if = "Option::is_none")]
    pub breaker_pause: Option<Duration>,
    /// Redis: the user, if the URL does not name it. Goes with a password.
    #[cfg(feature = "redis")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Redis: the password, if the URL does not contain it.
    #[cfg(feature = "redis")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Redis: the user for the Sentinels. Goes with a password.
    #[cfg(feature = "redis")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel_user: Option<String>,
    /// Redis: the password for the Sentinels.
    #[cfg(feature = "redis")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel_password: Option<String>,
    /// Redis, for TLS: the certificates of the authorities to trust, as PEM text.
    #[cfg(feature = "redis")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_roots: Option<String>,
    /// Redis, for TLS: the certificate that this client shows, with those that lead to the authority, as PEM
    /// text. Goes with a key.
    #[cfg(feature = "redis")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_certificates: Option<String>,
    /// Redis, for TLS: the private key of that certificate, as PEM text.
    #[cfg(feature = "redis")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<String>,
    /// Redis: for addresses that a cluster or a Sentinel announces, such as `10.0.0.1:6379`, those that lead there
    /// from here. Others are left as they are.
    #[cfg(feature = "redis")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_map: Option<BTreeMap<String, String>>,
    /// Hybrid, which also takes all settings of Redis: how long this process may spend units after Redis has
    /// counted them.
    #[cfg(feature = "redis")]
    #[serde(with = "text::time", skip_serializing_if = "Option::is_none")]
    pub lease: Option<Duration>,
}

impl fmt::Debug for LimiterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        macro_rules! debug {
            ($config:ident: $($shown:ident),+; $($secret:ident),*) => {
                $($config.field(stringify!($shown), &self.$shown);)+
                $($config.field(stringify!($secret), &self.$secret.as_ref().map(|_| "set"));)*
            };
        }
        let mut config = f.debug_struct("LimiterConfig");
        debug!(config: provider, strategy, windows, bucket, hard_limit_factor, suppression_refresh;);
        debug!(config: max_waiting, max_keys, stale_after;);
        #[cfg(feature = "redis")]
        {
            debug!(config: prefix, deadline, on_unavailable, local_share; url);
            debug!(config: denial_cache, denial_cache_keys, breaker_failures, breaker_pause;);
            debug!(config: pool_size, max_idle, max_lifetime, address_map;);
            debug!(config: user, sentinel_user; password, sentinel_password);
            debug!(config: tls_roots, tls_certificates, lease; tls_key);
        }
        config.finish()
    }
}
