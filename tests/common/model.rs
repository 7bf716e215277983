//! The contract of Absolute, as naively as it can be written: a log of units per key.
//!
//! Nothing here is taken from the library. A key is a list of `(tick, units)`, usage is a sum over
//! that list, and the hints of a rejection are found by trying one later moment after the other.

use std::collections::BTreeMap;

use trypema::RateLimitDecision;

use super::ops::Grid;

const MILLI: u128 = 1_000_000;

/// A decision, in a shape that tests can build and compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Allowed,
    Rejected { retry_after_ms: Option<u64>, remaining_after_waiting: u64 },
}

impl From<RateLimitDecision> for Answer {
    fn from(decision: RateLimitDecision) -> Self {
        match decision {
            RateLimitDecision::Allowed { .. } => Self::Allowed,
            RateLimitDecision::Rejected { retry_after_ms, remaining_after_waiting, .. } => {
                Self::Rejected { retry_after_ms, remaining_after_waiting }
            }
            other => panic!("Absolute never answers {other:?}"),
        }
    }
}

/// Units admitted together: in which bucket, and how many.
#[derive(Debug, Clone, Copy)]
struct Entry {
    tick: u128,
    units: u64,
}

/// All keys of a limiter, and its clock.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    bucket_ns: u128,
    /// The window, rounded up to whole buckets.
    held_ns: u128,
    /// The most units that the provider lets a window hold.
    most: u64,
    now_ns: u128,
    logs: BTreeMap<u8, Vec<Entry>>,
}

impl Model {
    pub(crate) fn new(grid: Grid, most: u64) -> Self {
        let bucket_ns = u128::from(grid.bucket_ms) * MILLI;
        let held_ns = (u128::from(grid.window_ms) * MILLI).div_ceil(bucket_ns) * bucket_ns;
        Self { bucket_ns, held_ns, most, now_ns: 0, logs: BTreeMap::new() }
    }

    pub(crate) fn now_ns(&self) -> u128 {
        self.now_ns
    }

    pub(crate) fn set_time(&mut self, now_ns: u128) {
        assert!(now_ns >= self.now_ns, "time does not go back");
        self.now_ns = now_ns;
    }

    /// The same keys at this moment, be it earlier.
    pub(crate) fn at(&self, now_ns: u128) -> Self {
        Self { now_ns, ..self.clone() }
    }

    /// `capacity` is that of the rate; `None` is unlimited.
    pub(crate) fn inc(&mut self, key: u8, capacity: Option<u64>, count: u64) -> Answer {
        let answer = self.is_allowed(key, capacity, count);
        if answer == Answer::Allowed && count > 0 {
            self.add(key, count);
        }
        answer
    }

    pub(crate) fn is_allowed(&self, key: u8, capacity: Option<u64>, count: u64) -> Answer {
        if count == 0 {
            return Answer::Allowed;
        }
        let Some(capacity) = capacity else { return Answer::Allowed };
        if self.fits(key, self.now_ns, capacity, count) {
            return Answer::Allowed;
        }
        match self.least_wait_ms(key, capacity, count) {
            Some(ms) => Answer::Rejected {
                retry_after_ms: Some(ms),
                remaining_after_waiting: self.usage_at(key, self.now_ns + u128::from(ms) * MILLI),
            },
            None => {
                Answer::Rejected { retry_after_ms: None, remaining_after_waiting: self.usage(key) }
            }
        }
    }

    pub(crate) fn usage(&self, key: u8) -> u64 {
        self.usage_at(key, self.now_ns)
    }

    pub(crate) fn record(&mut self, key: u8, count: u64) -> bool {
        if count > 0 {
            self.add(key, count);
        }
        true
    }

    /// Oldest first.
    pub(crate) fn refund(&mut self, key: u8, count: u64) -> u64 {
        self.drop_expired(key);
        let mut left = count;
        for entry in self.logs.get_mut(&key).into_iter().flatten() {
            let taken = left.min(entry.units);
            entry.units -= taken;
            left -= taken;
        }
        count - left
    }

    pub(crate) fn reset(&mut self, key: u8) -> bool {
        self.logs.remove(&key).is_some()
    }

    /// Keys for which there is state, whether or not any of it still counts.
    pub(crate) fn len(&self) -> usize {
        self.logs.len()
    }

    /// When the oldest, and when the newest units of a key expire.
    pub(crate) fn expiries(&self, key: u8) -> Option<(u128, u128)> {
        let log = self.logs.get(&key)?;
        Some((self.expiry(log.first()?), self.expiry(log.last()?)))
    }

    fn expiry(&self, entry: &Entry) -> u128 {
        (entry.tick + 1) * self.bucket_ns + self.held_ns
    }

    fn usage_at(&self, key: u8, then_ns: u128) -> u64 {
        let log = self.logs.get(&key).into_iter().flatten();
        log.filter(|entry| then_ns < self.expiry(entry)).map(|entry| entry.units).sum()
    }

    fn fits(&self, key: u8, then_ns: u128, capacity: u64, count: u64) -> bool {
        u128::from(self.usage_at(key, then_ns)) + u128::from(count)
            <= u128::from(capacity.min(self.most))
    }

    /// Usage falls only where a bucket expires, so the first whole millisecond from each expiry on
    /// is all there is to try.
    fn least_wait_ms(&self, key: u8, capacity: u64, count: u64) -> Option<u64> {
        let log = self.logs.get(&key).into_iter().flatten();
        let moments = log.map(|entry| self.expiry(entry)).chain([self.now_ns]);
        let mut waits = moments
            .map(|moment| moment.saturating_sub(self.now_ns).div_ceil(MILLI))
            .collect::<Vec<_>>();
        waits.sort_unstable();
        waits.dedup();
        let fits = |wait: &u128| self.fits(key, self.now_ns + wait * MILLI, capacity, count);
        waits.into_iter().find(fits).and_then(|wait| u64::try_from(wait).ok())
    }

    /// Where the sum would be more than a window holds, it is clipped to that, and all of it
    /// counts until the units just added expire.
    fn add(&mut self, key: u8, count: u64) {
        self.drop_expired(key);
        let tick = self.now_ns / self.bucket_ns;
        let usage = self.usage(key);
        let log = self.logs.entry(key).or_default();
        if u128::from(usage) + u128::from(count) > u128::from(self.most) {
            *log = vec![Entry { tick, units: self.most }];
        } else {
            log.push(Entry { tick, units: count });
        }
    }

    /// Time does not go back, so what has expired never counts again.
    fn drop_expired(&mut self, key: u8) {
        let (now_ns, bucket_ns, held_ns) = (self.now_ns, self.bucket_ns, self.held_ns);
        if let Some(log) = self.logs.get_mut(&key) {
            log.retain(|entry| now_ns < (entry.tick + 1) * bucket_ns + held_ns);
        }
    }
}
