//! The providers under test, behind one face. Nowhere else do the suites call the library.

use std::sync::Arc;
use std::time::Duration;

use trypema::{
    Bucket, LocalRateLimiter, LocalRateLimiterBuilder, ManualClock, RateLimit, RateLimitDecision,
};

use super::draws::Told;
use super::ops::Grid;
use super::trial::LATEST_NS;
use super::two_windows::TwoWindows;

/// The strategies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Absolute,
    Suppressed,
}

pub(crate) const SIDES: [Side; 2] = [Side::Absolute, Side::Suppressed];

/// A hard limit factor as a fraction, so that the hard limit can be taken in whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HardFactor {
    pub(crate) over: u64,
    pub(crate) under: u64,
}

impl HardFactor {
    pub(crate) const NONE: Self = Self { over: 1, under: 1 };

    pub(crate) fn as_f64(self) -> f64 {
        self.over as f64 / self.under as f64
    }

    pub(crate) fn of(self, capacity: u64) -> u64 {
        let hard = u128::from(capacity) * u128::from(self.over) / u128::from(self.under);
        u64::try_from(hard).unwrap_or(u64::MAX)
    }
}

/// The settings that a limiter is built with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) grid: Grid,
    pub(crate) hard_factor: HardFactor,
    pub(crate) refresh: Duration,
}

/// A strategy of some provider, with keys by number and a clock that the test moves. What can fail in
/// a provider fails the test here.
pub(crate) trait Provider: Sized {
    const SIDE: Side;
    /// The latest moment that it is tried at, in nanoseconds.
    const LATEST_NS: u128 = LATEST_NS;
    /// The shortest time that it can tell, in nanoseconds.
    const GRAIN_NS: u128 = 1;

    /// Whether a bucket of before a reset is told from one of the same tick after it.
    const TELLS_RESETS: bool;

    /// A limiter without keys, at time zero.
    fn build(settings: Settings, draws: Arc<Told>) -> Self;

    /// [`Provider::build`] where nothing is drawn.
    fn start(grid: Grid) -> Self {
        let refresh = Duration::from_millis(100);
        Self::build(Settings { grid, hard_factor: HardFactor::NONE, refresh }, Arc::default())
    }

    /// The most units that a window can hold.
    fn most(grid: Grid) -> u64;

    /// Moves the limiter's clock forward.
    fn set_time(&self, now: Duration);

    fn inc(&self, key: u8, rate: &RateLimit, count: u64) -> RateLimitDecision;
    fn is_allowed(&self, key: u8, rate: &RateLimit, count: u64) -> RateLimitDecision;

    /// Of Suppressed.
    fn suppression_factor(&self, _key: u8, _rate: &RateLimit) -> f64 {
        unreachable!("Absolute suppresses nothing")
    }

    /// Units admitted, and declined.
    fn counts(&self, key: u8) -> (u64, u64);

    /// Units admitted.
    fn usage(&self, key: u8) -> u64 {
        self.counts(key).0
    }

    fn record(&self, key: u8, count: u64) -> bool;
    fn refund(&self, key: u8, count: u64) -> u64;
    fn undo(&self, key: u8, bucket: Bucket, count: u64) -> u64;
    fn reset(&self, key: u8) -> bool;

    /// Keys for which there is state.
    fn len(&self) -> usize;
}

/// Of whatever period: most limiters under test have one window. If not, that of a minute.
pub(crate) const ANY: RateLimit = RateLimit::unlimited();

/// Says that the window of a second is meant.
pub(crate) fn a_second() -> RateLimit {
    RateLimit::per_second(1).expect("it is valid")
}

/// One of the first three is too long to be stored inline.
const NAMES: [&str; 12] = [
    "alice",
    "bob",
    "a key too long to be stored inline, as some are",
    "key 3",
    "key 4",
    "key 5",
    "key 6",
    "key 7",
    "key 8",
    "key 9",
    "key 10",
    "key 11",
];

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

