use core::time::Duration;

/// Everything that can go wrong, for every provider.
///
/// A rejection is not an error: it is a [`RateLimitDecision`](crate::RateLimitDecision).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TrypemaError {
    /// A rate that is not a positive, finite number of units per period.
    #[error("invalid rate limit {given}: {allowed}")]
    #[non_exhaustive]
    InvalidRateLimit {
        /// What was given.
        given: String,
        /// What would have been accepted.
        allowed: &'static str,
    },
    /// A builder setting, or a combination of them, that cannot be honoured.
    #[error("invalid configuration: {field} is {given}, but {allowed}")]
    #[non_exhaustive]
    InvalidConfig {
        /// The setting.
        field: &'static str,
        /// What was given.
        given: String,
        /// What would have been accepted.
        allowed: String,
    },
    /// A key that the provider cannot store.
    #[error("invalid key {given:?}: {allowed}")]
    #[non_exhaustive]
    InvalidKey {
        /// What was given.
        given: String,
        /// What would have been accepted.
        allowed: &'static str,
    },
    /// A count beyond what the provider can represent exactly.
    #[error("count {given} is too large: at most {most} units can be counted exactly")]
    #[non_exhaustive]
    CountTooLarge {
        /// What was given.
        given: u64,
        /// The largest count that is accepted.
        most: u64,
    },
    /// `acquire` was not admitted in time. Nothing was counted.
    #[error("not admitted within {waited:?}")]
    #[non_exhaustive]
    Timeout {
        /// How long the caller was willing to wait.
        waited: Duration,
    },
    /// A new key found no room: the limiter holds `max_keys` keys, all of them in use.
    #[error("no room for another key: {max_keys} are in use")]
    #[non_exhaustive]
    TooManyKeys {
        /// The configured bound.
        max_keys: usize,
    },
}

impl TrypemaError {
    pub(crate) fn config(
        field: &'static str,
        given: impl core::fmt::Debug,
        allowed: impl Into<String>,
    ) -> Self {
        Self::InvalidConfig { field, given: format!("{given:?}"), allowed: allowed.into() }
    }
}
