//! Slots for a bounded number of things: take one, give it back. Lock-free; imports only
//! [`crate::sync`].
//!
//! Slots that were never used are handed out by counting. Slots given back form a stack: `head`
//! packs the number of the top slot (plus one; 0 for none) and a count of all changes, so that a
//! compare-and-swap fails if the stack has changed meanwhile, even if the same slot is on top
//! again. `below[slot]` names the slot under it; it is written only by the thread that holds the
//! slot, before it gives it back.

use crate::sync::atomic::{AtomicU64, Ordering};

/// The low half of `head` is a slot, the high half counts changes.
const CHANGE: u64 = 1 << 32;
const SLOT: u64 = CHANGE - 1;

pub(crate) struct SlotPool {
    head: AtomicU64,
    /// How many were ever handed out by counting.
    used: AtomicU64,
    below: Box<[AtomicU64]>,
}

impl SlotPool {
    /// `count` slots, numbered from 0. At most 2^32 - 2.
    pub(crate) fn new(count: u32) -> Self {
        Self {
            head: AtomicU64::new(0),
            used: AtomicU64::new(0),
            below: (0..count).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// A slot that nobody else holds, or `None` if all are taken.
    pub(crate) fn take(&self) -> Option<u32> {
        // Acquire: pairs with the CAS in `give`, which publishes `below`.
        let mut head = self.head.load(Ordering::Acquire);
        while head & SLOT != 0 {
            let slot = (head & SLOT) - 1;
            // Relaxed: ordered by the acquired head. If the slot has been taken and given back
            // since, this may be newer than `head`, and the CAS fails on the count of changes.
            let below = self.below[index(slot)].load(Ordering::Relaxed);
            let next = (head & !SLOT).wrapping_add(CHANGE) | below;
            // AcqRel: Acquire orders what its last holder did before what this one will do;
            // Release keeps the chain of publications unbroken for the slots further down.
            match self.head.compare_exchange(head, next, Ordering::AcqRel, Ordering::Acquire) {
                #[expect(clippy::cast_possible_truncation, reason = "below 2^32 by construction")]
                Ok(_) => return Some(slot as u32),
                Err(current) => head = current,
            }
        }
        let count = self.below.len() as u64;
        // Relaxed: only hands out numbers.
        let mut used = self.used.load(Ordering::Relaxed);
        while used < count {
            // Relaxed: as above.
            match self.used.compare_exchange(used, used + 1, Ordering::Relaxed, Ordering::Relaxed) {
                #[expect(clippy::cast_possible_truncation, reason = "below `count`, a u32")]
                Ok(_) => return Some(used as u32),
                Err(current) => used = current,
            }
        }
        None
    }

    /// Gives a slot back. Only its holder may.
    pub(crate) fn give(&self, slot: u32) {
        // Relaxed: the CAS below publishes what matters; a failed one loads afresh.
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            // Relaxed: published by the CAS.
            self.below[index(u64::from(slot))].store(head & SLOT, Ordering::Relaxed);
            let next = (head & !SLOT).wrapping_add(CHANGE) | (u64::from(slot) + 1);
            // Release: publishes `below`, and what the holder did, to the Acquire in `take`.
            match self.head.compare_exchange(head, next, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(current) => head = current,
            }
        }
    }

    /// How many were ever handed out: every slot ever taken is below this.
    pub(crate) fn used(&self) -> u32 {
        // Relaxed: slots taken meanwhile may be missed.
        let used = self.used.load(Ordering::Relaxed);
        u32::try_from(used).unwrap_or(u32::MAX)
    }

    pub(crate) fn count(&self) -> usize {
        self.below.len()
    }
}

fn index(slot: u64) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}
