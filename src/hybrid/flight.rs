//! A round trip: asks of several keys, and units that are given back, in one pipeline; and what becomes of the
//! answers.
//!
//! A lease ends a lease's length after a reading of the clock from *before* the request was sent, less a
//! 64th: that is for clocks of different speeds, and for this process's, which may be wrong by a thousandth of
//! the shortest lease.

use core::sync::atomic::Ordering;
use std::io::ErrorKind;

use ::redis::Value;

use crate::RateLimit;
use crate::hybrid::caller::{Caller, Want};
use crate::hybrid::engine::{ABOVE, Engine, admits};
use crate::hybrid::gifts::{Gift, give_back};
use crate::hybrid::key_state::{KeyState, WindowKey};
use crate::hybrid::lease::{Grant, MOST_UNITS, Rest, Spend, Terms};
use crate::hybrid::queue::Together;
use crate::local::map::State;
use crate::redis::engine::Strategy;
use crate::redis::grant::{self, GrantAsk, Granted, Need};
use crate::redis::net::failure::Kind;
use crate::redis::net::{Deadline, Failure};
use crate::redis::reply::{Counted, Verdict};
use crate::redis::request::{MAX_COUNT, Request};
use crate::redis::script::Family;
use crate::redis::windows::Window;

/// One key's part in a round trip.
pub(crate) struct Asking<'e> {
    pub(crate) window: &'e Window,
    pub(crate) key: WindowKey,
    pub(crate) rate: RateLimit,
    /// None: it renews a lease that is still good.
    pub(crate) needs: Vec<Need>,
}

/// The answer to a part of a round trip.
pub(crate) enum Answer {
    Granted(Granted),
    GivenBack(u64),
}

impl<S: Strategy> Engine<S> {
    /// Asks for those aboard, and tells them the answers.
    pub(crate) fn fly(&self, aboard: Vec<Together>, deadline: Deadline) {
        let mut flight = Flight { engine: self, aboard, are_told: false };
        let asks = flight.aboard.iter().map(|together| self.asking(together));
        // Each has a rate, and a window.
        let Some(asks) = asks.collect::<Option<Vec<_>>>() else { return };
        // Units that wait to be given back would count against these calls.
        let gifts = asks.iter().flat_map(|ask| self.kept_gifts(&ask.key)).collect();
        let results = self.ask_for(&asks, gifts, deadline);
        for (together, result) in flight.aboard.iter().zip(results) {
            match result {
                Ok(granted) => {
                    for (caller, verdict) in together.callers.iter().zip(granted.verdicts) {
                        if !caller.tell(Ok(verdict)) {
                            self.give_back_unwanted(&together.key, caller, &verdict);
                        }
                    }
                }
                Err(failure) => together.callers.iter().for_each(|caller| {
                    caller.tell(Err(failure.clone()));
                }),
            }
        }
        flight.are_told = true;
    }

