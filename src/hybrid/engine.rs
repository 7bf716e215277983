//! Every call of a strategy that asks for a decision, once. Nearly all calls end in [`Engine::inc`]: one look in a
//! map, one reading of the clock, one compare-and-swap. The others go the way of a call over Redis, with
//! leases put in where that one would ask.

use core::cell::OnceCell;
use core::fmt;
use core::time::Duration;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use crate::clock::{ClockSource, MonotonicClock};
use crate::hybrid::HybridStats;
use crate::hybrid::caller::{Caller, Want};
use crate::hybrid::fork::PerProcess;
use crate::hybrid::keeper::Here;
use crate::hybrid::key_state::{KeyState, WindowKey, WindowKeyRef};
use crate::hybrid::lease::{OWN_RATE, Spend, Terms};
use crate::key::Lookup;
use crate::local::map::{KeyMap, State};
use crate::policy::Grid;
use crate::redis::DecisionSource;
use crate::redis::denial_cache::DenialCache;
use crate::redis::engine::{self, Mode, Settled, Strategy};
use crate::redis::execute::Cacheable;
use crate::redis::inner::Inner;
use crate::redis::request::{Call, MAX_COUNT};
use crate::redis::script::Family;
use crate::redis::windows::{Plan, Window};
use crate::{
    Admitted, Bucket, DefaultHashBuilder, RateLimit, RateLimitDecision, TrypemaError, thread_exit,
};

/// Set in the note of a lease whose units lie above the soft limit: the rest of it is the factor, which has no
/// sign, and is that of one rate.
pub(crate) const ABOVE: u64 = OWN_RATE;

/// One strategy of a limiter.
pub(crate) struct Engine<S> {
    /// Everything that the server is asked.
    pub(crate) remote: engine::Engine<S>,
    pub(crate) states: KeyMap<WindowKey, KeyState, DefaultHashBuilder>,
    /// The clock that leases end by.
    clock: ClockSource,
    pub(crate) here: PerProcess<Here>,
    pub(crate) leased: Leased,
    /// For the background thread.
    pub(crate) this: Weak<Self>,
}

/// Counts of what was asked for, and of units.
#[derive(Debug, Default)]
pub(crate) struct Leased {
    pub(crate) asks: AtomicU64,
    pub(crate) renewals: AtomicU64,
    pub(crate) units: AtomicU64,
    pub(crate) given_back: AtomicU64,
    pub(crate) lost: AtomicU64,
}

// As `Inner`; and a key that a panic leaves claimed is released by a destructor.
impl<S> std::panic::UnwindSafe for Engine<S> {}
impl<S> std::panic::RefUnwindSafe for Engine<S> {}

/// A number for one call, drawn when it is first needed.
pub(crate) struct Draw<'i> {
    inner: &'i Inner,
    drawn: OnceCell<f64>,
}

impl<'i> Draw<'i> {
    fn new(inner: &'i Inner) -> Self {
        Self { inner, drawn: OnceCell::new() }
    }

    fn get(&self) -> f64 {
        *self.drawn.get_or_init(|| self.inner.draw())
    }
}

impl<S: Strategy> Engine<S> {
    pub(crate) fn new(
        inner: Arc<Inner>,
        plan: Plan,
        denial_cache: Option<DenialCache>,
        shortest_lease: Duration,
    ) -> Arc<Self> {
        // If a test sets the server's time, this process goes by the same time.
        let clock = match &inner.server_time {
            Some(clock) => ClockSource::Custom(Box::new(Arc::clone(clock))),
            None => {
                let clock = MonotonicClock::through_suspension();
                clock.for_bucket(shortest_lease);
                ClockSource::Monotonic(clock)
            }
        };
        Arc::new_cyclic(|this| Self {
            remote: engine::Engine::new(inner, plan, denial_cache),
            states: KeyMap::new(DefaultHashBuilder::default(), None),
            clock,
            here: PerProcess::new(),
            leased: Leased::default(),
            this: this.clone(),
        })
    }

