//! Pointers to rings: words on the heap, whose number is in the low bits of their address.
//!
//! crossbeam-epoch's own pointers to slices keep the length before the first word. That is a line of memory of
//! its own, and the words wait for it: where keys are many, it took a fifth of a call that begins a
//! bucket.
//!
//! A ring has [`SMALLEST_RING`] words, or twice as many, and so on. Four bits of the address are free, so the
//! largest of them stands for a ring twice as large as would be its turn: one for the longest of windows.

use crate::sync::SMALLEST_RING;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::epoch::{self, Guard};

/// Two words. Aligned as the allocator aligns anyway, where addresses have 64 bits.
#[repr(align(16))]
struct Pair {
    _words: [AtomicU64; 2],
}

/// The largest number that the free bits of an address hold.
const LARGEST: usize = align_of::<Pair>() - 1;

const _: () = {
    assert!(size_of::<Pair>() == 2 * size_of::<AtomicU64>(), "words lie side by side");
    assert!(SMALLEST_RING.is_power_of_two() && SMALLEST_RING >= 2);
};

/// The words of a ring with this number in its address.
#[inline]
const fn len(tag: usize) -> usize {
    SMALLEST_RING << (tag + tag / LARGEST)
}

/// The number for rings of at least so many words.
const fn tag(words: usize) -> usize {
    let mut tag = 0;
    while len(tag) < words && tag < LARGEST {
        tag += 1;
    }
    tag
}

/// The length of the smallest ring of at least so many words.
pub(crate) const fn fitting(words: usize) -> usize {
    len(tag(words))
}

/// A pointer to a ring, or to none.
pub(crate) struct Atomic(epoch::Atomic<Pair>);

/// A ring that other threads may have.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'g>(epoch::Shared<'g, Pair>);

/// A ring that is nobody else's.
pub(crate) struct Owned(Box<[Pair]>);

/// A ring of at least `words` words, the one at each index from `word(index)`.
pub(crate) fn filled(words: usize, word: impl Fn(u64) -> u64) -> Owned {
    let pair = |index| {
        let words = [2 * index, 2 * index + 1].map(|index| AtomicU64::new(word(index)));
        Pair { _words: words }
    };
    Owned((0..fitting(words) as u64 / 2).map(pair).collect())
}

impl Atomic {
    pub(crate) fn null() -> Self {
        Self(epoch::Atomic::null())
    }

    #[inline]
    pub(crate) fn load<'g>(&self, order: Ordering, guard: &'g Guard) -> Shared<'g> {
        Shared(self.0.load(order, guard))
    }

    /// Puts `new` in place of `current`. Returns whether it did.
    pub(crate) fn replace(
        &self,
        current: Shared<'_>,
        new: Owned,
        success: Ordering,
        failure: Ordering,
        guard: &Guard,
    ) -> bool {
        let new = new.share();
        let replaced = self.0.compare_exchange(current.0, new.0, success, failure, guard);
        if replaced.is_err() {
            // SAFETY: nobody else has seen it.
            unsafe { new.free() };
        }
        replaced.is_ok()
    }
}

impl Owned {
    fn share<'g>(self) -> Shared<'g> {
        let tag = tag(2 * self.0.len());
        let first = Box::into_raw(self.0).cast::<Pair>().cast_const();
        Shared(epoch::Shared::from(first).with_tag(tag))
    }
}

impl<'g> Shared<'g> {
    pub(crate) fn null() -> Self {
        Self(epoch::Shared::null())
    }

    #[inline]
    pub(crate) fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// The words.
    ///
    /// # Safety
    /// It is not null, and not freed for as long as `'g`.
    #[inline]
    pub(crate) unsafe fn words(self) -> &'g [AtomicU64] {
        let first = self.0.as_raw().cast::<AtomicU64>();
        // SAFETY: `share` made the address of so many words, side by side and initialised.
        unsafe { core::slice::from_raw_parts(first, len(self.0.tag())) }
    }

    /// Frees it at once. Its words need no drop.
    ///
    /// # Safety
    /// It is not null, and nobody else can reach it any more.
    pub(crate) unsafe fn free(self) {
        let pairs = len(self.0.tag()) / 2;
        let first = self.0.as_raw().cast_mut();
        let pairs = core::ptr::slice_from_raw_parts_mut(first, pairs);
        // SAFETY: the box that `share` took apart; the caller's promise.
        drop(unsafe { Box::from_raw(pairs) });
    }

    /// Frees it when no guard is left that was pinned before.
    ///
    /// # Safety
    /// It is not null, threads that pin from now on cannot reach it, and nobody retires it again.
    pub(crate) unsafe fn retire(self, guard: &Guard) {
        // SAFETY: once those guards are gone, nobody has it any more.
        let free = move || unsafe { self.free() };
        // SAFETY: the caller's promise.
        unsafe { guard.defer_unchecked(free) };
    }
}
