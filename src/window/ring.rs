//! Where a window's marks are stored: the newest few inside the window, and from the first time that there are
//! more, all before them in a ring on the heap, which is replaced by a larger or smaller one as the number
//! of marks in the window changes.
//!
//! This file knows nothing of what the words mean. It promises one thing: a slice handed out by
//! [`Marks::ring`] stays readable for as long as the borrow lasts, even when another thread has
//! replaced the ring meanwhile. A window once given a ring is never without one again:
//! a compare-and-swap from "no ring" must not succeed on a later, second "no ring".

use crate::sync::INLINE_MARKS;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::epoch::{self, Guard};
use crate::sync::rings;

/// Slots of a ring whose memory is not to wait for others: 1 KiB. The collector takes what a thread
/// has put aside after 64 rings at the latest, so that less than 64 KiB a thread waits.
const LARGE: usize = 128;

/// Storage for marks.
#[repr(C)]
pub(crate) struct Marks {
    /// Null at first; else owned by this struct.
    ring: rings::Atomic,
    newest: [AtomicU64; INLINE_MARKS],
}

impl Marks {
    /// No ring, and all of the words inside `blank`.
    pub(crate) fn new(blank: u64) -> Self {
        let newest = core::array::from_fn(|_| AtomicU64::new(blank));
        Self { ring: rings::Atomic::null(), newest }
    }

    /// The slot inside the window of mark `index`; indices wrap round.
    #[inline]
    pub(crate) fn newest(&self, index: u64) -> &AtomicU64 {
        // A power of two, so the mask keeps the index in bounds.
        #[expect(clippy::cast_possible_truncation, reason = "masked to the array's length")]
        &self.newest[index as usize & (INLINE_MARKS - 1)]
    }

    /// Whether there is a ring.
    #[inline]
    pub(crate) fn has_ring(&self) -> bool {
        // SAFETY: the pointer is only compared with null here, never dereferenced.
        let unprotected = unsafe { epoch::unprotected() };
        // Relaxed: null or not is all that is learnt. A stale null cannot be taken for current: the
        // thread that committed a state for which there must be a ring published
        // the ring first, and the caller acquired that state before calling.
        !self.ring.load(Ordering::Relaxed, unprotected).is_null()
    }

    /// The ring, if there is one. `guard` keeps every ring seen since it was pinned readable.
    #[inline]
    pub(crate) fn ring<'a>(&'a self, guard: &'a Guard) -> View<'a> {
        // Acquire: pairs with the AcqRel swap in `replace`, so that the copied words are visible,
        // and so is the state they were copied at.
        let ring = self.ring.load(Ordering::Acquire, guard);
        if ring.is_null() {
            return View { slots: &[], ring };
        }
        // SAFETY: not null, and `guard` was pinned before this load, so that the ring outlives the guard,
        // which is borrowed for as long as the slice is.
        View { slots: unsafe { ring.words() }, ring }
    }

    /// Puts a ring of `size` slots in place of `view`, filled by `fill(index)`. Does nothing where
    /// another thread was first: a ring is replaced at most once.
    #[cold]
    pub(crate) fn replace(&self, view: &View<'_>, size: usize, fill: impl Fn(u64) -> u64) {
        let guard = epoch::pin();
        let next = rings::filled(size, fill);
        // AcqRel: Release publishes the words just written to the Acquire load in `ring`; Acquire
        // orders this after the replaced ring's own publication, which is about to be reclaimed.
        let is_replaced = self.ring.replace(
            view.ring,
            next,
            Ordering::AcqRel, // pairs with the Acquire load in `ring`
            // Relaxed: what is there instead is not looked at.
            Ordering::Relaxed,
            &guard,
        );
        if is_replaced && view.exists() {
            // SAFETY: the swap made the old ring unreachable for threads that pin from now on,
            // and only the one thread whose swap succeeded comes here.
            unsafe { view.ring.retire(&guard) };
            // A thread may take long to exchange enough rings for the collector to free what it has put
            // aside. Small ones are little memory, and asking the collector for each doubled the time of
            // the slowest hundredth of calls that begin a bucket.
            if view.slots.len() >= LARGE {
                guard.flush();
            }
        }
    }

    /// Slots that marks have now, for memory accounting and tests: of the ring, or those inside.
    pub(crate) fn capacity(&self) -> usize {
        self.ring(&epoch::pin()).slots.len().max(INLINE_MARKS)
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
            unsafe { ring.free() };
        }
    }
}

/// The ring as it was found: a snapshot of *where* it is, not of what it holds.
pub(crate) struct View<'a> {
    slots: &'a [AtomicU64],
    ring: rings::Shared<'a>,
}

impl View<'_> {
    /// No ring.
    #[inline]
    pub(crate) fn none() -> Self {
        View { slots: &[], ring: rings::Shared::null() }
    }

    /// Whether there is a ring.
    #[inline]
    pub(crate) fn exists(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Slots in this ring, a power of two; 0 if there is none.
    #[inline]
    pub(crate) fn len(&self) -> u64 {
        self.slots.len() as u64
    }

    /// The slot of mark `index`, if there is a ring; indices wrap round it.
    #[inline]
    pub(crate) fn slot(&self, index: u64) -> Option<&AtomicU64> {
        #[expect(clippy::cast_possible_truncation, reason = "masked to the slice's length")]
        self.slots.get(index as usize & self.slots.len().wrapping_sub(1))
    }
}
