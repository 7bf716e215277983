use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use ahash::RandomState;
use burster::{Limiter as _, SlidingWindowCounter};
use dashmap::DashMap;

use crate::keys::Prepared;
use crate::rivals::Rival;
use crate::rule::Rule;

type Counter = SlidingWindowCounter<fn() -> Duration>;

/// burster has neither keys nor threads: a `DashMap` brings both. It reads the clock that burster
/// itself would.
pub struct Burster {
    counters: DashMap<String, Counter, RandomState>,
    rule: Rule,
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Burster {
    fn fresh(&self) -> Counter {
        let window_ms = u64::try_from(self.rule.window.as_millis()).expect("a short window");
        SlidingWindowCounter::new_with_time_provider(u64::from(self.rule.capacity), window_ms, now)
    }
}

impl Rival for Burster {
    fn new(rule: Rule) -> Self {
        Self { counters: DashMap::with_hasher(RandomState::new()), rule }
    }

    #[inline]
    fn inc(&self, key: &Prepared) -> bool {
        self.inc_by(key, 1)
    }

    #[inline]
    fn inc_by(&self, key: &Prepared, count: u32) -> bool {
        let count = u64::from(count);
        if let Some(mut counter) = self.counters.get_mut(key.text.as_str()) {
            return counter.try_consume(count).is_ok();
        }
        let mut counter = self.counters.entry(key.text.clone()).or_insert_with(|| self.fresh());
        counter.try_consume(count).is_ok()
    }
}

impl core::fmt::Debug for Burster {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Burster").finish_non_exhaustive()
    }
}
