//! Atomics that are words of the run's memory.

pub(crate) use core::sync::atomic::Ordering;

use crate::memory;

/// A word of the run's memory.
#[derive(Debug)]
pub(crate) struct AtomicU64 {
    word: usize,
}

#[allow(dead_code, reason = "whichever of the real one's methods the library comes to use")]
impl AtomicU64 {
    pub(crate) fn new(value: u64) -> Self {
        Self { word: memory::create(value) }
    }

    /// Nobody may access it any more.
    pub(crate) fn free(&self) {
        memory::free(self.word);
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        memory::load(self.word, order)
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        memory::store(self.word, value, order);
    }

    pub(crate) fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        memory::compare_exchange(self.word, current, new, success, failure)
    }

    pub(crate) fn compare_exchange_weak(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.compare_exchange(current, new, success, failure)
    }

    pub(crate) fn fetch_add(&self, other: u64, order: Ordering) -> u64 {
        memory::update(self.word, order, |value| value.wrapping_add(other))
    }

    pub(crate) fn fetch_sub(&self, other: u64, order: Ordering) -> u64 {
        memory::update(self.word, order, |value| value.wrapping_sub(other))
    }

    pub(crate) fn fetch_max(&self, other: u64, order: Ordering) -> u64 {
        memory::update(self.word, order, |value| value.max(other))
    }

    pub(crate) fn fetch_or(&self, other: u64, order: Ordering) -> u64 {
        memory::update(self.word, order, |value| value | other)
    }

    pub(crate) fn fetch_and(&self, other: u64, order: Ordering) -> u64 {
        memory::update(self.word, order, |value| value & other)
    }
}
