//! Both strategies over Redis, as providers for the suites that the in-process one is judged by.
//!
//! The server's time is overridden, so that these suites move it as they move any clock. All cases of
//! a test share a server.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use trypema::{Bucket, ManualClock, RateLimit, RateLimitDecision, RedisRateLimiter, TrypemaError};

use crate::common::draws::Told;
use crate::common::provider::{ANY, Settings, Side, a_second};
use crate::common::two_windows::TwoWindows;
use crate::common::until::FOREVER;
use crate::common::{Grid, Provider};
use crate::server::{RedisServer, ask};

/// Time in microseconds is exact below 2^53 of them, which is 285 years. Windows reach beyond this.
pub(crate) const LATEST_NS: u128 = 280 * 365 * 86_400_000_000_000;
/// Counts are exact below 2^53.
pub(crate) const MOST: u64 = (1 << 53) - 1;
pub(crate) const NAMES: [&str; 3] =
    ["alice", "bob", "a key with spaces, and not of ASCII alone: \u{e9}\u{4e16}"];

thread_local! {
    /// A server for all cases of a test, which is a thread; and a connection of the test's own.
    static SERVER: RefCell<Option<(RedisServer, redis::Connection)>> = const { RefCell::new(None) };
}

fn with_server<T>(act: impl FnOnce(&RedisServer, &mut redis::Connection) -> T) -> T {
    SERVER.with_borrow_mut(|held| {
        let (server, connection) = held.get_or_insert_with(|| {
            let server = RedisServer::start();
            let connection = server.connection();
            (server, connection)
        });
        act(server, connection)
    })
}

type Builder = trypema::RedisRateLimiterBuilder;

/// A limiter on an empty server, at time zero.
///
/// Without a grid, it has the default windows.
fn empty(
    settings: impl FnOnce(Builder) -> Builder,
    grid: Option<Grid>,
) -> (RedisRateLimiter, ManualClock) {
    with_server(|_, connection| ask::<()>(connection, "FLUSHALL"));
    with_clock(settings, grid, ManualClock::new())
}

fn with_clock(
    settings: impl FnOnce(Builder) -> Builder,
    grid: Option<Grid>,
    clock: ManualClock,
) -> (RedisRateLimiter, ManualClock) {
    let url = with_server(|server, _| server.url());
    let mut builder = RedisRateLimiter::builder(url).deadline(FOREVER).server_time(clock.clone());
    if let Some(Grid { window_ms, bucket_ms }) = grid {
        let (window, bucket) = (Duration::from_millis(window_ms), Duration::from_millis(bucket_ms));
        builder = builder.window(window).bucket(bucket);
    }
    let limiter = settings(builder).build().expect("settings under test are valid");
    (limiter, clock)
}

/// The address of the server of this test's cases, emptied.
pub(crate) fn flushed() -> String {
    with_server(|server, connection| {
        ask::<()>(connection, "FLUSHALL");
        server.url()
    })
}

fn keys_held() -> usize {
    with_server(|_, connection| ask(connection, "DBSIZE"))
}

/// A rate that admits nothing at all, in the window of this one.
fn nothing(any: &RateLimit) -> RateLimit {
    RateLimit::per(f64::from_bits(1), any.period()).unwrap()
}

/// Whether this is the error for a count that the provider does not take.
fn too_large<T: std::fmt::Debug>(answer: &Result<T, TrypemaError>) -> bool {
    match answer {
        Ok(_) => false,
        Err(TrypemaError::CountTooLarge { .. }) => true,
        other => panic!("{other:?}"),
    }
}

/// The two strategies, as far as they are the same.
trait Counting {
    fn usage_of(&self, key: &str, any: &RateLimit) -> u64;
    fn record_on(&self, key: &str, any: &RateLimit, count: u64) -> Result<bool, TrypemaError>;
    fn refund_on(&self, key: &str, any: &RateLimit, count: u64) -> u64;

