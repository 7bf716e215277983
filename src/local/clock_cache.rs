//! The millisecond that a thread last saw, and for how long it lasts in the clock's own counts.
//!
//! A time-stamp counter's count becomes a tick by several multiplications, one after the other,
//! and a decision would wait for them as long as for the rest of it. Whether the count is still
//! within the millisecond that was seen last is a comparison, which the processor guesses.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::clock::{ClockSource, MonotonicClock};
use crate::local::config::{Config, Now};
use crate::policy::NANOS_PER_MILLI;

/// One thread's. Others may drop it, but none reads or writes it.
#[derive(Debug, Default)]
pub(crate) struct ClockCache {
    /// Counts from here (included) to there (excluded) are of this millisecond and tick.
    from: AtomicU64,
    to: AtomicU64,
    millis: AtomicU64,
    tick: AtomicU64,
}

impl ClockCache {
    #[inline]
    fn look(&self, count: u64) -> Option<Now> {
        // Relaxed, here and below: one thread's own.
        let is_same =
            (self.from.load(Ordering::Relaxed)..self.to.load(Ordering::Relaxed)).contains(&count);
        is_same.then(|| Now {
            count,
            millis: self.millis.load(Ordering::Relaxed), // Relaxed: as above.
            tick: self.tick.load(Ordering::Relaxed),     // Relaxed: as above.
        })
    }

    fn set(&self, from: u64, to: u64, moment: Now) {
        self.from.store(from, Ordering::Relaxed); // Relaxed: one thread's own.
        self.to.store(to, Ordering::Relaxed); // Relaxed: as above.
        self.millis.store(moment.millis, Ordering::Relaxed); // Relaxed: as above.
        self.tick.store(moment.tick, Ordering::Relaxed); // Relaxed: as above.
    }
}

impl Config {
    /// [`Config::now`], with the help of the thread's clock_cache.
    #[inline]
    pub(crate) fn read(&self, clock_cache: &ClockCache) -> Now {
        match &*self.clock {
            ClockSource::Monotonic(clock) => {
                let count = clock.count();
                clock_cache.look(count).unwrap_or_else(|| self.turn(clock_cache, clock, count))
            }
            ClockSource::Custom(_) => self.now(),
        }
    }

    /// Turns the clock_cache to the millisecond of `count`.
    #[cold]
    fn turn(&self, clock_cache: &ClockCache, clock: &MonotonicClock, count: u64) -> Now {
        let nanos = clock.nanos_at(count);
        let moment = self.moment(count, nanos);
        // Up to the last count that is sure to be of this millisecond: the clock does not say at
        // which count a time is, so this is a guess on the safe side, and then looked at.
        let to = count.saturating_add(clock.counts_within(nanos_left(nanos)));
        if to > count && clock.nanos_at(to - 1) / NANOS_PER_MILLI == moment.millis {
            clock_cache.set(count, to, moment);
        }
        moment
    }
}

/// How long the millisecond of `nanos` lasts from there on.
fn nanos_left(nanos: u64) -> u64 {
    NANOS_PER_MILLI - nanos % NANOS_PER_MILLI
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::sync::Arc;

    use super::*;
    use crate::policy::Grid;

    #[test]
    fn a_dial_says_what_a_conversion_says() {
        let clock = MonotonicClock::new();
        let start = clock.count();
        for bucket in [1, 3, 10, 1_000].map(Duration::from_millis) {
            let grid = Grid::new(Duration::from_secs(10), bucket, 100_000).expect("valid");
            let config = Config::new(grid, Arc::new(ClockSource::Monotonic(clock.clone())));
            let clock_cache = ClockCache::default();
            // Counts of steps that are no divisor of anything, over many milliseconds.
            for step in 0..200_000 {
                let count = start + step * 123_457;
                let exact = config.moment(count, clock.nanos_at(count));
                let told = clock_cache
                    .look(count)
                    .unwrap_or_else(|| config.turn(&clock_cache, &clock, count));
                assert_eq!(told, exact, "after {step} steps");
            }
        }
    }

    #[test]
    fn nearly_all_of_a_millisecond_is_on_the_dial() {
        let clock = MonotonicClock::new();
        let grid = Grid::new(Duration::from_secs(10), Duration::from_millis(10), 100_000);
        let config =
            Config::new(grid.expect("valid"), Arc::new(ClockSource::Monotonic(clock.clone())));
        let clock_cache = ClockCache::default();
        let (mut turns, mut count) = (0, clock.count());
        let end = clock.nanos_at(count) / NANOS_PER_MILLI + 100;
        while clock.nanos_at(count) / NANOS_PER_MILLI < end {
            if clock_cache.look(count).is_none() {
                config.turn(&clock_cache, &clock, count);
                turns += 1;
            }
            count += 1 + clock.counts_within(1_000);
        }
        assert!(turns <= 201, "{turns} turns in 100 ms");
    }
}
