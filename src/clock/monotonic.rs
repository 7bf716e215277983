use core::time::Duration;

use crate::Clock;

/// The default clock: the processor's time-stamp counter where it is reliable, the operating
/// system's monotonic clock elsewhere.
///
/// The first one made in a process may take a few milliseconds to calibrate the counter. Its
/// origin is the moment it was made.
#[derive(Debug, Clone)]
pub struct MonotonicClock {
    source: quanta::Clock,
    origin: u64,
    /// Counts in 2^32 nanoseconds, rounded down.
    pace: u64,
}

impl MonotonicClock {
    /// A clock that starts at zero now.
    #[must_use]
    pub fn new() -> Self {
        let source = quanta::Clock::new();
        let origin = source.raw();
        // Over as many counts as make the quotient exact to a billionth.
        let sample_ns = source.delta_as_nanos(0, 1 << 32).saturating_add(1);
        let pace = u64::try_from((1_u128 << 64) / u128::from(sample_ns)).unwrap_or(u64::MAX);
        Self { source, origin, pace }
    }
}

impl Default for MonotonicClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for MonotonicClock {
    #[inline]
    fn now(&self) -> Duration {
        Duration::from_nanos(self.now_nanos())
    }

    #[inline]
    fn now_nanos(&self) -> u64 {
        self.nanos_at(self.count())
    }
}

/// The counter behind the clock. Counts do not go back, as seen by one thread.
impl MonotonicClock {
    #[inline]
    pub(crate) fn count(&self) -> u64 {
        self.source.raw()
    }

    /// The time at which the counter is at `count`.
    #[inline]
    pub(crate) fn nanos_at(&self, count: u64) -> u64 {
        // Another core's counter may be some cycles behind the one that read the origin.
        self.source.delta_as_nanos(self.origin, count.max(self.origin))
    }

    /// How far the counter is sure to go at most in `nanos`, a millisecond or so.
    pub(crate) fn counts_within(&self, nanos: u64) -> u64 {
        nanos.saturating_mul(self.pace) >> 32
    }
}
