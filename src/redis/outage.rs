//! The answers to calls during an outage of Redis.

use crate::redis::DecisionSource;
use crate::redis::engine::{Engine, Mode, Settled, Strategy};
use crate::redis::net::Failure;
use crate::redis::net::failure::Kind;
use crate::redis::request::Call;
use crate::{LocalRateLimiter, RateLimitDecision, TrypemaError};

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

impl<S: Strategy> Engine<S> {
    /// The decision by the outage policy.
    #[cold]
    pub(crate) fn without_redis(&self, mode: Mode, call: &Call<'_>, failure: Failure) -> Settled {
        let Call { window, key, rate, count } = *call;
        let failure = self.outage(count, failure)?;
        // Judged as if the key were unused.
        let at_best = if rate.is_unlimited() {
            RateLimitDecision::allowed(u64::MAX)
        } else if count <= S::limit(window, rate) {
            RateLimitDecision::allowed(window.capacity(rate).saturating_sub(count))
        } else {
            S::NEVER.with_remaining(window.capacity(rate))
        };
        if count == 0 {
            return Ok((at_best, DecisionSource::Nobody));
        }
        let outage_policy = &self.inner.outage_policy;
        match (outage_policy.policy, &outage_policy.local) {
            (OnUnavailable::Error, _) | (OnUnavailable::Local, None) => {
                Err(failure.into_error(count))
            }
            (OnUnavailable::Allow, _) => Ok((at_best, DecisionSource::Policy)),
            // Redis would never allow it either.
            (OnUnavailable::Reject, _) if !at_best.is_allowed() => {
                Ok((at_best, DecisionSource::Policy))
            }
            (OnUnavailable::Reject, _) => {
                let again = match &failure.kind {
                    Kind::BreakerOpen { retry_after, .. } => *retry_after,
                    _ => outage_policy.pause,
                };
                let millis = again.as_nanos().div_ceil(1_000_000).max(1);
                let millis = u64::try_from(millis).unwrap_or(u64::MAX);
                Ok((RateLimitDecision::rejected(Some(millis), 0), DecisionSource::Policy))
            }
            (OnUnavailable::Local, Some(limiter)) => {
                let (limiter, rate) = (S::stand_in(limiter), &self.inner.local_rate(window, rate));
                let decision = match mode {
                    Mode::Inc | Mode::Wait => limiter.inc(key, rate, count),
                    Mode::Look => limiter.is_allowed(key, rate, count),
                };
                Ok((decision?, DecisionSource::StandIn))
            }
        }
    }

    /// The reply, or in an outage the answer of the local limiter if there is one.
    pub(crate) fn settle<T>(
        &self,
        count: u64,
        asked: Result<T, Failure>,
        local: impl FnOnce(&LocalRateLimiter) -> Result<T, TrypemaError>,
    ) -> Result<T, TrypemaError> {
        let failure = match asked {
            Ok(reply) => return Ok(reply),
            Err(failure) => self.outage(count, failure)?,
        };
        match &self.inner.outage_policy.local {
            Some(limiter) => local(limiter),
            None => Err(failure.into_error(count)),
        }
    }

    /// Counts a failure that is an outage, and returns it; others become errors.
    pub(crate) fn outage(&self, count: u64, failure: Failure) -> Result<Failure, TrypemaError> {
        if !failure.kind.is_outage() {
            return Err(failure.into_error(count));
        }
        self.counters.outage(&failure.kind);
        Ok(failure)
    }
}
