//! Absolute over the in-process store.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::time::Duration;
use std::sync::Arc;

use crate::key::{Key, Lookup};
use crate::local::call::{Call, Verdict};
use crate::local::config::Now;
use crate::local::counters::Stats;
use crate::local::inner::Inner;
use crate::local::key_state::{Context, KeyState, bucket_of};
use crate::local::map::State;
use crate::policy::{Grid, absolute};
use crate::random::Random;
use crate::settings::Settings;
use crate::window::retry_hint::RetryHint;
use crate::window::{Limit, MarkId, Outcome, Timeline, Window};
use crate::{
    Admitted, Bucket, Combined, DefaultHashBuilder, RateLimit, RateLimitDecision, TrypemaError,
};

impl State for Window {
    fn is_dead(&self) -> bool {
        self.is_dead()
    }
}

impl KeyState for Window {
    type Settings = ();
    const RECORDS_DECLINES: bool = false;

    fn settings(_settings: &Settings, _grid: &Grid) {}

    fn most(_context: &Context<'_, Self>, capacity: u64) -> u64 {
        capacity
    }

    #[inline]
    fn random(_settings: &()) -> Option<&dyn Random> {
        None
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the body of two functions, both of them hot")]
    fn decide(&self, context: &Context<'_, Self>, call: &Call<'_>) -> Option<RateLimitDecision> {
        decision(context, call, add(self, context, call))
    }

    fn try_acquire(&self, context: &Context<'_, Self>, call: &Call<'_>) -> Option<Verdict> {
        let outcome = add(self, context, call);
        let frees_at = match outcome {
            Outcome::Rejected { retry_hint, .. } => retry_hint.map(|hint| hint.tick),
            _ => None,
        };
        let decision = decision(context, call, outcome)?;
        Some(Verdict { decision, frees_at, draws_again: false })
    }

    fn peek(
        state: Option<&Self>,
        context: &Context<'_, Self>,
        call: &Call<'_>,
    ) -> Option<RateLimitDecision> {
        let &Call { count, capacity, now, .. } = call;
        let outcome = match state {
            Some(window) => window.peek(context.timeline, now.tick, count, Limit::Within(capacity)),
            None if count > capacity => Outcome::Rejected { usage: 0, retry_hint: None },
            None => Outcome::Admitted { mark: MarkId { tick: now.tick, at: 0 }, usage: 0 },
        };
        // `is_allowed` counts nothing.
        Some(decision(context, call, outcome)?.with_bucket(Bucket::NONE))
    }

    fn refusal(
        context: &Context<'_, Self>,
        call: &Call<'_>,
        usage: u64,
        retry_hint: Option<RetryHint>,
    ) -> Option<RateLimitDecision> {
        Some(rejected(context, call, usage, retry_hint))
    }

    fn new(timeline: &Timeline, now: Now) -> Self {
        Self::new(timeline, now.tick)
    }

    fn admitted(&self) -> &Window {
        self
    }

    fn retire(&self, timeline: &Timeline, now: Now, stale_after: u64) -> bool {
        self.retire(timeline, now.tick, stale_after, || true)
    }

    fn is_idle(&self, timeline: &Timeline, now: Now, stale_after: u64) -> bool {
        let mut is_idle = false;
        let is_dead = self.retire(timeline, now.tick, stale_after, || {
            is_idle = true;
            false
        });
        is_idle || is_dead
    }

    fn heap_bytes(&self) -> usize {
        self.heap_bytes()
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "see `Window::add`")]
fn add(window: &Window, context: &Context<'_, Window>, call: &Call<'_>) -> Outcome {
    window.add(context.timeline, call.now.tick, call.count, Limit::Within(call.capacity))
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "see `Window::add`")]
fn decision(
    context: &Context<'_, Window>,
    call: &Call<'_>,
    outcome: Outcome,
) -> Option<RateLimitDecision> {
    match outcome {
        Outcome::Admitted { usage, .. } => {
            let remaining = call.capacity - usage - call.count;
            Some(RateLimitDecision::Allowed { remaining, bucket: bucket_of(outcome) })
        }
        Outcome::Rejected { usage, retry_hint } => Some(rejected(context, call, usage, retry_hint)),
        Outcome::Dead => None,
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "see `Window::add`")]
fn rejected(
    context: &Context<'_, Window>,
    call: &Call<'_>,
    usage: u64,
    retry_hint: Option<RetryHint>,
) -> RateLimitDecision {
    let Call { capacity, now, .. } = call;
    let retry_hint = retry_hint.map(|hint| (hint.tick, hint.remaining));
    absolute::rejected(&context.config.grid, now.millis, *capacity, usage, retry_hint)
}

