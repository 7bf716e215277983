//! Absolute over the in-process store.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::time::Duration;
use std::sync::Arc;

use crate::key::{Key, Lookup};
use crate::local::config::{Config, Now};
use crate::local::counters::{PerThread, Stats};
use crate::local::engine::{Floor, KeyState, alive};
use crate::local::inner::Inner;
use crate::local::map::State;
use crate::policy::absolute;
use crate::wait::Attempt;
use crate::window::{Limit, Outcome, RetryHint, Window};
use crate::{DefaultHashBuilder, RateLimit, RateLimitDecision, TrypemaError};

impl State for Window {
    fn is_dead(&self) -> bool {
        self.is_dead()
    }
}

impl KeyState for Window {
    fn new(config: &Config, now: Now) -> Self {
        Self::new(&config.layout, now.tick)
    }

    fn admitted(&self) -> &Window {
        self
    }

    fn retire(&self, config: &Config, floor: &Floor, now: Now, stale_after: u64) -> bool {
        self.retire(&config.layout, floor, now.tick, stale_after, || true)
    }

    fn heap_bytes(&self) -> usize {
        self.heap_bytes()
    }
}

/// The Absolute strategy of a [`LocalRateLimiter`](crate::LocalRateLimiter): admits up to the
/// rate's capacity within any window, and not one unit more.
///
/// Cheap to clone; clones share their keys.
///
/// # Cost
/// One map lookup, one clock reading and, to admit, one compare-and-swap of a word that only
/// callers of the same key touch. A rejection writes nothing that other threads write or read on
/// their way. No decision takes a lock or waits for another thread, except that a thread's first
/// call registers its counters, once.
pub struct LocalAbsolute<K = Key, S = DefaultHashBuilder> {
    inner: Arc<Inner<K, S>>,
}

