//! The settings that all keys in a window share, and the reading of the clock.

use std::sync::Arc;

use crate::RateLimit;
use crate::clock::ClockSource;
use crate::policy::{Grid, NANOS_PER_MILLI};
use crate::rate::Multiples;
use crate::window::{Layout, Timeline};

/// Fixed when the limiter is built; read by every decision.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) grid: Grid,
    /// The most units that a window can hold.
    pub(crate) most_units: u64,
    pub(crate) clock: Arc<ClockSource>,
    multiples: Multiples,
}

/// A reading of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Now {
    /// As the clock tells it: the time-stamp counter's count, or nanoseconds.
    pub(crate) count: u64,
    /// Whole milliseconds, rounded down.
    pub(crate) millis: u64,
    /// As windows count it.
    pub(crate) tick: u64,
}

impl Config {
    pub(crate) fn new(grid: Grid, clock: Arc<ClockSource>) -> Self {
        if let ClockSource::Monotonic(clock) = &*clock {
            clock.for_bucket(grid.bucket());
        }
        let most_units = Layout::for_span(grid.span()).most();
        Self { grid, most_units, clock, multiples: Multiples::of(grid.window_ms(), most_units) }
    }

    /// The timeline of a map of windows.
    pub(crate) fn timeline(&self) -> Timeline {
        Timeline::new(Layout::for_span(self.grid.span()))
    }

    #[inline]
    pub(crate) fn now(&self) -> Now {
        match &*self.clock {
            ClockSource::Monotonic(clock) => {
                let (count, nanos) = clock.read(clock.count());
                self.moment(count, nanos)
            }
            ClockSource::Custom(clock) => {
                let nanos = clock.now_nanos();
                self.moment(nanos, nanos)
            }
        }
    }

    #[inline]
    pub(crate) fn moment(&self, count: u64, nanos: u64) -> Now {
        let millis = nanos / NANOS_PER_MILLI;
        Now { count, millis, tick: self.grid.tick(millis) }
    }

    /// A moment in nanoseconds.
    #[inline]
    pub(crate) fn nanos(&self, moment: Now) -> u64 {
        match &*self.clock {
            // Within its millisecond, also where the clock has been put right since.
            ClockSource::Monotonic(clock) => {
                let from = moment.millis * NANOS_PER_MILLI;
                clock.nanos_at(moment.count).clamp(from, from + NANOS_PER_MILLI - 1)
            }
            ClockSource::Custom(_) => moment.count,
        }
    }

    /// The last nanosecond that a moment may be at: known without a conversion.
    #[inline]
    pub(crate) fn latest_nanos(&self, moment: Now) -> u64 {
        match &*self.clock {
            ClockSource::Monotonic(_) => (moment.millis + 1) * NANOS_PER_MILLI - 1,
            ClockSource::Custom(_) => moment.count,
        }
    }

    /// The units that a rate allows in a window, at most as many as the window can hold. A rate beyond that
    /// is judged by what the window holds, which errs towards rejecting.
    #[inline]
    pub(crate) fn soft_limit(&self, rate: &RateLimit) -> u64 {
        match self.multiples.capacity(rate) {
            Some(capacity) => capacity,
            None => rate.capacity_of_millis(self.grid.window_ms()).min(self.most_units),
        }
    }

    /// [`Config::soft_limit`] of a finite rate.
    #[inline]
    pub(crate) fn finite_limit(&self, rate: &RateLimit) -> Option<u64> {
        match self.multiples.capacity(rate) {
            Some(capacity) => Some(capacity),
            None => self.unusual_limit(rate),
        }
    }

    #[inline(never)]
    fn unusual_limit(&self, rate: &RateLimit) -> Option<u64> {
        (!rate.is_unlimited()).then(|| self.soft_limit(rate))
    }
}