fn most_in_process(grid: Grid) -> u64 {
    let buckets = grid.window_ms.div_ceil(grid.bucket_ms);
    let (_, bits) = LOCAL_WIDTHS
        .into_iter()
        .find(|&(most_buckets, _)| buckets <= most_buckets)
        .expect("grids under test are valid");
    (1 << bits) - 1
}

/// A limiter in this process, and its clock.
pub(crate) fn in_process(settings: Settings, draws: Arc<Told>) -> (LocalRateLimiter, ManualClock) {
    let Grid { window_ms, bucket_ms } = settings.grid;
    let (window, bucket) = (Duration::from_millis(window_ms), Duration::from_millis(bucket_ms));
    built(LocalRateLimiter::builder().window(window).bucket(bucket), settings, draws)
}

fn built(
    builder: LocalRateLimiterBuilder,
    settings: Settings,
    draws: Arc<Told>,
) -> (LocalRateLimiter, ManualClock) {
    let clock = ManualClock::new();
    let limiter = builder
        .hard_limit_factor(settings.hard_factor.as_f64())
        .suppression_refresh(settings.refresh)
        .clock(clock.clone())
        .random(draws)
        .build()
        .expect("settings under test are valid");
    (limiter, clock)
}

macro_rules! in_process {
    ($name:ident: $side:ident, $strategy:ident, $counts:expr $(, $suppression:item)?) => {
        /// A strategy of the in-process provider.
        pub(crate) struct $name {
            pub(crate) limiter: LocalRateLimiter,
            pub(crate) clock: ManualClock,
            /// Says which window is meant, where nothing hangs on the rate.
            pub(crate) any: RateLimit,
        }

        impl TwoWindows for $name {
            fn build_two(settings: Settings, draws: Arc<Told>) -> [Self; 2] {
                let (limiter, clock) = built(LocalRateLimiter::builder(), settings, draws);
                [a_second(), ANY].map(|any| {
                    let (limiter, clock) = (limiter.clone(), clock.clone());
                    Self { limiter, clock, any }
                })
            }
        }

        impl Provider for $name {
            const SIDE: Side = Side::$side;
            const TELLS_RESETS: bool = true;

            fn build(settings: Settings, draws: Arc<Told>) -> Self {
                let (limiter, clock) = in_process(settings, draws);
                Self { limiter, clock, any: ANY }
            }

            fn most(grid: Grid) -> u64 {
                most_in_process(grid)
            }

            fn set_time(&self, now: Duration) {
                self.clock.set(now);
            }

            fn inc(&self, key: u8, rate: &RateLimit, count: u64) -> RateLimitDecision {
                self.limiter.$strategy().inc(NAMES[usize::from(key)], rate, count)
            }

            fn is_allowed(&self, key: u8, rate: &RateLimit, count: u64) -> RateLimitDecision {
                self.limiter.$strategy().is_allowed(NAMES[usize::from(key)], rate, count)
            }

            $($suppression)?

            fn counts(&self, key: u8) -> (u64, u64) {
                $counts(self.limiter.$strategy().usage(NAMES[usize::from(key)], &self.any))
            }

            fn record(&self, key: u8, count: u64) -> bool {
                self.limiter.$strategy().record(NAMES[usize::from(key)], &self.any, count)
            }

            fn refund(&self, key: u8, count: u64) -> u64 {
                self.limiter.$strategy().refund(NAMES[usize::from(key)], &self.any, count)
            }

            fn undo(&self, key: u8, bucket: Bucket, count: u64) -> u64 {
                self.limiter.$strategy().undo(NAMES[usize::from(key)], &self.any, bucket, count)
            }

            fn reset(&self, key: u8) -> bool {
                self.limiter.$strategy().reset(NAMES[usize::from(key)])
            }

            fn len(&self) -> usize {
                self.limiter.len()
            }
        }
    };
}

in_process!(LocalAbsolute: Absolute, absolute, |usage| (usage, 0));
in_process!(
    LocalSuppressed: Suppressed,
    suppressed,
    |usage: trypema::SuppressedUsage| (usage.admitted, usage.declined),
    fn suppression_factor(&self, key: u8, rate: &RateLimit) -> f64 {
        self.limiter.suppressed().suppression_factor(NAMES[usize::from(key)], rate)
    }
);
