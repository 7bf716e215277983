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
}

impl MonotonicClock {
    /// A clock that starts at zero now.
    #[must_use]
    pub fn new() -> Self {
        let source = quanta::Clock::new();
        let origin = source.raw();
        Self { source, origin }
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
        // Another core's counter may be some cycles behind the one that read the origin.
        let raw = self.source.raw().max(self.origin);
        self.source.delta_as_nanos(self.origin, raw)
    }
}
