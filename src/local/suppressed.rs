//! Suppressed over the in-process store.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::time::Duration;
use std::sync::Arc;

use crate::key::{Key, Lookup};
use crate::local::config::Now;
use crate::local::counters::Stats;
use crate::local::engine::{KeyState, alive};
use crate::local::inner::Inner;
use crate::local::suppressed_state::{Call, Draw, Verdict};
use crate::wait::Attempt;
use crate::window::Limit;
use crate::{DefaultHashBuilder, RateLimit, RateLimitDecision, TrypemaError};

/// The least time after which a waiting thread draws again.
const SHORTEST_REDRAW: Duration = Duration::from_millis(1);

/// The Suppressed strategy of a [`LocalRateLimiter`](crate::LocalRateLimiter): up to the rate's
/// capacity (the soft limit) everything is admitted, from there on a random share of the calls,
/// and beyond the hard limit none.
///
/// With `A` the admitted units that count, `O` the observed ones (admitted and declined), and `W`
/// the window, a call for `count` units is
///
/// 1. `Allowed` if `A + count` is at most the soft limit;
/// 2. `Suppressed` with factor 1, and not allowed, if it is above the hard limit, which is the
///    capacity times `hard_limit_factor`, rounded down;
/// 3. else `Suppressed`, and allowed with probability `1 - f`, where `f` is `1 - rate / perceived`,
///    at least 0, and the perceived rate is the greater of `O / W` and the units observed over the
///    last second (rounded up to whole buckets), both in units per second. It is used again for `suppression_refresh`.
///
/// So under a sustained overload of any size the admitted rate stays near the limit, without the
/// sawtooth of a hard cut. The idea is that of Ably's write-up on distributed rate limiting.
///
/// The hard limit is exact under any race, as Absolute's is. Cheap to clone; clones share keys.
///
/// # Cost
/// As [`LocalAbsolute`](crate::LocalAbsolute)'s for what is admitted. What is declined is counted, by one
/// more compare-and-swap. A key whose threads get in each other's way at that has them count apart from
/// then on: that takes 1 KiB, and up to nine times the memory for buckets with declines, until the key
/// is forgotten.
pub struct LocalSuppressed<K = Key, S = DefaultHashBuilder> {
    inner: Arc<Inner<K, S>>,
}

/// Units that count under the Suppressed strategy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "these two are all there is, and tests compare them")]
pub struct SuppressedUsage {
    /// Units admitted or recorded, less those given back.
    pub admitted: u64,
    /// Units of calls that were declined.
    pub declined: u64,
}

