//! Stands in for the library's `sync::rings`, over this crate's stand-in for crossbeam-epoch.

use core::mem::MaybeUninit;

use super::SMALLEST_RING;
use super::atomic::{AtomicU64, Ordering};
use super::epoch::{self, Guard};

type Words = [MaybeUninit<AtomicU64>];

pub(crate) fn fitting(words: usize) -> usize {
    words.next_power_of_two().max(SMALLEST_RING)
}

pub(crate) struct Atomic(epoch::Atomic<Words>);

#[derive(Clone, Copy)]
pub(crate) struct Shared<'g>(epoch::Shared<'g, Words>);

pub(crate) struct Owned(epoch::Owned<Words>);

pub(crate) fn filled(words: usize, word: impl Fn(u64) -> u64) -> Owned {
    let mut ring = epoch::Owned::<Words>::init(fitting(words));
    for (index, slot) in (0..).zip(ring.iter_mut()) {
        slot.write(AtomicU64::new(word(index)));
    }
    Owned(ring)
}

impl Atomic {
    pub(crate) fn null() -> Self {
        Self(epoch::Atomic::null())
    }

    pub(crate) fn load<'g>(&self, order: Ordering, guard: &'g Guard) -> Shared<'g> {
        Shared(self.0.load(order, guard))
    }

    pub(crate) fn replace(
        &self,
        current: Shared<'_>,
        new: Owned,
        success: Ordering,
        failure: Ordering,
        guard: &Guard,
    ) -> bool {
        self.0.compare_exchange(current.0, new.0, success, failure, guard).is_ok()
    }
}

impl<'g> Shared<'g> {
    pub(crate) fn null() -> Self {
        Self(epoch::Shared::null())
    }

    pub(crate) fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// # Safety
    /// As in the library.
    pub(crate) unsafe fn words(self) -> &'g [AtomicU64] {
        // SAFETY: the caller's promise.
        let words = unsafe { self.0.deref() };
        // SAFETY: `filled` writes every word, and `MaybeUninit<T>` has the layout of `T`.
        unsafe { &*(core::ptr::from_ref(words) as *const [AtomicU64]) }
    }

    /// # Safety
    /// As in the library.
    pub(crate) unsafe fn free(self) {
        // SAFETY: the caller's promise.
        drop(unsafe { self.0.into_owned() });
    }

    /// # Safety
    /// As in the library.
    pub(crate) unsafe fn retire(self, guard: &Guard) {
        // SAFETY: the caller's promise.
        unsafe { guard.defer_destroy(self.0) };
    }
}
