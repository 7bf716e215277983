//! Telling somebody about every decision over Redis.

use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use crate::redis::engine::{Engine, Strategy};
use crate::redis::script::Family;
use crate::{RateLimitDecision, TrypemaError};

/// The one that decided on a call over Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum DecisionSource {
    /// A Redis server.
    Server,
    /// Units that this process has leased from Redis: a [`HybridRateLimiter`](crate::HybridRateLimiter)'s.
    Lease,
    /// The denial cache of this process: it repeated a rejection that still holds.
    DenialCache,
    /// The limiter of this process that stands in while Redis is away, under
    /// [`OnUnavailable::Local`](crate::OnUnavailable::Local).
    StandIn,
    /// [`OnUnavailable::Allow`](crate::OnUnavailable::Allow) or
    /// [`OnUnavailable::Reject`](crate::OnUnavailable::Reject): Redis is away, or its breaker is open.
    Policy,
    /// Nobody: the call asked for no units, or it failed. The error then says why: that of an open breaker
    /// is [`TrypemaError::Unavailable`].
    Nobody,
}

/// The outcome of a call over Redis, as told to an observer.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RedisEvent<'a> {
    /// The strategy that was asked.
    pub strategy: crate::Strategy,
    /// The key that was asked for.
    pub key: &'a str,
    /// The units that were asked for.
    pub count: u64,
    /// The answer.
    pub outcome: Result<&'a RateLimitDecision, &'a TrypemaError>,
    /// The one that decided.
    pub source: DecisionSource,
    /// The time from the call until its outcome was known, on this machine's monotonic clock. Calls of one
    /// `inc_many` share a round trip, and with it this time. That of `acquire` includes the waiting.
    pub took: Duration,
}

pub(crate) type Observer = Arc<dyn Fn(&RedisEvent<'_>) + Send + Sync>;

/// The observer to tell of a call, and when it began.
pub(crate) struct Observed<'o> {
    observer: &'o Observer,
    begun: Instant,
}

impl Observed<'_> {
    pub(crate) fn took(&self) -> Duration {
        self.begun.elapsed()
    }
}

impl<S: Strategy> Engine<S> {
    /// `None` if nobody observes: then no clock is read.
    #[inline]
    pub(crate) fn observed(&self) -> Option<Observed<'_>> {
        let observer = self.inner.observer.as_ref()?;
        Some(Observed { observer, begun: Instant::now() })
    }

    /// Tells the observer of a call. Only once nothing is held that others wait for: it may take its time.
    #[cold]
    pub(crate) fn tell(
        &self,
        observed: &Observed<'_>,
        took: Duration,
        (key, count): (&str, u64),
        outcome: Result<(&RateLimitDecision, DecisionSource), &TrypemaError>,
    ) {
        let strategy = match S::FAMILY {
            Family::Absolute => crate::Strategy::Absolute,
            Family::Suppressed => crate::Strategy::Suppressed,
        };
        let source = outcome.map_or(DecisionSource::Nobody, |(_, source)| source);
        let outcome = outcome.map(|(decision, _)| decision);
        (observed.observer)(&RedisEvent { strategy, key, count, outcome, source, took });
    }
}
