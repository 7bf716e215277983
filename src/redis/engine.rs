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

use crate::clock::{Clock, ClockSource, MonotonicClock};
use crate::redis::counters::{Counters, DecisionSource};
use crate::redis::denial_cache::{Ask, DenialCache, Ticket};
use crate::redis::inner::Inner;
use crate::redis::net::failure::Kind;
use crate::redis::net::{Deadline, Failure};
use crate::redis::reply::{self, Verdict};
use crate::redis::request::{
    Argument, Arguments, Call, MAX_COUNT, Request, check_count, check_key,
};
use crate::redis::script::{Family, Operation, Settings};
use crate::redis::window::Window;
use crate::redis::{OnUnavailable, RedisStats};
use crate::wait::{Attempt, TimedOut, Wait};
use crate::{
    Bucket, Key, Limiter, LocalRateLimiter, RateLimit, RateLimitDecision, SuppressedUsage,
    TrypemaError,
};

/// How long to believe that nothing has changed while waiting for room: units that another process
/// gives back wake nobody here.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// The least time after which a waiting thread asks again.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// What is a strategy's own.
pub(crate) trait Strategy {
    /// Its scripts.
    const FAMILY: Family;
    /// The decision on more than an unused key would admit.
    const NEVER: RateLimitDecision;

    /// The arguments of scripts that decide.
    fn arguments(inner: &Inner, window: &Window, call: &Call<'_>) -> Arguments;

    /// The parser of their replies.
    fn parse(mode: Mode) -> fn(Value) -> Result<Verdict, Kind>;

    /// The most that an unused key would admit under a finite rate.
    fn limit(window: &Window, rate: &RateLimit) -> u64;

    /// How long a thread waits after an attempt that gave no hint.
    fn pause(window: &Window) -> Duration;

    /// The same strategy of the limiter that stands in for Redis.
    fn stand_in(local: &LocalRateLimiter) -> &dyn Limiter;
}

/// What a call that asks for a decision is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Counts.
    Inc,
    /// Looks.
    Look,
    /// Counts what is admitted, for a thread that waits.
    Wait,
}

/// A decision, and who has decided.
type Settled = Result<(RateLimitDecision, DecisionSource), TrypemaError>;

/// A call that asks for a decision, after a first look.
enum Prepared<'a> {
    /// Decided here.
    Local(RateLimitDecision, DecisionSource),
    Remote(Request<'a, Verdict>, Option<Cacheable>),
}

/// The denial cache may remember the reply.
type Cacheable = (Ask, Ticket);

/// One strategy of a limiter.
pub(crate) struct Engine<S> {
    inner: Arc<Inner>,
    window: Window,
    denial_cache: Option<DenialCache>,
    /// Waiting threads go by it.
    real_time: ClockSource,
    counters: Counters,
    strategy: PhantomData<S>,
}

impl<S: Strategy> Engine<S> {
    pub(crate) fn new(
        inner: Arc<Inner>,
        settings: Settings,
        denial_cache: Option<DenialCache>,
    ) -> Self {
        Self {
            window: Window::new(&inner.prefix, S::FAMILY, settings),
            inner,
            denial_cache,
            real_time: ClockSource::Monotonic(MonotonicClock::new()),
            counters: Counters::default(),
            strategy: PhantomData,
        }
    }

    pub(crate) fn window(&self) -> &Window {
        &self.window
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
    }