    /// Where a provider keeps counts without an error, what is too much for a key fills it up, with
    /// units of this moment. This one leaves the key as it is and says so; filled up by hand, it
    /// goes on like the others.
    fn fill_up(&self, key: &str, any: &RateLimit, count: u64) {
        let usage = self.usage_of(key, any);
        assert!(count > MOST - usage, "{count} would have been exact, on top of {usage}");
        assert_eq!(self.refund_on(key, any, usage), usage);
        assert_eq!(self.record_on(key, any, MOST), Ok(true));
    }

    fn record_or_fill_up(&self, key: &str, any: &RateLimit, count: u64) -> bool {
        let recorded = self.record_on(key, any, count);
        if too_large(&recorded) {
            self.fill_up(key, any, count);
        }
        recorded.unwrap_or(true)
    }
}

macro_rules! strategy {
    ($handle:ty, $usage:expr) => {
        impl Counting for $handle {
            fn usage_of(&self, key: &str, any: &RateLimit) -> u64 {
                $usage(self.usage(key, any).unwrap())
            }

            fn record_on(
                &self,
                key: &str,
                any: &RateLimit,
                count: u64,
            ) -> Result<bool, TrypemaError> {
                self.record(key, any, count)
            }

            fn refund_on(&self, key: &str, any: &RateLimit, count: u64) -> u64 {
                self.refund(key, any, count).unwrap()
            }
        }
    };
}

strategy!(trypema::RedisAbsolute, |usage| usage);
strategy!(trypema::RedisSuppressed, |usage: trypema::SuppressedUsage| usage.admitted);

/// Every question is asked of the server.
pub(crate) struct Absolute {
    pub(crate) limiter: RedisRateLimiter,
    clock: ManualClock,
    /// Says which window is meant, where nothing hangs on the rate.
    any: RateLimit,
}

impl Provider for Absolute {
    const SIDE: Side = Side::Absolute;
    const LATEST_NS: u128 = LATEST_NS;
    // A tick after a reset is taken for the same.
    const TELLS_RESETS: bool = false;

    fn build(settings: Settings, draws: Arc<Told>) -> Self {
        let settled = |builder: Builder| builder.denial_cache(Duration::ZERO).random(draws);
        let (limiter, clock) = empty(settled, Some(settings.grid));
        Self { limiter, clock, any: ANY }
    }

    fn most(_: Grid) -> u64 {
        MOST
    }

    fn set_time(&self, now: Duration) {
        self.clock.set(now);
    }

    fn inc(&self, key: u8, rate: &RateLimit, count: u64) -> RateLimitDecision {
        let (handle, key) = (self.limiter.absolute(), NAMES[usize::from(key)]);
        let answer = handle.inc(key, rate, count);
        if too_large(&answer) && *rate == RateLimit::unlimited() {
            handle.fill_up(key, &self.any, count);
            return RateLimitDecision::allowed(u64::MAX);
        }
        answer.or_else(|_| handle.is_allowed(key, &nothing(&self.any), 1)).unwrap()
    }

    fn is_allowed(&self, key: u8, rate: &RateLimit, count: u64) -> RateLimitDecision {
        let (handle, key) = (self.limiter.absolute(), NAMES[usize::from(key)]);
        let answer = handle.is_allowed(key, rate, count);
        if too_large(&answer) && *rate == RateLimit::unlimited() {
            return RateLimitDecision::allowed(u64::MAX);
        }
        answer.or_else(|_| handle.is_allowed(key, &nothing(&self.any), 1)).unwrap()
    }

    fn counts(&self, key: u8) -> (u64, u64) {
        (self.limiter.absolute().usage(NAMES[usize::from(key)], &self.any).unwrap(), 0)
    }

    fn record(&self, key: u8, count: u64) -> bool {
        self.limiter.absolute().record_or_fill_up(NAMES[usize::from(key)], &self.any, count)
    }

    fn refund(&self, key: u8, count: u64) -> u64 {
        self.limiter.absolute().refund(NAMES[usize::from(key)], &self.any, count.min(MOST)).unwrap()
    }

