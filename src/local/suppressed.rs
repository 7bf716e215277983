//! Suppressed over the in-process store.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::time::Duration;
use std::sync::Arc;

use crate::key::{Key, Lookup};
use crate::local::counters::Stats;
use crate::local::inner::Inner;
use crate::local::key_state::KeyState;
use crate::policy::suppressed::factor;
use crate::{
    Admitted, Bucket, Combined, DefaultHashBuilder, RateLimit, RateLimitDecision, TrypemaError,
};

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
///    last second (rounded up to whole buckets), both in units per second. Calls use the same perceived
///    rate for `suppression_refresh`.
///
/// So under a sustained overload of any size the admitted rate stays near the limit, without the
/// sawtooth of a hard cut. The idea is that of Ably's write-up on distributed rate limiting.
///
/// ```
/// use trypema::{LocalRateLimiter, RateLimit};
///
/// # fn main() -> Result<(), trypema::TrypemaError> {
/// let limiter = LocalRateLimiter::builder().hard_limit_factor(2.0).build()?;
/// let (limit, rate) = (limiter.suppressed(), RateLimit::per_second(100)?);
/// let let_through = (0..1_000).filter(|_| limit.inc("reports", &rate, 1).is_allowed()).count();
/// // All of the first 100, a share of those that came then, and never more than 200 in a second.
/// assert!(let_through >= 100);
/// println!("declines {:.0} % now", 100.0 * limit.suppression_factor("reports", &rate));
/// # Ok(())
/// # }
/// ```
///
/// The hard limit is exact under any race, as Absolute's is. Cheap to clone; clones share keys.
///
/// # Cost
/// An admission costs as much as [`LocalAbsolute`](crate::LocalAbsolute)'s. A decline is counted by one more
/// compare-and-swap. Where threads contend for that, each counts the key's declines in a stripe of its own
/// from then on: that takes 1 KiB, and up to nine times the memory for buckets with declines, until the
/// key is forgotten.
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
    S: BuildHasher + Clone,
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
        self.inner.suppressed.of(rate).inc(key, rate, count)
    }

    /// Many calls of [`inc`](LocalSuppressed::inc), each decided by itself, in the order given: the answers
    /// are those that the same calls of `inc` would have got, one after the other. Not one step:
    /// other threads may come in between.
    ///
    /// The memory of the next 32 keys is fetched at once, so that their cache misses overlap. Over many
    /// keys that halves the time of a call; for a few keys that are in the processor's cache anyway, `inc`
    /// is quicker. With an observer it calls `inc` for each.
    #[must_use]
    pub fn inc_many<Q>(&self, calls: &[(&Q, &RateLimit, u64)]) -> Vec<RateLimitDecision>
    where
        Q: Lookup<K> + ?Sized,
    {
        self.inner.suppressed.inc_many(calls)
    }

    /// The answer that [`inc`](LocalSuppressed::inc) might give now, without counting anything. Between the
    /// limits the answer is drawn, as that of `inc` is, and by a draw of its own. It does not check
    /// whether a new key would find room (`max_keys`).
    ///
    /// `is_allowed` followed by `inc` is not one step: to act on the answer, call `inc` alone.
    pub fn is_allowed<Q>(&self, key: &Q, rate: &RateLimit, count: u64) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        self.inner.suppressed.of(rate).is_allowed(key, rate, count)
    }

    /// Units that count in the window of `rate`: admitted and declined. Zero for a key that is not
    /// known.
    #[must_use]
    pub fn usage<Q: Lookup<K> + ?Sized>(&self, key: &Q, rate: &RateLimit) -> SuppressedUsage {
        let engine = self.inner.suppressed.of(rate);
        let timeline = &engine.timeline;
        let tick = engine.config.now().tick;
        let usage = engine.map.find(key, |state| {
            Some(SuppressedUsage {
                admitted: state.admitted().usage(timeline, tick)?,
                declined: state.declined().usage(timeline, tick),
            })
        });
        usage.unwrap_or_default()
    }

    /// The factor `f` of the formula for this key now, from 0.0 (nothing is declined) to 1.0 (everything
    /// is). Computed afresh, and changes nothing. 0 for a key that is not known.
    #[must_use]
    pub fn suppression_factor<Q: Lookup<K> + ?Sized>(&self, key: &Q, rate: &RateLimit) -> f64 {
        let engine = self.inner.suppressed.of(rate);
        let (context, now) = (engine.context(), engine.config.now());
        let perceived = engine.map.find(key, |state| Some(state.perceive(&context, now)));
        perceived.map_or(0.0, |perceived| factor(rate.as_per_second(), perceived))
    }

    /// Counts `count` units as admitted in the window of `rate`, whatever the limit: for work whose cost
    /// is known only afterwards. Clips as [`LocalAbsolute::record`](crate::LocalAbsolute::record) does. Returns
    /// `false` only if there was no room for a new key.
    pub fn record<Q: Lookup<K> + ?Sized>(&self, key: &Q, rate: &RateLimit, count: u64) -> bool {
        self.inner.suppressed.of(rate).record(key, count)
    }

    /// Gives up to `count` admitted units back in the window of `rate`, those that would expire first
    /// before the others. Returns how many: fewer where fewer still count. Declined units stay.
    pub fn refund<Q: Lookup<K> + ?Sized>(&self, key: &Q, rate: &RateLimit, count: u64) -> u64 {
        self.inner.suppressed.of(rate).refund(key, count)
    }

    /// Takes up to `count` units out of the very bucket in which an admission counted them (see
    /// [`RateLimitDecision::bucket`]): afterwards all is as if they had never been asked for. Returns how
    /// many: fewer if that many are no longer counted there, and 0 once the bucket has expired.
    ///
    /// More can never be taken out of a bucket than is in it. An admission whose sum was clipped to what a
    /// window holds has no bucket. A refund and an undo never give the same
    /// unit back twice. With another key or window a bucket can give back only what is in that tick
    /// there.
    pub fn undo<Q>(&self, key: &Q, rate: &RateLimit, bucket: Bucket, count: u64) -> u64
    where
        Q: Lookup<K> + ?Sized,
    {
        self.inner.suppressed.of(rate).undo(key, bucket, count)
    }

    /// Several limits at once: all of the calls are admitted, or nothing is counted. Keys and rates may
    /// repeat and mix; no limit is ever overshot. An empty list, or nothing but counts of zero, is
    /// `Allowed`.
    ///
    /// The answer's `remaining` is the least of all, and `tightest` says whose; of a refusal, whose it
    /// was. The same key in the same window twice is judged by the sum of the counts against each rate.
    ///
    /// Between the limits each key draws for itself, in order. The first to decline records its decline
    /// and ends the call; those that were admitted before are undone. While that happens another caller
    /// may be turned away by units that are about to be undone.
    pub fn inc_all<Q>(&self, calls: &[(&Q, &RateLimit, u64)]) -> Combined
    where
        Q: Lookup<K> + ?Sized,
    {
        self.inner.suppressed.inc_all(calls)
    }

    /// The window that this rate is judged over, as it was asked for.
    #[must_use]
    pub fn window(&self, rate: &RateLimit) -> Duration {
        self.inner.suppressed.grid_of(rate).window()
    }

    /// The units that this rate allows in its window.
    #[must_use]
    pub fn capacity(&self, rate: &RateLimit) -> u64 {
        rate.capacity(self.window(rate))
    }

    /// Forgets the key and all its units, in all windows. Returns whether the key was known. A key is known
    /// from its first call on, perhaps a moment before that call is counted.
    pub fn reset<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        self.inner.suppressed.reset(key)
    }

    /// Parks this thread until the call is admitted, and returns how long that took and where it
    /// was counted.
    ///
    /// Threads that wait for the same key are served in the order that they came; `inc` does not
    /// queue behind them. Between the limits the first of them draws again after every
    /// `suppression_refresh`. Attempts are not counted as declines; a wait that times out is
    /// counted as one.
    ///
    /// # Errors
    /// - [`TrypemaError::ExceedsCapacity`] at once, if `count` is above the hard limit.
    /// - [`TrypemaError::Timeout`] if not admitted in time. The timeout is real time, whatever the
    ///   limiter's clock.
    /// - [`TrypemaError::TooManyKeys`] if there was no room for a new key in that time.
    /// - [`TrypemaError::TooManyWaiting`] if as many threads as may wait for this key already.
    /// - [`TrypemaError::Closed`] once the limiter was closed.
    pub fn acquire<Q>(
        &self,
        key: &Q,
        rate: &RateLimit,
        count: u64,
        timeout: Duration,
    ) -> Result<Admitted, TrypemaError>
    where
        Q: Lookup<K> + ?Sized,
    {
        let engine = self.inner.suppressed.of(rate);
        let redraw = Duration::from_nanos(engine.settings.suppression.refresh_ns);
        engine.acquire(key, rate, count, timeout, redraw)
    }

    /// Counts of this strategy's decisions, and the keys and memory that it holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.suppressed.stats()
    }
}

impl<K, S> Clone for LocalSuppressed<K, S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<K, S> fmt::Debug for LocalSuppressed<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalSuppressed").finish_non_exhaustive()
    }
}