impl<K, S> LocalAbsolute<K, S>
where
    K: Hash + Eq + Clone,
    S: BuildHasher,
{
    pub(crate) fn new(inner: Arc<Inner<K, S>>) -> Self {
        Self { inner }
    }

    /// Checks and records in one atomic step: if `count` more units fit into the window under
    /// `rate`, they are counted and the answer is `Allowed`, else nothing changes and the answer
    /// is `Rejected`, with exact hints.
    ///
    /// - `count = 0` asks for nothing: `Allowed`, and no state is made.
    /// - A count above the rate's capacity is `Rejected` with `retry_after_ms: None`.
    /// - An unlimited rate always allows. Its units are counted, as by
    ///   [`record`](LocalAbsolute::record).
    /// - A new key that finds no room because of `max_keys` is `Rejected` with the window as
    ///   `retry_after_ms`.
    /// - A window holds at most 2^40 - 1 units (fewer if it is cut into more than 2,045 buckets,
    ///   see [`LocalRateLimiterBuilder::bucket`](crate::LocalRateLimiterBuilder::bucket)); a
    ///   finite rate with a capacity beyond that is judged as if that were its capacity.
    #[inline]
    pub fn inc<Q>(&self, key: &Q, rate: &RateLimit, count: u64) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        let engine = &self.inner.absolute;
        // The way of nearly all calls. Whatever is rare, a new key too, is kept out of it: this
        // function is inlined into its callers, and small enough to keep its values in registers.
        if let Some(most) = engine.config.finite_limit(rate)
            && count != 0
        {
            let per_thread = engine.per_thread();
            match engine
                .store
                .find_open(key, |window| self.inc_known(per_thread, window, most, count))
            {
                // Each arm for itself: what a decision is decides how it is counted.
                Some(RateLimitDecision::Allowed) => {
                    return engine.decided_by(per_thread, key, count, RateLimitDecision::Allowed);
                }
                Some(decision) => return engine.decided_by(per_thread, key, count, decision),
                None => {}
            }
        }
        self.inc_slow(key, rate, count)
    }

    /// [`LocalAbsolute::inc`] for any key, rate and count.
    #[cold]
    fn inc_slow<Q>(&self, key: &Q, rate: &RateLimit, count: u64) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        let engine = &self.inner.absolute;
        if count == 0 {
            return engine.decided(key, count, RateLimitDecision::Allowed);
        }
        let now = engine.config.now();
        let decision = match self.try_once(key, now, count, engine.config.limit(rate)) {
            Some(outcome) => self.decision(now, outcome),
            None => engine.no_room(),
        };
        engine.decided(key, count, decision)
    }

    /// Many calls of [`inc`](LocalAbsolute::inc), each decided by itself, in the order given: the answers
    /// are those that the same calls of `inc` would have got, one after the other. Not one step:
    /// other threads may come in between.
    ///
    /// The memory of the next 32 keys is fetched at once, so that what one of them waits for the
    /// others need not wait for. Over many keys that halves the time of a call; on a few that are in
    /// the processor's cache anyway `inc` is quicker. With an observer it is `inc`, again and again.
    #[must_use]
    pub fn inc_many<Q>(&self, calls: &[(&Q, &RateLimit, u64)]) -> Vec<RateLimitDecision>
    where
        Q: Lookup<K> + ?Sized,
    {
        let engine = &self.inner.absolute;
        let per_thread = engine.per_thread();
        engine.in_turn(calls, |key, rate, count, found| {
            if let (Some(window), Some(most)) = (found, engine.config.finite_limit(rate))
                && count != 0
                && let Some(decision) = self.inc_known(per_thread, window, most, count)
            {
                return engine.decided_by(per_thread, key, count, decision);
            }
            self.inc_slow(key, rate, count)
        })
    }

    /// [`LocalAbsolute::inc`] of a key that has a window; `None` if that is dead.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the body of two functions, both of them hot")]
    fn inc_known(
        &self,
        per_thread: &PerThread,
        window: &Window,
        most: u64,
        count: u64,
    ) -> Option<RateLimitDecision> {
        let engine = &self.inner.absolute;
        let now = engine.config.read(&per_thread.clock_cache);
        match engine.add_to(window, now.tick, count, Limit::Within(most)) {
            Outcome::Admitted { .. } => Some(RateLimitDecision::Allowed),
            Outcome::Rejected { usage, retry_hint } => Some(self.rejection(now, usage, retry_hint)),
            Outcome::Dead => None,
        }
    }

    /// What [`inc`](LocalAbsolute::inc) would answer now, without counting anything. It does not look
    /// whether a new key would find room (`max_keys`).
    ///
    /// `is_allowed` followed by `inc` is not one step: other threads may come between, so that the
    /// `inc` is rejected after all. To act on the answer, call `inc` alone.
    #[inline]
    pub fn is_allowed<Q>(&self, key: &Q, rate: &RateLimit, count: u64) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        if count == 0 {
            return RateLimitDecision::Allowed;
        }
        let engine = &self.inner.absolute;
        let now = engine.config.now();
        self.decision(now, self.look(key, now, count, engine.config.limit(rate)))
    }

    /// Units admitted or recorded that still count. 0 for a key that is not known.
    #[must_use]
    pub fn usage<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> u64 {
        self.inner.absolute.usage(key)
    }

    /// Counts `count` units whatever the limit: for work whose cost is known only afterwards.
    ///
    /// A sum beyond what a window holds (see [`inc`](LocalAbsolute::inc)) is clipped to that, and
    /// then counts in full until the newest unit expires: usage is never under-stated. Returns
    /// `false` only if there was no room for a new key.
    pub fn record<Q: Lookup<K> + ?Sized>(&self, key: &Q, count: u64) -> bool {
        self.inner.absolute.record(key, count)
    }

    /// Gives up to `count` admitted or recorded units back, those that would expire first before
    /// the others. Returns how many: fewer where fewer still count.
    pub fn refund<Q: Lookup<K> + ?Sized>(&self, key: &Q, count: u64) -> u64 {
        self.inner.absolute.refund(key, count)
    }

    /// Forgets the key and all that it has used. Returns whether it was known, as a key is from its
    /// first call on: maybe a moment before that is counted.
    pub fn reset<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        self.inner.absolute.reset(key)
    }

    /// Parks this thread until the call is admitted, and returns how long that took.
    ///
    /// Nothing is counted until then. Threads that wait for the same key are served in the order
    /// that they came, whatever they ask for; `inc` does not queue behind them. A waiting thread
    /// takes no time of the processor: the first in line wakes when the units in its way expire,
    /// or are given back, the others when it is their turn.
    ///
    /// # Errors
    /// - [`TrypemaError::CountTooLarge`] at once, if `count` is above the rate's capacity.
    /// - [`TrypemaError::Timeout`] if not admitted in time. The timeout is real time, whatever the
    ///   limiter's clock.
    /// - [`TrypemaError::TooManyKeys`] if there was no room for a new key in that time.
    pub fn acquire<Q>(
        &self,
        key: &Q,
        rate: &RateLimit,
        count: u64,
        timeout: Duration,
    ) -> Result<Duration, TrypemaError>
    where
        Q: Lookup<K> + ?Sized,
    {
        if count == 0 {
            return Ok(Duration::ZERO);
        }
        let engine = &self.inner.absolute;
        let limit = engine.config.limit(rate);
        if let Limit::Within(most) = limit
            && count > most
        {
            return Err(TrypemaError::CountTooLarge { given: count, most });
        }
        let attempt = || {
            let now = engine.config.now();
            match self.try_once(key, now, count, limit) {
                Some(Outcome::Rejected { retry_hint: Some(retry_hint), .. }) => {
                    Attempt::Later(engine.until_gone(retry_hint.tick, now))
                }
                Some(Outcome::Admitted { .. }) => {
                    let _ = engine.decided(key, count, RateLimitDecision::Allowed);
                    Attempt::Admitted
                }
                // No room for the key: all else was ruled out before.
                None | Some(Outcome::Rejected { retry_hint: None, .. } | Outcome::Dead) => {
                    engine.attempt_without_room()
                }
            }
        };
        engine.acquire(key, timeout, attempt)
    }

    /// What this strategy has done and holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        self.inner.absolute.add_to_stats(&mut stats);
        stats
    }

    /// Adds if that fits. `None`: no room for the key.
    #[inline]
    fn try_once<Q>(&self, key: &Q, now: Now, count: u64, limit: Limit) -> Option<Outcome>
    where
        Q: Lookup<K> + ?Sized,
    {
        if let Limit::Within(capacity) = limit
            && count > capacity
        {
            // It never fits, so it is not worth a state.
            return Some(self.look(key, now, count, limit));
        }
        let engine = &self.inner.absolute;
        engine.with(key, now, |window| alive(engine.add_rarely(window, now.tick, count, limit)))
    }

    /// Judges an addition without making it.
    #[inline]
    fn look<Q>(&self, key: &Q, now: Now, count: u64, limit: Limit) -> Outcome
    where
        Q: Lookup<K> + ?Sized,
    {
        let engine = &self.inner.absolute;
        let peek =
            |window: &Window| alive(window.peek(&engine.config.layout, now.tick, count, limit));
        engine.store.find(key, peek).unwrap_or(match limit {
            Limit::Within(capacity) if count > capacity => {
                Outcome::Rejected { usage: 0, retry_hint: None }
            }
            _ => Outcome::Admitted { tick: now.tick, usage: 0 },
        })
    }

    #[inline]
    fn decision(&self, now: Now, outcome: Outcome) -> RateLimitDecision {
        match outcome {
            Outcome::Rejected { usage, retry_hint } => self.rejection(now, usage, retry_hint),
            Outcome::Admitted { .. } | Outcome::Dead => RateLimitDecision::Allowed,
        }
    }

    #[inline]
    fn rejection(&self, now: Now, usage: u64, retry_hint: Option<RetryHint>) -> RateLimitDecision {
        let retry_hint = retry_hint.map(|retry_hint| (retry_hint.tick, retry_hint.remaining));
        absolute::rejected(&self.inner.absolute.config.grid, now.millis, usage, retry_hint)
    }
}

impl<K, S> Clone for LocalAbsolute<K, S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<K, S> fmt::Debug for LocalAbsolute<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalAbsolute")
            .field("grid", &self.inner.absolute.config.grid)
            .finish_non_exhaustive()
    }
}