    fn asking(&self, together: &Together) -> Option<Asking<'_>> {
        let mut rate = None;
        let needs = together.callers.iter().map(|caller| match caller.want {
            Want::Units { rate: its, count, draw } => {
                rate = Some(its);
                Need { count, draw }
            }
            // Not among callers who are aboard.
            Want::Key => Need { count: 1, draw: 0.0 },
        });
        let needs = needs.collect();
        let (window, key) = (self.window_of(&together.key)?, together.key.clone());
        Some(Asking { window, key, rate: rate?, needs })
    }

    /// Asks for each of the keys, which must be claimed, and gives units back, in one round trip.
    pub(crate) fn ask_for(
        &self,
        asks: &[Asking<'_>],
        mut gifts: Vec<Gift>,
        deadline: Deadline,
    ) -> Vec<Result<Granted, Failure>> {
        let inner = &self.remote.inner;
        let before = self.now();
        let now_us = inner.server_time.as_ref().map(|clock| clock.now_nanos() / 1_000);
        // What is left of a lease that does not suffice is given back first.
        let asked = asks.iter().map(|ask| {
            let known = self.state(&ask.key, |state| {
                let left = if ask.needs.is_empty() {
                    state.lease.held().units
                } else {
                    let rest = state.lease.take_back(u64::MAX);
                    gifts.extend(rest.map(|rest| self.gift(ask.window, &ask.key, rest, before)));
                    rest.map_or(0, |rest| rest.units)
                };
                let wish = state.wish(before, left, usable(ask.window));
                // Relaxed: a number, which is told once.
                Some((wish, state.declined.swap(0, Ordering::Relaxed)))
            });
            known.unwrap_or((0, 0))
        });
        let asked = asked.collect::<Vec<_>>();
        let mut requests = Vec::with_capacity(gifts.len() + asks.len());
        gifts.retain(|gift| match self.window_of(&gift.key) {
            Some(window) => {
                requests.push(give_back(window, gift, now_us));
                true
            }
            None => false,
        });
        for (ask, (wish, declined)) in asks.iter().zip(&asked) {
            let most = ask.window.capacity(&ask.rate).min(MOST_UNITS);
            let ask = GrantAsk {
                window: ask.window,
                key: ask.key.key.as_str(),
                rate: &ask.rate,
                needs: &ask.needs,
                wish: (*wish).min(most),
                declined: (*declined).min(MAX_COUNT),
            };
            requests.push(ask_of::<S>(&ask, now_us));
        }
        let sent = self.now();
        let mut answers = match requests[..] {
            [] => Vec::new().into_iter(),
            _ => inner.router.ask_many(&requests, deadline).into_iter(),
        };
        for (gift, answer) in gifts.into_iter().zip(answers.by_ref()) {
            self.given_back(gift, answer);
        }
        let answers = asks.iter().zip(asked).zip(answers).map(|((ask, (_, declined)), answer)| {
            let granted = self.granted(ask, sent, answer);
            if let Err(Failure { kind, .. }) = &granted
                && kind.is_known_undone()
            {
                self.state(&ask.key, |state| {
                    // Relaxed: as above.
                    Some(state.declined.fetch_add(declined, Ordering::Relaxed))
                });
            }
            granted
        });
        answers.collect()
    }

    /// Puts the units of an answer into the key's lease.
    fn granted(
        &self,
        ask: &Asking<'_>,
        sent: u64,
        answer: Result<Answer, Failure>,
    ) -> Result<Granted, Failure> {
        // Relaxed: statistics, here and below.
        self.leased.asks.fetch_add(1, Ordering::Relaxed);
        if ask.needs.is_empty() {
            self.leased.renewals.fetch_add(1, Ordering::Relaxed);
        }
        let granted = match answer? {
            Answer::Granted(granted) if granted.verdicts.len() == ask.needs.len() => granted,
            _ => {
                let cause = "an answer to something else".to_owned();
                return Err(Kind::Protocol { cause }.at("a server"));
            }
        };
        self.leased.units.fetch_add(granted.lease, Ordering::Relaxed);
        let capacity = ask.window.capacity(&ask.rate);
        let terms = Terms {
            tick: granted.tick,
            capacity,
            free: capacity.saturating_sub(granted.usage),
            note: granted.factor.map_or(0, |factor| factor.to_bits() | ABOVE),
        };
        let grant =
            Grant { units: granted.lease, end: sent.saturating_add(usable(ask.window)), terms };
        let needs = ask.needs.iter().zip(&granted.verdicts);
        let admitted =
            needs.filter(|(_, verdict)| is_admitted(verdict)).map(|(need, _)| need.count);
        let total = admitted.fold(grant.units, u64::saturating_add);
        let now = self.now();
        let (alive, dead) = (|| KeyState::new(ask.rate), |_: &KeyState| false);
        let rest = self.states.with(&ask.key, alive, dead, |state| {
            if state.is_dead() {
                return None;
            }
            state.note(sent, total, ask.rate);
            let new = Rest { units: grant.units, tick: terms.tick };
            let rest = if grant.units == 0 {
                None
            } else if now >= grant.end {
                Some(new)
            } else {
                // The key is claimed, so that nobody else renews it.
                state.lease.renew(grant).unwrap_or(Some(new))
            };
            // A renewal that got nothing leaves the old lease.
            let end = if grant.units > 0 { grant.end } else { state.lease.held().end };
            let least = now.saturating_add(usable(ask.window) / 8);
            self.list(state, &ask.key, least.max(end.saturating_sub(usable(ask.window) / 8)));
            Some(rest)
        });
        if let Some(rest) = rest.flatten() {
            self.keep_gift(self.gift(ask.window, &ask.key, rest, now));
        }
        Ok(granted)
    }

    /// Serves a caller in line out of the lease, if it suffices.
    pub(crate) fn serve(&self, key: &WindowKey, caller: &Caller) -> bool {
        let Want::Units { rate, count, draw } = &caller.want else { return false };
        let Some(window) = self.window_of(key) else { return false };
        let capacity = window.capacity(rate);
        let verdict = self.state(key, |state| {
            let admits = |note| admits::<S>(note, || *draw);
            let (terms, usage, is_admitted) =
                match state.lease.spend(self.now(), *count, capacity, admits) {
                    Spend::Spent { left, terms } => {
                        (terms, terms.capacity.saturating_sub(terms.free + left), true)
                    }
                    Spend::Declined { terms, .. } => {
                        // Relaxed: as where a call declines itself.
                        state.declined.fetch_add(*count, Ordering::Relaxed);
                        (terms, capacity, false)
                    }
                    Spend::TooFew { .. } | Spend::Ended | Spend::OtherRate => return None,
                };
            let counted = Counted { usage, tick: terms.tick };
            if terms.note & ABOVE == 0 {
                return Some(Verdict::Fits(counted));
            }
            let counted = Counted { usage: capacity, ..counted };
            let factor = f64::from_bits(terms.note & !ABOVE);
            Some(Verdict::Drawn { counted, admitted: is_admitted, factor })
        });
        verdict.is_some_and(|verdict| caller.tell(Ok(verdict)))
    }
}

