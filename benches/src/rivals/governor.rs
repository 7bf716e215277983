use core::num::NonZeroU32;

use ahash::RandomState;
use governor::clock::DefaultClock;
use governor::state::keyed::{DashMapStateStore, DefaultKeyedStateStore};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use trypema::Key;

use crate::keys::Prepared;
use crate::rivals::Rival;
use crate::rule::Rule;

/// As `RateLimiter::keyed` makes it: a DashMap, SipHash, quanta's clock.
#[derive(Debug)]
pub struct Governor(DefaultKeyedRateLimiter<String>);

/// The same store and clock, with ahash and with keys that need no second cache line.
pub struct GovernorTuned(RateLimiter<Key, DashMapStateStore<Key, RandomState>, DefaultClock>);

impl Governor {
    /// Forgets keys that are as good as new. Returns how many are left.
    pub fn retain_recent(&self) -> usize {
        self.0.retain_recent();
        self.0.len()
    }
}

impl GovernorTuned {
    /// As [`Governor::retain_recent`].
    pub fn retain_recent(&self) -> usize {
        self.0.retain_recent();
        self.0.len()
    }
}

/// A bucket of `capacity` that refills in one window: the rule as GCRA can say it.
fn quota(rule: Rule) -> Quota {
    let capacity = NonZeroU32::new(rule.capacity).expect("a positive capacity");
    Quota::with_period(rule.window / rule.capacity)
        .expect("a positive period")
        .allow_burst(capacity)
}

fn units(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).expect("a positive count")
}

impl Rival for Governor {
    fn new(rule: Rule) -> Self {
        Self(RateLimiter::keyed(quota(rule)))
    }

    #[inline]
    fn inc(&self, key: &Prepared) -> bool {
        self.0.check_key(&key.text).is_ok()
    }

    #[inline]
    fn inc_by(&self, key: &Prepared, count: u32) -> bool {
        matches!(self.0.check_key_n(&key.text, units(count)), Ok(Ok(())))
    }
}

impl Rival for GovernorTuned {
    fn new(rule: Rule) -> Self {
        let store = DefaultKeyedStateStore::with_hasher(RandomState::new());
        Self(RateLimiter::new(quota(rule), store, DefaultClock::default()))
    }

    #[inline]
    fn inc(&self, key: &Prepared) -> bool {
        self.0.check_key(&key.inline).is_ok()
    }

    #[inline]
    fn inc_by(&self, key: &Prepared, count: u32) -> bool {
        matches!(self.0.check_key_n(&key.inline, units(count)), Ok(Ok(())))
    }
}

impl core::fmt::Debug for GovernorTuned {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("GovernorTuned").finish_non_exhaustive()
    }
}
