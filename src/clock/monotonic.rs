//! The default clock.
//!
//! A count of the processor's time-stamp counter becomes a time by a multiplication (`scaled`) and an
//! offset. The counter cannot be relied on for ever: it starts again after a suspension, it is another
//! one after a migration or a restored checkpoint, and it runs a little fast or slow. So a reading is
//! believed only if it is near the time that the system's monotonic clock was last seen to agree on:
//! [`AGREED`] at most after it or before. Any other reading is checked against the system's clock, which
//! happens about once in [`AGREED`] to all threads together. Where the two disagree by more than the
//! tolerance, the offset is changed so that the counter agrees from then on, and the reading is the
//! system's.
//!
//! The words are read one by one, so a reader may combine a count, an offset and an agreed time of
//! before and after a jump. It does no harm: the sum is believed if it is near a time that the system's
//! clock has told, wherever it came from, and is checked if it is not.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use crate::Clock;

/// For how many nanoseconds the counter is believed once it was seen to agree.
const AGREED: u64 = 1_000_000;
/// By how many nanoseconds the counter may be wrong, unless a limiter says otherwise.
const TOLERANCE: u64 = 100_000;
/// A disagreement below this may be the time that it takes to read two clocks.
const LEAST_TOLERANCE: u64 = 1_000;
/// A system's reading that the counter was read around in fewer nanoseconds is good enough.
const BRIEF: u64 = 10_000;
/// How often the clocks are read again for want of a brief reading.
const TRIES: usize = 4;

/// The default clock: the processor's time-stamp counter where it is reliable, the operating
/// system's monotonic clock elsewhere.
///
/// About once a millisecond of use the counter is checked against the system's monotonic clock. Where
/// it has gone wrong (it starts again after a suspension or on another machine, and a virtual
/// machine's may jump), the clock follows the system's; where it was ahead by a little, this clock
/// then goes back by as much, a tenth of a millisecond or, in a limiter, a thousandth of a bucket.
///
/// The first one made in a process may take a few milliseconds to calibrate the counter. Its
/// origin is the moment it was made.
#[derive(Debug, Clone)]
pub struct MonotonicClock {
    counter: Counter,
    /// Counter steps in 2^32 nanoseconds, rounded down.
    pace: u64,
    system: SystemClock,
    /// Shared by this clock and its clones.
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// By how many nanoseconds the counter may be wrong.
    tolerance: AtomicU64,
    /// Added to a scaled count, modulo 2^64.
    offset: AtomicU64,
    /// The last time that the system's clock has told.
    agreed: AtomicU64,
}

/// The time-stamp counter.
#[derive(Debug, Clone)]
enum Counter {
    Processor(quanta::Clock),
    /// Moved by a test; counts nanoseconds.
    #[cfg(test)]
    Shim(Arc<AtomicU64>),
}

impl Counter {
    #[inline]
    fn count(&self) -> u64 {
        match self {
            Self::Processor(clock) => clock.raw(),
            #[cfg(test)]
            // Relaxed: a test's own.
            Self::Shim(count) => count.load(Ordering::Relaxed),
        }
    }

    /// Converts counts into nanoseconds.
    #[inline]
    fn scaled(&self, count: u64) -> u64 {
        match self {
            Self::Processor(clock) => clock.delta_as_nanos(0, count),
            #[cfg(test)]
            Self::Shim(_) => count,
        }
    }
}

/// The system's monotonic clock.
#[derive(Debug, Clone)]
enum SystemClock {
    Since(Instant),
    /// The clock that also counts the time that the machine is suspended, since it showed so many nanoseconds.
    #[cfg(all(feature = "redis", target_os = "linux"))]
    SinceBoot(u64),
    #[cfg(test)]
    Shim(Arc<AtomicU64>),
}

impl SystemClock {
    #[cfg(all(feature = "redis", target_os = "linux"))]
    fn since_boot() -> u64 {
        use rustix::time::{ClockId, clock_gettime};
        let time = clock_gettime(ClockId::Boottime);
        let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
        seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
    }

