//! Threads that wait for the same key, in the order that they came.
//!
//! The first of a line waits for time to pass, or for units to be given back; the others wait for
//! their turn. A thread that leaves, for whatever reason, passes the turn on if it had it. So at
//! any time each line that is not empty has exactly one thread whose turn it is, and that thread
//! has been, or is about to be, woken.
//!
//! The lock is taken by threads that are about to wait or have just waited, by `refund` and `reset`
//! while somebody waits, and by `clear`; decisions never take it. Beside it, a limiter in process has
//! one for starting and stopping the cleanup thread, and `ManualClock` one for who waits for it.

use core::hash::Hash;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use crate::sync::{Mutex, MutexGuard, PoisonError, Thread};

/// The lines of all keys.
pub(crate) struct WaitQueue<K> {
    /// Threads in any line. Lets those that free units see without the lock that nobody waits.
    waiting: AtomicU64,
    lines: Mutex<HashMap<K, VecDeque<Arc<Waiter>>>>,
}

/// A thread in a line.
pub(crate) struct Waiter {
    thread: Thread,
    turn: AtomicBool,
}

/// A place in a line, left when this is dropped.
pub(crate) struct QueueEntry<'a, K: Hash + Eq> {
    line: &'a WaitQueue<K>,
    key: K,
    waiter: Arc<Waiter>,
}

impl<K: Hash + Eq + Clone> WaitQueue<K> {
    pub(crate) fn new() -> Self {
        Self { waiting: AtomicU64::new(0), lines: Mutex::new(HashMap::new()) }
    }

    /// Whether nobody waits for any key.
    pub(crate) fn is_empty(&self) -> bool {
        // Acquire: only so that who sees a line gone sees what its last thread did.
        self.waiting.load(Ordering::Acquire) == 0
    }

    /// Joins the end of a key's line.
    pub(crate) fn join(&self, key: K, thread: Thread) -> QueueEntry<'_, K> {
        // Relaxed: ordered by the fence below.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let mut lines = self.lock();
        let line = lines.entry(key.clone()).or_default();
        let waiter = Arc::new(Waiter { thread, turn: AtomicBool::new(line.is_empty()) });
        line.push_back(Arc::clone(&waiter));
        drop(lines);
        // Pairs with the fence in `units_freed`: either that thread sees this one waiting, or this
        // one's next attempt sees the units that it freed.
        fence(Ordering::SeqCst);
        QueueEntry { line: self, key, waiter }
    }

    /// Wakes the first thread that waits for the key, if any: units may have been freed.
    pub(crate) fn units_freed(&self, key: impl FnOnce() -> K) {
        // Pairs with the fence in `join`.
        fence(Ordering::SeqCst);
        // Relaxed: ordered by the fence.
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        if let Some(first) = self.lock().get(&key()).and_then(VecDeque::front) {
            first.thread.unpark();
        }
    }

    /// Wakes the first thread of every line.
    pub(crate) fn all_units_freed(&self) {
        // Pairs with the fence in `join`.
        fence(Ordering::SeqCst);
        for line in self.lock().values() {
            if let Some(first) = line.front() {
                first.thread.unpark();
            }
        }
    }
}

impl<K> WaitQueue<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, VecDeque<Arc<Waiter>>>> {
        // No code that could panic runs while it is held, so a poisoned lock guards sound data.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> QueueEntry<'_, K> {
    /// Whether it is this thread's turn. Once it is, it stays so.
    pub(crate) fn is_first(&self) -> bool {
        // Acquire: pairs with the store in `drop`, so that this thread sees what the one before it
        // was admitted with.
        self.waiter.turn.load(Ordering::Acquire)
    }
}

impl<K: Hash + Eq> Drop for QueueEntry<'_, K> {
    fn drop(&mut self) {
        let mut lines = self.line.lock();
        if let Some(line) = lines.get_mut(&self.key) {
            line.retain(|waiter| !Arc::ptr_eq(waiter, &self.waiter));
            match line.front() {
                Some(first) => {
                    // Release: pairs with the load in `is_first`. Storing it again does no harm.
                    first.turn.store(true, Ordering::Release);
                    first.thread.unpark();
                }
                None => {
                    lines.remove(&self.key);
                }
            }
        }
        drop(lines);
        // Release: pairs with the load in `is_empty`.
        self.line.waiting.fetch_sub(1, Ordering::Release);
    }
}