    fn undo(&self, key: u8, bucket: Bucket, count: u64) -> u64 {
        self.limiter.absolute().undo(NAMES[usize::from(key)], &self.any, bucket, count).unwrap()
    }

    fn reset(&self, key: u8) -> bool {
        self.limiter.absolute().reset(NAMES[usize::from(key)]).unwrap()
    }

    fn len(&self) -> usize {
        keys_held()
    }
}

/// Rejections are repeated here for as long as they hold.
///
/// A repeated rejection does not see units admitted or recorded since, so its hint may be early. In nothing
/// else does it differ from the server's answer at that moment.
pub(crate) struct Cached {
    cached: Absolute,
    /// Over the same keys, at the same time.
    asked: Absolute,
}

thread_local! {
    /// Decisions of the denial cache, over all cases of a test.
    pub(crate) static REPEATED: Cell<u64> = const { Cell::new(0) };
}

impl Provider for Cached {
    const SIDE: Side = Side::Absolute;
    const LATEST_NS: u128 = LATEST_NS;
    // A tick after a reset is taken for the same.
    const TELLS_RESETS: bool = false;

    fn build(Settings { grid, .. }: Settings, _: Arc<Told>) -> Self {
        let (limiter, clock) = empty(|builder| builder.denial_cache(FOREVER), Some(grid));
        let cached = Absolute { limiter, clock: clock.clone(), any: ANY };
        let (limiter, _) =
            with_clock(|builder| builder.denial_cache(Duration::ZERO), Some(grid), clock.clone());
        Self { cached, asked: Absolute { limiter, clock, any: ANY } }
    }

    fn most(grid: Grid) -> u64 {
        Absolute::most(grid)
    }

    fn set_time(&self, now: Duration) {
        self.cached.set_time(now);
    }

    fn inc(&self, key: u8, rate: &RateLimit, count: u64) -> RateLimitDecision {
        let answer = self.cached.inc(key, rate, count);
        if answer.is_allowed() {
            return answer;
        }
        self.not_late(answer, self.asked.is_allowed(key, rate, count))
    }

    fn is_allowed(&self, key: u8, rate: &RateLimit, count: u64) -> RateLimitDecision {
        let answer = self.cached.is_allowed(key, rate, count);
        self.not_late(answer, self.asked.is_allowed(key, rate, count))
    }

    fn counts(&self, key: u8) -> (u64, u64) {
        self.cached.counts(key)
    }

    fn record(&self, key: u8, count: u64) -> bool {
        self.cached.record(key, count)
    }

    fn refund(&self, key: u8, count: u64) -> u64 {
        self.cached.refund(key, count)
    }

    fn undo(&self, key: u8, bucket: Bucket, count: u64) -> u64 {
        self.cached.undo(key, bucket, count)
    }

    fn reset(&self, key: u8) -> bool {
        self.cached.reset(key)
    }

    fn len(&self) -> usize {
        keys_held()
    }
}

impl Cached {
    fn not_late(
        &self,
        answer: RateLimitDecision,
        by_server: RateLimitDecision,
    ) -> RateLimitDecision {
        assert_eq!(answer.is_allowed(), by_server.is_allowed(), "{answer:?}, {by_server:?}");
        match (answer.retry_after(), by_server.retry_after()) {
            (Some(hint), Some(exact)) => assert!(hint <= exact, "told {hint:?}, not {exact:?}"),
            (hint, exact) => assert_eq!(hint, exact),
        }
        by_server
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        REPEATED.set(REPEATED.get() + self.cached.limiter.stats().from_denial_cache);
    }
}

pub(crate) struct Suppressed {
    limiter: RedisRateLimiter,
    clock: ManualClock,
    any: RateLimit,
}

impl Provider for Suppressed {
    const SIDE: Side = Side::Suppressed;
    const LATEST_NS: u128 = LATEST_NS;
    // A tick after a reset is taken for the same.
    const TELLS_RESETS: bool = false;
    // Buckets are whole milliseconds, and hints are rounded up to them. But how long a perceived
    // rate is kept shows to the microsecond.
    const GRAIN_NS: u128 = 1_000;

