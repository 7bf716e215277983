//! Every call of a strategy over Redis, once.
//!
//! A call that asks for a decision is *prepared*: decided here, or made into a request. The reply, or
//! the lack of one, is made into a decision; then it is counted. `acquire` does the same again and
//! again.

use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use ::redis::Value;

use crate::clock::{Clock, ClockSource, MonotonicClock};
use crate::policy::Grid;
use crate::redis::counters::Counters;
use crate::redis::denial_cache::{Ask, DenialCache, Ticket};
use crate::redis::inner::Inner;
use crate::redis::net::failure::Kind;
use crate::redis::net::{Deadline, Failure};
use crate::redis::observer::Observed;
use crate::redis::reply::{self, Verdict};
use crate::redis::request::{Argument, Arguments, Call, Request};
use crate::redis::script::{Family, Operation, Script};
use crate::redis::windows::{Plan, Window, Windows};
use crate::redis::{DecisionSource, OnUnavailable, RedisStats};
use crate::{Limiter, LocalRateLimiter, RateLimit, RateLimitDecision, TrypemaError};

/// The parts that differ between the strategies.
pub(crate) trait Strategy: Send + Sync + 'static {
    /// Its scripts.
    const FAMILY: Family;
    /// The decision on more than an unused key would admit.
    const NEVER: RateLimitDecision;

    /// The arguments of scripts that decide.
    fn arguments(inner: &Inner, call: &Call<'_>) -> Arguments;

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

/// A call that asks for a decision, after a first look.
enum Prepared<'a> {
    /// Decided here.
    Local(RateLimitDecision, DecisionSource),
    Remote(Request<'a, Verdict>, Option<Cacheable>),
}

/// The denial cache may remember the reply.
pub(crate) type Cacheable = (Ask, Ticket);

// As `Inner`.
impl<S> std::panic::UnwindSafe for Engine<S> {}
impl<S> std::panic::RefUnwindSafe for Engine<S> {}

/// One strategy of a limiter.
pub(crate) struct Engine<S> {
    pub(crate) inner: Arc<Inner>,
    pub(crate) windows: Windows,
    /// The script for several keys.
    pub(crate) inc_all: OnceLock<Script>,
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
            inc_all: OnceLock::new(),
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

    fn execute_many(&self, calls: &[Call<'_>]) -> Vec<Settled> {
        let (mut requests, mut asked) = (Vec::new(), Vec::new());
        let known = calls.iter().map(|call| match self.prepare(Mode::Inc, call) {
            Prepared::Local(decision, source) => Some(Ok((decision, source))),
            Prepared::Remote(request, cacheable) => {
                requests.push(request);
                asked.push((call, cacheable));
                None
            }
        });
        let known = known.collect::<Vec<_>>();
        let replies = match requests[..] {
            [] => Vec::new(),
            _ => self.inner.router.ask_many(&requests, self.deadline()),
        };
        let replies = asked.into_iter().zip(replies);
        let mut settled = replies
            .map(|((call, cacheable), reply)| self.finish(Mode::Inc, call, cacheable, reply));
        // Calls without a decision were sent, in this order.
        known.into_iter().filter_map(|known| known.or_else(|| settled.next())).collect()
    }

    /// Decides a call whose arguments were checked.
    pub(crate) fn execute(&self, mode: Mode, call: &Call<'_>) -> Settled {
        match self.prepare(mode, call) {
            Prepared::Local(decision, source) => Ok((decision, source)),
            Prepared::Remote(request, cacheable) => {
                let reply = self.inner.router.ask(&request, self.deadline());
                self.finish(mode, call, cacheable, reply)
            }
        }
    }

    /// Decides what can be decided here; makes requests of the rest.
    fn prepare<'c>(&self, mode: Mode, call: &Call<'c>) -> Prepared<'c> {
        let Call { rate, count, .. } = *call;
        if rate.is_unlimited() && (count == 0 || mode == Mode::Look) {
            return Prepared::Local(RateLimitDecision::allowed(u64::MAX), DecisionSource::Nobody);
        }
        if count == 0 {
            let arguments = Arguments::new([]);
            let request = self.request(Operation::Usage, call, arguments, reply::nothing);
            return Prepared::Remote(request, None);
        }
        let parse = S::parse(mode);
        if rate.is_unlimited() {
            let arguments = Arguments::new([Argument::Whole(count)]);
            let request = self.request(Operation::Record, call, arguments, parse);
            return Prepared::Remote(request, None);
        }
        let cacheable = match self.repeat(mode, call) {
            Ok(cacheable) => cacheable,
            Err(decision) => return Prepared::Local(decision, DecisionSource::DenialCache),
        };
        let operation = match mode {
            Mode::Inc => Operation::Inc,
            Mode::Look => Operation::Look,
            Mode::Wait => Operation::Wait,
        };
        let arguments = S::arguments(&self.inner, call);
        Prepared::Remote(self.request(operation, call, arguments, parse), cacheable)
    }

    /// For a call that has to be asked for, if the denial cache does not repeat a rejection.
    pub(crate) fn repeat(
        &self,
        mode: Mode,
        call: &Call<'_>,
    ) -> Result<Option<Cacheable>, RateLimitDecision> {
        let Call { window, key, rate, count } = *call;
        let Some(denial_cache) = self.denial_cache.as_ref().filter(|_| mode != Mode::Wait) else {
            return Ok(None);
        };
        let window_ms = window.settings.grid.window_ms();
        let ask = Ask { window_ms, capacity: S::limit(window, rate), count };
        match denial_cache.repeat(key, ask) {
            Some(verdict) => Err(self.decision(mode, call, verdict)),
            None => Ok(Some((ask, denial_cache.ticket(key)))),
        }
    }

    /// The decision, if there is one; else the one that the outage policy makes of the failure.
    pub(crate) fn finish(
        &self,
        mode: Mode,
        call: &Call<'_>,
        cacheable: Option<Cacheable>,
        reply: Result<Verdict, Failure>,
    ) -> Settled {
        let verdict = match reply {
            Ok(verdict) => verdict,
            Err(failure) => return self.without_redis(mode, call, failure),
        };
        if let (Some(denial_cache), Some((ask, ticket))) = (&self.denial_cache, cacheable) {
            denial_cache.remember(call.key, ask, ticket, &verdict);
        }
        Ok((self.decision(mode, call, verdict), DecisionSource::Server))
    }

    pub(crate) fn decision(
        &self,
        mode: Mode,
        call: &Call<'_>,
        verdict: Verdict,
    ) -> RateLimitDecision {
        let Call { window, rate, count, .. } = *call;
        let counts = count > 0 && mode != Mode::Look;
        if rate.is_unlimited() {
            return verdict.decision(u64::MAX, counts).with_remaining(u64::MAX);
        }
        let decision = verdict.decision(window.capacity(rate), counts);
        if count > S::limit(window, rate) { decision.never() } else { decision }
    }

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

    pub(crate) fn ask<T, const N: usize>(
        &self,
        operation: Operation,
        call: &Call<'_>,
        arguments: [Argument; N],
        parse: fn(Value) -> Result<T, Kind>,
    ) -> Result<T, Failure> {
        let request = self.request(operation, call, Arguments::new(arguments), parse);
        self.inner.router.ask(&request, self.deadline())
    }

    pub(crate) fn request<'c, T>(
        &self,
        operation: Operation,
        call: &Call<'c>,
        arguments: Arguments,
        parse: fn(Value) -> Result<T, Kind>,
    ) -> Request<'c, T> {
        let script = Some(call.window.scripts.get(operation));
        Request {
            script,
            key: call.window.name_of(call.key),
            more_keys: Vec::new(),
            packed: Vec::new(),
            arguments: self.with_time(arguments),
            parse,
        }
    }

    /// Adds the server's time, if a test sets it.
    pub(crate) fn with_time(&self, arguments: Arguments) -> Arguments {
        match &self.inner.server_time {
            Some(clock) => arguments.with_time(clock.now_nanos() / 1_000),
            None => arguments,
        }
    }

    pub(crate) fn deadline(&self) -> Deadline {
        Deadline::after(self.inner.deadline)
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

impl<S> fmt::Debug for Engine<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("windows", &self.windows).finish_non_exhaustive()
    }
}
