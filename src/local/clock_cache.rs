//! The millisecond that a thread last saw, and for how long it lasts in the clock's own counts.
//!
//! Turning a time-stamp counter's count into a tick takes several dependent multiplications, as long as
//! the rest of a decision. Checking that the count is still within the last millisecond seen takes one
//! comparison, which the processor predicts.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::clock::{ClockSource, MonotonicClock};
use crate::local::config::{Config, Now};
use crate::policy::NANOS_PER_MILLI;

/// One thread's. Others may drop it, but none reads or writes it.
#[derive(Debug, Default)]
pub(crate) struct ClockCache {
    /// So many counts, from this one on, are of this millisecond and tick.
    from: AtomicU64,
    counts: AtomicU64,
    millis: AtomicU64,
    tick: AtomicU64,
}

impl ClockCache {
    /// Whether that count is of the millisecond and tick that are kept here.
    #[inline]
    fn covers(&self, count: u64) -> bool {
        // Relaxed, here and below: one thread's own.
        let from = self.from.load(Ordering::Relaxed);
        count.wrapping_sub(from) < self.counts.load(Ordering::Relaxed)
    }

    /// The moment of a count that is covered, or that the cache was just filled for.
    #[inline]
    fn moment(&self, count: u64) -> Now {
        Now {
            count,
            millis: self.millis.load(Ordering::Relaxed), // Relaxed: one thread's own.
            tick: self.tick.load(Ordering::Relaxed),     // Relaxed: as above.
        }
    }

    fn set(&self, moment: Now, counts: u64) {
        self.from.store(moment.count, Ordering::Relaxed); // Relaxed: one thread's own.
        self.counts.store(counts, Ordering::Relaxed); // Relaxed: as above.
        self.millis.store(moment.millis, Ordering::Relaxed); // Relaxed: as above.
        self.tick.store(moment.tick, Ordering::Relaxed); // Relaxed: as above.
    }
}

impl Config {
    /// [`Config::now`], with the help of the thread's `ClockCache`.
    #[inline]
    pub(crate) fn read(&self, clock_cache: &ClockCache) -> Now {
        match &*self.clock {
            ClockSource::Monotonic(clock) => {
                let mut count = clock.count();
                if !clock_cache.covers(count) {
                    count = self.turn(clock_cache, clock, count);
                }
                clock_cache.moment(count)
            }
            ClockSource::Custom(_) => self.now(),
        }
    }

    /// Fills the cache with the millisecond of `count`. Returns that count, or another one if the counter
    /// has gone wrong.
    #[cold]
    fn turn(&self, clock_cache: &ClockCache, clock: &MonotonicClock, count: u64) -> u64 {
        let (count, nanos) = clock.read(count);
        let moment = self.moment(count, nanos);
        // Up to the last count that is sure to be of this millisecond: the clock does not say at
        // which count a time is, so this is a careful guess, which is then checked.
        let counts = clock.counts_within(nanos_left(nanos)).min(u64::MAX - count);
        let is_sure =
            counts > 0 && clock.nanos_at(count + counts - 1) / NANOS_PER_MILLI == moment.millis;
        clock_cache.set(moment, if is_sure { counts } else { 0 });
        count
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
    use crate::clock::Shim;
    use crate::policy::Grid;

    fn config(bucket: Duration, clock: MonotonicClock) -> Config {
        let grid = Grid::new(Duration::from_secs(10), bucket, 100_000).expect("valid");
        Config::new(grid, Arc::new(ClockSource::Monotonic(clock)))
    }

    #[test]
    fn a_cached_reading_is_that_of_the_clock() {
        for bucket in [1, 3, 10, 1_000].map(Duration::from_millis) {
            let (shim, clock) = Shim::new(987_654_321);
            let config = config(bucket, clock.clone());
            let clock_cache = ClockCache::default();
            // Counts of steps that are no divisor of anything, over many milliseconds.
            for step in 0..200_000 {
                shim.pass(123_457);
                let exact = config.moment(clock.count(), shim.system_nanos());
                assert_eq!(config.read(&clock_cache), exact, "after {step} steps");
            }
        }
    }

    #[test]
    fn nearly_all_of_a_millisecond_is_cached() {
        let (shim, clock) = Shim::new(987_654_321);
        let config = config(Duration::from_millis(10), clock.clone());
        let clock_cache = ClockCache::default();
        let mut turns = 0;
        while shim.system_nanos() < 100 * NANOS_PER_MILLI {
            if !clock_cache.covers(clock.count()) {
                config.read(&clock_cache);
                turns += 1;
            }
            shim.pass(1_000);
        }
        assert!(turns <= 201, "{turns} turns in 100 ms");
    }

    /// The counter starts again, or jumps an hour ahead or back: the limiter's time goes on as the
    /// system's does, from the next reading.
    #[test]
    fn the_limiter_follows_the_system_where_the_counter_has_gone_wrong() {
        const HOUR: u64 = 3_600_000_000_000;
        let (shim, clock) = Shim::new(5 * HOUR);
        let config = config(Duration::from_millis(10), clock);
        let caches = [ClockCache::default(), ClockCache::default()];
        for jump in [9, 6 * HOUR, 7 * HOUR, 6 * HOUR, 40 * HOUR] {
            for clock_cache in &caches {
                for _ in 0..1_000 {
                    shim.pass(77_777);
                    let millis = shim.system_nanos() / NANOS_PER_MILLI;
                    assert_eq!(config.read(clock_cache).millis, millis);
                    assert_eq!(config.now().millis, millis);
                }
            }
            shim.jump(jump);
        }
    }
}
