//! SlotPool of `max_keys`: never two holders, never one lost.

// each proves: G6

use loom::sync::Arc;
use loom::thread;

use crate::explore::explore_model;
use crate::slot_pool::SlotPool;
use crate::sync::atomic::{AtomicU64, Ordering};

struct Shared {
    slots: SlotPool,
    /// Which slots are held, a bit each.
    held: AtomicU64,
}

impl Shared {
    fn new(count: u32) -> Self {
        Self { slots: SlotPool::new(count), held: AtomicU64::new(0) }
    }

    fn take(&self) -> Option<u32> {
        let slot = self.slots.take()?;
        // Relaxed: the bit alone says whether it was held.
        let before = self.held.fetch_or(1 << slot, Ordering::Relaxed);
        assert_eq!(before & 1 << slot, 0, "slot {slot} has two holders");
        Some(slot)
    }

    fn give(&self, slot: u32) {
        // Relaxed: as above.
        self.held.fetch_and(!(1 << slot), Ordering::Relaxed);
        self.slots.give(slot);
    }
}

/// Two threads that take and give, on `count` slots of which `taken` are given back beforehand.
fn take_and_give(name: &str, count: u32, taken: u32) {
    explore_model(name, move || {
        let shared = Arc::new(Shared::new(count));
        let first: Vec<_> = (0..taken).map(|_| shared.take().expect("free")).collect();
        for slot in first {
            shared.give(slot);
        }
        let threads = [(); 2].map(|()| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for _ in 0..2 {
                    if let Some(slot) = shared.take() {
                        shared.give(slot);
                    }
                }
            })
        });
        let mine = shared.take();
        for thread in threads {
            thread.join().expect("no thread panics");
        }
        let left = (0..count).filter(|_| shared.take().is_some()).count();
        let expected = count as usize - usize::from(mine.is_some());
        assert_eq!(left, expected, "every slot can be taken again");
        assert_eq!(shared.slots.take(), None);
    });
}

#[test]
fn one_slot() {
    take_and_give("slots: one, fought over", 1, 1);
}

#[test]
fn two_slots_given_back() {
    take_and_give("slots: two on the stack, taken and given", 2, 2);
}

#[test]
fn fresh_and_given_back() {
    take_and_give("slots: one on the stack, one never used", 2, 1);
}

#[test]
fn the_same_slot_on_top_again() {
    // The other thread takes both slots and gives the first back: the same one is on top as
    // before, but what lies below it is not free.
    explore_model("slots: the same one on top again", || {
        let shared = Arc::new(Shared::new(2));
        for slot in [shared.take(), shared.take()].into_iter().flatten() {
            shared.give(slot);
        }
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || other.take());
        let first = shared.take();
        let second = shared.take();
        if let Some(first) = first {
            shared.give(first);
        }
        let third = thread.join().expect("no thread panics");
        // A thread that has two slots shares neither: `take` sees to that. And one more is free, unless
        // the other thread came before or after all this.
        let held = usize::from(second.is_some()) + usize::from(third.is_some());
        let left = (0..2).filter(|_| shared.take().is_some()).count();
        assert_eq!(held + left, 2, "no slot is lost, and none is there twice");
    });
}
