//! What to answer when Redis is away.

/// What a call is answered when Redis is away: it cannot be reached, does not answer in time, or
/// answers that it cannot decide now (it is loading, read-only, out of memory, or its cluster is
/// down), or all connections are in use.
///
/// Wrong passwords, TLS that does not come about, keys of another type and replies that make no sense are errors whatever is
/// chosen here: they do not pass by themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum OnUnavailable {
    /// An error that says what is wrong and with which server.
    #[default]
    Error,
    /// `Allowed`, and nothing is counted: limits do not hold while Redis is away. (What no limit would
    /// ever allow, even of an unused key, is turned away all the same.) Calls that do not ask for a
    /// decision, such as `usage` and `record`, get the error.
    Allow,
    /// `Rejected`, with a guess of when Redis may be back as `retry_after_ms`. (What no limit would ever
    /// allow gets no such hope.) Calls that do not ask for a decision get the error.
    Reject,
    /// A limiter of this process takes over, for this process alone, with the share of the rate that
    /// [`local_share`](crate::RedisRateLimiterBuilder::local_share) says, and hands back when Redis
    /// answers again. What it has counted stays in this process; `reset` gets the error. It holds at
    /// most 100,000 keys that count, and rejects more.
    Local,
}
