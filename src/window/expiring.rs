//! A number that is costly to compute, kept for a while.
//!
//! Two words, no lock: the number is stored before the time until which it is good, and read
//! after it, so a thread that finds it good reads that number or a newer one. Threads that find it
//! outdated at the same time each compute it; one of them wins, and it does not matter which. A
//! thread that is stopped between computing and storing may leave a number as old as its pause.

use crate::sync::atomic::{AtomicU64, Ordering};

/// Good until some time, in whatever unit the caller counts.
pub(crate) struct Expiring {
    value: AtomicU64,
    until: AtomicU64,
}

impl Expiring {
    pub(crate) fn new() -> Self {
        Self { value: AtomicU64::new(0), until: AtomicU64::new(0) }
    }

    /// The number, if it is still good at `now`.
    #[inline]
    pub(crate) fn get(&self, now: u64) -> Option<u64> {
        // Acquire: pairs with the store of `until` in `put`, which follows that of the number.
        let until = self.until.load(Ordering::Acquire);
        // Relaxed: ordered by the load above.
        (now < until).then(|| self.value.load(Ordering::Relaxed))
    }

    pub(crate) fn put(&self, value: u64, until: u64) {
        // Relaxed: published by the store below.
        self.value.store(value, Ordering::Relaxed);
        // Release: pairs with the load in `get`.
        self.until.store(until, Ordering::Release);
    }
}
