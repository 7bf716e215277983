//! The answers to calls during an outage of Redis.

/// How a call is answered during an outage: Redis cannot be reached, does not answer in time, or answers
/// that it cannot decide now (it is loading, read-only, out of memory, or its cluster is down), or all
/// connections are in use.
///
/// A wrong password, a failed TLS handshake, a key of another type and a malformed reply are errors whatever
/// is chosen here: they do not pass by themselves.
///
/// ```
/// use trypema::{OnUnavailable, RateLimit, RedisRateLimiter};
///
/// # fn main() -> Result<(), trypema::TrypemaError> {
/// // Nobody listens there.
/// let limiter = RedisRateLimiter::builder("redis://127.0.0.1:1")
///     .on_unavailable(OnUnavailable::Local)
///     .local_share(0.25) // four processes
///     .build()?;
/// let rate = RateLimit::per_minute(100)?;
/// assert!(limiter.absolute().inc("alice", &rate, 25)?.is_allowed());
/// assert!(!limiter.absolute().inc("alice", &rate, 1)?.is_allowed());
/// assert_eq!(limiter.stats().from_local, 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum OnUnavailable {
    /// An error that names the server and the cause.
    #[default]
    Error,
    /// `Allowed`, and nothing is counted: limits do not hold during the outage. (A call for more than the
    /// limit allows even on an unused key is rejected all the same.) Calls that do not ask for a decision,
    /// such as `usage` and `record`, get the error.
    Allow,
    /// `Rejected`, with a guess of when Redis may be back as `retry_after_ms`. (A call that could never be
    /// admitted gets `None`.) Calls that do not ask for a decision get the error.
    Reject,
    /// A local limiter takes over, for this process alone, with the share of the rate that
    /// [`local_share`](crate::RedisRateLimiterBuilder::local_share) sets, until Redis answers again. Units
    /// that it has counted stay in this process; `reset` gets the error. It holds at
    /// most 100,000 keys that count, and rejects more.
    Local,
}
