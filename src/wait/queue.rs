//! Threads that wait for the same key, in the order that they came.
//!
//! The first of a line waits for time to pass, or for units to be given back; the others wait for
//! their turn. A thread that leaves, for whatever reason, passes the turn on if it had it. So at
//! any time each line that is not empty has exactly one thread whose turn it is, and that thread
//! has been, or is about to be, woken.
//!
//! Lines are spread over stripes by the hash of their key, which the caller brings. Each stripe counts
//! its waiting threads, so that a caller whose key nobody waits for nearly always sees that without a
//! lock: only where another key of the same stripe is waited for does it lock that stripe to look.
//!
//! A stripe's lock is taken by threads that are about to wait or have just waited, by `refund` and `reset`
//! while somebody waits in that stripe, and by `clear`; decisions never take it. Beside it, a limiter in
//! process has one for starting and stopping the cleanup thread, and `ManualClock` one for the threads
//! that wait for it.
//!
//! Under a lock, the only code of the key's type that runs is its `Eq`, and only before anything was
//! changed: a key whose comparison panics joins no line, and damages none. Lines are left by their
//! number, so leaving runs no code of the key's type but its `Drop`, and that after the lock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use crate::sync::{Mutex, MutexGuard, PoisonError, Thread, WAIT_STRIPES};

/// The lines of all keys.
pub(crate) struct WaitQueue<K> {
    stripes: [Stripe<K>; WAIT_STRIPES],
}

struct Stripe<K> {
    /// Threads in any line of this stripe.
    waiting: AtomicU64,
    lines: Mutex<Lines<K>>,
}

struct Lines<K> {
    /// By the hash of their keys.
    by_hash: HashMap<u64, Vec<Line<K>>>,
    /// The number of the next line that begins.
    next: u64,
}

struct Line<K> {
    key: K,
    number: u64,
    waiters: VecDeque<Arc<Waiter>>,
}

/// A thread in a line.
pub(crate) struct Waiter {
    thread: Thread,
    turn: AtomicBool,
}

/// Why a thread has not joined a line.
pub(crate) enum NotJoined<K> {
    /// The key has none.
    NoLine(K),
    /// It holds as many threads as it may.
    Full,
}

/// A place in a line, left when this is dropped.
pub(crate) struct QueueEntry<'a, K> {
    stripe: &'a Stripe<K>,
    hash: u64,
    number: u64,
    waiter: Arc<Waiter>,
}

impl<K: Eq> WaitQueue<K> {
    pub(crate) fn new() -> Self {
        Self { stripes: core::array::from_fn(|_| Stripe::new()) }
    }

    /// Whether nobody waits for the key with this hash; true of nearly all other keys as well. Takes
    /// no lock.
    pub(crate) fn is_surely_empty(&self, hash: u64) -> bool {
        // Acquire: pairs with the decrement in `QueueEntry::drop`, so that a thread that sees a line gone
        // sees what the last thread in it did.
        self.stripe(hash).waiting.load(Ordering::Acquire) == 0
    }

    /// Whether somebody waits for the key.
    pub(crate) fn is_waited_for(&self, hash: u64, key: impl FnOnce() -> K) -> bool {
        if self.is_surely_empty(hash) {
            return false;
        }
        let key = key();
        self.stripe(hash).lock().find(hash, &key).is_some()
    }

    /// Joins the end of the key's line if it has one, and if fewer than `most` threads are in it.
    pub(crate) fn join_others(
        &self,
        hash: u64,
        key: K,
        thread: Thread,
        most: usize,
    ) -> Result<QueueEntry<'_, K>, NotJoined<K>> {
        self.stripe(hash).join(hash, key, thread, false, most)
    }

    /// Joins the end of the key's line. `None` if `most` threads are in it already.
    pub(crate) fn join(
        &self,
        hash: u64,
        key: K,
        thread: Thread,
        most: usize,
    ) -> Option<QueueEntry<'_, K>> {
        self.stripe(hash).join(hash, key, thread, true, most).ok()
    }

    /// Wakes the first thread that waits for the key, if any: units may have been freed.
    pub(crate) fn units_freed(&self, hash: u64, key: impl FnOnce() -> K) {
        // Pairs with the fence in `join`: see there.
        fence(Ordering::SeqCst);
        let stripe = self.stripe(hash);
        // Relaxed: ordered by the fence.
        if stripe.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let key = key();
        let mut lines = stripe.lock();
        if let Some(line) = lines.find(hash, &key) {
            line.wake_first();
        }
    }

    /// Wakes the first thread of every line.
    pub(crate) fn all_units_freed(&self) {
        // Pairs with the fence in `join`: see there.
        fence(Ordering::SeqCst);
        for stripe in &self.stripes {
            stripe.lock().by_hash.values().flatten().for_each(Line::wake_first);
        }
    }

    /// Wakes every thread of every line.
    pub(crate) fn wake_all(&self) {
        for stripe in &self.stripes {
            for line in stripe.lock().by_hash.values().flatten() {
                line.waiters.iter().for_each(|waiter| waiter.thread.unpark());
            }
        }
    }

    /// Threads that wait at present.
    pub(crate) fn len(&self) -> u64 {
        // Relaxed: a sum over stripes is a moment's guess in any case.
        self.stripes.iter().map(|stripe| stripe.waiting.load(Ordering::Relaxed)).sum()
    }

    fn stripe(&self, hash: u64) -> &Stripe<K> {
        #[expect(clippy::cast_possible_truncation, reason = "below the number of stripes")]
        let index = (hash % WAIT_STRIPES as u64) as usize;
        &self.stripes[index]
    }
}

