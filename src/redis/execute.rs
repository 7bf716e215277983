//! From a call that asks for a decision to the decision.
//!
//! A call is *prepared*: decided here, or made into a request. The reply, or the lack of one, is made into
//! a decision.

use ::redis::Value;

use crate::RateLimitDecision;
use crate::clock::Clock;
use crate::redis::DecisionSource;
use crate::redis::denial_cache::{Ask, Ticket};
use crate::redis::engine::{Engine, Mode, Settled, Strategy};
use crate::redis::net::failure::Kind;
use crate::redis::net::{Deadline, Failure};
use crate::redis::reply::{self, Verdict};
use crate::redis::request::{Argument, Arguments, Call, Request};
use crate::redis::script::Operation;

/// A call that asks for a decision, after a first look.
enum Prepared<'a> {
    /// Decided here.
    Local(RateLimitDecision, DecisionSource),
    Remote(Request<'a, Verdict>, Option<Cacheable>),
}

/// The denial cache may remember the reply.
pub(crate) type Cacheable = (Ask, Ticket);

impl<S: Strategy> Engine<S> {
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
        let mut request = self.request(operation, call, Arguments::new([]), parse);
        request.packed = S::arguments(&self.inner, call);
        Prepared::Remote(request, cacheable)
    }

    /// For a call that has to be asked for, if the denial cache does not repeat a rejection.
    pub(crate) fn repeat(
        &self,
        mode: Mode,
        call: &Call<'_>,
    ) -> Result<Option<Cacheable>, RateLimitDecision> {
        let key = call.key;
        let Some(denial_cache) = self.denial_cache.as_ref().filter(|_| mode != Mode::Wait) else {
            return Ok(None);
        };
        let ask = Self::asks(call);
        match denial_cache.repeat(key, ask, None) {
            Some(verdict) => Err(self.decision(mode, call, verdict)),
            None => Ok(Some((ask, denial_cache.ticket(key)))),
        }
    }

    /// The part of a call that its rejection depends on.
    pub(crate) fn asks(call: &Call<'_>) -> Ask {
        let Call { window, rate, count, .. } = *call;
        let window_ms = window.settings.grid.window_ms();
        Ask { window_ms, capacity: S::limit(window, rate), count }
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
            denial_cache.remember(call.key, ask, ticket, &verdict, None);
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

    pub(crate) fn execute_many(&self, calls: &[Call<'_>]) -> Vec<Settled> {
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
}
