//! The smaller parts: slots of `max_keys`, and what the Suppressed strategy keeps and counts.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use generator::Gn;

use crate::memory::{self, Pace};
use crate::size::Size;
use crate::slot_pool::SlotPool;
use crate::sync::{SMALLEST_RING, STRIPES, epoch, take_short_way};
use crate::window::{Expiring, Limit, Striped, Timeline, Window};

/// Runs threads in a random order until all have ended, and then goes on knowing what they know.
fn race(seed: u64, bodies: Vec<Box<dyn FnOnce() + Send>>) {
    let mut threads = Vec::new();
    for (thread, body) in (1..).zip(bodies) {
        memory::spawn(thread);
        threads.push((thread, Gn::<()>::new_opt(0x1000, body)));
    }
    let switch = 1 + u32::try_from(seed % 3).expect("small");
    memory::set_pace(Pace { switch, tick: 0, jump: 0, stale: 30 });
    while !threads.is_empty() {
        let chosen = memory::draw(|rng| rng.usize(..threads.len()));
        memory::switch_to(threads[chosen].0);
        threads[chosen].1.resume();
        if threads[chosen].1.is_done() {
            threads.swap_remove(chosen);
        }
    }
    memory::set_pace(Pace { switch: 0, tick: 0, jump: 0, stale: 0 });
    memory::join_all();
}

/// SlotPool, and which of them are held.
struct Held {
    seed: u64,
    slots: SlotPool,
    held: Mutex<HashSet<u32>>,
}

impl Held {
    fn take(&self) -> Option<u32> {
        let slot = self.slots.take()?;
        let is_free = self.held.lock().expect("no panic").insert(slot);
        assert!(is_free, "seed {}: slot {slot} has two holders", self.seed);
        Some(slot)
    }

    fn give(&self, slot: u32) {
        let was_held = self.held.lock().expect("no panic").remove(&slot);
        assert!(was_held, "seed {}: slot {slot} was not held", self.seed);
        self.slots.give(slot);
    }

    fn take_and_give(&self) {
        for _ in 0..3 {
            for slot in [self.take(), self.take()].into_iter().flatten() {
                self.give(slot);
            }
        }
    }
}

// proves: G6
#[test]
fn slots_have_one_holder() {
    for seed in 1..4_000 {
        memory::reset(seed, 0, false);
        let count = 1 + u32::try_from(seed % 3).expect("small");
        let shared = Arc::new(Held { seed, slots: SlotPool::new(count), held: Mutex::default() });
        for slot in [shared.take(), shared.take()].into_iter().flatten() {
            shared.give(slot);
        }
        let body = || -> Box<dyn FnOnce() + Send> {
            let shared = Arc::clone(&shared);
            Box::new(move || shared.take_and_give())
        };
        race(seed, vec![body(), body(), body()]);
        let left = (0..count).filter(|_| shared.take().is_some()).count();
        assert_eq!(left, count as usize, "seed {seed}: every slot can be taken again");
        assert_eq!(shared.slots.take(), None, "seed {seed}");
        assert_eq!(shared.slots.count(), count as usize);
    }
}

// proves: suppression
#[test]
fn kept_numbers_are_good() {
    for seed in 1..2_000 {
        memory::reset(seed, 0, false);
        let kept = Arc::new(Expiring::new());
        kept.put(1, 10);
        let writer = || -> Box<dyn FnOnce() + Send> {
            let kept = Arc::clone(&kept);
            Box::new(move || {
                if kept.get(10).is_none() {
                    kept.put(20, 20);
                }
            })
        };
        let reader = Arc::clone(&kept);
        // A number put until some time is that time, from the second on.
        let look = move |now| {
            if let Some(number) = reader.get(now) {
                assert!(number > now, "seed {seed}: {number} is not good at {now}");
            }
        };
        race(seed, vec![writer(), writer(), Box::new(move || (10..20).for_each(look))]);
        assert_eq!((kept.get(19), kept.get(20)), (Some(20), None), "seed {seed}");
    }
}

const SIZE: Size = Size { index_bits: 6, span: 8 };
/// Bytes of two lines.
const LANE: usize = 128;

/// Units added at some tick, by threads of whatever number.
struct Demand {
    timeline: Timeline,
    stripes: Striped,
}

impl Demand {
    fn new() -> Self {
        let timeline = Timeline::new(SIZE.layout());
        Self { stripes: Striped::new(&timeline, 100), timeline }
    }

    fn add(&self, now: u64, count: u64, thread: usize) {
        self.stripes.add(&self.timeline, now, count, thread);
    }