    fn nanos(&self) -> u64 {
        match self {
            #[cfg(all(feature = "redis", target_os = "linux"))]
            Self::SinceBoot(origin) => Self::since_boot().saturating_sub(*origin),
            Self::Since(origin) => u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX),
            #[cfg(test)]
            // Relaxed: a test's own.
            Self::Shim(nanos) => nanos.load(Ordering::Relaxed),
        }
    }
}

impl MonotonicClock {
    /// A clock that starts at zero now.
    #[must_use]
    pub fn new() -> Self {
        Self::over(Counter::Processor(quanta::Clock::new()), SystemClock::Since(Instant::now()))
    }

    /// The same, over a clock that also counts the time that the machine is suspended, where the system has
    /// one. A counter that goes on after a suspension as if nothing had been is found out by the next
    /// check, within a millisecond.
    #[cfg(feature = "redis")]
    pub(crate) fn through_suspension() -> Self {
        #[cfg(target_os = "linux")]
        let system = SystemClock::SinceBoot(SystemClock::since_boot());
        #[cfg(not(target_os = "linux"))]
        let system = SystemClock::Since(Instant::now());
        Self::over(Counter::Processor(quanta::Clock::new()), system)
    }

    fn over(counter: Counter, system: SystemClock) -> Self {
        // Over as many counts as make the quotient exact to a billionth.
        let sample_ns = counter.scaled(1 << 32).saturating_add(1);
        let pace = u64::try_from((1_u128 << 64) / u128::from(sample_ns)).unwrap_or(u64::MAX);
        let shared = Arc::new(Shared {
            tolerance: AtomicU64::new(TOLERANCE),
            offset: AtomicU64::new(0),
            agreed: AtomicU64::new(system.nanos()),
        });
        let clock = Self { counter, pace, system, shared };
        let offset = clock.system.nanos().wrapping_sub(clock.scaled(clock.count()));
        // Relaxed: nobody else has this clock yet.
        clock.shared.offset.store(offset, Ordering::Relaxed);
        clock
    }

    /// From now on this clock and its clones may be wrong by a thousandth of the bucket at most.
    pub(crate) fn for_bucket(&self, bucket: Duration) {
        let nanos = u64::try_from(bucket.as_nanos() / 1_000).unwrap_or(u64::MAX);
        // Relaxed: a setting; it counts from the next check on.
        self.shared.tolerance.fetch_min(nanos.max(LEAST_TOLERANCE), Ordering::Relaxed);
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
        self.read(self.count()).1
    }
}

/// The counter behind the clock. Counts do not go back, as seen by one thread, unless the counter has
/// gone wrong.
impl MonotonicClock {
    #[inline]
    pub(crate) fn count(&self) -> u64 {
        self.counter.count()
    }

    /// A reading that was taken just now, and the time; another reading if this one was not to be
    /// believed.
    #[inline]
    pub(crate) fn read(&self, count: u64) -> (u64, u64) {
        let nanos = self.nanos_at(count);
        // Relaxed: any time that the system's clock has told will do.
        let agreed = self.shared.agreed.load(Ordering::Relaxed);
        if nanos.abs_diff(agreed) <= AGREED { (count, nanos) } else { self.check() }
    }

    /// The time at which the counter is at `count`, if it has not gone wrong.
    #[inline]
    pub(crate) fn nanos_at(&self, count: u64) -> u64 {
        // Relaxed: see the head of this file.
        let offset = self.shared.offset.load(Ordering::Relaxed);
        self.scaled(count).wrapping_add(offset)
    }

    /// How far the counter is sure to go at most in `nanos`, a millisecond or so.
    pub(crate) fn counts_within(&self, nanos: u64) -> u64 {
        nanos.saturating_mul(self.pace) >> 32
    }

    #[inline]
    fn scaled(&self, count: u64) -> u64 {
        self.counter.scaled(count)
    }

