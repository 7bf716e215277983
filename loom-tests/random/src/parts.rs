//! The smaller parts: slots of `max_keys`, and the number that the Suppressed strategy keeps.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use generator::Gn;

use crate::key::Kept;
use crate::memory::{self, Pace};
use crate::slots::Slots;

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

/// Slots, and which of them are held.
struct Held {
    seed: u64,
    slots: Slots,
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
        let shared = Arc::new(Held { seed, slots: Slots::new(count), held: Mutex::default() });
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

// proves: thinning
#[test]
fn kept_numbers_are_good() {
    for seed in 1..2_000 {
        memory::reset(seed, 0, false);
        let kept = Arc::new(Kept::new());
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