    fn build(settings: Settings, draws: Arc<Told>) -> Self {
        let (limiter, clock) = empty(suppressing(settings, draws), Some(settings.grid));
        Self { limiter, clock, any: ANY }
    }

    fn most(_: Grid) -> u64 {
        MOST
    }

    fn set_time(&self, now: Duration) {
        self.clock.set(now);
    }

    fn inc(&self, key: u8, rate: &RateLimit, count: u64) -> RateLimitDecision {
        let (handle, key) = (self.limiter.suppressed(), NAMES[usize::from(key)]);
        let answer = handle.inc(key, rate, count);
        if too_large(&answer) && *rate == RateLimit::unlimited() {
            handle.fill_up(key, &self.any, count);
            return RateLimitDecision::allowed(u64::MAX);
        }
        // Of any limited rate, what is too large to count is above the hard limit.
        answer.or_else(|_| handle.inc(key, &nothing(&self.any), MOST)).unwrap()
    }

    fn is_allowed(&self, key: u8, rate: &RateLimit, count: u64) -> RateLimitDecision {
        let (handle, key) = (self.limiter.suppressed(), NAMES[usize::from(key)]);
        let answer = handle.is_allowed(key, rate, count);
        if too_large(&answer) && *rate == RateLimit::unlimited() {
            return RateLimitDecision::allowed(u64::MAX);
        }
        answer.or_else(|_| handle.is_allowed(key, &nothing(&self.any), MOST)).unwrap()
    }

    fn suppression_factor(&self, key: u8, rate: &RateLimit) -> f64 {
        self.limiter.suppressed().suppression_factor(NAMES[usize::from(key)], rate).unwrap()
    }

    fn counts(&self, key: u8) -> (u64, u64) {
        let usage = self.limiter.suppressed().usage(NAMES[usize::from(key)], &self.any).unwrap();
        (usage.admitted, usage.declined)
    }

    fn record(&self, key: u8, count: u64) -> bool {
        self.limiter.suppressed().record_or_fill_up(NAMES[usize::from(key)], &self.any, count)
    }

    fn refund(&self, key: u8, count: u64) -> u64 {
        self.limiter
            .suppressed()
            .refund(NAMES[usize::from(key)], &self.any, count.min(MOST))
            .unwrap()
    }

    fn undo(&self, key: u8, bucket: Bucket, count: u64) -> u64 {
        self.limiter.suppressed().undo(NAMES[usize::from(key)], &self.any, bucket, count).unwrap()
    }

    fn reset(&self, key: u8) -> bool {
        self.limiter.suppressed().reset(NAMES[usize::from(key)]).unwrap()
    }

    fn len(&self) -> usize {
        keys_held()
    }
}

fn suppressing(settings: Settings, draws: Arc<Told>) -> impl FnOnce(Builder) -> Builder {
    move |builder| {
        builder
            .hard_limit_factor(settings.hard_factor.as_f64())
            .suppression_refresh(settings.refresh)
            .random(draws)
    }
}

impl TwoWindows for Absolute {
    fn build_two(_: Settings, draws: Arc<Told>) -> [Self; 2] {
        let settled = |builder: Builder| builder.denial_cache(Duration::ZERO).random(draws);
        let (limiter, clock) = empty(settled, None);
        [a_second(), ANY].map(|any| {
            let (limiter, clock) = (limiter.clone(), clock.clone());
            Self { limiter, clock, any }
        })
    }
}

impl TwoWindows for Suppressed {
    fn build_two(settings: Settings, draws: Arc<Told>) -> [Self; 2] {
        let (limiter, clock) = empty(suppressing(settings, draws), None);
        [a_second(), ANY].map(|any| {
            let (limiter, clock) = (limiter.clone(), clock.clone());
            Self { limiter, clock, any }
        })
    }
}
