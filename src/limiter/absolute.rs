//! Absolute over the in-process store.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use std::sync::Arc;

use crate::key::{Limit, Outcome, Window};
use crate::keys::{Key, Lookup};
use crate::limiter::Frame;
use crate::limiter::frame::Moment;
use crate::policy::absolute;
use crate::store::local::{LocalStore, State};
use crate::{DefaultHashBuilder, RateLimit, RateLimitDecision};

impl State for Window {
    fn is_dead(&self) -> bool {
        self.is_dead()
    }
}

/// The Absolute strategy of a [`LocalRateLimiter`](crate::LocalRateLimiter): admits up to the
/// rate's capacity within any window, and not one unit more.
///
/// Cheap to clone; clones share their keys.
///
/// # Cost
/// One map lookup, one clock reading and, to admit, one compare-and-swap of a word that only
/// callers of the same key touch. A rejection writes nothing that other threads read.
/// No call takes a lock or waits for another thread.
pub struct LocalAbsolute<K = Key, S = DefaultHashBuilder> {
    inner: Arc<Inner<K, S>>,
}

struct Inner<K, S> {
    frame: Frame,
    store: LocalStore<K, Window, S>,
}

impl<K, S> LocalAbsolute<K, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    pub(crate) fn new(frame: Frame, hasher: S) -> Self {
        Self { inner: Arc::new(Inner { frame, store: LocalStore::new(hasher) }) }
    }

    /// Checks and records in one atomic step: if `count` more units fit into the window under
    /// `rate`, they are counted and the answer is `Allowed`, else nothing changes and the answer
    /// is `Rejected`, with exact hints.
    ///
    /// - `count = 0` asks for nothing: `Allowed`, and no state is made.
    /// - A count above the rate's capacity is `Rejected` with `retry_after_ms: None`.
    /// - An unlimited rate always allows. Its units are counted, as by
    ///   [`record`](LocalAbsolute::record).
    /// - A window holds at most 2^40 - 1 units (fewer if it is cut into more than 2,045 buckets,
    ///   see [`LocalRateLimiterBuilder::bucket`](crate::LocalRateLimiterBuilder::bucket)); a
    ///   finite rate with a capacity beyond that is judged as if that were its capacity.
    #[inline]
    pub fn inc<Q>(&self, key: &Q, rate: &RateLimit, count: u64) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        if count == 0 {
            return RateLimitDecision::Allowed;
        }
        let limit = self.inner.frame.limit(rate);
        if let Limit::Within(capacity) = limit
            && count > capacity
        {
            return self.is_allowed(key, rate, count);
        }
        let now = self.inner.frame.now();
        self.inner.add(key, now, count, limit)
    }

    /// What [`inc`](LocalAbsolute::inc) would answer now, without counting anything.
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
        let Inner { frame, store } = &*self.inner;
        let limit = frame.limit(rate);
        let now = frame.now();
        let outcome = store
            .find(key, |window| decided(window.peek(&frame.layout, now.tick, count, limit)))
            .unwrap_or(match limit {
                Limit::Within(capacity) if count > capacity => {
                    Outcome::Rejected { usage: 0, relief: None }
                }
                _ => Outcome::Admitted { tick: now.tick, usage: 0 },
            });
        self.inner.decision(now, outcome)
    }

    /// Units admitted or recorded that still count. 0 for a key that is not known.
    #[must_use]
    pub fn usage<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> u64 {
        let Inner { frame, store } = &*self.inner;
        let now = frame.now();
        store.find(key, |window| window.usage(&frame.layout, now.tick)).unwrap_or(0)
    }

    /// Counts `count` units whatever the limit: for work whose cost is known only afterwards.
    ///
    /// A sum beyond what a window holds (see [`inc`](LocalAbsolute::inc)) is clipped to that, and
    /// then counts in full until the newest unit expires: usage is never under-stated. Returns
    /// `false` only if there was no room for a new key.
    pub fn record<Q: Lookup<K> + ?Sized>(&self, key: &Q, count: u64) -> bool {
        if count > 0 {
            let now = self.inner.frame.now();
            let decision = self.inner.add(key, now, count, Limit::Unbounded);
            debug_assert!(decision.is_allowed());
        }
        true
    }

    /// Gives up to `count` admitted or recorded units back, those that would expire first before
    /// the others. Returns how many: fewer where fewer still count.
    pub fn refund<Q: Lookup<K> + ?Sized>(&self, key: &Q, count: u64) -> u64 {
        if count == 0 {
            return 0;
        }
        let Inner { frame, store } = &*self.inner;
        let now = frame.now();
        store.find(key, |window| window.refund(&frame.layout, now.tick, count)).unwrap_or(0)
    }

    /// Forgets the key and all that it has used. Returns whether it was known.
    pub fn reset<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        let known = self.inner.store.find(key, |window| window.kill().then_some(())).is_some();
        if known {
            self.inner.store.unlink(key);
        }
        known
    }

    /// Keys held.
    pub(crate) fn len(&self) -> usize {
        self.inner.store.len()
    }
}

impl<K, S> Inner<K, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    #[inline]
    fn add<Q>(&self, key: &Q, now: Moment, count: u64, limit: Limit) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        let Self { frame: Frame { layout, .. }, store } = self;
        let outcome = store.with(
            key,
            || Window::new(layout, now.tick),
            |window| decided(window.add(layout, &store.floor, now.tick, count, limit)),
        );
        self.decision(now, outcome)
    }

    #[inline]
    fn decision(&self, now: Moment, outcome: Outcome) -> RateLimitDecision {
        match outcome {
            Outcome::Rejected { usage, relief } => absolute::rejected(
                &self.frame.grid,
                now.nanos,
                usage,
                relief.map(|relief| (relief.tick, relief.remaining)),
            ),
            Outcome::Admitted { .. } | Outcome::Dead => RateLimitDecision::Allowed,
        }
    }
}

/// `None` of a dead window: look the key up again.
#[inline]
fn decided(outcome: Outcome) -> Option<Outcome> {
    match outcome {
        Outcome::Dead => None,
        decided => Some(decided),
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
            .field("frame", &self.inner.frame)
            .field("store", &self.inner.store)
            .finish()
    }
}
