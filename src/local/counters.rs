//! Counting decisions without sharing a line: each thread has counters of its own, summed when
//! somebody asks.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;

use once_cell::race::OnceBox;
use thread_local::ThreadLocal;

use crate::RateLimitDecision;
use crate::local::clock_cache::ClockCache;
use crate::thread_exit::{self, Running};

#[derive(Debug, Default)]
pub(crate) struct Counters {
    threads: ThreadLocal<PerThread>,
    /// Shared by all threads that are ending.
    ending: OnceBox<PerThread>,
    next: AtomicUsize,
}

/// One thread's own counters, number and clock cache.
#[derive(Debug)]
pub(crate) struct PerThread {
    /// From 0 on, in the order that threads first came here. A slot and its number are reused when their
    /// thread ends.
    pub(crate) number: usize,
    pub(crate) clock_cache: ClockCache,
    /// Whether all threads that are ending share it. They count by read-modify-write, and cache no clock.
    pub(crate) is_shared: bool,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    allowed: Counter,
    rejected: Counter,
    suppressed_admitted: Counter,
    suppressed_declined: Counter,
    no_room: Counter,
    timeouts: Counter,
    /// The longest wait, in nanoseconds.
    longest_wait: AtomicU64,
}

/// Written by one thread, read by any.
#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Counter {
    #[inline]
    fn count(&self) {
        // Relaxed, and no read-modify-write: only this thread writes. A thread that is given the
        // counters of one that has ended is ordered after it by `ThreadLocal`.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// [`Counter::count`] of a thread that may share its counters.
    fn count_for(&self, per_thread: &PerThread) {
        if per_thread.is_shared {
            // Relaxed: a plain counter.
            self.0.fetch_add(1, Ordering::Relaxed);
        } else {
            self.count();
        }
    }

    fn read(&self) -> u64 {
        // Relaxed: a sum over threads is a moment's guess in any case.
        self.0.load(Ordering::Relaxed)
    }
}

impl PerThread {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "most of it goes where the decision is known")]
    pub(crate) fn count(&self, decision: &RateLimitDecision) {
        self.counts.of(decision).count();
    }
}

impl Counts {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a part of `PerThread::count`")]
    fn of(&self, decision: &RateLimitDecision) -> &Counter {
        match decision {
            RateLimitDecision::Allowed { .. } => &self.allowed,
            RateLimitDecision::Rejected { .. } => &self.rejected,
            RateLimitDecision::Suppressed { is_allowed: true, .. } => &self.suppressed_admitted,
            RateLimitDecision::Suppressed { is_allowed: false, .. } => &self.suppressed_declined,
        }
    }
}

impl Counters {
    /// The calling thread's own, if it has been here before.
    #[inline]
    pub(crate) fn known_thread(&self, _: Running) -> Option<&PerThread> {
        self.threads.get()
    }

    /// The calling thread's own; of a thread that is ending, one that it shares with all that are.
    #[inline]
    pub(crate) fn per_thread(&self) -> &PerThread {
        let running = thread_exit::running();
        match running.and_then(|running| self.known_thread(running)) {
            Some(known) => known,
            None => self.first_seen(running),
        }
    }

    #[cold]
    fn first_seen(&self, running: Option<Running>) -> &PerThread {
        if running.is_none() {
            let shared = || Box::new(PerThread { is_shared: true, ..self.next_thread() });
            return self.ending.get_or_init(shared);
        }
        self.threads.get_or(|| self.next_thread())
    }

