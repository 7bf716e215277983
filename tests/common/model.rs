//! The contract of both strategies, as naively as it can be written: per key a log of the admitted and
//! one of the declined units, and the perceived rate that was last computed.
//!
//! Nothing here is taken from the library. A log is a list of `(tick, units)`, usage is a sum over it,
//! and the hint of a rejection is found by trying one later moment after the other. What is open in
//! the formula of Suppressed is settled as follows, by the contract's "Settled details": `W` is the
//! window that was asked for, both in capacities and in `O / W`; how long a unit counts follows the
//! bucket rule, for the window and for "the last second" alike, which is never more than the window.

use std::collections::BTreeMap;

use super::answer::Answer;
use super::ops::Grid;
use super::provider::{HardFactor, Settings};

const MILLI: u128 = 1_000_000;

/// A call's rate and count, and the draw that it is to be judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) per_second: f64,
    /// Of the rate, in the window; `None` is unlimited.
    pub(crate) capacity: Option<u64>,
    pub(crate) count: u64,
    pub(crate) draw: f64,
}

/// Units counted together: in which bucket, and how many.
#[derive(Debug, Clone, Copy)]
struct Entry {
    tick: u128,
    units: u64,
}

#[derive(Debug, Default, Clone)]
struct Logs {
    admitted: Vec<Entry>,
    declined: Vec<Entry>,
    /// A perceived rate, and when it is no longer good.
    perceived: Option<(f64, u128)>,
}

/// The settings of Suppressed.
#[derive(Debug, Clone, Copy)]
struct Suppression {
    hard_factor: HardFactor,
    refresh_ns: u128,
}

/// All keys under a strategy, and the limiter's clock.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    bucket_ns: u128,
    /// The window asked for, and rounded up to whole buckets.
    window_ns: u128,
    held_ns: u128,
    /// The most units that the provider lets a window hold.
    most: u64,
    suppression: Option<Suppression>,
    now_ns: u128,
    keys: BTreeMap<u8, Logs>,
}

impl Model {
    /// Absolute.
    pub(crate) fn new(grid: Grid, most: u64) -> Self {
        let bucket_ns = u128::from(grid.bucket_ms) * MILLI;
        let window_ns = u128::from(grid.window_ms) * MILLI;
        let held_ns = window_ns.next_multiple_of(bucket_ns);
        let keys = BTreeMap::new();
        Self { bucket_ns, window_ns, held_ns, most, suppression: None, now_ns: 0, keys }
    }