    /// Checks and counts.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the body of each strategy's `inc`")]
    pub(crate) fn inc(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<RateLimitDecision, TrypemaError> {
        // Nearly all calls end here, without a closure or a draw that could be noticed.
        if (1..=MAX_COUNT).contains(&count)
            && self.remote.inner.observer.is_none()
            && !rate.is_unlimited()
            && let Some(running) = thread_exit::running()
            && let Some(states) = self.states.pinned(running)
        {
            let window = self.remote.windows.of(rate);
            let window_ms = window.settings.grid.window_ms();
            if let Some(state) = states.get(&WindowKeyRef { window_ms, key }) {
                let draw = Draw::new(&self.remote.inner);
                if let Some(decision) = self.spend(state, (window, rate), count, || draw.get()) {
                    self.remote.counters.spent(running, &decision);
                    return Ok(decision);
                }
                drop(states);
                return self.inc_slow(key, rate, count, draw);
            }
        }
        self.inc_slow(key, rate, count, Draw::new(&self.remote.inner))
    }

    /// [`Engine::inc`] for any key, rate and count.
    #[cold]
    fn inc_slow(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
        draw: Draw<'_>,
    ) -> Result<RateLimitDecision, TrypemaError> {
        self.remote.decide_by(Mode::Inc, (key, rate, count), |call| {
            match self.prepare(Mode::Inc, call, &draw) {
                Prepared::Settled(settled) => settled,
                // One call has one answer.
                Prepared::Asks(ask) => {
                    self.ask_all(vec![ask]).pop().unwrap_or(Err(TrypemaError::Closed))
                }
            }
        })
    }

    /// Many calls of [`Engine::inc`]; those that have to ask do it together.
    pub(crate) fn inc_many(
        &self,
        calls: &[(&str, &RateLimit, u64)],
    ) -> Vec<Result<RateLimitDecision, TrypemaError>> {
        self.remote.inc_many_by(calls, |calls| {
            let mut asks = Vec::new();
            let known = calls.iter().map(|call| {
                let draw = Draw::new(&self.remote.inner);
                match self.prepare(Mode::Inc, call, &draw) {
                    Prepared::Settled(settled) => Some(settled),
                    Prepared::Asks(ask) => {
                        asks.push(ask);
                        None
                    }
                }
            });
            let known = known.collect::<Vec<_>>();
            let mut asked = self.ask_all(asks).into_iter();
            // Calls that are not known have asked, in this order.
            known.into_iter().filter_map(|known| known.or_else(|| asked.next())).collect()
        })
    }

    /// Looks, and counts nothing.
    pub(crate) fn is_allowed(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<RateLimitDecision, TrypemaError> {
        self.remote.decide_by(Mode::Look, (key, rate, count), |call| {
            let draw = Draw::new(&self.remote.inner);
            let looked = if count == 0 || rate.is_unlimited() {
                None
            } else {
                let capacity = call.window.capacity(rate);
                self.state(&ref_of(call), |state| {
                    let admits = |note| {
                        admits::<S>(note, || draw.get()) || count > S::limit(call.window, rate)
                    };
                    match state.lease.look(self.now(), count, capacity, admits) {
                        Spend::Spent { left, terms } => {
                            Some(admitted::<S>(left, &terms, capacity, false))
                        }
                        Spend::Declined { terms, .. } => Some(declined(&terms)),
                        Spend::TooFew { .. } | Spend::Ended | Spend::OtherRate => None,
                    }
                })
            };
            match looked {
                Some(decision) => Ok((decision, DecisionSource::Lease)),
                None => self.remote.execute(Mode::Look, call),
            }
        })
    }

    /// Parks this thread until the call is admitted.
    pub(crate) fn acquire(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
        timeout: Duration,
    ) -> Result<Admitted, TrypemaError> {
        self.remote.acquire_by((key, rate, count), timeout, |call| {
            let draw = Draw::new(&self.remote.inner);
            match self.prepare(Mode::Wait, call, &draw) {
                Prepared::Settled(settled) => settled,
                Prepared::Asks(_) => self.remote.execute(Mode::Wait, call),
            }
        })
    }

    /// Decides by the lease, or repeats a rejection; else says what there is to ask.
    fn prepare<'c>(&self, mode: Mode, call: &Call<'c>, draw: &Draw<'_>) -> Prepared<'c> {
        let Call { window, key, rate, count } = *call;
        // Those are never leased.
        if count == 0 || rate.is_unlimited() || count > S::limit(window, rate) {
            return Prepared::Settled(self.remote.execute(mode, call));
        }
        self.keep_told_time();
        let spent = self.state(&ref_of(call), |state| match mode {
            // A wait is declined once, at its end.
            Mode::Wait if !self.admits_all(state) => None,
            _ => self.spend(state, (window, rate), count, || draw.get()),
        });
        if let Some(decision) = spent {
            return Prepared::Settled(Ok((decision, DecisionSource::Lease)));
        }
        let cacheable = match self.remote.repeat(mode, call) {
            Ok(cacheable) => cacheable,
            Err(decision) => {
                return Prepared::Settled(Ok((decision, DecisionSource::DenialCache)));
            }
        };
        let draw = if S::FAMILY == Family::Suppressed { draw.get() } else { 0.0 };
        let window_ms = window.settings.grid.window_ms();
        let window_key = WindowKey { window_ms, key: key.into() };
        let caller = Caller::new(Want::Units { rate: *rate, count, draw });
        Prepared::Asks(Asks { call: *call, key: window_key, caller, cacheable })
    }

    /// Waits for the units of all of these.
    fn ask_all(&self, asks: Vec<Asks<'_>>) -> Vec<Settled> {
        if asks.is_empty() {
            return Vec::new();
        }
        let callers = asks.iter().map(|ask| (ask.key.clone(), Arc::clone(&ask.caller)));
        let results = self.wait_for(&callers.collect::<Vec<_>>(), self.remote.deadline());
        let settled =
            asks.into_iter().zip(results).map(|(Asks { call, cacheable, .. }, result)| {
                self.remote.finish(Mode::Inc, &call, cacheable, result)
            });
        settled.collect()
    }

    /// Acts on a key's state, if it has one: one that is this process's own, and not given up.
    pub(crate) fn state<Q, R>(&self, key: &Q, act: impl FnOnce(&KeyState) -> Option<R>) -> Option<R>
    where
        Q: Lookup<WindowKey> + ?Sized,
    {
        self.states.find(key, |state| if state.is_dead() { None } else { act(state) })
    }

    /// Whether the lease, if there is one, lies below the soft limit.
    fn admits_all(&self, state: &KeyState) -> bool {
        let looked = state.lease.look(self.now(), 0, u64::MAX, |_| true);
        matches!(looked, Spend::Spent { terms, .. } if terms.note & ABOVE == 0)
    }

    /// Decides by the lease. `None`: it does not suffice.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "most of every hot call")]
    pub(crate) fn spend(
        &self,
        state: &KeyState,
        (window, rate): (&Window, &RateLimit),
        count: u64,
        draw: impl Fn() -> f64,
    ) -> Option<RateLimitDecision> {
        if !state.is_own() {
            return None;
        }
        let capacity = window.capacity(rate);
        // A call above the limit finds too few units, and asks: it is told that it never fits.
        let admits = |note| admits::<S>(note, &draw) || count > S::limit(window, rate);
        match state.lease.spend(self.now(), count, capacity, admits) {
            Spend::Spent { left, terms } => Some(admitted::<S>(left, &terms, capacity, true)),
            Spend::Declined { terms, .. } => {
                // Relaxed: a number that is told to the server now or the next time.
                state.declined.fetch_add(count, Ordering::Relaxed);
                Some(declined(&terms))
            }
            Spend::TooFew { .. } | Spend::Ended | Spend::OtherRate => None,
        }
    }

    /// The time that leases end by, in nanoseconds.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.clock.now_nanos()
    }

    pub(crate) fn grid_of(&self, rate: &RateLimit) -> Grid {
        self.remote.grid_of(rate)
    }

    pub(crate) fn window_of(&self, key: &WindowKey) -> Option<&Window> {
        let is_it = |window: &&Window| window.settings.grid.window_ms() == key.window_ms;
        self.remote.windows.iter().find(is_it)
    }

    pub(crate) fn stats(&self) -> HybridStats {
        let mut stats = HybridStats::default();
        self.add_to(&mut stats);
        stats
    }

    pub(crate) fn add_to(&self, stats: &mut HybridStats) {
        self.remote.add_to(&mut stats.decisions);
        stats.from_leases += self.remote.counters.leases();
        // Relaxed: statistics.
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Leased { asks, renewals, units, given_back, lost } = &self.leased;
        stats.asks += read(asks);
        stats.renewals += read(renewals);
        stats.units_leased += read(units);
        stats.units_given_back += read(given_back);
        stats.units_lost += read(lost);
        stats.keys += self.states.len() as u64;
    }
}

/// The key of a call.
fn ref_of<'c>(call: &Call<'c>) -> WindowKeyRef<'c> {
    WindowKeyRef { window_ms: call.window.settings.grid.window_ms(), key: call.key }
}

