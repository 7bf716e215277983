//! Waiting until there is room.

mod park;
mod queue;

use core::hash::{BuildHasher, Hash};
use core::time::Duration;

use crate::DefaultHashBuilder;
use crate::clock::ClockSource;
use park::Wait;
pub(crate) use park::{Attempt, TimedOut};
use queue::WaitQueue;

/// The threads that wait for some keys. A key of lines is whatever tells them apart: what is hashed
/// need only be the same for equal keys.
pub(crate) struct Waiting<K> {
    queue: WaitQueue<K>,
    hasher: DefaultHashBuilder,
}

impl<K: Eq> Waiting<K> {
    pub(crate) fn new() -> Self {
        Self { queue: WaitQueue::new(), hasher: DefaultHashBuilder::default() }
    }

    /// Asks by `attempt` until it is admitted, and returns how long that took and what the attempt has
    /// made of it. The place in the line is left by then. `key` is called only to wait, or to see who
    /// does.
    pub(crate) fn wait<T>(
        &self,
        hashed: &(impl Hash + ?Sized),
        key: impl Fn() -> K,
        clock: &ClockSource,
        timeout: Duration,
        attempt: impl FnMut() -> Attempt<T>,
    ) -> Result<(Duration, T), TimedOut> {
        let wait = Wait { queue: &self.queue, hash: self.hasher.hash_one(hashed), clock, timeout };
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
}