/// The Absolute strategy of a [`LocalRateLimiter`](crate::LocalRateLimiter): admits up to the
/// rate's capacity within any window, and not one unit more.
///
/// Cheap to clone; clones share their keys.
///
/// # Cost
/// One map lookup, one clock reading and, to admit, one compare-and-swap of a word that only
/// callers of the same key touch. A rejection writes nothing that the calls of other threads read or
/// write. No decision takes a lock or waits for another thread, except that a thread's first
/// call registers its counters, once.
pub struct LocalAbsolute<K = Key, S = DefaultHashBuilder> {
    inner: Arc<Inner<K, S>>,
}

impl<K, S> LocalAbsolute<K, S>
where
    K: Hash + Eq + Clone,
    S: BuildHasher + Clone,
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
    ///
    /// ```
    /// use trypema::{LocalRateLimiter, RateLimit};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let limiter = LocalRateLimiter::builder().build()?;
    /// let rate = RateLimit::per_minute(5)?;
    /// assert_eq!(limiter.absolute().inc("alice", &rate, 3).remaining(), 2);
    /// let refused = limiter.absolute().inc("alice", &rate, 3);
    /// assert!(!refused.is_allowed() && refused.retry_after().is_some());
    /// assert!(limiter.absolute().inc("alice", &rate, 6).is_never());
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn inc<Q>(&self, key: &Q, rate: &RateLimit, count: u64) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        self.inner.absolute.of(rate).inc(key, rate, count)
    }

    /// Many calls of [`inc`](LocalAbsolute::inc), each decided by itself, in the order given: the answers
    /// are those that the same calls of `inc` would have got, one after the other. Not one step:
    /// other threads may come in between.
    ///
    /// The memory of the next 32 keys is fetched at once, so that their cache misses overlap. Over many
    /// keys that halves the time of a call; for a few keys that are in the processor's cache anyway, `inc`
    /// is quicker. With an observer it calls `inc` for each.
    ///
    /// ```
    /// use trypema::{LocalRateLimiter, RateLimit};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let limiter = LocalRateLimiter::builder().build()?;
    /// let rate = RateLimit::per_minute(1)?;
    /// let calls = [("alice", &rate, 1), ("bob", &rate, 1), ("alice", &rate, 1)];
    /// let allowed: Vec<_> =
    ///     limiter.absolute().inc_many(&calls).iter().map(|decision| decision.is_allowed()).collect();
    /// assert_eq!(allowed, [true, true, false]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn inc_many<Q>(&self, calls: &[(&Q, &RateLimit, u64)]) -> Vec<RateLimitDecision>
    where
        Q: Lookup<K> + ?Sized,
    {
        self.inner.absolute.inc_many(calls)
    }

    /// The answer that [`inc`](LocalAbsolute::inc) would give now, without counting anything. It does not
    /// check whether a new key would find room (`max_keys`).
    ///
    /// `is_allowed` followed by `inc` is not one step: other threads may come between, so that the
    /// `inc` is rejected after all. To act on the answer, call `inc` alone.
    #[inline]
    pub fn is_allowed<Q>(&self, key: &Q, rate: &RateLimit, count: u64) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        self.inner.absolute.of(rate).is_allowed(key, rate, count)
    }

    /// Units admitted or recorded that still count, in the window of `rate`. 0 for a key that is not
    /// known.
    #[must_use]
    pub fn usage<Q: Lookup<K> + ?Sized>(&self, key: &Q, rate: &RateLimit) -> u64 {
        self.inner.absolute.of(rate).usage(key)
    }

    /// Counts `count` units in the window of `rate`, whatever the limit: for work whose cost is known
    /// only afterwards.
    ///
    /// A sum beyond what a window holds (see [`inc`](LocalAbsolute::inc)) is clipped to that, and
    /// then counts in full until the newest unit expires: usage is never under-stated. Returns
    /// `false` only if there was no room for a new key.
    ///
    /// ```
    /// use trypema::{LocalRateLimiter, RateLimit};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let limiter = LocalRateLimiter::builder().build()?;
    /// let bytes = RateLimit::per_minute(1_000)?;
    /// limiter.absolute().record("alice", &bytes, 1_500); // they were sent, whatever the limit
    /// assert_eq!(limiter.absolute().usage("alice", &bytes), 1_500);
    /// assert!(!limiter.absolute().inc("alice", &bytes, 1).is_allowed());
    /// # Ok(())
    /// # }
    /// ```
    pub fn record<Q: Lookup<K> + ?Sized>(&self, key: &Q, rate: &RateLimit, count: u64) -> bool {
        self.inner.absolute.of(rate).record(key, count)
    }

    /// Gives up to `count` admitted or recorded units back in the window of `rate`, those that would
    /// expire first before the others. Returns how many: fewer where fewer still count.
    pub fn refund<Q: Lookup<K> + ?Sized>(&self, key: &Q, rate: &RateLimit, count: u64) -> u64 {
        self.inner.absolute.of(rate).refund(key, count)
    }

    /// Takes up to `count` units out of the very bucket in which an admission counted them (see
    /// [`RateLimitDecision::bucket`]): afterwards all is as if they had never been asked for. Returns how
    /// many: fewer if that many are no longer counted there, and 0 once the bucket has expired.
    ///
    /// More can never be taken out of a bucket than is in it. An admission whose sum was clipped to what a
    /// window holds has no bucket. A refund and an undo never give the same
    /// unit back twice. With another key or window a bucket can give back only what is in that tick
    /// there.
    ///
    /// ```
    /// use trypema::{LocalRateLimiter, RateLimit};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let limiter = LocalRateLimiter::builder().build()?;
    /// let (limit, rate) = (limiter.absolute(), RateLimit::per_minute(5)?);
    /// if let Some(bucket) = limit.inc("alice", &rate, 3).bucket() {
    ///     assert_eq!(limit.undo("alice", &rate, bucket, 3), 3); // the work was not done
    /// }
    /// assert_eq!(limit.usage("alice", &rate), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn undo<Q>(&self, key: &Q, rate: &RateLimit, bucket: Bucket, count: u64) -> u64
    where
        Q: Lookup<K> + ?Sized,
    {
        self.inner.absolute.of(rate).undo(key, bucket, count)
    }

    /// Several limits at once: all of the calls are admitted, or nothing is counted. Keys and rates may
    /// repeat and mix; no limit is ever overshot. An empty list, or nothing but counts of zero, is
    /// `Allowed`.
    ///
    /// The answer's `remaining` is the least of all limits, and `tightest` says which limit that is. The hint
    /// of a rejection is the longest wait of the limits that do not fit, hence exact; it is `None` if one of
    /// them never fits. Calls for the same key in the same window are judged by the sum of their counts.
    ///
    /// It looks at all of them, then adds to one after the other. If another thread comes in between and
    /// takes the room, it undoes its additions and decides anew; meanwhile another caller may be rejected
    /// because of units that are about to be undone. If it panics, in an observer or in a key's own code,
    /// its units are undone, too.
    ///
    /// ```
    /// use trypema::{LocalRateLimiter, RateLimit};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let limiter = LocalRateLimiter::builder().build()?;
    /// let (burst, quota) = (RateLimit::per_second(10)?, RateLimit::per_day(15)?);
    /// let both = |units| limiter.absolute().inc_all(&[("alice", &burst, units), ("team", &quota, units)]);
    /// assert!(both(10).is_allowed());
    /// limiter.absolute().reset("alice");
    /// let refused = both(10);
    /// assert_eq!((refused.is_allowed(), refused.tightest), (false, 1)); // the team's
    /// assert_eq!(limiter.absolute().usage("alice", &burst), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn inc_all<Q>(&self, calls: &[(&Q, &RateLimit, u64)]) -> Combined
    where
        Q: Lookup<K> + ?Sized,
    {
        self.inner.absolute.inc_all(calls)
    }

    /// The window that this rate is judged over, as it was asked for.
    #[must_use]
    pub fn window(&self, rate: &RateLimit) -> Duration {
        self.inner.absolute.grid_of(rate).window()
    }

    /// The units that this rate allows in its window.
    #[must_use]
    pub fn capacity(&self, rate: &RateLimit) -> u64 {
        rate.capacity(self.window(rate))
    }

    /// Forgets the key and all its units, in all windows. Returns whether the key was known. A key is known
    /// from its first call on, perhaps a moment before that call is counted.
    pub fn reset<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        self.inner.absolute.reset(key)
    }

    /// Parks this thread until the call is admitted, and returns how long that took and where it
    /// was counted.
    ///
    /// Nothing is counted until then. Threads that wait for the same key are served in the order
    /// that they came, whatever they ask for; `inc` does not queue behind them. A waiting thread
    /// takes no processor time: the first in line wakes when the units in its way expire or are given
    /// back, the others when it is their turn.
    ///
    /// ```
    /// use std::time::Duration;
    /// use trypema::{LocalRateLimiter, RateLimit, TrypemaError};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let limiter = LocalRateLimiter::builder().build()?;
    /// let rate = RateLimit::per(1, Duration::from_millis(20))?;
    /// let limit = limiter.absolute();
    /// for _ in 0..3 {
    ///     let admitted = limit.acquire("alice", &rate, 1, Duration::from_secs(30))?;
    ///     println!("waited for {:?}", admitted.waited);
    /// }
    /// let too_many = limit.acquire("alice", &rate, 2, Duration::from_secs(30));
    /// assert!(matches!(too_many, Err(TrypemaError::ExceedsCapacity { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// - [`TrypemaError::ExceedsCapacity`] at once, if `count` is above the rate's capacity.
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
        self.inner.absolute.of(rate).acquire(key, rate, count, timeout, Duration::ZERO)
    }

    /// Counts of this strategy's decisions, and the keys and memory that it holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.absolute.stats()
    }
}

impl<K, S> Clone for LocalAbsolute<K, S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<K, S> fmt::Debug for LocalAbsolute<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalAbsolute").finish_non_exhaustive()
    }
}