    pub(crate) fn suppressed(settings: Settings, most: u64) -> Self {
        let Settings { grid, hard_factor, refresh } = settings;
        let suppression = Suppression { hard_factor, refresh_ns: refresh.as_nanos() };
        Self { suppression: Some(suppression), ..Self::new(grid, most) }
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

    // --- decisions -------------------------------------------------------------------------------

    /// [`Model::add`] where nothing is drawn: `capacity` is that of the rate, `None` is unlimited.
    pub(crate) fn inc(&mut self, key: u8, capacity: Option<u64>, count: u64) -> Answer {
        self.add(key, Ask { per_second: 0.0, capacity, count, draw: 0.0 })
    }

    /// [`Model::judge`] where nothing is drawn.
    pub(crate) fn is_allowed(&self, key: u8, capacity: Option<u64>, count: u64) -> Answer {
        self.judge(key, Ask { per_second: 0.0, capacity, count, draw: 0.0 })
    }

    pub(crate) fn add(&mut self, key: u8, ask: Ask) -> Answer {
        let answer = self.judge(key, ask);
        if ask.count == 0 {
            return answer;
        }
        if let Some(Suppression { refresh_ns, .. }) = self.suppression
            && self.in_zone(key, ask)
            && !self.keeps_perceived(key)
        {
            let until = self.now_ns.saturating_add(refresh_ns);
            let perceived = Some((self.perceived(key), until));
            self.keys.entry(key).or_default().perceived = perceived;
        }
        if answer.is_allowed() {
            self.count(key, ask.count, |logs| &mut logs.admitted);
        } else if self.suppression.is_some() {
            self.count(key, ask.count, |logs| &mut logs.declined);
        }
        answer
    }

    pub(crate) fn judge(&self, key: u8, ask: Ask) -> Answer {
        let Ask { capacity: Some(capacity), count: 1.., .. } = ask else { return Answer::Allowed };
        if self.fits(key, self.now_ns, capacity, ask.count) {
            Answer::Allowed
        } else if self.suppression.is_none() {
            self.rejection(key, capacity, ask.count)
        } else if self.in_zone(key, ask) {
            let factor = self.zone_factor(key, ask.per_second);
            Answer::Suppressed { factor, is_allowed: ask.draw >= factor }
        } else {
            Answer::Suppressed { factor: 1.0, is_allowed: false }
        }
    }

    /// Usage falls only where a bucket expires, so the first whole millisecond from each expiry on
    /// is all there is to try.
    fn rejection(&self, key: u8, capacity: u64, count: u64) -> Answer {
        let log = self.keys.get(&key).map_or(&[][..], |logs| &logs.admitted);
        let moments = log.iter().map(|entry| self.expiry(entry)).chain([self.now_ns]);
        let mut waits = moments
            .map(|moment| moment.saturating_sub(self.now_ns).div_ceil(MILLI))
            .collect::<Vec<_>>();
        waits.sort_unstable();
        waits.dedup();
        let fits = |wait: &u128| self.fits(key, self.now_ns + wait * MILLI, capacity, count);
        let wait = waits.into_iter().find(fits).and_then(|wait| u64::try_from(wait).ok());
        let then_ns = self.now_ns + u128::from(wait.unwrap_or(0)) * MILLI;
        Answer::Rejected {
            retry_after_ms: wait,
            remaining_after_waiting: self.usage_at(key, then_ns),
        }
    }

    fn fits(&self, key: u8, then_ns: u128, capacity: u64, count: u64) -> bool {
        let total = u128::from(self.usage_at(key, then_ns)) + u128::from(count);
        total <= u128::from(capacity.min(self.most))
    }

    /// Whether the call is to be drawn for.
    pub(crate) fn in_zone(&self, key: u8, ask: Ask) -> bool {
        let (Some(suppression), Some(capacity)) = (self.suppression, ask.capacity) else {
            return false;
        };
        let hard = suppression.hard_factor.of(capacity);
        ask.count > 0
            && !self.fits(key, self.now_ns, capacity, ask.count)
            && self.fits(key, self.now_ns, hard, ask.count)
    }

    /// The factor that a call in the zone meets: by the perceived rate that is kept, if it is good.
    pub(crate) fn zone_factor(&self, key: u8, per_second: f64) -> f64 {
        let kept = self.keys.get(&key).and_then(|logs| logs.perceived);
        match kept {
            Some((perceived, _)) if self.keeps_perceived(key) => factor(per_second, perceived),
            _ => self.suppression_factor(key, per_second),
        }
    }

    /// Whether a perceived rate is kept for the key, and still good.
    pub(crate) fn keeps_perceived(&self, key: u8) -> bool {
        let kept = self.keys.get(&key).and_then(|logs| logs.perceived);
        kept.is_some_and(|(_, until)| self.now_ns < until)
    }

    pub(crate) fn suppression_factor(&self, key: u8, per_second: f64) -> f64 {
        factor(per_second, self.perceived(key))
    }

    /// The greater of the rates over the window and over its last second, in units per second.
    fn perceived(&self, key: u8) -> f64 {
        let Some(logs) = self.keys.get(&key) else { return 0.0 };
        let observed = |held_ns: u128| {
            let units = |log| u128::from(self.sum(log, self.now_ns, held_ns));
            (units(&logs.admitted) + units(&logs.declined)) as f64
        };
        // Units that count for a second, rounded up to whole buckets, are a rate over that time.
        let recent_ns = self.window_ns.min(1_000 * MILLI).next_multiple_of(self.bucket_ns);
        let over_window = observed(self.held_ns) / (self.window_ns as f64 / 1e9);
        let over_recent = observed(recent_ns) / (recent_ns as f64 / 1e9);
        over_window.max(over_recent)
    }

    // --- counts ----------------------------------------------------------------------------------

    /// Admitted.
    pub(crate) fn usage(&self, key: u8) -> u64 {
        self.usage_at(key, self.now_ns)
    }

    /// Admitted and declined.
    pub(crate) fn counts(&self, key: u8) -> (u64, u64) {
        let declined = self.keys.get(&key).map_or(&[][..], |logs| &logs.declined);
        (self.usage(key), self.sum(declined, self.now_ns, self.held_ns))
    }

    pub(crate) fn record(&mut self, key: u8, count: u64) -> bool {
        if count > 0 {
            self.count(key, count, |logs| &mut logs.admitted);
        }
        true
    }

    /// Admitted units, oldest first.
    pub(crate) fn refund(&mut self, key: u8, count: u64) -> u64 {
        self.take(key, count, |_| true)
    }

    /// Units admitted in the bucket of this tick.
    pub(crate) fn undo(&mut self, key: u8, tick: u128, count: u64) -> u64 {
        self.take(key, count, |entry| entry.tick == tick)
    }

    fn take(&mut self, key: u8, count: u64, from: impl Fn(&Entry) -> bool) -> u64 {
        self.drop_expired(key);
        let mut left = count;
        let entries = self.keys.get_mut(&key).into_iter().flat_map(|logs| &mut logs.admitted);
        for entry in entries.filter(|entry| from(entry)) {
            let taken = left.min(entry.units);
            entry.units -= taken;
            left -= taken;
        }
        count - left
    }

    pub(crate) fn reset(&mut self, key: u8) -> bool {
        self.keys.remove(&key).is_some()
    }

    pub(crate) fn clear(&mut self) {
        self.keys.clear();
    }

    /// Keys for which there is state, whether or not any of it still counts.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The bucket of this moment.
    pub(crate) fn tick(&self) -> u128 {
        self.now_ns / self.bucket_ns
    }

    /// The units left to this capacity, where `more` have been asked for, and not counted.
    pub(crate) fn remaining(&self, key: u8, capacity: Option<u64>, more: u64) -> u64 {
        let Some(capacity) = capacity else { return u64::MAX };
        capacity.min(self.most).saturating_sub(self.usage(key)).saturating_sub(more)
    }

    /// When the oldest, and when the newest units of a key expire.
    pub(crate) fn expiries(&self, key: u8) -> Option<(u128, u128)> {
        let logs = self.keys.get(&key)?;
        let all = || logs.admitted.iter().chain(&logs.declined).map(|entry| self.expiry(entry));
        Some((all().min()?, all().max()?))
    }

    fn usage_at(&self, key: u8, then_ns: u128) -> u64 {
        self.keys.get(&key).map_or(0, |logs| self.sum(&logs.admitted, then_ns, self.held_ns))
    }

    fn sum(&self, log: &[Entry], then_ns: u128, held_ns: u128) -> u64 {
        let counts = |entry: &&Entry| then_ns < (entry.tick + 1) * self.bucket_ns + held_ns;
        log.iter().filter(counts).map(|entry| entry.units).sum()
    }

    /// The bucket rule: until the end of its bucket is older than the window.
    fn expiry(&self, entry: &Entry) -> u128 {
        (entry.tick + 1) * self.bucket_ns + self.held_ns
    }

    /// Where the sum would be more than a window holds, it is clipped to that, and all of it
    /// counts until the units just added expire.
    fn count(&mut self, key: u8, count: u64, log: impl Fn(&mut Logs) -> &mut Vec<Entry>) {
        self.drop_expired(key);
        let (tick, most) = (self.tick(), self.most);
        let log = log(self.keys.entry(key).or_default());
        // Expired units are gone from it.
        let usage = log.iter().map(|entry| u128::from(entry.units)).sum::<u128>();
        if usage + u128::from(count) > u128::from(most) {
            *log = vec![Entry { tick, units: most }];
        } else {
            log.push(Entry { tick, units: count });
        }
    }

    /// Time does not go back, so what has expired never counts again.
    fn drop_expired(&mut self, key: u8) {
        let (now_ns, bucket_ns, held_ns) = (self.now_ns, self.bucket_ns, self.held_ns);
        let counts = |entry: &Entry| now_ns < (entry.tick + 1) * bucket_ns + held_ns;
        if let Some(logs) = self.keys.get_mut(&key) {
            logs.admitted.retain(counts);
            logs.declined.retain(counts);
        }
    }
}

/// `clamp(1 - rate / perceived, 0, 1)`; where nothing is perceived, nothing is declined.
fn factor(per_second: f64, perceived: f64) -> f64 {
    if perceived == 0.0 { 0.0 } else { (1.0 - per_second / perceived).clamp(0.0, 1.0) }
}