/// How long the units of a lease may be spent from before they were asked for, in nanoseconds.
pub(crate) fn usable(window: &Window) -> u64 {
    let lease = u64::try_from(window.settings.grid.lease().as_nanos()).unwrap_or(u64::MAX);
    lease - lease / 64
}

fn is_admitted(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Fits(_) | Verdict::Drawn { admitted: true, .. })
}

pub(crate) fn out_of_time(was_asked: bool) -> Failure {
    Kind::of_io(&ErrorKind::TimedOut.into(), was_asked).at("the server")
}

fn ask_of<'a, S: Strategy>(ask: &GrantAsk<'a>, now_us: Option<u64>) -> Request<'a, Answer> {
    let Request { script, key, more_keys, packed, arguments, .. } = ask.request(S::FAMILY, now_us);
    let parse = match S::FAMILY {
        Family::Absolute => |value: Value| grant::absolute(value).map(Answer::Granted),
        Family::Suppressed => |value: Value| grant::suppressed(value).map(Answer::Granted),
    };
    Request { script, key, more_keys, packed, arguments, parse }
}

/// Those whom a round trip asks for. Whatever becomes of it, they are told, and their keys are free again.
struct Flight<'e, S: Strategy> {
    engine: &'e Engine<S>,
    aboard: Vec<Together>,
    are_told: bool,
}

impl<S: Strategy> Drop for Flight<'_, S> {
    fn drop(&mut self) {
        let queue = &self.engine.here.here().queue;
        for Together { key, callers } in &self.aboard {
            if !self.are_told {
                let cause = "the thread that asked has panicked".to_owned();
                let failure = Kind::Io { cause, sent: true }.at("the server");
                callers.iter().for_each(|caller| _ = caller.tell(Err(failure.clone())));
            }
            queue.release(key, |caller| self.engine.serve(key, caller));
        }
        queue.land();
    }
}