    /// The decision on one call.
    pub(crate) fn decide(
        &self,
        mode: Mode,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<RateLimitDecision, TrypemaError> {
        let settled = Call::new(key, rate, count).and_then(|call| self.execute(mode, &call));
        self.counters.settled(mode, settled)
    }

    /// The decisions on many calls, in one round trip.
    pub(crate) fn inc_many(
        &self,
        calls: &[(&str, &RateLimit, u64)],
    ) -> Vec<Result<RateLimitDecision, TrypemaError>> {
        let (mut requests, mut asked) = (Vec::new(), Vec::new());
        let known = calls.iter().map(|&(key, rate, count)| {
            let call = match Call::new(key, rate, count) {
                Ok(call) => call,
                Err(error) => return Some(Err(error)),
            };
            match self.prepare(Mode::Inc, &call) {
                Prepared::Local(decision, source) => Some(Ok((decision, source))),
                Prepared::Remote(request, cacheable) => {
                    requests.push(request);
                    asked.push((call, cacheable));
                    None
                }
            }
        });
        let known = known.collect::<Vec<_>>();
        let replies = match requests[..] {
            [] => Vec::new(),
            _ => self.inner.router.ask_many(&requests, self.deadline()),
        };
        let replies = asked.into_iter().zip(replies);
        let mut settled = replies
            .map(|((call, cacheable), reply)| self.finish(Mode::Inc, &call, cacheable, reply));
        // Those that are not known were sent, in this order.
        let all = known.into_iter().filter_map(|known| known.or_else(|| settled.next()));
        all.map(|settled| self.counters.settled(Mode::Inc, settled)).collect()
    }

    /// Parks this thread until the call is admitted, and returns how long that took.
    pub(crate) fn acquire(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
        timeout: Duration,
    ) -> Result<Duration, TrypemaError> {
        let acquired = Call::new(key, rate, count).and_then(|call| self.wait(&call, timeout));
        self.counters.checked(acquired)
    }

    /// Units that count.
    pub(crate) fn usage(
        &self,
        key: &str,
        local: impl FnOnce(&LocalRateLimiter) -> SuppressedUsage,
    ) -> Result<SuppressedUsage, TrypemaError> {
        let usage = check_key(key).and_then(|()| {
            let asked = self.ask(Operation::Usage, key, [], reply::usage);
            self.settle(0, asked, |limiter| Ok(local(limiter)))
        });
        self.counters.checked(usage)
    }

    pub(crate) fn suppression_factor(
        &self,
        key: &str,
        rate: &RateLimit,
        local: impl FnOnce(&LocalRateLimiter, &RateLimit) -> f64,
    ) -> Result<f64, TrypemaError> {
        let factor = check_key(key).and_then(|()| {
            if rate.is_unlimited() {
                return Ok(0.0);
            }
            let arguments = [Argument::Real(rate.as_per_second())];
            let asked = self.ask(Operation::Factor, key, arguments, reply::factor);
            self.settle(0, asked, |limiter| {
                Ok(local(limiter, &self.inner.local_rate(&self.window, rate)))
            })
        });
        self.counters.checked(factor)
    }

    /// Counts units whatever the limit.
    pub(crate) fn record(&self, key: &str, count: u64) -> Result<bool, TrypemaError> {
        let recorded = check_key(key).and_then(|()| check_count(count)).and_then(|()| {
            if count == 0 {
                return Ok(true);
            }
            let asked = self.ask(Operation::Record, key, [Argument::Whole(count)], reply::counted);
            let asked = asked.map(|_| true);
            self.settle(count, asked, |limiter| {
                S::stand_in(limiter).record(key, &RateLimit::unlimited(), count)
            })
        });
        self.counters.checked(recorded)
    }

    /// Gives units back.
    pub(crate) fn refund(&self, key: &str, count: u64) -> Result<u64, TrypemaError> {
        // No key holds more than that, so more cannot be given back either.
        let count = count.min(MAX_COUNT);
        let refunded = check_key(key).and_then(|()| {
            if count == 0 {
                return Ok(0);
            }
            let asked = self.ask(Operation::Refund, key, [Argument::Whole(count)], reply::count);
            self.settle(count, asked, |limiter| {
                S::stand_in(limiter).refund(key, &RateLimit::unlimited(), count)
            })
        });
        self.freed(key);
        self.counters.checked(refunded)
    }

    /// Takes units out of the bucket that they were counted in.
    pub(crate) fn undo(&self, key: &str, bucket: Bucket, count: u64) -> Result<u64, TrypemaError> {
        let count = count.min(MAX_COUNT);
        let undone = check_key(key).and_then(|()| {
            if count == 0 || bucket.some().is_none() {
                return Ok(0);
            }
            let arguments = [Argument::Whole(count), Argument::Whole(bucket.tick())];
            let asked = self.ask(Operation::Undo, key, arguments, reply::count);
            self.settle(count, asked, |_| Ok(0))
        });
        self.freed(key);
        self.counters.checked(undone)
    }

    /// Forgets a key.
    pub(crate) fn reset(&self, key: &str) -> Result<bool, TrypemaError> {
        if let Some(limiter) = &self.inner.outage_policy.local {
            // It has no errors.
            let _ = S::stand_in(limiter).reset(key);
        }
        let known = check_key(key).and_then(|()| {
            let arguments = Arguments::new([]);
            let request = self.request(None, key, arguments, reply::count);
            match self.inner.router.ask(&request, self.deadline()) {
                Ok(forgotten) => Ok(forgotten > 0),
                Err(failure) => Err(self.outage(0, failure)?.into_error(0)),
            }
        });
        self.freed(key);
        self.counters.checked(known)
    }

    /// Decides a call whose arguments were checked.
    fn execute(&self, mode: Mode, call: &Call<'_>) -> Settled {
        match self.prepare(mode, call) {
            Prepared::Local(decision, source) => Ok((decision, source)),
            Prepared::Remote(request, cacheable) => {
                let reply = self.inner.router.ask(&request, self.deadline());
                self.finish(mode, call, cacheable, reply)
            }
        }
    }

    /// Decides what can be decided here; makes requests of the rest.
    fn prepare(&self, mode: Mode, call: &Call<'_>) -> Prepared<'_> {
        let Call { key, rate, count } = *call;
        if rate.is_unlimited() && (count == 0 || mode == Mode::Look) {
            return Prepared::Local(RateLimitDecision::allowed(u64::MAX), DecisionSource::Nobody);
        }
        if count == 0 {
            let arguments = Arguments::new([]);
            let request = self.request(Some(Operation::Usage), key, arguments, reply::nothing);
            return Prepared::Remote(request, None);
        }
        let (window, parse) = (&self.window, S::parse(mode));
        if rate.is_unlimited() {
            let arguments = Arguments::new([Argument::Whole(count)]);
            let request = self.request(Some(Operation::Record), key, arguments, parse);
            return Prepared::Remote(request, None);
        }
        let mut cacheable = None;
        if let Some(denial_cache) = &self.denial_cache
            && mode != Mode::Wait
        {
            let ask = Ask { capacity: S::limit(window, rate), count };
            if let Some(verdict) = denial_cache.repeat(key, ask) {
                let decision = self.decision(mode, call, verdict);
                return Prepared::Local(decision, DecisionSource::DenialCache);
            }
            cacheable = Some((ask, denial_cache.ticket(key)));
        }
        let operation = match mode {
            Mode::Inc => Operation::Inc,
            Mode::Look => Operation::Look,
            Mode::Wait => Operation::Wait,
        };
        let arguments = S::arguments(&self.inner, window, call);
        Prepared::Remote(self.request(Some(operation), key, arguments, parse), cacheable)
    }

    /// The decision, if there is one; else what the user wants to be made of that.
    fn finish(
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
        Ok((self.decision(mode, call, verdict), DecisionSource::Redis))
    }

    fn decision(&self, mode: Mode, call: &Call<'_>, verdict: Verdict) -> RateLimitDecision {
        let Call { rate, count, .. } = *call;
        let counts = count > 0 && mode != Mode::Look;
        if rate.is_unlimited() {
            return verdict.decision(u64::MAX, counts).with_remaining(u64::MAX);
        }
        let decision = verdict.decision(self.window.capacity(rate), counts);
        if count > S::limit(&self.window, rate) { decision.never() } else { decision }
    }

    /// The decision that the user wants while Redis is away.
    #[cold]
    fn without_redis(&self, mode: Mode, call: &Call<'_>, failure: Failure) -> Settled {
        let Call { key, rate, count } = *call;
        let failure = self.outage(count, failure)?;
        // Of a key that had not been used at all.
        let at_best = if rate.is_unlimited() {
            RateLimitDecision::allowed(u64::MAX)
        } else if count <= S::limit(&self.window, rate) {
            RateLimitDecision::allowed(self.window.capacity(rate).saturating_sub(count))
        } else {
            S::NEVER.with_remaining(self.window.capacity(rate))
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
            // No Redis would ever allow it.
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
                let (limiter, rate) =
                    (S::stand_in(limiter), &self.inner.local_rate(&self.window, rate));
                let decision = match mode {
                    Mode::Inc | Mode::Wait => limiter.inc(key, rate, count),
                    Mode::Look => limiter.is_allowed(key, rate, count),
                };
                Ok((decision?, DecisionSource::Local))
            }
        }
    }

    fn wait(&self, call: &Call<'_>, timeout: Duration) -> Result<Duration, TrypemaError> {
        if call.count == 0 {
            return Ok(Duration::ZERO);
        }
        let most = S::limit(&self.window, call.rate);
        if call.count > most {
            return Err(TrypemaError::CountTooLarge { given: call.count, most });
        }
        let mut problem = None;
        let wait = Wait { queue: &self.window.queue, clock: &self.real_time, timeout };
        let waited = wait.run(
            || Key::from(call.key),
            // There is no use in waiting any longer after a failure.
            || {
                self.attempt(call).unwrap_or_else(|error| {
                    problem = Some(error);
                    Attempt::Admitted
                })
            },
        );
        match (problem, waited) {
            (Some(error), _) => Err(error),
            (None, Ok(waited)) => Ok(waited),
            (None, Err(TimedOut)) => {
                self.decline(call);
                Err(TrypemaError::Timeout { waited: timeout })
            }
        }
    }

    /// One attempt of a thread that waits.
    fn attempt(&self, call: &Call<'_>) -> Result<Attempt, TrypemaError> {
        let (decision, source) = self.execute(Mode::Wait, call)?;
        if decision.is_allowed() {
            self.counters.came_from(source);
            self.counters.decided(&decision);
            return Ok(Attempt::Admitted);
        }
        let wait = decision.retry_after().unwrap_or_else(|| S::pause(&self.window));
        Ok(Attempt::Later(wait.clamp(SHORTEST_WAIT, LONGEST_WAIT)))
    }

    /// Counts a wait that timed out as one decline, under Suppressed. A measure of the demand, and no
    /// more: if it is lost, so be it.
    fn decline(&self, call: &Call<'_>) {
        if S::FAMILY == Family::Suppressed {
            let count = [Argument::Whole(call.count)];
            let asked = self.ask(Operation::Decline, call.key, count, reply::counted);
            let _ = self.settle(call.count, asked.map(|_| ()), |_| Ok(()));
        }
    }

    /// Asks about a key that was checked.
    fn ask<T, const N: usize>(
        &self,
        operation: Operation,
        key: &str,
        arguments: [Argument; N],
        parse: fn(Value) -> Result<T, Kind>,
    ) -> Result<T, Failure> {
        let request = self.request(Some(operation), key, Arguments::new(arguments), parse);
        self.inner.router.ask(&request, self.deadline())
    }

    /// `None`: forget the key.
    fn request<T>(
        &self,
        operation: Option<Operation>,
        key: &str,
        arguments: Arguments,
        parse: fn(Value) -> Result<T, Kind>,
    ) -> Request<'_, T> {
        let arguments = match &self.inner.server_time {
            Some(clock) => arguments.with_time(clock.now_nanos() / 1_000),
            None => arguments,
        };
        let script = operation.map(|operation| self.window.scripts.get(operation));
        Request { script, key: self.window.name_of(key), arguments, parse }
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.inner.deadline)
    }

    /// The reply, or that of the local limiter if there is one and Redis is away.
    fn settle<T>(
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

    /// Counts a failure that speaks for an outage; others are errors.
    fn outage(&self, count: u64, failure: Failure) -> Result<Failure, TrypemaError> {
        if !failure.kind.is_outage() {
            return Err(failure.into_error(count));
        }
        self.counters.outage(&failure.kind);
        Ok(failure)
    }

    /// Units may have been given back, even if the server's reply was lost.
    fn freed(&self, key: &str) {
        if let Some(denial_cache) = &self.denial_cache {
            denial_cache.forget(key);
        }
        self.window.queue.units_freed(|| Key::from(key));
    }
}

impl<S> fmt::Debug for Engine<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("grid", &self.window.grid)
            .field("suppression", &self.window.suppression)
            .finish_non_exhaustive()
    }
}
