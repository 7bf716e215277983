//! One strategy's engines, one for each window, and which of them a rate is judged by.

use core::hash::{BuildHasher, Hash};
use core::time::Duration;
use std::sync::Arc;

use crate::RateLimit;
use crate::key::Lookup;
use crate::local::counters::Stats;
use crate::local::engine::Engine;
use crate::local::inner::Plan;
use crate::local::key_state::KeyState;
use crate::local::observer::Strategy;
use crate::policy::Grid;
use crate::settings::{nearest, own_grid};
use crate::sync::OnceBox;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Windows of rates' own periods that are made; a further period is judged over one of these.
const MOST: usize = 16;
/// Marks a slot that has no window yet.
const FREE: u64 = 0;

pub(crate) struct Windows<K, V: KeyState, S> {
    plan: Arc<Plan<K, S>>,
    strategy: Strategy,
    /// Whether the first slot is for every rate.
    is_single: bool,
    slots: [Slot<K, V, S>; MOST],
}

/// A slot is given to a window once and for all; the engine is made when it is first asked for.
struct Slot<K, V: KeyState, S> {
    window_ms: AtomicU64,
    engine: OnceBox<Engine<K, V, S>>,
}

impl<K, V, S> Windows<K, V, S>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher + Clone,
{
    pub(crate) fn new(plan: Arc<Plan<K, S>>, strategy: Strategy) -> Self {
        let fixed = plan.windowing.fixed();
        let slots = core::array::from_fn(|index| Slot {
            window_ms: AtomicU64::new(fixed.get(index).map_or(FREE, Grid::window_ms)),
            engine: OnceBox::new(),
        });
        Self { is_single: fixed.len() == 1, plan, strategy, slots }
    }

    /// The engine that judges this rate.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "part of every hot call")]
    pub(crate) fn of(&self, rate: &RateLimit) -> &Engine<K, V, S> {
        let first = &self.slots[0];
        if let Some(engine) = first.engine.get() {
            // Relaxed: a slot's window never changes once it has one, and the engine was acquired.
            if self.is_single || first.window_ms.load(Ordering::Relaxed) == rate.period_ms() {
                return engine;
            }
        }
        self.of_any(rate)
    }

    /// [`Windows::of`] for a window that is not the first, or not made yet.
    #[inline(never)]
    fn of_any(&self, rate: &RateLimit) -> &Engine<K, V, S> {
        let slot = self.slot_of(rate);
        slot.engine.get_or_init(|| {
            // Relaxed: as in `of`.
            let grid = self.grid(slot.window_ms.load(Ordering::Relaxed));
            Box::new(Engine::new(&self.plan, grid, self.strategy))
        })
    }

    /// The slot of a rate's window; a free one is given to it where each rate has its own window.
    fn slot_of(&self, rate: &RateLimit) -> &Slot<K, V, S> {
        let period_ms = rate.period_ms();
        let may_claim = self.plan.windowing.fixed().is_empty();
        for slot in &self.slots {
            // Relaxed, here and below: the number is all there is to see.
            let mut window_ms = slot.window_ms.load(Ordering::Relaxed);
            if window_ms == FREE {
                if !may_claim {
                    break;
                }
                let claim = slot.window_ms.compare_exchange(
                    FREE,
                    period_ms,
                    Ordering::Relaxed, // as above
                    Ordering::Relaxed, // as above
                );
                window_ms = claim.err().unwrap_or(period_ms);
            }
            if window_ms == period_ms {
                return slot;
            }
        }
        let window_ms = nearest(self.windows_ms(), rate);
        // Relaxed: as above.
        let is_it = |slot: &&Slot<_, _, _>| slot.window_ms.load(Ordering::Relaxed) == window_ms;
        self.slots.iter().find(is_it).unwrap_or(&self.slots[0])
    }

    /// Windows that have a slot.
    fn windows_ms(&self) -> impl Iterator<Item = u64> + Clone {
        // Relaxed: as in `slot_of`.
        let all = self.slots.iter().map(|slot| slot.window_ms.load(Ordering::Relaxed));
        all.take_while(|window_ms| *window_ms != FREE)
    }

    /// The window and the bucket that judge this rate, whether they are in use yet or not.
    pub(crate) fn grid_of(&self, rate: &RateLimit) -> Grid {
        let is_full = self.windows_ms().count() == MOST;
        let fixed = self.plan.windowing.fixed();
        self.grid(if fixed.is_empty() && !is_full {
            rate.period_ms()
        } else {
            nearest(self.windows_ms(), rate)
        })
    }

    fn grid(&self, window_ms: u64) -> Grid {
        let fixed = self.plan.windowing.fixed().iter();
        fixed
            .copied()
            .find(|grid| grid.window_ms() == window_ms)
            .unwrap_or_else(|| own_grid(window_ms))
    }

    /// The engines of windows in use.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Engine<K, V, S>> {
        self.slots.iter().filter_map(|slot| slot.engine.get())
    }

    // --- calls that concern several windows ----------------------------------------------------

    pub(crate) fn inc_many<Q>(
        &self,
        calls: &[(&Q, &RateLimit, u64)],
    ) -> Vec<crate::RateLimitDecision>
    where
        Q: Lookup<K> + ?Sized,
    {
        let mut decisions = Vec::with_capacity(calls.len());
        // As many as have one window at a time: these have their states fetched together.
        let same = |one: &(&Q, &RateLimit, u64), next: &(&Q, &RateLimit, u64)| {
            core::ptr::eq(self.of(one.1), self.of(next.1))
        };
        for calls in calls.chunk_by(same) {
            self.of(calls[0].1).inc_many(calls, &mut decisions);
        }
        decisions
    }

    pub(crate) fn reset<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        self.iter().filter(|engine| engine.reset(key)).count() > 0
    }

    pub(crate) fn clear(&self) {
        self.iter().for_each(Engine::clear);
    }

    pub(crate) fn sweep(&self, stale_after: Duration, go_on: &dyn Fn() -> bool) -> usize {
        self.iter().map(|engine| engine.sweep(stale_after, go_on)).sum()
    }

    pub(crate) fn for_each(&self, visit: &mut dyn FnMut(Strategy, &K, Duration, u64)) {
        for engine in self.iter() {
            let window = engine.config.grid.window();
            engine.for_each(&mut |key, usage| visit(self.strategy, key, window, usage));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.iter().map(|engine| engine.map.len()).sum()
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        self.add_to_stats(&mut stats);
        stats
    }

    pub(crate) fn add_to_stats(&self, stats: &mut Stats) {
        self.iter().for_each(|engine| engine.add_to_stats(stats));
    }
}
