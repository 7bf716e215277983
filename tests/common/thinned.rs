//! The contract of Suppressed, as naively as it can be written: per key, a log of the admitted and
//! one of the declined units, and the perceived rate that was last computed.
//!
//! Nothing here is taken from the library. What is open in the formula is settled as follows, by
//! the contract's "Settled details": `W` is the window that was asked for, both in capacities and
//! in `O / W`; how long a unit counts follows the bucket rule, for the window and for "the last
//! second" alike, which is never more than the window.

use std::collections::BTreeMap;

use trypema::RateLimitDecision;

use super::ops::Grid;

const MILLI: u128 = 1_000_000;

/// A decision, in a shape that tests can build and compare.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    Allowed,
    Suppressed { factor: f64, is_allowed: bool },
}

impl Fate {
    pub(crate) fn is_allowed(self) -> bool {
        match self {
            Self::Allowed => true,
            Self::Suppressed { is_allowed, .. } => is_allowed,
        }
    }
}

impl From<RateLimitDecision> for Fate {
    fn from(decision: RateLimitDecision) -> Self {
        match decision {
            RateLimitDecision::Allowed { .. } => Self::Allowed,
            RateLimitDecision::Suppressed { suppression_factor, is_allowed, .. } => {
                Self::Suppressed { factor: suppression_factor, is_allowed }
            }
            other => panic!("Suppressed never answers {other:?} where keys are unbounded"),
        }
    }
}

/// The same variant and fate, and the same factor but for rounding.
impl PartialEq for Fate {
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Self::Allowed, Self::Allowed) => true,
            (
                Self::Suppressed { factor, is_allowed },
                Self::Suppressed { factor: its_factor, is_allowed: its_fate },
            ) => same_factor(factor, its_factor) && is_allowed == its_fate,
            _ => false,
        }
    }
}

/// Equal to a billionth of it, and within rounding of 1 where it is next to nothing.
pub(crate) fn same_factor(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * one.abs().max(other.abs()) + 1e-15
}

/// A hard limit factor as a fraction, so that the hard limit can be taken in whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HardFactor {
    pub(crate) over: u64,
    pub(crate) under: u64,
}

impl HardFactor {
    pub(crate) const NONE: Self = Self { over: 1, under: 1 };

    pub(crate) fn as_f64(self) -> f64 {
        self.over as f64 / self.under as f64
    }

    pub(crate) fn of(self, capacity: u64) -> u64 {
        let hard = u128::from(capacity) * u128::from(self.over) / u128::from(self.under);
        u64::try_from(hard).unwrap_or(u64::MAX)
    }
}

/// What a call asks for, and the draw that it is to be judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) per_second: f64,
    /// Of the rate, in the window; `None` is unlimited.
    pub(crate) capacity: Option<u64>,
    pub(crate) count: u64,
    pub(crate) draw: f64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    tick: u128,
    units: u64,
}

#[derive(Debug, Default)]
struct Logs {
    admitted: Vec<Entry>,
    declined: Vec<Entry>,
    /// A perceived rate, and when it is no longer good.
    perceived: Option<(f64, u128)>,
}

/// All keys under Suppressed, and the limiter's clock.
#[derive(Debug)]
pub(crate) struct Thinned {
    bucket_ns: u128,
    /// The window asked for.
    window_ns: u128,
    hard_factor: HardFactor,
    refresh_ns: u128,
    /// The most units that the provider lets a window hold.
    most: u64,
    now_ns: u128,
    keys: BTreeMap<u8, Logs>,
}

impl Thinned {
    pub(crate) fn new(grid: Grid, hard_factor: HardFactor, refresh_ns: u64, most: u64) -> Self {
        Self {
            bucket_ns: u128::from(grid.bucket_ms) * MILLI,
            window_ns: u128::from(grid.window_ms) * MILLI,
            hard_factor,
            refresh_ns: refresh_ns.into(),
            most,
            now_ns: 0,
            keys: BTreeMap::new(),
        }
    }

    pub(crate) fn now_ns(&self) -> u128 {
        self.now_ns
    }

    pub(crate) fn set_time(&mut self, now_ns: u128) {
        assert!(now_ns >= self.now_ns, "time does not go back");
        self.now_ns = now_ns;
    }

    pub(crate) fn inc(&mut self, key: u8, ask: Ask) -> Fate {
        if ask.count == 0 {
            return Fate::Allowed;
        }
        let answer = self.is_allowed(key, ask);
        if let Some(perceived) = self.in_zone(key, ask).then(|| self.perceived(key)) {
            let until = self.now_ns + self.refresh_ns;
            let logs = self.keys.entry(key).or_default();
            if logs.perceived.is_none_or(|(_, until)| self.now_ns >= until) {
                logs.perceived = Some((perceived, until));
            }
        }
        self.add(key, ask.count, answer.is_allowed());
        answer
    }

