use core::time::Duration;

/// Everything that can go wrong, for every provider.
///
/// A rejection is not an error: it is a [`RateLimitDecision`](crate::RateLimitDecision).
#[cfg_attr(
    doc,
    doc = "\nThe guide has [a table](crate::guide::operations#errors): whether the call counted, \
           the HTTP status to answer, and whether to try again."
)]
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TrypemaError {
    /// A rate that is not a positive, finite number of units per period.
    #[error("invalid rate limit {given}: {allowed}")]
    #[non_exhaustive]
    InvalidRateLimit {
        /// The value given.
        given: String,
        /// The values that are accepted.
        allowed: &'static str,
    },
    /// A builder setting, or a combination of them, that cannot be honoured.
    #[error("invalid configuration: {field} is {given}, but {allowed}")]
    #[non_exhaustive]
    InvalidConfig {
        /// The setting.
        field: &'static str,
        /// The value given.
        given: String,
        /// The values that are accepted.
        allowed: String,
    },
    /// A key that the provider cannot store.
    #[error("invalid key {given:?}: {allowed}")]
    #[non_exhaustive]
    InvalidKey {
        /// The value given.
        given: String,
        /// The values that are accepted.
        allowed: &'static str,
    },
    /// A count beyond what the provider can represent exactly.
    #[error("count {given} is too large: at most {most} units can be counted exactly")]
    #[non_exhaustive]
    CountTooLarge {
        /// The value given.
        given: u64,
        /// The largest count that is accepted.
        most: u64,
    },
    /// `acquire` asked for more than can ever be admitted: more than the rate's capacity in its window,
    /// or under Suppressed more than the hard limit. Nothing was counted.
    #[error("{asked} units can never be admitted: at most {capacity} fit into {window:?}")]
    #[non_exhaustive]
    ExceedsCapacity {
        /// The units that were asked for.
        asked: u64,
        /// The most that can be admitted at once.
        capacity: u64,
        /// The window that the rate is judged over.
        window: Duration,
    },
    /// `acquire` found the line of its key full. Nothing was counted.
    #[error("{max_waiting} threads are waiting for this key already")]
    #[non_exhaustive]
    TooManyWaiting {
        /// The configured bound.
        max_waiting: usize,
    },
    /// `acquire` on a limiter that was closed, before the call or while it waited. Nothing was counted.
    #[error("the limiter was closed")]
    Closed,
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
    /// Redis, or the network path to it, has failed this call.
    #[error("Redis at {address}: {cause}")]
    #[non_exhaustive]
    Redis {
        /// The server.
        address: String,
        /// The failure.
        cause: String,
        /// Whether the server may have carried out the request all the same: the request was sent, and no
        /// whole reply came back. It is not sent again, so it counts once at most.
        outcome_unknown: bool,
    },
    /// No connection to Redis came free in time. Nothing was sent.
    #[error("Redis at {address}: all {pool_size} connections were in use for {waited:?}")]
    #[non_exhaustive]
    PoolTimeout {
        /// The server.
        address: String,
        /// How many connections there may be.
        pool_size: usize,
        /// How long the call was willing to wait.
        waited: Duration,
    },
    /// Redis has failed so often that it is not asked for a while: the breaker is open. Nothing was sent.
    #[error("Redis at {address} is not asked for {retry_after:?}, since it failed: {cause}")]
    #[non_exhaustive]
    Unavailable {
        /// The server.
        address: String,
        /// Its last failure.
        cause: String,
        /// When it will be asked again.
        retry_after: Duration,
    },
    /// A reply that makes no sense here. Whether the call counted is unknown.
    #[error("unexpected reply from Redis at {address}: {cause}")]
    #[non_exhaustive]
    UnexpectedReply {
        /// The server.
        address: String,
        /// The fault in the reply.
        cause: String,
    },
}

/// Errors for limiters of your own, such as fakes in tests.
///
/// ```
/// use core::time::Duration;
/// use trypema::TrypemaError;
///
/// let error = TrypemaError::redis("cache:6379", "it closed the connection", true);
/// assert!(matches!(error, TrypemaError::Redis { outcome_unknown: true, .. }));
/// assert_eq!(
///     TrypemaError::exceeds_capacity(3, 2, Duration::from_secs(1)).to_string(),
///     "3 units can never be admitted: at most 2 fit into 1s",
/// );
/// ```
impl TrypemaError {
    /// [`TrypemaError::InvalidRateLimit`].
    #[must_use]
    pub fn invalid_rate_limit(given: impl Into<String>, allowed: &'static str) -> Self {
        Self::InvalidRateLimit { given: given.into(), allowed }
    }

    /// [`TrypemaError::InvalidConfig`].
    #[must_use]
    pub fn invalid_config(
        field: &'static str,
        given: impl Into<String>,
        allowed: impl Into<String>,
    ) -> Self {
        Self::InvalidConfig { field, given: given.into(), allowed: allowed.into() }
    }

    /// [`TrypemaError::InvalidKey`].
    #[must_use]
    pub fn invalid_key(given: impl Into<String>, allowed: &'static str) -> Self {
        Self::InvalidKey { given: given.into(), allowed }
    }

    /// [`TrypemaError::CountTooLarge`].
    #[must_use]
    pub const fn count_too_large(given: u64, most: u64) -> Self {
        Self::CountTooLarge { given, most }
    }

    /// [`TrypemaError::ExceedsCapacity`].
    #[must_use]
    pub const fn exceeds_capacity(asked: u64, capacity: u64, window: Duration) -> Self {
        Self::ExceedsCapacity { asked, capacity, window }
    }

    /// [`TrypemaError::TooManyWaiting`].
    #[must_use]
    pub const fn too_many_waiting(max_waiting: usize) -> Self {
        Self::TooManyWaiting { max_waiting }
    }

    /// [`TrypemaError::Timeout`].
    #[must_use]
    pub const fn timeout(waited: Duration) -> Self {
        Self::Timeout { waited }
    }

    /// [`TrypemaError::TooManyKeys`].
    #[must_use]
    pub const fn too_many_keys(max_keys: usize) -> Self {
        Self::TooManyKeys { max_keys }
    }

    /// [`TrypemaError::Redis`].
    #[must_use]
    pub fn redis(
        address: impl Into<String>,
        cause: impl Into<String>,
        outcome_unknown: bool,
    ) -> Self {
        Self::Redis { address: address.into(), cause: cause.into(), outcome_unknown }
    }

    /// [`TrypemaError::PoolTimeout`].
    #[must_use]
    pub fn pool_timeout(address: impl Into<String>, pool_size: usize, waited: Duration) -> Self {
        Self::PoolTimeout { address: address.into(), pool_size, waited }
    }

    /// [`TrypemaError::Unavailable`].
    #[must_use]
    pub fn unavailable(
        address: impl Into<String>,
        cause: impl Into<String>,
        retry_after: Duration,
    ) -> Self {
        Self::Unavailable { address: address.into(), cause: cause.into(), retry_after }
    }

    /// [`TrypemaError::UnexpectedReply`].
    #[must_use]
    pub fn unexpected_reply(address: impl Into<String>, cause: impl Into<String>) -> Self {
        Self::UnexpectedReply { address: address.into(), cause: cause.into() }
    }

    pub(crate) fn config(
        field: &'static str,
        given: impl core::fmt::Debug,
        allowed: impl Into<String>,
    ) -> Self {
        Self::InvalidConfig { field, given: format!("{given:?}"), allowed: allowed.into() }
    }
}
