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
    /// Redis, or the way to it, has failed this call.
    #[error("Redis at {address}: {cause}")]
    #[non_exhaustive]
    Redis {
        /// Which server.
        address: String,
        /// What went wrong.
        cause: String,
        /// Whether the server may have done what it was asked for all the same: the request was
        /// sent, and no whole reply came back. It is not sent again, so it counts once at most.
        outcome_unknown: bool,
    },
    /// No connection to Redis came free in time. Nothing was sent.
    #[error("Redis at {address}: all {pool_size} connections were in use for {waited:?}")]
    #[non_exhaustive]
    PoolTimeout {
        /// Which server.
        address: String,
        /// How many connections there may be.
        pool_size: usize,
        /// How long the call was willing to wait.
        waited: Duration,
    },
    /// Redis has failed so often that it is not asked for a while. Nothing was sent.
    #[error("Redis at {address} is left alone for {retry_after:?}, since it failed: {cause}")]
    #[non_exhaustive]
    Unavailable {
        /// Which server.
        address: String,
        /// What it failed with last.
        cause: String,
        /// When it will be asked again.
        retry_after: Duration,
    },
    /// A reply that makes no sense here. Whether the call counted is unknown.
    #[error("unexpected reply from Redis at {address}: {cause}")]
    #[non_exhaustive]
    UnexpectedReply {
        /// Which server.
        address: String,
        /// What is wrong with it.
        cause: String,
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
