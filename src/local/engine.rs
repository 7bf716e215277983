//! What both strategies have: keys with a window of admitted units, and all that may be done to
//! those whatever the strategy.

use core::hash::{BuildHasher, Hash};
use core::time::Duration;

use crate::key::Lookup;
use crate::local::config::{Config, Now};
use crate::local::counters::{Counters, PerThread, Stats};
use crate::local::map::{AHEAD, KeyMap, State};
use crate::local::observer::{Event, Observer, Strategy};
use crate::wait::{Attempt, TimedOut, Wait, WaitQueue};
use crate::window::{Limit, Outcome, Window};
use crate::{RateLimit, RateLimitDecision, TrypemaError};

/// Keys that a memory estimate looks at.
const SAMPLE: usize = 512;

/// A key's state under some strategy.
pub(crate) trait KeyState: State {
    /// A state begun now.
    fn new(config: &Config, now: Now) -> Self;

    /// The window of admitted units; the state is dead when this is.
    fn admitted(&self) -> &Window;

    /// Retires the state if nothing in it counts, and nothing was added for `stale_after` ticks.
    /// Returns whether it is dead.
    fn retire(&self, config: &Config, floor: &Floor, now: Now, stale_after: u64) -> bool;

    /// Heap bytes that it has allocated.
    fn heap_bytes(&self) -> usize;
}

pub(crate) type Floor = crate::sync::atomic::AtomicU64;

/// One strategy of a limiter.
pub(crate) struct Engine<K, V, S> {
    pub(crate) config: Config,
    pub(crate) store: KeyMap<K, V, S>,
    strategy: Strategy,
    max_keys: Option<u32>,
    line: WaitQueue<K>,
    counters: Counters,
    observer: Option<Observer<K>>,
}

impl<K, V, S> Engine<K, V, S>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
{
    pub(crate) fn new(
        config: Config,
        strategy: Strategy,
        hasher: S,
        max_keys: Option<u32>,
        observer: Option<Observer<K>>,
    ) -> Self {
        Self {
            config,
            store: KeyMap::new(hasher, max_keys),
            strategy,
            max_keys,
            line: WaitQueue::new(),
            counters: Counters::default(),
            observer,
        }
    }

    /// Acts on the key's state, made if there is none, until `act` finds one that is not dead.
    /// `None`: no room for a new key.
    #[inline]
    pub(crate) fn with<Q, R>(
        &self,
        key: &Q,
        now: Now,
        act: impl FnMut(&V) -> Option<R>,
    ) -> Option<R>
    where
        Q: Lookup<K> + ?Sized,
    {
        self.store.with(
            key,
            || V::new(&self.config, now),
            |state| state.retire(&self.config, &self.store.floor, now, 0),
            act,
        )
    }