    pub(crate) fn is_allowed(&self, key: u8, ask: Ask) -> Fate {
        if ask.count == 0 || ask.capacity.is_none() || self.total(key, ask) <= self.soft(ask) {
            Fate::Allowed
        } else if self.in_zone(key, ask) {
            let factor = self.zone_factor(key, ask.per_second);
            Fate::Suppressed { factor, is_allowed: ask.draw >= factor }
        } else {
            Fate::Suppressed { factor: 1.0, is_allowed: false }
        }
    }

    /// Whether the call is to be drawn for.
    pub(crate) fn in_zone(&self, key: u8, ask: Ask) -> bool {
        let total = self.total(key, ask);
        ask.count > 0
            && ask.capacity.is_some()
            && self.soft(ask) < total
            && total <= u128::from(self.hard(ask))
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

    /// Admitted and declined.
    pub(crate) fn usage(&self, key: u8) -> (u64, u64) {
        let Some(logs) = self.keys.get(&key) else { return (0, 0) };
        let sum = |log| self.sum(log, self.window_ns);
        (sum(&logs.admitted), sum(&logs.declined))
    }

    pub(crate) fn record(&mut self, key: u8, count: u64) {
        if count > 0 {
            self.add(key, count, true);
        }
    }

    /// Admitted units, oldest first.
    pub(crate) fn refund(&mut self, key: u8, count: u64) -> u64 {
        self.drop_expired(key);
        let mut left = count;
        for entry in self.keys.get_mut(&key).into_iter().flat_map(|logs| &mut logs.admitted) {
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

    /// When the oldest, and when the newest units of a key expire.
    pub(crate) fn expiries(&self, key: u8) -> Option<(u128, u128)> {
        let logs = self.keys.get(&key)?;
        let all = || logs.admitted.iter().chain(&logs.declined);
        let expiry = |entry: &Entry| self.expiry(entry, self.window_ns);
        Some((all().map(expiry).min()?, all().map(expiry).max()?))
    }

    fn soft(&self, ask: Ask) -> u128 {
        ask.capacity.map_or(u128::MAX, |capacity| capacity.min(self.most).into())
    }

    fn hard(&self, ask: Ask) -> u64 {
        ask.capacity.map_or(u64::MAX, |capacity| self.hard_factor.of(capacity).min(self.most))
    }

    fn total(&self, key: u8, ask: Ask) -> u128 {
        u128::from(self.usage(key).0) + u128::from(ask.count)
    }

    /// The greater of the rates over the window and over its last second, in units per second.
    fn perceived(&self, key: u8) -> f64 {
        let Some(logs) = self.keys.get(&key) else { return 0.0 };
        let observed = |length_ns: u128| {
            let units = |log| u128::from(self.sum(log, length_ns));
            (units(&logs.admitted) + units(&logs.declined)) as f64
        };
        // What counts for a second rounded up to whole buckets is a rate over that time.
        let recent_ns = self.window_ns.min(1_000 * MILLI);
        let recent_held_ns = recent_ns.next_multiple_of(self.bucket_ns);
        let over_window = observed(self.window_ns) / (self.window_ns as f64 / 1e9);
        let over_recent = observed(recent_ns) / (recent_held_ns as f64 / 1e9);
        over_window.max(over_recent)
    }

    fn sum(&self, log: &[Entry], length_ns: u128) -> u64 {
        let counts = |entry: &&Entry| self.now_ns < self.expiry(entry, length_ns);
        log.iter().filter(counts).map(|entry| entry.units).sum()
    }

    /// The bucket rule: until the end of its bucket is older than the length, which is a whole
    /// number of buckets or rounded up to one.
    fn expiry(&self, entry: &Entry, length_ns: u128) -> u128 {
        (entry.tick + 1) * self.bucket_ns + length_ns.next_multiple_of(self.bucket_ns)
    }

    /// Where the sum would be more than a window holds, it is clipped to that, and all of it
    /// counts until the units just added expire.
    fn add(&mut self, key: u8, count: u64, as_admitted: bool) {
        self.drop_expired(key);
        let tick = self.now_ns / self.bucket_ns;
        let (most, window_ns) = (self.most, self.window_ns);
        let mut logs = self.keys.remove(&key).unwrap_or_default();
        let log = if as_admitted { &mut logs.admitted } else { &mut logs.declined };
        if u128::from(self.sum(log, window_ns)) + u128::from(count) > u128::from(most) {
            *log = vec![Entry { tick, units: most }];
        } else {
            log.push(Entry { tick, units: count });
        }
        self.keys.insert(key, logs);
    }

    /// Time does not go back, so what has expired never counts again.
    fn drop_expired(&mut self, key: u8) {
        let Some(mut logs) = self.keys.remove(&key) else { return };
        let counts = |entry: &Entry| self.now_ns < self.expiry(entry, self.window_ns);
        logs.admitted.retain(counts);
        logs.declined.retain(counts);
        self.keys.insert(key, logs);
    }
}

/// `clamp(1 - rate / perceived, 0, 1)`; where nothing is perceived, nothing is turned away.
fn factor(per_second: f64, perceived: f64) -> f64 {
    if perceived == 0.0 { 0.0 } else { (1.0 - per_second / perceived).clamp(0.0, 1.0) }
}
