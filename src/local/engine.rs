//! Every call of a strategy, once. The strategy's own part is behind [`KeyState`]: how it decides on
//! one key's state.
//!
//! Nearly all calls are for a few units, at a finite rate, of a key that has a state: the functions here
//! decide those, by as few instructions as can be, and leave the others to `attempt`.

use core::hash::{BuildHasher, Hash};
use std::sync::Arc;

use crate::key::Lookup;
use crate::local::call::{Call, Draw};
use crate::local::config::Config;
use crate::local::counters::{Counters, PerThread};
use crate::local::inner::Plan;
use crate::local::key_state::{Context, KeyState};
use crate::local::map::{AHEAD, KeyMap};
use crate::local::observer::{Event, Observer, Strategy};
use crate::policy::Grid;
use crate::thread_exit;
use crate::wait::Waiting;
use crate::window::Timeline;
use crate::{RateLimit, RateLimitDecision};

/// One strategy of a limiter.
pub(crate) struct Engine<K, V: KeyState, S> {
    pub(crate) config: Config,
    pub(crate) settings: V::Settings,
    pub(crate) timeline: Timeline,
    pub(crate) map: KeyMap<K, V, S>,
    strategy: Strategy,
    pub(in crate::local) max_keys: Option<u32>,
    pub(crate) waiting: Waiting<K>,
    pub(in crate::local) max_waiting: usize,
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

    /// Checks and counts.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the body of each strategy's `inc`")]
    pub(crate) fn inc<Q>(&self, key: &Q, rate: &RateLimit, count: u64) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        // Rare cases, a new key among them, are kept out: this function is inlined into its callers, and
        // small enough to keep its values in registers.
        if let Some(capacity) = self.usual(rate, count)
            && let Some(running) = thread_exit::running()
            && let Some(per_thread) = self.counters.known_thread(running)
        {
            // In a block of its own: the observer must not run while states are protected.
            let decision = match self.map.pinned(running) {
                // No closures here: they would be calls.
                Some(map) => match map.get(key) {
                    Some(state) => self.inc_known(per_thread, state, rate, count, capacity),
                    None => None,
                },
                None => None,
            };
            if let Some(decision) = decision {
                return decision;
            }
        }
        self.inc_slow(key, rate, count)
    }

    /// The capacity that nearly all calls are decided by; `None` of rare calls.
    #[inline]
    pub(in crate::local) fn usual(&self, rate: &RateLimit, count: u64) -> Option<u64> {
        // A draw that can be noticed must not be made again where this way leads nowhere.
        if count == 0 || self.observer.is_some() || V::random(&self.settings).is_some() {
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
        let now = self.config.read(&per_thread.clock_cache);
        let draw = Draw::lazy();
        let call = Call { rate, count, capacity, now, thread: per_thread.number, draw };
        let decision = state.decide(&self.context(), &call);
        if let Some(decision) = &decision {
            per_thread.count(decision);
        }
        decision
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
    #[inline]
    pub(crate) fn is_allowed<Q>(&self, key: &Q, rate: &RateLimit, count: u64) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        // As in `inc`.
        if let Some(capacity) = self.usual(rate, count)
            && let Some(running) = thread_exit::running()
            && let Some(per_thread) = self.counters.known_thread(running)
            && let Some(map) = self.map.pinned(running)
            && let Some(state) = map.get(key)
        {
            let now = self.config.read(&per_thread.clock_cache);
            let draw = Draw::lazy();
            let call = Call { rate, count, capacity, now, thread: per_thread.number, draw };
            if let Some(decision) = V::peek(Some(state), &self.context(), &call) {
                return decision;
            }
        }
        self.is_allowed_slow(key, rate, count)
    }

    #[inline]
    pub(crate) fn context(&self) -> Context<'_, V> {
        Context { config: &self.config, timeline: &self.timeline, settings: &self.settings }
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
        self.told(key, count, decision)
    }

    /// Tells the observer of a decision.
    #[inline]
    fn told<Q>(&self, key: &Q, count: u64, decision: RateLimitDecision) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        // By value: a decision whose address is taken would not be kept in registers.
        if self.observer.is_some() { self.tell(&key.to_key(), count, decision) } else { decision }
    }

    #[cold]
    fn tell(&self, key: &K, count: u64, decision: RateLimitDecision) -> RateLimitDecision {
        if let Some(observer) = &self.observer {
            let strategy = self.strategy;
            (observer.0)(&Event { strategy, key, count, decision: &decision });
        }
        decision
    }
}
