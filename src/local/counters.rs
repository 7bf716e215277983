//! Counting decisions without sharing a line: each thread has counters of its own, summed when
//! somebody asks.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use thread_local::ThreadLocal;

use crate::RateLimitDecision;
use crate::local::clock_cache::ClockCache;

#[derive(Debug, Default)]
pub(crate) struct Counters {
    threads: ThreadLocal<PerThread>,
    next: AtomicUsize,
}

/// What each thread keeps for itself.
#[derive(Debug)]
pub(crate) struct PerThread {
    /// From 0 on, in the order that threads first came here. A thread that takes over what one that
    /// has ended has left takes over its number, too.
    pub(crate) number: usize,
    pub(crate) clock_cache: ClockCache,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    allowed: Counter,
    rejected: Counter,
    suppressed_admitted: Counter,
    suppressed_declined: Counter,
    no_room: Counter,
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

    fn read(&self) -> u64 {
        // Relaxed: a sum over threads is a moment's guess in any case.
        self.0.load(Ordering::Relaxed)
    }
}

impl PerThread {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "most of it goes where the decision is known")]
    pub(crate) fn count(&self, decision: &RateLimitDecision) {
        let counts = &self.counts;
        match decision {
            RateLimitDecision::Allowed { .. } => counts.allowed.count(),
            RateLimitDecision::Rejected { .. } => counts.rejected.count(),
            RateLimitDecision::Suppressed { is_allowed: true, .. } => {
                counts.suppressed_admitted.count();
            }
            RateLimitDecision::Suppressed { is_allowed: false, .. } => {
                counts.suppressed_declined.count();
            }
        }
    }
}

impl Counters {
    /// The calling thread's own.
    #[inline]
    pub(crate) fn per_thread(&self) -> &PerThread {
        self.threads.get_or(|| self.first_seen())
    }

    #[cold]
    fn first_seen(&self) -> PerThread {
        // Relaxed: all that matters is that it is another number each time.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        PerThread { number, clock_cache: ClockCache::default(), counts: Counts::default() }
    }

    /// Counts a call that found no room for its key.
    #[cold]
    pub(crate) fn count_no_room(&self) {
        self.per_thread().counts.no_room.count();
    }

    pub(crate) fn add_to(&self, stats: &mut Stats) {
        for PerThread { counts, .. } in &self.threads {
            stats.allowed += counts.allowed.read();
            stats.rejected += counts.rejected.read();
            stats.suppressed_admitted += counts.suppressed_admitted.read();
            stats.suppressed_declined += counts.suppressed_declined.read();
            stats.turned_away += counts.no_room.read();
        }
    }
}

/// What a limiter, or one of its strategies, has done and holds.
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
    /// Every field with its name, for exporters and logs. `keys` and `memory_bytes` can fall; all others
    /// only rise.
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
            ("evictions", evictions),
            ("keys", keys as u64),
            ("memory_bytes", memory_bytes as u64),
        ]
        .into_iter()
    }
}
