//! Providers of Suppressed, behind one face, and the draws that they are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use trypema::{LocalRateLimiter, ManualClock, Random, RateLimit, RateLimitDecision};

use super::thinned::HardFactor;
use super::trial::LATEST_NS;
use super::{Grid, Local, Provider};

/// A source that draws what the test has said, and counts how often it was asked.
#[derive(Debug, Default)]
pub(crate) struct Told {
    draw: AtomicU64,
    draws: AtomicU64,
}

impl Told {
    pub(crate) fn next_is(&self, draw: f64) {
        self.draw.store(draw.to_bits(), Ordering::Relaxed);
    }

    /// How often a draw was asked for since this was last called.
    pub(crate) fn take_draws(&self) -> u64 {
        self.draws.swap(0, Ordering::Relaxed)
    }
}

impl Random for Told {
    fn draw(&self) -> f64 {
        self.draws.fetch_add(1, Ordering::Relaxed);
        f64::from_bits(self.draw.load(Ordering::Relaxed))
    }
}

/// The Suppressed strategy of some provider. What can fail in a provider fails the test here.
pub(crate) trait ThinnedProvider {
    /// The latest moment that it is tried at, in nanoseconds.
    const LATEST_NS: u128 = LATEST_NS;
    /// The shortest time that it can tell, in nanoseconds.
    const GRAIN_NS: u128 = 1;

    /// A limiter without keys, at time zero.
    fn start(settings: Settings, draws: Arc<Told>) -> Self;

    /// The most units that a window can hold.
    fn most(grid: Grid) -> u64;

    /// Moves the limiter's clock forward.
    fn set_time(&self, now: Duration);

    fn inc(&self, key: u8, rate: &RateLimit, count: u64) -> RateLimitDecision;
    fn is_allowed(&self, key: u8, rate: &RateLimit, count: u64) -> RateLimitDecision;
    fn suppression_factor(&self, key: u8, rate: &RateLimit) -> f64;
    /// Admitted and declined.
    fn usage(&self, key: u8) -> (u64, u64);
    fn record(&self, key: u8, count: u64) -> bool;
    fn refund(&self, key: u8, count: u64) -> u64;
    fn reset(&self, key: u8) -> bool;

    /// Keys for which there is state.
    fn len(&self) -> usize;
}

/// What a limiter is built with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) grid: Grid,
    pub(crate) hard_factor: HardFactor,
    pub(crate) refresh: Duration,
}

/// The in-process provider.
pub(crate) struct LocalThinned {
    limiter: LocalRateLimiter,
    clock: ManualClock,
}

const NAMES: [&str; 3] = ["alice", "bob", "a key too long to be stored inline, as some are"];

impl ThinnedProvider for LocalThinned {
    fn start(settings: Settings, draws: Arc<Told>) -> Self {
        let clock = ManualClock::new();
        let limiter = LocalRateLimiter::builder()
            .window(Duration::from_millis(settings.grid.window_ms))
            .bucket(Duration::from_millis(settings.grid.bucket_ms))
            .hard_limit_factor(settings.hard_factor.as_f64())
            .suppression_refresh(settings.refresh)
            .clock(clock.clone())
            .random(draws)
            .build()
            .expect("settings under test are valid");
        Self { limiter, clock }
    }

    fn most(grid: Grid) -> u64 {
        Local::most(grid)
    }

    fn set_time(&self, now: Duration) {
        self.clock.set(now);
    }

    fn inc(&self, key: u8, rate: &RateLimit, count: u64) -> RateLimitDecision {
        self.limiter.suppressed().inc(NAMES[usize::from(key)], rate, count)
    }

    fn is_allowed(&self, key: u8, rate: &RateLimit, count: u64) -> RateLimitDecision {
        self.limiter.suppressed().is_allowed(NAMES[usize::from(key)], rate, count)
    }

    fn suppression_factor(&self, key: u8, rate: &RateLimit) -> f64 {
        self.limiter.suppressed().suppression_factor(NAMES[usize::from(key)], rate)
    }

    fn usage(&self, key: u8) -> (u64, u64) {
        let usage = self.limiter.suppressed().usage(NAMES[usize::from(key)]);
        (usage.admitted, usage.declined)
    }

    fn record(&self, key: u8, count: u64) -> bool {
        self.limiter.suppressed().record(NAMES[usize::from(key)], count)
    }

    fn refund(&self, key: u8, count: u64) -> u64 {
        self.limiter.suppressed().refund(NAMES[usize::from(key)], count)
    }

    fn reset(&self, key: u8) -> bool {
        self.limiter.suppressed().reset(NAMES[usize::from(key)])
    }

    fn len(&self) -> usize {
        self.limiter.len()
    }
}