    /// Decides on calls in turn, with the states of the next few fetched before. `inc` is given the
    /// call, and the key's state if there was one: it may have died since.
    ///
    /// An observer must not be told while states are protected, for it may take its time: nothing
    /// that was removed anywhere could be freed meanwhile. With one, states are looked up one by one.
    #[inline]
    pub(crate) fn in_turn<'c, Q>(
        &self,
        calls: &'c [(&'c Q, &'c RateLimit, u64)],
        mut inc: impl FnMut(&'c Q, &'c RateLimit, u64, Option<&V>) -> RateLimitDecision,
    ) -> Vec<RateLimitDecision>
    where
        Q: Lookup<K> + ?Sized,
    {
        if self.observer.is_some() {
            return calls.iter().map(|&(key, rate, count)| inc(key, rate, count, None)).collect();
        }
        let mut decisions = Vec::with_capacity(calls.len());
        for calls in calls.chunks(AHEAD) {
            let mut pin = None;
            let touch = |state: &V| state.admitted().touch(&self.config.layout, &mut pin);
            let mut call = calls.iter();
            self.store.find_each(calls.iter().map(|&(key, ..)| key), touch, |found| {
                let decided = call.next().map(|&(key, rate, count)| inc(key, rate, count, found));
                decisions.extend(decided);
            });
        }
        decisions
    }

    /// Adds to a window, where that is rare.
    #[inline(never)]
    pub(crate) fn add_rarely(
        &self,
        window: &Window,
        tick: u64,
        count: u64,
        limit: Limit,
    ) -> Outcome {
        self.add_to(window, tick, count, limit)
    }

    /// Adds to a window.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Window::add`")]
    pub(crate) fn add_to(&self, window: &Window, tick: u64, count: u64, limit: Limit) -> Outcome {
        window.add(&self.config.layout, &self.store.floor, tick, count, limit)
    }

    /// [`Engine::add_to`] for callers that have no use for the hint of a rejection.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Window::add`")]
    pub(crate) fn add_unhinted(
        &self,
        window: &Window,
        tick: u64,
        count: u64,
        limit: Limit,
    ) -> Outcome {
        window.add_unhinted(&self.config.layout, &self.store.floor, tick, count, limit)
    }

    /// What the calling thread keeps for itself.
    #[inline]
    pub(crate) fn per_thread(&self) -> &PerThread {
        self.counters.per_thread()
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
        self.decided_by(self.per_thread(), key, count, decision)
    }

    /// [`Engine::decided`], where the calling thread's own is known.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "most of it goes where the decision is known")]
    pub(crate) fn decided_by<Q>(
        &self,
        per_thread: &PerThread,
        key: &Q,
        count: u64,
        decision: RateLimitDecision,
    ) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        per_thread.count(&decision);
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

    /// The decision on a call whose key found no room.
    #[cold]
    pub(crate) fn no_room(&self) -> RateLimitDecision {
        self.counters.count_no_room();
        RateLimitDecision::Rejected {
            retry_after_ms: Some(self.config.grid.window_ms()),
            remaining_after_waiting: 0,
        }
    }

    pub(crate) fn usage<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> u64 {
        let now = self.config.now();
        self.store
            .find(key, |state| state.admitted().usage(&self.config.layout, now.tick))
            .unwrap_or(0)
    }

    pub(crate) fn record<Q: Lookup<K> + ?Sized>(&self, key: &Q, count: u64) -> bool {
        if count == 0 {
            return true;
        }
        let now = self.config.now();
        let recorded = self.with(key, now, |state| {
            alive(self.add_rarely(state.admitted(), now.tick, count, Limit::Unbounded))
        });
        if recorded.is_none() {
            self.counters.count_no_room();
        }
        recorded.is_some()
    }

    pub(crate) fn refund<Q: Lookup<K> + ?Sized>(&self, key: &Q, count: u64) -> u64 {
        if count == 0 {
            return 0;
        }
        let now = self.config.now();
        let refunded = self
            .store
            .find(key, |state| state.admitted().refund(&self.config.layout, now.tick, count))
            .unwrap_or(0);
        if refunded > 0 {
            self.line.units_freed(|| key.to_key());
        }
        refunded
    }

    pub(crate) fn reset<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        let known = self.store.find(key, |state| state.admitted().kill().then_some(())).is_some();
        if known {
            self.store.unlink(key);
            self.line.units_freed(|| key.to_key());
        }
        known
    }

    pub(crate) fn clear(&self) {
        self.store.each(|key, state| {
            state.admitted().kill();
            self.store.unlink(key);
            true
        });
        self.line.all_units_freed();
    }

    /// Removes keys that nothing counts on and that were not added to for `stale_after`, while
    /// `go_on` says so. Returns how many.
    pub(crate) fn sweep(&self, stale_after: Duration, go_on: impl Fn() -> bool) -> usize {
        let stale_after = self.config.grid.ticks_in(stale_after);
        let mut removed = 0;
        self.store.each(|key, state| {
            // Read for each key: a sweep of many keys takes a while, and an old reading would
            // keep keys that are idle by now.
            let now = self.config.now();
            if state.retire(&self.config, &self.store.floor, now, stale_after)
                && self.store.unlink(key)
            {
                removed += 1;
            }
            go_on()
        });
        removed
    }

    /// Waits until `attempt` is admitted.
    pub(crate) fn acquire<Q>(
        &self,
        key: &Q,
        timeout: Duration,
        attempt: impl FnMut() -> Attempt,
    ) -> Result<Duration, TrypemaError>
    where
        Q: Lookup<K> + ?Sized,
    {
        let wait = Wait { line: &self.line, clock: &self.config.clock, timeout };
        wait.run(|| key.to_key(), attempt).map_err(|TimedOut| match self.max_keys {
            Some(max_keys) if self.store.find(key, |_| Some(())).is_none() => {
                self.counters.count_no_room();
                TrypemaError::TooManyKeys { max_keys: max_keys as usize }
            }
            _ => TrypemaError::Timeout { waited: timeout },
        })
    }

    /// The attempt of a call whose key found no room: some other key may become idle at any time,
    /// and there is nothing to be woken by.
    pub(crate) fn attempt_without_room(&self) -> Attempt {
        Attempt::Later(self.config.grid.bucket())
    }

    /// The time until the units of `tick` have left the window.
    pub(crate) fn until_gone(&self, tick: u64, now: Now) -> Duration {
        Duration::from_nanos(self.config.grid.nanos_until_gone(tick, self.config.nanos(now)))
    }

    pub(crate) fn add_to_stats(&self, stats: &mut Stats) {
        self.counters.add_to(stats);
        stats.evictions += self.store.evictions();
        let keys = self.store.len();
        stats.keys += keys;
        let (mut sampled, mut heap) = (0, 0);
        self.store.each(|_, state| {
            sampled += 1;
            heap += state.heap_bytes();
            sampled < SAMPLE
        });
        let heap = (heap * keys).checked_div(sampled).unwrap_or(0);
        // Two words of the allocator and the map for each entry.
        stats.memory_bytes += keys * (self.store.entry_bytes() + 2 * size_of::<usize>()) + heap;
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
