//! Where a window's marks are stored: inline at first, then in a heap ring that is replaced by a
//! larger or smaller one as the number of marks in the window changes.
//!
//! This file knows nothing of what the words mean. It promises one thing: a slice handed out by
//! [`Marks::ring`] stays readable for as long as the borrow lasts, even when another thread has
//! replaced the ring meanwhile. A window once given a ring never goes back to its inline words:
//! a compare-and-swap from "no ring" must not succeed on a later, second "no ring".

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::epoch::{self, Atomic, Guard, Shared};
use crate::sync::{INLINE_MARKS, SMALLEST_RING};
use crate::window::words::{Words, filled, initialised};

/// Slots of a ring whose memory is not to wait for others: 1 KiB. The collector takes what a thread
/// has put aside after 64 rings at the latest, so that less than 64 KiB a thread waits.
const LARGE: usize = 128;

/// Storage for marks. In this order, see `Window`.
#[repr(C)]
pub(crate) struct Marks {
    /// Null while the inline words are in use; else owned by this struct.
    ring: Atomic<Words>,
    inline: [AtomicU64; INLINE_MARKS],
}

impl Marks {
    /// Inline words, all of them `blank`.
    pub(crate) fn new(blank: u64) -> Self {
        Self { ring: Atomic::null(), inline: core::array::from_fn(|_| AtomicU64::new(blank)) }
    }

    /// The inline words, if they are in use.
    #[inline]
    pub(crate) fn inline(&self) -> Option<View<'_>> {
        // SAFETY: the pointer is only compared with null here, never dereferenced.
        let unprotected = unsafe { epoch::unprotected() };
        // Relaxed: null or not is all that is learnt; the inline words need no pointer. A stale
        // null cannot be taken for current: the thread that committed a state through a ring published
        // the ring first, and the caller acquired that state before calling.
        let is_inline = self.ring.load(Ordering::Relaxed, unprotected).is_null();
        is_inline.then(|| View { slots: &self.inline, ring: Shared::null() })
    }

    /// The words of the heap ring, where there are no inline ones. `guard` keeps every ring seen
    /// since it was pinned readable.
    #[inline]
    pub(crate) fn ring<'a>(&'a self, guard: &'a Guard) -> View<'a> {
        // Acquire: pairs with the AcqRel swap in `replace`, so that the copied words are visible,
        // and so is the state they were copied at.
        let ring = self.ring.load(Ordering::Acquire, guard);
        // SAFETY: rings are never null again once set, and `guard` was pinned before this load,
        // so that the ring outlives the guard, which is borrowed for as long as the slice is.
        let words = unsafe { ring.deref() };
        // SAFETY: `replace`, which alone makes rings, has them filled.
        View { slots: unsafe { initialised(words) }, ring }
    }

    /// Puts a ring of `size` slots in place of `view`, filled by `fill(index)`. Does nothing where
    /// another thread was first: a ring is replaced at most once.
    #[cold]
    pub(crate) fn replace(&self, view: &View<'_>, size: usize, fill: impl Fn(u64) -> u64) {
        debug_assert!(size.is_power_of_two() && size >= SMALLEST_RING);
        let guard = epoch::pin();
        let next = filled(size, fill);
        // AcqRel: Release publishes the words just written to the Acquire load in `ring`; Acquire
        // orders this after the replaced ring's own publication, which is about to be reclaimed.
        let swapped = self.ring.compare_exchange(
            view.ring,
            next,
            Ordering::AcqRel, // pairs with the Acquire load in `ring`
            // Relaxed: what is there instead is not looked at.
            Ordering::Relaxed,
            &guard,
        );
        if swapped.is_ok() && !view.ring.is_null() {
            // SAFETY: the swap made the old ring unreachable for threads that pin from now on,
            // and only the one thread whose swap succeeded comes here. The words need no drop.
            unsafe { guard.defer_destroy(view.ring) };
            // A thread may take long to exchange enough rings for the collector to free what it has put
            // aside. Small ones are little memory, and asking the collector for each doubled the time of
            // the slowest hundredth of calls that begin a bucket.
            if view.slots.len() >= LARGE {
                guard.flush();
            }
        }
    }

    /// Slots in use now, for memory accounting and tests.
    pub(crate) fn capacity(&self) -> usize {
        match self.inline() {
            Some(inline) => inline.slots.len(),
            None => self.ring(&epoch::pin()).slots.len(),
        }
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        // SAFETY: `&mut self`: no other thread can reach this window any more, hence its ring.
        let unprotected = unsafe { epoch::unprotected() };
        // Relaxed: exclusive access has ordered everything that came before.
        let ring = self.ring.load(Ordering::Relaxed, unprotected);
        if !ring.is_null() {
            // SAFETY: not null, owned by this window alone, and unreachable after this drop.
            drop(unsafe { ring.into_owned() });
        }
    }
}

/// The marks as they were found: a snapshot of *where* they are, not of what they hold.
pub(crate) struct View<'a> {
    slots: &'a [AtomicU64],
    ring: Shared<'a, Words>,
}

impl View<'_> {
    /// Slots in this ring, a power of two.
    #[inline]
    pub(crate) fn len(&self) -> u64 {
        self.slots.len() as u64
    }

    #[inline]
    pub(crate) fn is_inline(&self) -> bool {
        self.ring.is_null()
    }

    /// The slot of mark `index`; indices wrap round the ring.
    #[inline]
    pub(crate) fn slot(&self, index: u64) -> &AtomicU64 {
        // The length is a power of two, so the mask keeps the index in bounds.
        let mask = self.slots.len() - 1;
        #[expect(clippy::cast_possible_truncation, reason = "masked to the slice's length")]
        &self.slots[index as usize & mask]
    }
}
