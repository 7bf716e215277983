//! Waiting until there is room.

mod park;
mod queue;

use core::hash::{BuildHasher, Hash};
use core::time::Duration;
use std::sync::Arc;

use crate::DefaultHashBuilder;
use crate::clock::ClockSource;
use crate::sync::atomic::{AtomicBool, Ordering, fence};
use park::Wait;
pub(crate) use park::{Attempt, Unadmitted};
use queue::WaitQueue;

/// The threads that wait for keys. `K` tells their lines apart; equal keys must hash alike, and no more is
/// asked of the hash.
pub(crate) struct Waiting<K> {
    queue: WaitQueue<K>,
    hasher: DefaultHashBuilder,
    closed: Closed,
    /// The most threads in the line of one key.
    max_waiting: usize,
}

/// Whether a limiter was closed, for all of its lines.
#[derive(Clone, Default)]
pub(crate) struct Closed(Arc<AtomicBool>);

impl Closed {
    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: pairs with `close`, so that a thread whose wait ends sees what led to it.
        self.0.load(Ordering::Acquire)
    }

    /// To be followed by [`Waiting::wake_all`] of all lines that there are.
    pub(crate) fn close(&self) {
        // Release: pairs with `is_closed`.
        self.0.store(true, Ordering::Release);
        // Pairs with the fence of a thread that joins a line and then looks whether it is closed: either
        // that thread sees it, or its line is seen by the thread that closes, and woken.
        fence(Ordering::SeqCst);
    }
}

impl<K: Eq> Waiting<K> {
    pub(crate) fn new(closed: Closed, max_waiting: usize) -> Self {
        let hasher = DefaultHashBuilder::default();
        Self { queue: WaitQueue::new(), hasher, closed, max_waiting }
    }

    /// Calls `attempt` until it is admitted, and returns how long that took and the attempt's result. The
    /// thread has left the line by then. `key` is called only to wait, or to see whether others wait.
    pub(crate) fn wait<T>(
        &self,
        hashed: &(impl Hash + ?Sized),
        key: impl Fn() -> K,
        clock: &ClockSource,
        timeout: Duration,
        attempt: impl FnMut() -> Attempt<T>,
    ) -> Result<(Duration, T), Unadmitted> {
        let Self { queue, closed, max_waiting, .. } = self;
        let hash = self.hasher.hash_one(hashed);
        let wait = Wait { queue, hash, clock, timeout, closed, max_waiting: *max_waiting };
        wait.run(key, attempt)
    }

    /// Wakes the first thread that waits for the key, if any: units may have been freed.
    pub(crate) fn units_freed(&self, hashed: &(impl Hash + ?Sized), key: impl FnOnce() -> K) {
        self.queue.units_freed(self.hasher.hash_one(hashed), key);
    }

    /// Wakes the first thread of every line.
    pub(crate) fn all_units_freed(&self) {
        self.queue.all_units_freed();
    }

    /// Wakes every thread of every line, since the limiter was closed.
    pub(crate) fn wake_all(&self) {
        self.queue.wake_all();
    }

    /// Threads that wait at present.
    pub(crate) fn len(&self) -> u64 {
        self.queue.len()
    }
}
