//! The millisecond that a thread last saw, and for how long it lasts in the clock's own counts.
//!
//! A time-stamp counter's count becomes a tick by several multiplications, one after the other,
//! and a decision would wait for them as long as for the rest of it. Whether the count is still
//! within the millisecond that was seen last is a comparison, which the processor guesses.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::clock::{MonotonicClock, Source};
use crate::limiter::frame::{Frame, Moment};
use crate::policy::NANOS_PER_MILLI;

/// One thread's. Others may drop it, but none reads or writes it.
#[derive(Debug, Default)]
pub(crate) struct Dial {
    /// Counts from here (included) to there (excluded) are of this millisecond and tick.
    from: AtomicU64,
    to: AtomicU64,
    millis: AtomicU64,
    tick: AtomicU64,
}

impl Dial {
    #[inline]
    fn look(&self, count: u64) -> Option<Moment> {
        // Relaxed, here and below: one thread's own.
        let is_same =
            (self.from.load(Ordering::Relaxed)..self.to.load(Ordering::Relaxed)).contains(&count);
        is_same.then(|| Moment {
            count,
            millis: self.millis.load(Ordering::Relaxed), // Relaxed: as above.
            tick: self.tick.load(Ordering::Relaxed),     // Relaxed: as above.
        })
    }

    fn set(&self, from: u64, to: u64, moment: Moment) {
        self.from.store(from, Ordering::Relaxed); // Relaxed: one thread's own.
        self.to.store(to, Ordering::Relaxed); // Relaxed: as above.
        self.millis.store(moment.millis, Ordering::Relaxed); // Relaxed: as above.
        self.tick.store(moment.tick, Ordering::Relaxed); // Relaxed: as above.
    }
}

impl Frame {
    /// [`Frame::now`], with the help of the thread's dial.
    #[inline]
    pub(crate) fn read(&self, dial: &Dial) -> Moment {
        match &*self.clock {
            Source::Monotonic(clock) => {
                let count = clock.count();
                dial.look(count).unwrap_or_else(|| self.turn(dial, clock, count))
            }
            Source::Custom(_) => self.now(),
        }
    }

    /// Turns the dial to the millisecond of `count`.
    #[cold]
    fn turn(&self, dial: &Dial, clock: &MonotonicClock, count: u64) -> Moment {
        let nanos = clock.nanos_at(count);
        let moment = self.moment(count, nanos);
        // Up to the last count that is sure to be of this millisecond: the clock does not say at
        // which count a time is, so this is a guess on the safe side, and then looked at.
        let to = count.saturating_add(clock.counts_within(nanos_left(nanos)));
        if to > count && clock.nanos_at(to - 1) / NANOS_PER_MILLI == moment.millis {
            dial.set(count, to, moment);
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

    use super::*;
    use crate::policy::Grid;

    #[test]
    fn a_dial_says_what_a_conversion_says() {
        let clock = MonotonicClock::new();
        let start = clock.count();
        for bucket in [1, 3, 10, 1_000].map(Duration::from_millis) {
            let grid = Grid::new(Duration::from_secs(10), bucket, 100_000).expect("valid");
            let frame = Frame::new(grid, Source::Monotonic(clock.clone()));
            let dial = Dial::default();
            // Counts of steps that are no divisor of anything, over many milliseconds.
            for step in 0..200_000 {
                let count = start + step * 123_457;
                let exact = frame.moment(count, clock.nanos_at(count));
                let told = dial.look(count).unwrap_or_else(|| frame.turn(&dial, &clock, count));
                assert_eq!(told, exact, "after {step} steps");
            }
        }
    }

    #[test]
    fn nearly_all_of_a_millisecond_is_on_the_dial() {
        let clock = MonotonicClock::new();
        let grid = Grid::new(Duration::from_secs(10), Duration::from_millis(10), 100_000);
        let frame = Frame::new(grid.expect("valid"), Source::Monotonic(clock.clone()));
        let dial = Dial::default();
        let (mut turns, mut count) = (0, clock.count());
        let end = clock.nanos_at(count) / NANOS_PER_MILLI + 100;
        while clock.nanos_at(count) / NANOS_PER_MILLI < end {
            if dial.look(count).is_none() {
                frame.turn(&dial, &clock, count);
                turns += 1;
            }
            count += 1 + clock.counts_within(1_000);
        }
        assert!(turns <= 201, "{turns} turns in 100 ms");
    }
}
