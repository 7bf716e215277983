//! Every call of a strategy, once. The strategy's own part is behind [`KeyState`]: how it decides on
//! one key's state.

use core::hash::{BuildHasher, Hash};
use core::time::Duration;
use std::sync::Arc;

use crate::key::Lookup;
use crate::local::call::{Call, Draw, Verdict};
use crate::local::config::{Config, Now};
use crate::local::counters::{Counters, PerThread};
use crate::local::inner::Plan;
use crate::local::key_ref::KeyRef;
use crate::local::map::{AHEAD, KeyMap, State};
use crate::local::observer::{Event, Observer, Strategy};
use crate::policy::Grid;
use crate::random::Random;
use crate::settings::Settings;
use crate::wait::{Attempt, Unadmitted, Waiting};
use crate::window::{Limit, Outcome, Timeline, Window};
use crate::{Admitted, Bucket, RateLimit, RateLimitDecision, TrypemaError};

/// How long a waiting thread whose key found no room waits before it looks again.
const LONGEST_LOOK: Duration = Duration::from_millis(100);
/// The least time after which a waiting thread draws again: anything less is a busy loop.
const SHORTEST_REDRAW: Duration = Duration::from_millis(1);

/// A key's state under some strategy, and how that strategy decides.
pub(crate) trait KeyState: State + Sized {
    /// The strategy's settings.
    type Settings;

    /// Whether declined calls count as demand, and are recorded.
    const RECORDS_DECLINES: bool;

    /// The strategy's settings for a window.
    fn settings(settings: &Settings, grid: &Grid) -> Self::Settings;

    /// The most units that one call can ever be admitted for, at this capacity.
    fn most(context: &Context<'_, Self>, capacity: u64) -> u64;

    /// The user's source of draws, who can notice how often it is asked; `None`: the default one.
    fn random(settings: &Self::Settings) -> Option<&dyn Random>;

    /// Admits or refuses the call. `None` of a dead state.
    fn decide(&self, context: &Context<'_, Self>, call: &Call<'_>) -> Option<RateLimitDecision>;

    /// [`KeyState::decide`] for a caller that waits if it is refused: a decline is not recorded,
    /// and the verdict says when units leave the window.
    fn try_acquire(&self, context: &Context<'_, Self>, call: &Call<'_>) -> Option<Verdict>;

    /// The answer of [`KeyState::decide`] on a key that may be unknown, with nothing recorded.
    /// `None` of a dead state.
    fn peek(
        state: Option<&Self>,
        context: &Context<'_, Self>,
        call: &Call<'_>,
    ) -> Option<RateLimitDecision>;

    /// Records a wait that was given up. `None` of a dead state.
    fn give_up(&self, _context: &Context<'_, Self>, _call: &Call<'_>) -> Option<()> {
        Some(())
    }

    /// A state that begins now.
    fn new(timeline: &Timeline, now: Now) -> Self;

    /// The window of admitted units; the state is dead when this is.
    fn admitted(&self) -> &Window;

    /// Retires the state if nothing in it counts, and nothing was added for `stale_after` ticks.
    /// Returns whether it is dead.
    fn retire(&self, timeline: &Timeline, now: Now, stale_after: u64) -> bool;

    /// Whether [`KeyState::retire`] would end it now, or it is dead.
    fn is_idle(&self, timeline: &Timeline, now: Now, stale_after: u64) -> bool;

    /// Heap bytes that it has allocated.
    fn heap_bytes(&self) -> usize;
}

/// Everything that a decision depends on besides the call and the key's state.
pub(crate) struct Context<'a, V: KeyState> {
    pub(crate) config: &'a Config,
    pub(crate) timeline: &'a Timeline,
    pub(crate) settings: &'a V::Settings,
}

impl<V: KeyState> Context<'_, V> {
    /// Adds to a window, where that is rare.
    #[inline(never)]
    pub(crate) fn add_slow(&self, window: &Window, tick: u64, count: u64, limit: Limit) -> Outcome {
        window.add(self.timeline, tick, count, limit)
    }
}

/// One strategy of a limiter.
pub(crate) struct Engine<K, V: KeyState, S> {
    pub(crate) config: Config,
    pub(crate) settings: V::Settings,
    pub(crate) timeline: Timeline,
    pub(crate) map: KeyMap<K, V, S>,
    strategy: Strategy,
    max_keys: Option<u32>,
    pub(crate) waiting: Waiting<K>,
    max_waiting: usize,
    pub(in crate::local) counters: Counters,
    observer: Option<Observer<K>>,
}