/// A call that asks for a decision, after a first look.
enum Prepared<'c> {
    Settled(Settled),
    Asks(Asks<'c>),
}

/// A call that has to ask the server.
struct Asks<'c> {
    call: Call<'c>,
    key: WindowKey,
    caller: Arc<Caller>,
    cacheable: Option<Cacheable>,
}

/// Whether a call spends units with this note.
#[inline]
pub(crate) fn admits<S: Strategy>(note: u64, draw: impl Fn() -> f64) -> bool {
    S::FAMILY == Family::Absolute || note & ABOVE == 0 || draw() >= factor(note)
}

/// The decision on a call that has spent units, or would.
#[inline]
fn admitted<S: Strategy>(
    left: u64,
    terms: &Terms,
    capacity: u64,
    counts: bool,
) -> RateLimitDecision {
    let decision = if S::FAMILY == Family::Suppressed && terms.note & ABOVE != 0 {
        RateLimitDecision::suppressed(factor(terms.note), true)
    } else {
        // Granted under the call's own capacity, or a smaller one.
        RateLimitDecision::allowed(terms.free + left + (capacity - terms.capacity))
    };
    if counts { decision.with_bucket(Bucket::new(terms.tick, 0)) } else { decision }
}

#[cold]
fn declined(terms: &Terms) -> RateLimitDecision {
    RateLimitDecision::suppressed(factor(terms.note), false)
}

fn factor(note: u64) -> f64 {
    f64::from_bits(note & !ABOVE)
}

impl<S> fmt::Debug for Engine<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("remote", &self.remote).finish_non_exhaustive()
    }
}