    fn next_thread(&self) -> PerThread {
        // Relaxed: the numbers only have to differ.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        PerThread {
            number,
            clock_cache: ClockCache::default(),
            is_shared: false,
            counts: Counts::default(),
        }
    }

    /// Counts a call that found no room for its key.
    #[cold]
    pub(crate) fn count_no_room(&self) {
        let per_thread = self.per_thread();
        per_thread.counts.no_room.count_for(per_thread);
    }

    /// Counts an `acquire` that was not admitted in time.
    #[cold]
    pub(crate) fn count_timeout(&self) {
        let per_thread = self.per_thread();
        per_thread.counts.timeouts.count_for(per_thread);
    }

    /// Notes how long an `acquire` has waited.
    #[cold]
    pub(crate) fn note_wait(&self, waited: Duration) {
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        // Relaxed: a number that carries nothing.
        self.per_thread().counts.longest_wait.fetch_max(nanos, Ordering::Relaxed);
    }

    /// Counts a decision.
    #[cold]
    pub(crate) fn count(&self, decision: &RateLimitDecision) {
        let per_thread = self.per_thread();
        per_thread.counts.of(decision).count_for(per_thread);
    }

    pub(crate) fn add_to(&self, stats: &mut Stats) {
        for PerThread { counts, .. } in self.threads.iter().chain(self.ending.get()) {
            stats.allowed += counts.allowed.read();
            stats.rejected += counts.rejected.read();
            stats.suppressed_admitted += counts.suppressed_admitted.read();
            stats.suppressed_declined += counts.suppressed_declined.read();
            stats.turned_away += counts.no_room.read();
            stats.timeouts += counts.timeouts.read();
            // Relaxed: as for the others.
            let longest = Duration::from_nanos(counts.longest_wait.load(Ordering::Relaxed));
            stats.longest_wait = stats.longest_wait.max(longest);
        }
    }
}

/// Counts of the decisions of a limiter or of one of its strategies, and the keys and memory it holds.
///
/// A snapshot: taken while others decide, its parts may be a few decisions apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Answers `Allowed` to `inc` and `acquire`.
    pub allowed: u64,
    /// Answers `Rejected` to `inc`, those for want of room included.
    pub rejected: u64,
    /// Answers `Suppressed` that let the call through.
    pub suppressed_admitted: u64,
    /// Answers `Suppressed` that did not.
    pub suppressed_declined: u64,
    /// Calls for a new key that found no room: `max_keys` were in use.
    pub turned_away: u64,
    /// Calls of `acquire` that were not admitted in time.
    pub timeouts: u64,
    /// Threads that wait in `acquire` at present.
    pub waiting: u64,
    /// The longest that an `acquire` has waited until it was admitted.
    pub longest_wait: Duration,
    /// Idle keys displaced by new ones, because of `max_keys`.
    pub evictions: u64,
    /// Key states held.
    pub keys: usize,
    /// An estimate of the memory that they take, in bytes: exact for entries, extrapolated from a
    /// sample for what keys in heavy use have allocated besides, without the heap part of long
    /// keys.
    pub memory_bytes: usize,
}

impl Stats {
    /// Every field with its name, for exporters and logs. `waiting`, `keys` and `memory_bytes` can fall;
    /// all others only rise.
    ///
    /// ```
    /// use trypema::LocalRateLimiter;
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let limiter = LocalRateLimiter::builder().build()?;
    /// let line: Vec<_> = limiter.stats().iter().map(|(name, n)| format!("{name}={n}")).collect();
    /// assert!(line.join(" ").starts_with("allowed=0 rejected=0 "));
    /// # Ok(())
    /// # }
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        // Each by name, so that a new one cannot be forgotten.
        let Self {
            allowed,
            rejected,
            suppressed_admitted,
            suppressed_declined,
            turned_away,
            timeouts,
            waiting,
            longest_wait,
            evictions,
            keys,
            memory_bytes,
        } = *self;
        [
            ("allowed", allowed),
            ("rejected", rejected),
            ("suppressed_admitted", suppressed_admitted),
            ("suppressed_declined", suppressed_declined),
            ("turned_away", turned_away),
            ("timeouts", timeouts),
            ("waiting", waiting),
            ("longest_wait_ms", u64::try_from(longest_wait.as_millis()).unwrap_or(u64::MAX)),
            ("evictions", evictions),
            ("keys", keys as u64),
            ("memory_bytes", memory_bytes as u64),
        ]
        .into_iter()
    }
}
