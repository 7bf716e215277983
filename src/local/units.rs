//! Calls that are the same under every strategy: they act on a key's admitted units or on the key
//! itself, whatever the limit.

use core::hash::{BuildHasher, Hash};
use core::time::Duration;

use crate::Bucket;
use crate::key::Lookup;
use crate::local::config::Now;
use crate::local::counters::Stats;
use crate::local::engine::Engine;
use crate::local::key_ref::KeyRef;
use crate::local::key_state::{KeyState, alive};
use crate::window::{Limit, MarkId, Outcome, Window};

/// Keys that a memory estimate looks at.
const SAMPLE: usize = 512;

impl<K, V, S> Engine<K, V, S>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
{
    // --- units, whatever the limit -------------------------------------------------------------

    pub(crate) fn usage<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> u64 {
        let now = self.config.now();
        self.map.find(key, |state| state.admitted().usage(&self.timeline, now.tick)).unwrap_or(0)
    }

    pub(crate) fn record<Q: Lookup<K> + ?Sized>(&self, key: &Q, count: u64) -> bool {
        if count == 0 {
            return true;
        }
        let recorded = self.add_unbounded(key, self.config.now(), count);
        if recorded.is_none() {
            self.counters.count_no_room();
        }
        recorded.is_some()
    }

    pub(in crate::local) fn add_unbounded<Q>(
        &self,
        key: &Q,
        now: Now,
        count: u64,
    ) -> Option<Outcome>
    where
        Q: Lookup<K> + ?Sized,
    {
        self.with(key, now, |state| {
            alive(self.context().add_slow(state.admitted(), now.tick, count, Limit::Unbounded))
        })
    }

    pub(crate) fn refund<Q: Lookup<K> + ?Sized>(&self, key: &Q, count: u64) -> u64 {
        self.give_back(key, count, |window, tick| window.refund(&self.timeline, tick, count))
    }

    pub(crate) fn undo<Q>(&self, key: &Q, bucket: Bucket, count: u64) -> u64
    where
        Q: Lookup<K> + ?Sized,
    {
        let Some(bucket) = bucket.some() else { return 0 };
        let mark = MarkId { tick: bucket.tick(), at: bucket.position() };
        self.give_back(key, count, |window, tick| window.undo(&self.timeline, tick, mark, count))
    }

    fn give_back<Q>(
        &self,
        key: &Q,
        count: u64,
        act: impl FnOnce(&Window, u64) -> Option<u64>,
    ) -> u64
    where
        Q: Lookup<K> + ?Sized,
    {
        if count == 0 {
            return 0;
        }
        let now = self.config.now();
        let given_back = self.map.find(key, |state| act(state.admitted(), now.tick)).unwrap_or(0);
        if given_back > 0 {
            self.waiting.units_freed(&KeyRef(key), || key.to_key());
        }
        given_back
    }

    // --- keys ----------------------------------------------------------------------------------

    pub(crate) fn reset<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        let known = self
            .map
            .find(key, |state| state.admitted().kill(&self.timeline).then_some(()))
            .is_some();
        if known {
            self.map.unlink(key);
            self.waiting.units_freed(&KeyRef(key), || key.to_key());
        }
        known
    }

    pub(crate) fn clear(&self) {
        let kill = |(): &(), state: &V| {
            state.admitted().kill(&self.timeline);
            true
        };
        self.map.sweep(|| Some(()), |(), _| true, kill);
        self.timeline.forget_floor();
        self.waiting.all_units_freed();
    }

    /// Removes keys that nothing counts on and that were not added to for `stale_after`. Asks
    /// `goes_on` between its steps, while no state is protected. Returns how many.
    pub(crate) fn sweep(&self, stale_after: Duration, goes_on: impl Fn() -> bool) -> usize {
        let stale_after = self.config.grid.ticks_in(stale_after);
        self.map.sweep(
            // Read for each step: a sweep of many keys takes a while, and an old reading would keep
            // keys that are idle by now. Not under a guard: a clock may be anybody's code.
            || goes_on().then(|| self.config.now()),
            |now, state| state.is_idle(&self.timeline, *now, stale_after),
            |now, state| state.retire(&self.timeline, *now, stale_after),
        )
    }

    /// Shows each key with the units that count on it. No state is protected while `visit` runs: that is
    /// anybody's code, and may take its time.
    pub(crate) fn for_each(&self, visit: &mut dyn FnMut(&K, u64)) {
        for key in self.map.keys(|_| true) {
            let tick = self.config.now().tick;
            // `None` of a key that has been forgotten meanwhile.
            let usage = |state: &V| state.admitted().usage(&self.timeline, tick);
            if let Some(usage) = self.map.find(&key, usage) {
                visit(&key, usage);
            }
        }
    }

    /// Acts on the key's state, made if there is none, until `act` finds one that is not dead.
    /// `None`: no room for a new key.
    #[inline]
    pub(in crate::local) fn with<Q, R>(
        &self,
        key: &Q,
        now: Now,
        act: impl FnMut(&V) -> Option<R>,
    ) -> Option<R>
    where
        Q: Lookup<K> + ?Sized,
    {
        self.map.with(
            key,
            || V::new(&self.timeline, now),
            |state| state.retire(&self.timeline, now, 0),
            act,
        )
    }

    /// The time until the units of `tick` have left the window.
    pub(in crate::local) fn until_gone(&self, tick: u64, now: Now) -> Duration {
        Duration::from_nanos(self.config.grid.nanos_until_gone(tick, self.config.nanos(now)))
    }

    pub(crate) fn add_to_stats(&self, stats: &mut Stats) {
        self.counters.add_to(stats);
        stats.waiting += self.waiting.len();
        stats.evictions += self.map.evictions();
        let keys = self.map.len();
        stats.keys += keys;
        let (mut sampled, mut heap) = (0_u64, 0_u64);
        self.map.sample(SAMPLE, |state| {
            sampled += 1;
            heap = heap.saturating_add(state.heap_bytes() as u64);
        });
        // In 128 bits: keys times bytes are more than a `usize` holds where that has 32 bits.
        let heap = (u128::from(heap) * keys as u128).checked_div(u128::from(sampled)).unwrap_or(0);
        // Two words of the allocator and the map for each entry.
        let entry_bytes = self.map.entry_bytes() + 2 * size_of::<usize>();
        let bytes = heap + keys as u128 * entry_bytes as u128;
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        stats.memory_bytes = stats.memory_bytes.saturating_add(bytes);
    }
}
