//! Every call of a strategy over Redis, once.
//!
//! A call that asks for a decision is *prepared*: decided here, or made into a request. The reply, or
//! the lack of one, is made into a decision; then it is counted. `acquire` does the same again and
//! again.

use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ::redis::Value;

use crate::clock::{ClockSource, MonotonicClock};
use crate::policy::Grid;
use crate::redis::counters::Counters;
use crate::redis::denial_cache::DenialCache;
use crate::redis::inner::Inner;
use crate::redis::net::failure::Kind;
use crate::redis::observer::Observed;
use crate::redis::reply::Verdict;
use crate::redis::request::Call;
use crate::redis::script::{Family, SeveralScripts};
use crate::redis::windows::{Plan, Window, Windows};
use crate::redis::{DecisionSource, RedisStats};
use crate::{Limiter, LocalRateLimiter, RateLimit, RateLimitDecision, TrypemaError};

/// The parts that differ between the strategies.
pub(crate) trait Strategy: Send + Sync + 'static {
    /// Its scripts.
    const FAMILY: Family;
    /// The decision on more than an unused key would admit.
    const NEVER: RateLimitDecision;

    /// The arguments of scripts that decide, packed into one.
    fn arguments(inner: &Inner, call: &Call<'_>) -> Vec<u8>;

    /// The parser of their replies.
    fn parse(mode: Mode) -> fn(Value) -> Result<Verdict, Kind>;

    /// The same for the script that decides on several keys.
    fn pack(inner: &Inner, call: &Call<'_>, out: &mut Vec<u8>);

    /// The most that an unused key would admit under a finite rate.
    fn limit(window: &Window, rate: &RateLimit) -> u64;

    /// How long a thread waits after an attempt that gave no hint.
    fn pause(window: &Window) -> Duration;

    /// The same strategy of the local limiter that stands in for Redis.
    fn stand_in(local: &LocalRateLimiter) -> &dyn Limiter;
}

/// The purpose of a call that asks for a decision.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Counts.
    Inc,
    /// Looks.
    Look,
    /// Counts what is admitted, for a thread that waits.
    Wait,
}

/// A decision, and its source.
pub(crate) type Settled = Result<(RateLimitDecision, DecisionSource), TrypemaError>;

// As `Inner`.
impl<S> std::panic::UnwindSafe for Engine<S> {}
impl<S> std::panic::RefUnwindSafe for Engine<S> {}

/// One strategy of a limiter.
pub(crate) struct Engine<S> {
    pub(crate) inner: Arc<Inner>,
    pub(crate) windows: Windows,
    /// The scripts for several keys.
    pub(crate) inc_all: SeveralScripts,
    pub(crate) denial_cache: Option<DenialCache>,
    /// The clock of waiting threads.
    pub(crate) real_time: ClockSource,
    pub(crate) counters: Counters,
    strategy: PhantomData<S>,
}

impl<S: Strategy> Engine<S> {
    pub(crate) fn new(inner: Arc<Inner>, plan: Plan, denial_cache: Option<DenialCache>) -> Self {
        Self {
            windows: Windows::new(plan, S::FAMILY),
            inc_all: SeveralScripts::new(S::FAMILY),
            inner,
            denial_cache,
            real_time: ClockSource::Monotonic(MonotonicClock::new()),
            counters: Counters::default(),
            strategy: PhantomData,
        }
    }

    pub(crate) fn grid_of(&self, rate: &RateLimit) -> Grid {
        self.windows.grid_of(rate)
    }

    pub(crate) fn stats(&self) -> RedisStats {
        let mut stats = RedisStats::default();
        self.add_to(&mut stats);
        stats
    }

    pub(crate) fn add_to(&self, stats: &mut RedisStats) {
        self.counters.add_to(stats);
        // Relaxed: a statistic.
        stats.connections_opened = self.inner.opened.load(Ordering::Relaxed);
        stats.waiting += self.windows.iter().map(|window| window.waiting.len()).sum::<u64>();
    }

    /// The decision on one call.
    pub(crate) fn decide(
        &self,
        mode: Mode,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<RateLimitDecision, TrypemaError> {
        self.decide_by(mode, (key, rate, count), |call| self.execute(mode, call))
    }

    /// The same, with another way to decide a call whose arguments are right.
    pub(crate) fn decide_by(
        &self,
        mode: Mode,
        (key, rate, count): (&str, &RateLimit, u64),
        execute: impl FnOnce(&Call<'_>) -> Settled,
    ) -> Result<RateLimitDecision, TrypemaError> {
        let observed = if mode == Mode::Inc { self.observed() } else { None };
        let call = Call::new(&self.windows, key, rate, count);
        let settled = call.and_then(|call| execute(&call));
        let took = observed.as_ref().map(Observed::took);
        self.settled(mode, (key, count), settled, observed.as_ref().zip(took))
    }

    /// Counts an outcome, and tells the observer of it.
    #[inline]
    fn settled(
        &self,
        mode: Mode,
        asked: (&str, u64),
        settled: Settled,
        observed: Option<(&Observed<'_>, Duration)>,
    ) -> Result<RateLimitDecision, TrypemaError> {
        let settled = self.counters.settled(mode, settled);
        if let Some((observed, took)) = observed {
            let outcome = settled.as_ref().map(|(decision, source)| (decision, *source));
            self.tell(observed, took, asked, outcome);
        }
        settled.map(|(decision, _)| decision)
    }

    /// The decisions on many calls, in one round trip.
    pub(crate) fn inc_many(
        &self,
        calls: &[(&str, &RateLimit, u64)],
    ) -> Vec<Result<RateLimitDecision, TrypemaError>> {
        self.inc_many_by(calls, |calls| self.execute_many(calls))
    }

    /// The same, with another way to decide the calls whose arguments are right.
    pub(crate) fn inc_many_by(
        &self,
        calls: &[(&str, &RateLimit, u64)],
        execute: impl FnOnce(&[Call<'_>]) -> Vec<Settled>,
    ) -> Vec<Result<RateLimitDecision, TrypemaError>> {
        let observed = self.observed();
        let mut right = Vec::with_capacity(calls.len());
        let wrong = calls.iter().map(|&(key, rate, count)| {
            Call::new(&self.windows, key, rate, count).map(|call| right.push(call)).err()
        });
        let wrong = wrong.collect::<Vec<_>>();
        let mut settled = execute(&right).into_iter();
        let took = observed.as_ref().map(Observed::took);
        let observed = observed.as_ref().zip(took);
        // Calls that are not wrong were decided, in this order.
        let all = wrong
            .into_iter()
            .filter_map(|wrong| wrong.map_or_else(|| settled.next(), |e| Some(Err(e))));
        let all = all.zip(calls);
        all.map(|(settled, &(key, _, count))| {
            self.settled(Mode::Inc, (key, count), settled, observed)
        })
        .collect()
    }
}

impl<S> fmt::Debug for Engine<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("windows", &self.windows).finish_non_exhaustive()
    }
}
