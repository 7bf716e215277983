//! The providers under test, behind one face.

use std::time::Duration;

use trypema::{LocalRateLimiter, ManualClock, RateLimit, RateLimitDecision};

use super::ops::Grid;
use super::trial::LATEST_NS;

/// The Absolute strategy of some provider, with keys by number and a clock that the test moves.
/// What can fail in a provider fails the test here.
pub(crate) trait Provider {
    /// The latest moment that it is tried at, in nanoseconds.
    const LATEST_NS: u128 = LATEST_NS;

    /// A limiter without keys, at time zero.
    fn start(grid: Grid) -> Self;

    /// The most units that a window can hold.
    fn most(grid: Grid) -> u64;

    /// Moves the limiter's clock forward.
    fn set_time(&self, now: Duration);

    fn inc(&self, key: u8, rate: &RateLimit, count: u64) -> RateLimitDecision;
    fn is_allowed(&self, key: u8, rate: &RateLimit, count: u64) -> RateLimitDecision;
    fn usage(&self, key: u8) -> u64;
    fn record(&self, key: u8, count: u64) -> bool;
    fn refund(&self, key: u8, count: u64) -> u64;
    fn reset(&self, key: u8) -> bool;

    /// Keys for which there is state.
    fn len(&self) -> usize;
}

const NAMES: [&str; 3] = ["alice", "bob", "a key too long to be stored inline, as some are"];

/// The table in the docs of the builder's `bucket`: with at most so many buckets, a window holds
/// less than 2 to this power.
const LOCAL_WIDTHS: [(u64, u32); 9] = [
    (2_045, 40),
    (4_093, 38),
    (8_189, 36),
    (16_381, 34),
    (32_765, 32),
    (65_533, 30),
    (131_069, 28),
    (262_141, 26),
    (524_285, 24),
];

/// The in-process provider.
pub(crate) struct Local {
    limiter: LocalRateLimiter,
    clock: ManualClock,
}

impl Provider for Local {
    fn start(grid: Grid) -> Self {
        let clock = ManualClock::new();
        let limiter = LocalRateLimiter::builder()
            .window(Duration::from_millis(grid.window_ms))
            .bucket(Duration::from_millis(grid.bucket_ms))
            .clock(clock.clone())
            .build()
            .expect("grids under test are valid");
        Self { limiter, clock }
    }

    fn most(grid: Grid) -> u64 {
        let buckets = grid.window_ms.div_ceil(grid.bucket_ms);
        let (_, bits) = LOCAL_WIDTHS
            .into_iter()
            .find(|&(most_buckets, _)| buckets <= most_buckets)
            .expect("grids under test are valid");
        (1 << bits) - 1
    }

    fn set_time(&self, now: Duration) {
        self.clock.set(now);
    }

    fn inc(&self, key: u8, rate: &RateLimit, count: u64) -> RateLimitDecision {
        self.limiter.absolute().inc(NAMES[usize::from(key)], rate, count)
    }

    fn is_allowed(&self, key: u8, rate: &RateLimit, count: u64) -> RateLimitDecision {
        self.limiter.absolute().is_allowed(NAMES[usize::from(key)], rate, count)
    }

    fn usage(&self, key: u8) -> u64 {
        self.limiter.absolute().usage(NAMES[usize::from(key)])
    }

    fn record(&self, key: u8, count: u64) -> bool {
        self.limiter.absolute().record(NAMES[usize::from(key)], count)
    }

    fn refund(&self, key: u8, count: u64) -> u64 {
        self.limiter.absolute().refund(NAMES[usize::from(key)], count)
    }

    fn reset(&self, key: u8) -> bool {
        self.limiter.absolute().reset(NAMES[usize::from(key)])
    }

    fn len(&self) -> usize {
        self.limiter.len()
    }
}