impl<K, V, S> Engine<K, V, S>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
{
    pub(crate) fn new(plan: &Plan<K, S>, grid: Grid, strategy: Strategy) -> Self
    where
        S: Clone,
    {
        let config = Config::new(grid, Arc::clone(&plan.clock));
        Self {
            timeline: config.timeline(),
            settings: V::settings(&plan.settings, &grid),
            config,
            map: KeyMap::new(plan.hasher.clone(), plan.max_keys),
            strategy,
            max_keys: plan.max_keys,
            max_waiting: plan.settings.max_waiting,
            waiting: Waiting::new(plan.closed.clone(), plan.settings.max_waiting),
            counters: Counters::default(),
            observer: plan.observer.clone(),
        }
    }

    // --- deciding ------------------------------------------------------------------------------

    /// Checks and counts.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the body of each strategy's `inc`")]
    pub(crate) fn inc<Q>(&self, key: &Q, rate: &RateLimit, count: u64) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        // Nearly all calls end here. Rare cases, a new key among them, are kept out: this function
        // is inlined into its callers, and small enough to keep its values in registers.
        if let Some(capacity) = self.usual(rate, count)
            && let Some(per_thread) = self.counters.known_thread()
        {
            // In a block of its own: the observer must not run while states are protected.
            let decision = match self.map.pinned() {
                // No closures here: they would be calls.
                Some(map) => match map.get(key) {
                    Some(state) => self.inc_known(per_thread, state, rate, count, capacity),
                    None => None,
                },
                None => None,
            };
            if let Some(decision) = decision {
                if self.observer.is_some() {
                    self.tell(key.to_key(), count, &decision);
                }
                return decision;
            }
        }
        self.inc_slow(key, rate, count)
    }

    /// The capacity that nearly all calls are decided by; `None` of rare calls.
    #[inline]
    fn usual(&self, rate: &RateLimit, count: u64) -> Option<u64> {
        // A draw that can be noticed must not be made again in `inc_slow`.
        if count == 0 || V::random(&self.settings).is_some() {
            return None;
        }
        self.config.finite_limit(rate)
    }

    /// [`Engine::inc`] of a key that has a state; the decision is counted, but not yet told to the observer.
    /// `None` of a dead state.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the body of two functions, both of them hot")]
    fn inc_known(
        &self,
        per_thread: &PerThread,
        state: &V,
        rate: &RateLimit,
        count: u64,
        capacity: u64,
    ) -> Option<RateLimitDecision> {
        let decision = self.decide_known(per_thread, state, rate, count, capacity);
        if let Some(decision) = &decision {
            per_thread.count(decision);
        }
        decision
    }

    /// [`Engine::inc_known`], not counted yet.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the body of two functions, both of them hot")]
    fn decide_known(
        &self,
        per_thread: &PerThread,
        state: &V,
        rate: &RateLimit,
        count: u64,
        capacity: u64,
    ) -> Option<RateLimitDecision> {
        let now = self.config.read(&per_thread.clock_cache);
        let draw = Draw::lazy();
        let call = Call { rate, count, capacity, now, thread: per_thread.number, draw };
        state.decide(&self.context(), &call)
    }

    /// [`Engine::inc`] for any key, rate and count.
    #[cold]
    fn inc_slow<Q>(&self, key: &Q, rate: &RateLimit, count: u64) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        let decision = if count == 0 {
            self.ask_for_nothing(key, rate)
        } else {
            self.try_inc_slow(key, rate, count)
        };
        self.decided(key, count, decision)
    }

    /// [`Engine::inc`] of at least one unit, with nobody told of it.
    pub(crate) fn try_inc<Q>(&self, key: &Q, rate: &RateLimit, count: u64) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        match self.try_inc_known(key, rate, count) {
            Some(decision) => decision,
            None => self.try_inc_slow(key, rate, count),
        }
    }

    /// [`Engine::try_inc`] for any key, rate and count.
    fn try_inc_slow<Q>(&self, key: &Q, rate: &RateLimit, count: u64) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        match self.attempt(key, rate, count, V::decide) {
            Some(decision) => decision,
            // Above the most, room would not help.
            None if V::RECORDS_DECLINES && self.exceeds(rate, count).is_some() => {
                // Nothing counts on a key that has no state.
                let remaining = self.config.soft_limit(rate);
                RateLimitDecision::suppressed(1.0, false).with_remaining(remaining).never()
            }
            None => self.no_room(),
        }
    }

    /// [`Engine::try_inc`] of nearly all calls: of a key that has a state, for a finite rate. `None` of
    /// any other.
    fn try_inc_known<Q>(&self, key: &Q, rate: &RateLimit, count: u64) -> Option<RateLimitDecision>
    where
        Q: Lookup<K> + ?Sized,
    {
        let capacity = self.usual(rate, count)?;
        let per_thread = self.counters.known_thread()?;
        let map = self.map.pinned()?;
        self.decide_known(per_thread, map.get(key)?, rate, count, capacity)
    }

    /// Many calls of [`Engine::inc`], one after the other, with the states of the next few fetched
    /// before.
    ///
    /// An observer must not run while states are protected, for it may take long: no removed state could be
    /// freed meanwhile. With an observer this calls `inc` for each.
    pub(crate) fn inc_many<Q>(
        &self,
        calls: &[(&Q, &RateLimit, u64)],
        decisions: &mut Vec<RateLimitDecision>,
    ) where
        Q: Lookup<K> + ?Sized,
    {
        let per_thread = self.counters.per_thread();
        if self.observer.is_some() || per_thread.is_shared {
            decisions.extend(calls.iter().map(|&(key, rate, count)| self.inc(key, rate, count)));
            return;
        }
        for calls in calls.chunks(AHEAD) {
            let mut pin = None;
            let touch = |state: &V| state.admitted().touch(&self.timeline, &mut pin);
            let mut call = calls.iter();
            self.map.find_each(calls.iter().map(|&(key, ..)| key), touch, |found| {
                decisions.extend(call.next().map(|&(key, rate, count)| {
                    // A state that was found may have died since.
                    let decided = found.zip(self.usual(rate, count));
                    let decided = decided.and_then(|(state, capacity)| {
                        self.inc_known(per_thread, state, rate, count, capacity)
                    });
                    match decided {
                        Some(decision) => decision,
                        None => self.inc_slow(key, rate, count),
                    }
                }));
            });
        }
    }

    /// Looks, and counts nothing.
    pub(crate) fn is_allowed<Q>(&self, key: &Q, rate: &RateLimit, count: u64) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        if rate.is_unlimited() {
            return RateLimitDecision::allowed(u64::MAX);
        }
        if count == 0 {
            return self.ask_for_nothing(key, rate);
        }
        self.peek(key, &self.call(rate, count))
    }

    /// Waits until admitted. Between the limits of a strategy that draws, draws again every `redraw`.
    pub(crate) fn acquire<Q>(
        &self,
        key: &Q,
        rate: &RateLimit,
        count: u64,
        timeout: Duration,
        redraw: Duration,
    ) -> Result<Admitted, TrypemaError>
    where
        Q: Lookup<K> + ?Sized,
    {
        if count == 0 {
            return Ok(Admitted::new(Duration::ZERO, Bucket::NONE));
        }
        if let Some(most) = self.exceeds(rate, count) {
            let window = self.config.grid.window();
            return Err(TrypemaError::exceeds_capacity(count, most, window));
        }
        let attempt = || match self.attempt(key, rate, count, V::try_acquire) {
            Some(Verdict { decision, .. }) if decision.is_allowed() => Attempt::Admitted(decision),
            Some(Verdict { frees_at, .. }) => Attempt::Later(match frees_at {
                Some(tick) => self.until_gone(tick, self.config.now()),
                None => redraw.max(SHORTEST_REDRAW),
            }),
            // No room: any other key may become idle at any time, and nothing wakes this thread then.
            None => Attempt::Later(self.config.grid.bucket().min(LONGEST_LOOK)),
        };
        let clock = &self.config.clock;
        let admitted = self.waiting.wait(&KeyRef(key), || key.to_key(), clock, timeout, attempt);
        // Only now that the line is left: an observer may take its time, or wait for this very key.
        let admitted = admitted.map(|(waited, decision)| {
            self.counters.note_wait(waited);
            let bucket = self.decided(key, count, decision).bucket();
            Admitted::new(waited, bucket.unwrap_or(Bucket::NONE))
        });
        admitted.map_err(|why| {
            match why {
                Unadmitted::TimedOut => {}
                Unadmitted::Closed => return TrypemaError::Closed,
                Unadmitted::TooManyWaiting => {
                    return TrypemaError::too_many_waiting(self.max_waiting);
                }
            }
            self.counters.count_timeout();
            match self.max_keys {
                Some(max_keys) if self.map.find(key, |_| Some(())).is_none() => {
                    self.counters.count_no_room();
                    return TrypemaError::TooManyKeys { max_keys: max_keys as usize };
                }
                _ => {}
            }
            if V::RECORDS_DECLINES {
                let call = self.call(rate, count);
                self.with(key, call.now, |state| state.give_up(&self.context(), &call));
            }
            TrypemaError::Timeout { waited: timeout }
        })
    }

    /// Decides on a call for any key by `decide`. `None`: no room for it.
    fn attempt<Q, R>(
        &self,
        key: &Q,
        rate: &RateLimit,
        count: u64,
        decide: impl Fn(&V, &Context<'_, V>, &Call<'_>) -> Option<R>,
    ) -> Option<R>
    where
        Q: Lookup<K> + ?Sized,
        R: From<RateLimitDecision>,
    {
        let call = self.call(rate, count);
        if rate.is_unlimited() {
            let outcome = self.add_unbounded(key, call.now, count)?;
            let bucket = match outcome {
                // The sum was clipped: its mark holds the units of others, too, and which of them are
                // these cannot be told. No finite rate admits that much.
                Outcome::Admitted { usage, .. } if count > self.config.most_units - usage => {
                    Bucket::NONE
                }
                outcome => bucket_of(outcome),
            };
            return Some(RateLimitDecision::allowed(u64::MAX).with_bucket(bucket).into());
        }
        if !V::RECORDS_DECLINES && count > call.capacity {
            // It never fits, and is not worth a state.
            return Some(self.peek(key, &call).into());
        }
        self.with(key, call.now, |state| decide(state, &self.context(), &call))
    }

    fn peek<Q>(&self, key: &Q, call: &Call<'_>) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        let context = self.context();
        let known = match self.map.pinned() {
            Some(map) => match map.get(key) {
                Some(state) => V::peek(Some(state), &context, call),
                None => None,
            },
            None => self.map.find(key, |state| V::peek(Some(state), &context, call)),
        };
        // Without a state the answer is always known.
        known.or_else(|| V::peek(None, &context, call)).unwrap_or(RateLimitDecision::allowed(0))
    }

    /// A call for no units is allowed, whatever the usage.
    fn ask_for_nothing<Q>(&self, key: &Q, rate: &RateLimit) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        if rate.is_unlimited() {
            return RateLimitDecision::allowed(u64::MAX);
        }
        RateLimitDecision::allowed(self.config.soft_limit(rate).saturating_sub(self.usage(key)))
    }

    fn call<'a>(&self, rate: &'a RateLimit, count: u64) -> Call<'a> {
        let per_thread = self.counters.per_thread();
        Call {
            rate,
            count,
            capacity: self.config.soft_limit(rate),
            now: self.now_of(per_thread),
            thread: per_thread.number,
            draw: V::random(&self.settings).map_or_else(Draw::lazy, Draw::from),
        }
    }

    /// Now. Threads that share a `PerThread` must not cache the time in it.
    #[inline]
    fn now_of(&self, per_thread: &PerThread) -> Now {
        if per_thread.is_shared {
            self.config.now()
        } else {
            self.config.read(&per_thread.clock_cache)
        }
    }

    #[inline]
    pub(crate) fn context(&self) -> Context<'_, V> {
        Context { config: &self.config, timeline: &self.timeline, settings: &self.settings }
    }

    /// The units that this rate allows: `u64::MAX` if it is unlimited.
    pub(crate) fn capacity(&self, rate: &RateLimit) -> u64 {
        if rate.is_unlimited() { u64::MAX } else { self.config.soft_limit(rate) }
    }

    /// The most that a call may ask for under this rate, if `count` is more.
    fn exceeds(&self, rate: &RateLimit, count: u64) -> Option<u64> {
        let most = V::most(&self.context(), self.config.soft_limit(rate));
        (count > most && !rate.is_unlimited()).then_some(most)
    }

    /// Whether a bound on keys has left this key without a state.
    pub(crate) fn has_no_room_for<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        self.max_keys.is_some() && self.map.find(key, |_| Some(())).is_none()
    }

    /// The decision on a call whose key found no room.
    #[cold]
    fn no_room(&self) -> RateLimitDecision {
        self.counters.count_no_room();
        RateLimitDecision::rejected(Some(self.config.grid.window_ms()), 0)
    }

    /// Counts a decision, and tells the observer of it.
    pub(crate) fn decided<Q>(
        &self,
        key: &Q,
        count: u64,
        decision: RateLimitDecision,
    ) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        self.counters.count(&decision);
        if self.observer.is_some() {
            self.tell(key.to_key(), count, &decision);
        }
        decision
    }

    #[cold]
    fn tell(&self, key: K, count: u64, decision: &RateLimitDecision) {
        if let Some(observer) = &self.observer {
            let strategy = self.strategy;
            (observer.0)(&Event { strategy, key: &key, count, decision });
        }
    }
}

/// The bucket that an addition was counted in.
#[inline(always)]
#[expect(clippy::inline_always, reason = "see `Window::add`")]
pub(crate) fn bucket_of(outcome: Outcome) -> Bucket {
    match outcome {
        Outcome::Admitted { mark, .. } => Bucket::new(mark.tick, mark.at),
        Outcome::Rejected { .. } | Outcome::Dead => Bucket::NONE,
    }
}

/// `None` of a dead window: look the key up again.
#[inline]
pub(crate) fn alive(outcome: Outcome) -> Option<Outcome> {
    match outcome {
        Outcome::Dead => None,
        alive => Some(alive),
    }
}
