//! Time as an argument: where a limiter reads the time from.

mod manual;
mod monotonic;

use core::time::Duration;
use std::thread::Thread;

pub use manual::ManualClock;
pub use monotonic::MonotonicClock;
#[cfg(test)]
pub(crate) use monotonic::Shim;

/// A source of time for a limiter.
///
/// Implementations must not go backwards, as seen by any one thread or by threads that
/// synchronise with each other. A limiter that is fed a clock which does go backwards neither
/// panics nor over-admits: it judges late readings at the latest time that it knows of.
///
/// ```
/// use std::time::{Duration, Instant};
/// use trypema::{Clock, LocalRateLimiter};
///
/// /// A simulation's time: as much faster than real time as you like.
/// struct Faster {
///     begun: Instant,
///     times: u32,
/// }
///
/// impl Clock for Faster {
///     fn now(&self) -> Duration {
///         self.begun.elapsed() * self.times
///     }
/// }
///
/// # fn main() -> Result<(), trypema::TrypemaError> {
/// let clock = Faster { begun: Instant::now(), times: 60 };
/// let limiter = LocalRateLimiter::builder().clock(clock).build()?;
/// # let _ = limiter;
/// # Ok(())
/// # }
/// ```
pub trait Clock: Send + Sync {
    /// Time since an origin that is fixed for this clock.
    fn now(&self) -> Duration;

    /// [`Clock::now`] in nanoseconds, saturating after 584 years. Worth overriding where the
    /// clock counts nanoseconds anyway.
    #[inline]
    fn now_nanos(&self) -> u64 {
        u64::try_from(self.now().as_nanos()).unwrap_or(u64::MAX)
    }

    /// For clocks that do not run with real time: unparks `thread` whenever the clock is moved,
    /// until the returned watch is dropped, so that `acquire` looks again then. `None`, the
    /// default, says that the clock runs with real time.
    fn watch(&self, thread: &Thread) -> Option<Watch> {
        let _ = thread;
        None
    }
}

/// Keeps a thread informed of a clock's moves; see [`Clock::watch`].
pub struct Watch(Option<Box<dyn FnOnce() + Send>>);

impl Watch {
    /// A watch that calls `end` when it is dropped.
    pub fn new(end: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(end)))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end();
        }
    }
}

impl core::fmt::Debug for Watch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Duration {
        (**self).now()
    }

    fn now_nanos(&self) -> u64 {
        (**self).now_nanos()
    }

    fn watch(&self, thread: &Thread) -> Option<Watch> {
        (**self).watch(thread)
    }
}

/// The clock of one limiter: the default one is read without an indirect call.
pub(crate) enum ClockSource {
    Monotonic(MonotonicClock),
    Custom(Box<dyn Clock>),
}

impl ClockSource {
    #[cfg(feature = "redis")]
    pub(crate) fn now_nanos(&self) -> u64 {
        match self {
            Self::Monotonic(clock) => clock.now_nanos(),
            Self::Custom(clock) => clock.now_nanos(),
        }
    }

    pub(crate) fn watch(&self, thread: &Thread) -> Option<Watch> {
        match self {
            Self::Monotonic(clock) => clock.watch(thread),
            Self::Custom(clock) => clock.watch(thread),
        }
    }
}

impl core::fmt::Debug for ClockSource {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Monotonic(_) => "MonotonicClock",
            Self::Custom(_) => "a custom clock",
        })
    }
}
