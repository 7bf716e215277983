//! Decisions on calls for any key, rate and count: the rare ones, that an engine's quick way leaves out.

use core::hash::{BuildHasher, Hash};

use crate::key::Lookup;
use crate::local::call::{Call, Draw};
use crate::local::config::Now;
use crate::local::counters::PerThread;
use crate::local::engine::Engine;
use crate::local::key_state::{Context, KeyState, bucket_of};
use crate::window::Outcome;
use crate::{Bucket, RateLimit, RateLimitDecision};

impl<K, V, S> Engine<K, V, S>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
{
    /// [`Engine::inc`] for any key, rate and count.
    #[cold]
    pub(in crate::local) fn inc_slow<Q>(
        &self,
        key: &Q,
        rate: &RateLimit,
        count: u64,
    ) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        let decision = if count == 0 {
            self.ask_for_nothing(key, rate)
        } else {
            self.try_inc(key, rate, count)
        };
        self.decided(key, count, decision)
    }

    /// [`Engine::inc`] of at least one unit, with nobody told of it.
    pub(crate) fn try_inc<Q>(&self, key: &Q, rate: &RateLimit, count: u64) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        match self.attempt(key, rate, count, V::decide) {
            Some(decision) => decision,
            // Above the most, room would not help.
            None if V::RECORDS_DECLINES && self.exceeds(rate, count).is_some() => {
                // Nothing counts on a key that has no state.
                let remaining = self.config.soft_limit(rate);
                RateLimitDecision::suppressed(1.0, false).with_remaining(remaining).never()
            }
            None => self.no_room(),
        }
    }

    /// [`Engine::is_allowed`] for any key, rate and count.
    pub(in crate::local) fn is_allowed_slow<Q>(
        &self,
        key: &Q,
        rate: &RateLimit,
        count: u64,
    ) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        if rate.is_unlimited() {
            return RateLimitDecision::allowed(u64::MAX);
        }
        if count == 0 {
            return self.ask_for_nothing(key, rate);
        }
        self.peek(key, &self.call(rate, count))
    }

    /// Decides on a call for any key by `decide`. `None`: no room for it.
    pub(in crate::local) fn attempt<Q, R>(
        &self,
        key: &Q,
        rate: &RateLimit,
        count: u64,
        decide: impl Fn(&V, &Context<'_, V>, &Call<'_>) -> Option<R>,
    ) -> Option<R>
    where
        Q: Lookup<K> + ?Sized,
        R: From<RateLimitDecision>,
    {
        let call = self.call(rate, count);
        if rate.is_unlimited() {
            let outcome = self.add_unbounded(key, call.now, count)?;
            let bucket = match outcome {
                // The sum was clipped: its mark holds the units of others, too, and which of them are
                // these cannot be told. No finite rate admits that much.
                Outcome::Admitted { usage, .. } if count > self.config.most_units - usage => {
                    Bucket::NONE
                }
                outcome => bucket_of(outcome),
            };
            return Some(RateLimitDecision::allowed(u64::MAX).with_bucket(bucket).into());
        }
        if !V::RECORDS_DECLINES && count > call.capacity {
            // It never fits, and is not worth a state.
            return Some(self.peek(key, &call).into());
        }
        self.with(key, call.now, |state| decide(state, &self.context(), &call))
    }

    fn peek<Q>(&self, key: &Q, call: &Call<'_>) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        let context = self.context();
        let known = self.map.find(key, |state| V::peek(Some(state), &context, call));
        // Without a state the answer is always known.
        known.or_else(|| V::peek(None, &context, call)).unwrap_or(RateLimitDecision::allowed(0))
    }

    /// A call for no units is allowed, whatever the usage.
    fn ask_for_nothing<Q>(&self, key: &Q, rate: &RateLimit) -> RateLimitDecision
    where
        Q: Lookup<K> + ?Sized,
    {
        if rate.is_unlimited() {
            return RateLimitDecision::allowed(u64::MAX);
        }
        RateLimitDecision::allowed(self.config.soft_limit(rate).saturating_sub(self.usage(key)))
    }

    pub(in crate::local) fn call<'a>(&self, rate: &'a RateLimit, count: u64) -> Call<'a> {
        let per_thread = self.counters.per_thread();
        Call {
            rate,
            count,
            capacity: self.config.soft_limit(rate),
            now: self.now_of(per_thread),
            thread: per_thread.number,
            draw: V::random(&self.settings).map_or_else(Draw::lazy, Draw::from),
        }
    }

    /// Now. Threads that share a `PerThread` must not cache the time in it.
    #[inline]
    fn now_of(&self, per_thread: &PerThread) -> Now {
        if per_thread.is_shared {
            self.config.now()
        } else {
            self.config.read(&per_thread.clock_cache)
        }
    }

    /// The units that this rate allows: `u64::MAX` if it is unlimited.
    pub(crate) fn capacity(&self, rate: &RateLimit) -> u64 {
        if rate.is_unlimited() { u64::MAX } else { self.config.soft_limit(rate) }
    }

    /// The most that a call may ask for under this rate, if `count` is more.
    pub(in crate::local) fn exceeds(&self, rate: &RateLimit, count: u64) -> Option<u64> {
        let most = V::most(&self.context(), self.config.soft_limit(rate));
        (count > most && !rate.is_unlimited()).then_some(most)
    }

    /// Whether a bound on keys has left this key without a state.
    pub(crate) fn has_no_room_for<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        self.max_keys.is_some() && self.map.find(key, |_| Some(())).is_none()
    }

    /// The decision on a call whose key found no room.
    #[cold]
    fn no_room(&self) -> RateLimitDecision {
        self.counters.count_no_room();
        RateLimitDecision::rejected(Some(self.config.grid.window_ms()), 0)
    }
}