    /// Checks the counter against the system's clock: a count, and the time.
    #[cold]
    fn check(&self) -> (u64, u64) {
        let mut tries = TRIES;
        loop {
            // Relaxed: the compare-and-swap below sees whether it is still that.
            let offset = self.shared.offset.load(Ordering::Relaxed);
            let before = self.scaled(self.count()).wrapping_add(offset);
            let system = self.system.nanos();
            let count = self.count();
            let after = self.scaled(count).wrapping_add(offset);
            tries -= 1;
            // This thread may have been stopped between two readings.
            if after.wrapping_sub(before) > BRIEF && tries > 0 {
                continue;
            }
            // Relaxed: a setting.
            let tolerance = self.shared.tolerance.load(Ordering::Relaxed);
            let is_ahead = before > system.saturating_add(tolerance);
            let is_behind = after < system.saturating_sub(tolerance);
            let nanos = if is_ahead || is_behind {
                let right = system.wrapping_sub(self.scaled(count));
                // Relaxed: see the head of this file. If another thread has changed it
                // meanwhile, this fails, and the other thread's offset stays.
                let _ = self.shared.offset.compare_exchange(
                    offset,
                    right,
                    Ordering::Relaxed, // as above
                    Ordering::Relaxed, // what is there instead is not looked at
                );
                system
            } else {
                after
            };
            // Relaxed: as where it is read.
            self.shared.agreed.store(system, Ordering::Relaxed);
            return (count, nanos);
        }
    }
}

/// A clock whose counter and whose system a test moves, apart from each other.
#[cfg(test)]
pub(crate) struct Shim {
    counter: Arc<AtomicU64>,
    system: Arc<AtomicU64>,
}

#[cfg(test)]
impl Shim {
    /// The counter counts nanoseconds from there on.
    pub(crate) fn new(count: u64) -> (Self, MonotonicClock) {
        let (counter, system) = (Arc::new(AtomicU64::new(count)), Arc::new(AtomicU64::new(0)));
        let clock = MonotonicClock::over(
            Counter::Shim(Arc::clone(&counter)),
            SystemClock::Shim(Arc::clone(&system)),
        );
        (Self { counter, system }, clock)
    }

    /// Time passes, on both.
    pub(crate) fn pass(&self, nanos: u64) {
        // Relaxed, here and below: a test's own.
        self.counter.fetch_add(nanos, Ordering::Relaxed);
        self.system.fetch_add(nanos, Ordering::Relaxed);
    }

    /// The counter goes wrong.
    pub(crate) fn jump(&self, count: u64) {
        // Relaxed: a test's own.
        self.counter.store(count, Ordering::Relaxed);
    }

    pub(crate) fn system_nanos(&self) -> u64 {
        // Relaxed: a test's own.
        self.system.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000_000;

    /// Where the counter goes: it starts again, it jumps ahead, back a little, and by a day.
    const JUMPS: [u64; 4] = [7, 30 * HOUR, 29 * HOUR, 53 * HOUR];

    #[test]
    fn the_clock_follows_the_system_where_its_counter_has_gone_wrong() {
        let (shim, clock) = Shim::new(5 * HOUR);
        for jump in JUMPS {
            for step in 0..10_000 {
                shim.pass(step * 1_001 % 3_000_000);
                let (now, system) = (clock.now_nanos(), shim.system_nanos());
                assert!(now.abs_diff(system) <= TOLERANCE, "{now} instead of {system}");
            }
            shim.jump(jump);
            let (now, system) = (clock.now_nanos(), shim.system_nanos());
            assert!(now.abs_diff(system) <= TOLERANCE, "{now} instead of {system}");
        }
    }

    /// A counter that runs a ten-thousandth fast.
    #[test]
    fn the_clock_follows_the_system_where_its_counter_drifts() {
        let (shim, clock) = Shim::new(HOUR);
        clock.for_bucket(Duration::from_millis(10));
        let mut latest = 0;
        for _ in 0..100_000 {
            shim.pass(100_000);
            // Relaxed: a test's own.
            shim.counter.fetch_add(10, Ordering::Relaxed);
            let (now, system) = (clock.now_nanos(), shim.system_nanos());
            assert!(now.abs_diff(system) <= 10_000 + 100, "{now} instead of {system}");
            assert!(now + 10_000 >= latest, "back by more than it was wrong");
            latest = now;
        }
    }

    #[test]
    fn the_real_clock_agrees_with_the_system() {
        let (clock, begun) = (MonotonicClock::new(), Instant::now());
        for _ in 0..100_000 {
            let before = begun.elapsed();
            let now = clock.now();
            assert!(now + Duration::from_millis(2) >= before, "{now:?}, {before:?}");
        }
    }
}