impl<K, S> LocalSuppressed<K, S>
where
    K: Hash + Eq + Clone,
    S: BuildHasher,
{
    pub(crate) fn new(inner: Arc<Inner<K, S>>) -> Self {
        Self { inner }
    }

    /// Checks and records in one atomic step: the call is counted as admitted or as declined,
    /// whichever the answer says.
    ///
    /// Ask for what the work will cost, as far as it is known: a call that asks for one unit and
    /// records the rest afterwards weighs one unit when it is declined, and the demand is perceived
    /// as smaller than it is.
    ///
    /// `count = 0` asks for nothing: `Allowed`, and no state is made. An unlimited rate always
    /// allows. A new key that finds no room because of `max_keys` is `Rejected`, unless the call is
    /// above the hard limit, so that room would not help.
    #[inline]
    pub fn inc<Q>(&self, key: &Q, rate: &RateLimit, count: u64) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        let engine = &self.inner.suppressed;
        // As in `LocalAbsolute::inc`. A draw that somebody may notice must not be made twice.
        if let Some(most) = engine.config.finite_limit(rate)
            && count != 0
            && self.inner.random.is_none()
        {
            let per_thread = engine.per_thread();
            let call = self.call(
                rate,
                count,
                most,
                engine.config.read(&per_thread.clock_cache),
                per_thread.number,
            );
            match engine.store.find_open(key, |state| state.decide(&self.inner, &call, true)) {
                Some(Verdict::Allowed) => {
                    return engine.decided_by(per_thread, key, count, RateLimitDecision::Allowed);
                }
                Some(verdict) => {
                    return engine.decided_by(per_thread, key, count, verdict.decision());
                }
                None => {}
            }
        }
        self.inc_slow(key, rate, count)
    }

    /// [`LocalSuppressed::inc`] for any key, rate and count.
    #[cold]
    fn inc_slow<Q>(&self, key: &Q, rate: &RateLimit, count: u64) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        let engine = &self.inner.suppressed;
        if count == 0 {
            return engine.decided(key, count, RateLimitDecision::Allowed);
        }
        let decision = match self.try_once(key, rate, count, true) {
            Some(verdict) => verdict.decision(),
            None => self.without_room(rate, count),
        };
        engine.decided(key, count, decision)
    }

    /// The decision on a call whose key found no room. Above the hard limit that is not why.
    #[cold]
    fn without_room(&self, rate: &RateLimit, count: u64) -> RateLimitDecision {
        let engine = &self.inner.suppressed;
        let hard = self.inner.hard_limit(engine.config.soft_limit(rate));
        if count > hard && !rate.is_unlimited() {
            RateLimitDecision::suppressed(1.0, false)
        } else {
            engine.no_room()
        }
    }

    /// Many calls of [`inc`](LocalSuppressed::inc), each decided by itself, in the order given: the answers
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
        let engine = &self.inner.suppressed;
        let per_thread = engine.per_thread();
        engine.in_turn(calls, |key, rate, count, found| {
            if let (Some(state), Some(most)) = (found, engine.config.finite_limit(rate))
                && count != 0
                && self.inner.random.is_none()
            {
                let call = self.call(
                    rate,
                    count,
                    most,
                    engine.config.read(&per_thread.clock_cache),
                    per_thread.number,
                );
                if let Some(verdict) = state.decide(&self.inner, &call, true) {
                    return engine.decided_by(per_thread, key, count, verdict.decision());
                }
            }
            self.inc_slow(key, rate, count)
        })
    }

    /// What [`inc`](LocalSuppressed::inc) would answer now, without counting anything. Between the
    /// limits the answer is drawn, as that of `inc` is, and by a draw of its own. It does not look
    /// whether a new key would find room (`max_keys`).
    ///
    /// `is_allowed` followed by `inc` is not one step: to act on the answer, call `inc` alone.
    pub fn is_allowed<Q>(&self, key: &Q, rate: &RateLimit, count: u64) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        if count == 0 || rate.is_unlimited() {
            return RateLimitDecision::Allowed;
        }
        let call = self.call_now(rate, count);
        let found = self.inner.suppressed.store.find(key, |state| state.look(&self.inner, &call));
        found.unwrap_or_else(|| unseen(&call, self.inner.hard_limit(call.soft))).decision()
    }

    /// Units that count: admitted and declined. Zero for a key that is not known.
    #[must_use]
    pub fn usage<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> SuppressedUsage {
        let engine = &self.inner.suppressed;
        let layout = &engine.config.layout;
        let tick = engine.config.now().tick;
        let usage = engine.store.find(key, |state| {
            Some(SuppressedUsage {
                admitted: state.admitted().usage(layout, tick)?,
                declined: state.declined().usage(layout, tick),
            })
        });
        usage.unwrap_or_default()
    }

    /// The factor `f` of the formula for this key now, from 0.0 (nothing is turned away) to 1.0:
    /// computed afresh, whatever is kept. 0 for a key that is not known. Leaves no trace.
    #[must_use]
    pub fn suppression_factor<Q: Lookup<K> + ?Sized>(&self, key: &Q, rate: &RateLimit) -> f64 {
        let engine = &self.inner.suppressed;
        let now = engine.config.now();
        engine
            .store
            .find(key, |state| Some(state.fresh_factor(&self.inner, rate, now)))
            .unwrap_or(0.0)
    }

    /// Counts `count` units as admitted, whatever the limit: for work whose cost is known only
    /// afterwards. Clips as [`LocalAbsolute::record`](crate::LocalAbsolute::record) does. Returns
    /// `false` only if there was no room for a new key.
    pub fn record<Q: Lookup<K> + ?Sized>(&self, key: &Q, count: u64) -> bool {
        self.inner.suppressed.record(key, count)
    }

    /// Gives up to `count` admitted units back, those that would expire first before the others.
    /// Returns how many: fewer where fewer still count. Declined units stay.
    pub fn refund<Q: Lookup<K> + ?Sized>(&self, key: &Q, count: u64) -> u64 {
        self.inner.suppressed.refund(key, count)
    }

    /// Forgets the key and all that it has used. Returns whether it was known, as a key is from its
    /// first call on: maybe a moment before that is counted.
    pub fn reset<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        self.inner.suppressed.reset(key)
    }

    /// Parks this thread until the call is admitted, and returns how long that took.
    ///
    /// Threads that wait for the same key are served in the order that they came; `inc` does not
    /// queue behind them. Between the limits the first of them draws again after every
    /// `suppression_refresh`. Attempts are not counted as declines; a wait that times out is
    /// counted as one.
    ///
    /// # Errors
    /// - [`TrypemaError::CountTooLarge`] at once, if `count` is above the hard limit.
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
        let engine = &self.inner.suppressed;
        let hard = self.inner.hard_limit(engine.config.soft_limit(rate));
        if count > hard && !rate.is_unlimited() {
            return Err(TrypemaError::CountTooLarge { given: count, most: hard });
        }
        // Not at once, even where the perceived rate is never kept: that would be a busy loop.
        let redraw = Duration::from_nanos(self.inner.suppression.refresh_ns).max(SHORTEST_REDRAW);
        let attempt = || match self.try_once(key, rate, count, false) {
            Some(Verdict::SuppressedState { is_allowed: false, retry_hint, .. }) => {
                // Above the hard limit only time helps; below it, another draw.
                let gone = retry_hint.map(|tick| engine.until_gone(tick, engine.config.now()));
                Attempt::Later(gone.unwrap_or(redraw))
            }
            Some(admitted) => {
                let _ = engine.decided(key, count, admitted.decision());
                Attempt::Admitted
            }
            None => engine.attempt_without_room(),
        };
        let result = engine.acquire(key, timeout, attempt);
        if let Err(TrypemaError::Timeout { .. }) = result {
            let call = self.call_now(rate, count);
            engine.with(key, call.now, |state| state.decline(&self.inner, &call, false));
        }
        result
    }

    /// What this strategy has done and holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        self.inner.suppressed.add_to_stats(&mut stats);
        stats
    }

    #[inline]
    fn call<'a>(
        &self,
        rate: &'a RateLimit,
        count: u64,
        soft: u64,
        now: Now,
        thread: usize,
    ) -> Call<'a> {
        Call { rate, count, soft, now, thread, draw: Draw::from(self.inner.random.as_deref()) }
    }

    fn call_now<'a>(&self, rate: &'a RateLimit, count: u64) -> Call<'a> {
        let engine = &self.inner.suppressed;
        let soft = engine.config.soft_limit(rate);
        self.call(rate, count, soft, engine.config.now(), engine.per_thread().number)
    }

    /// One attempt. `None`: no room for the key.
    #[inline]
    fn try_once<Q>(
        &self,
        key: &Q,
        rate: &RateLimit,
        count: u64,
        count_declines: bool,
    ) -> Option<Verdict>
    where
        Q: Lookup<K> + ?Sized,
    {
        let engine = &self.inner.suppressed;
        let call = self.call_now(rate, count);
        if rate.is_unlimited() {
            return engine.with(key, call.now, |state| {
                alive(engine.add_rarely(state.admitted(), call.now.tick, count, Limit::Unbounded))
                    .map(|_| Verdict::Allowed)
            });
        }
        engine.with(key, call.now, |state| state.decide(&self.inner, &call, count_declines))
    }
}

/// The answer on a key of which nothing is known.
fn unseen(call: &Call<'_>, hard: u64) -> Verdict {
    let &Call { count, soft, .. } = call;
    if count <= soft {
        Verdict::Allowed
    } else {
        // Nothing was observed, so nothing is turned away up to the hard limit.
        let is_allowed = count <= hard;
        let factor = if is_allowed { 0.0 } else { 1.0 };
        Verdict::SuppressedState { factor, is_allowed, retry_hint: None }
    }
}

impl<K, S> Clone for LocalSuppressed<K, S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<K, S> fmt::Debug for LocalSuppressed<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSuppressed")
            .field("grid", &self.inner.suppressed.config.grid)
            .field("suppression", &self.inner.suppression)
            .finish_non_exhaustive()
    }
}