impl<K> Stripe<K> {
    fn new() -> Self {
        Self {
            waiting: AtomicU64::new(0),
            lines: Mutex::new(Lines { by_hash: HashMap::new(), next: 0 }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines<K>> {
        // A comparison that panics while it is held has changed nothing: what is guarded is sound.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq> Stripe<K> {
    fn join(
        &self,
        hash: u64,
        key: K,
        thread: Thread,
        begins: bool,
        most: usize,
    ) -> Result<QueueEntry<'_, K>, NotJoined<K>> {
        let mut lines = self.lock();
        // First of all: it may panic.
        let found = lines.find(hash, &key).map(|line| (line.number, line.waiters.len()));
        let waiting = found.map_or(0, |(_, waiting)| waiting);
        let found = found.map(|(number, _)| number);
        if found.is_none() && !begins {
            drop(lines);
            return Err(NotJoined::NoLine(key));
        }
        if waiting >= most {
            drop(lines);
            return Err(NotJoined::Full);
        }
        let waiter = Arc::new(Waiter { thread, turn: AtomicBool::new(found.is_none()) });
        let waiters = VecDeque::from([Arc::clone(&waiter)]);
        let (number, spare) = match found {
            Some(number) => {
                if let Some(line) = lines.numbered(hash, number) {
                    line.waiters.push_back(Arc::clone(&waiter));
                }
                (number, Some(key))
            }
            None => {
                let number = lines.next;
                lines.next += 1;
                lines.by_hash.entry(hash).or_default().push(Line { key, number, waiters });
                (number, None)
            }
        };
        // Relaxed: ordered by the fence below.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        drop(lines);
        // Pairs with the fence in `units_freed`: either that thread sees this one waiting, or this
        // one's next attempt sees the units that it freed.
        fence(Ordering::SeqCst);
        let entry = QueueEntry { stripe: self, hash, number, waiter };
        drop(spare);
        Ok(entry)
    }
}

impl<K: Eq> Lines<K> {
    fn find(&mut self, hash: u64, key: &K) -> Option<&mut Line<K>> {
        self.by_hash.get_mut(&hash)?.iter_mut().find(|line| line.key == *key)
    }
}

impl<K> Lines<K> {
    fn numbered(&mut self, hash: u64, number: u64) -> Option<&mut Line<K>> {
        self.by_hash.get_mut(&hash)?.iter_mut().find(|line| line.number == number)
    }

    /// Takes out a line that has become empty.
    fn end(&mut self, hash: u64, number: u64) -> Option<Line<K>> {
        let lines = self.by_hash.get_mut(&hash)?;
        let at = lines.iter().position(|line| line.number == number)?;
        let line = lines.swap_remove(at);
        if lines.is_empty() {
            self.by_hash.remove(&hash);
        }
        Some(line)
    }
}

impl<K> Line<K> {
    fn wake_first(&self) {
        if let Some(first) = self.waiters.front() {
            first.thread.unpark();
        }
    }
}

impl<K> QueueEntry<'_, K> {
    /// Whether it is this thread's turn. Once it is, it stays so.
    pub(crate) fn is_first(&self) -> bool {
        // Acquire: pairs with the store in `drop`, so that this thread sees what the one before it
        // was admitted with.
        self.waiter.turn.load(Ordering::Acquire)
    }
}

impl<K> Drop for QueueEntry<'_, K> {
    fn drop(&mut self) {
        let mut lines = self.stripe.lock();
        let mut ended = None;
        if let Some(line) = lines.numbered(self.hash, self.number) {
            line.waiters.retain(|waiter| !Arc::ptr_eq(waiter, &self.waiter));
            match line.waiters.front() {
                Some(first) => {
                    // Release: pairs with the load in `is_first`. Storing it again does no harm.
                    first.turn.store(true, Ordering::Release);
                    first.thread.unpark();
                }
                None => ended = lines.end(self.hash, self.number),
            }
        }
        drop(lines);
        // Release: pairs with the load in `is_surely_empty`.
        self.stripe.waiting.fetch_sub(1, Ordering::Release);
        // The key's own code, after all else is done.
        drop(ended);
    }
}