    fn usage(&self, now: u64) -> u64 {
        self.stripes.usage(&self.timeline, now)
    }

    fn is_idle(&self, now: u64) -> bool {
        self.stripes.is_idle(&self.timeline, now)
    }
}

// proves: suppression
#[test]
fn lanes_count_every_unit_once() {
    let mut wide = 0;
    for seed in 1..4_000 {
        memory::reset(seed, 0, false);
        epoch::reset();
        take_short_way(seed % 2 == 0);
        let demand = Arc::new(Demand::new());
        demand.add(100, 1_000, 0);
        let adds = |thread: usize, units: u64| -> Box<dyn FnOnce() + Send> {
            let demand = Arc::clone(&demand);
            Box::new(move || {
                let mut mine = 0;
                for tick in [100, 100, 101, 100, 102, 102] {
                    demand.add(tick, units, thread);
                    mine += units;
                    // Other threads add units of their own.
                    let seen = demand.usage(102) / units % 10;
                    assert_eq!(seen, mine / units, "seed {seed}: thread {thread} sees its own");
                }
            })
        };
        race(seed, vec![adds(0, 1), adds(1, 10), adds(2, 100)]);
        assert_eq!(demand.usage(102), 1_666, "seed {seed}");
        wide += usize::from(demand.stripes.heap_bytes() > 0);

        assert_eq!(demand.usage(99 + SIZE.span), 1_666, "seed {seed}: all is inside");
        let rest = demand.usage(100 + SIZE.span);
        // A thread with an old reading was counted at the tick that others had reached.
        assert!((222..=666).contains(&rest), "seed {seed}: {rest}");
        let within = |span| demand.stripes.usage_and_recent(&demand.timeline, 102, span);
        assert_eq!(within(3), (1_666, 1_666), "seed {seed}");
        assert_eq!(within(2), (1_666, rest), "seed {seed}");
        assert!(!demand.is_idle(101 + SIZE.span), "seed {seed}");
        assert!(demand.is_idle(102 + SIZE.span), "seed {seed}");
        assert_eq!(demand.usage(102 + SIZE.span), 0, "seed {seed}");
    }
    assert!(wide > 100, "stripes were made in {wide} runs only");
}

// proves: suppression
#[test]
fn lanes_are_there_for_a_crowd_alone_and_each_for_its_threads() {
    memory::reset(1, 0, false);
    epoch::reset();
    take_short_way(true);
    let demand = Demand::new();
    for thread in 0..100 {
        demand.add(100, 1, thread);
    }
    assert_eq!(demand.stripes.heap_bytes(), 0, "nobody was in anybody's way");

    demand.stripes.widen(&demand.timeline, 100);
    assert_eq!(demand.stripes.heap_bytes(), STRIPES * LANE);
    // A ring of its own for each stripe that is added to in many ticks.
    let ring = SMALLEST_RING * size_of::<u64>();
    for (rings, thread) in (1..).zip([0, STRIPES + 1]) {
        for tick in 100..100 + SMALLEST_RING as u64 {
            demand.add(tick, 1, thread);
        }
        assert_eq!(demand.stripes.heap_bytes(), STRIPES * LANE + rings * ring);
    }
    for thread in 0..100 {
        demand.add(100 + SIZE.span, 1, thread);
    }
    assert_eq!(demand.usage(100 + SIZE.span), 100 + 2 * (SMALLEST_RING as u64 - 1));

    // Made again, they would be empty.
    demand.stripes.widen(&demand.timeline, 100);
    assert_eq!(demand.usage(100 + SIZE.span), 100 + 2 * (SMALLEST_RING as u64 - 1));
}

/// Reading ahead for a batch: of windows without marks, with inline ones, with a ring, and dead.
// proves: G1
#[test]
fn what_is_touched_stays_as_it_is() {
    memory::reset(1, 0, false);
    epoch::reset();
    take_short_way(true);
    let timeline = Timeline::new(SIZE.layout());
    let window = Window::new(&timeline, 100);
    let mut pin = None;
    for tick in 100..=100 + SMALLEST_RING as u64 {
        window.touch(&timeline, &mut pin);
        let inside = (tick - 100).min(SIZE.span - 1);
        assert_eq!(window.usage(&timeline, tick), Some(inside));
        window.add(&timeline, tick, 1, Limit::Within(100));
    }
    assert!(pin.is_some(), "a ring was read");
    assert!(window.kill(&timeline));
    window.touch(&timeline, &mut pin);
    assert_eq!(window.usage(&timeline, 100), None);
}
