//! Clocks that stand, leap, end, or go back.

// each proves: G9

use core::time::Duration;
use std::sync::Mutex;

use trypema::{Clock, LocalRateLimiter, ManualClock, MonotonicClock, RateLimit};

use crate::common::Answer;

const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// A clock that shows whatever it is told to.
#[derive(Debug, Default)]
struct Told(Mutex<Duration>);

impl Told {
    fn set(&self, now: Duration) {
        *self.0.lock().unwrap() = now;
    }
}

impl Clock for Told {
    fn now(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

#[test]
fn manual_clocks_move_forward_only() {
    let clock = ManualClock::new();
    assert_eq!(clock.now(), Duration::ZERO);
    let shared = clock.clone();
    shared.advance(Duration::from_nanos(5));
    clock.set(Duration::from_nanos(4));
    assert_eq!(clock.now(), Duration::from_nanos(5));
    clock.set(Duration::from_nanos(6));
    assert_eq!((shared.now(), shared.now_nanos()), (Duration::from_nanos(6), 6));
    clock.advance(Duration::MAX);
    let end = clock.now();
    assert!(end > 584 * YEAR, "{end:?}");
    clock.advance(Duration::from_secs(1));
    clock.set(Duration::MAX);
    assert_eq!(clock.now(), end, "it stays at its end");
}

#[test]
fn the_default_clock_starts_at_zero_and_goes_on() {
    let clock = MonotonicClock::default();
    let mut last = clock.now();
    assert!(last < Duration::from_secs(60), "{last:?}");
    for _ in 0..10_000 {
        let now = clock.now();
        assert!(now >= last);
        last = now;
    }
    assert!(clock.clone().now() >= last, "clones share their origin");
}

/// Hints are whole milliseconds: a fraction more to wait is a whole one.
// proves: G3 G9
#[test]
fn hints_are_rounded_up() {
    let clock = ManualClock::new();
    let limiter = LocalRateLimiter::builder()
        .window(Duration::from_millis(10))
        .bucket(Duration::from_millis(2))
        .clock(clock.clone())
        .build()
        .unwrap();
    let rate = RateLimit::per_second(100.0).unwrap();
    assert!(limiter.absolute().inc("key", &rate, 1).is_allowed());
    for (now_ns, expected) in
        [(0, 12), (1, 12), (999_999, 12), (1_000_000, 11), (1_000_001, 11), (11_999_999, 1)]
    {
        clock.set(Duration::from_nanos(now_ns));
        let answer = Answer::from(limiter.absolute().inc("key", &rate, 1));
        let hint = Answer::Rejected { retry_after_ms: Some(expected), remaining_after_waiting: 0 };
        assert_eq!(answer, hint, "at {now_ns} ns");
    }
    clock.set(Duration::from_millis(12));
    assert!(limiter.absolute().inc("key", &rate, 1).is_allowed());
}

/// A key is judged at the latest time it knows of, whatever a clock shows later.
// proves: G1 G9
#[test]
fn a_clock_that_goes_back_lets_nothing_through_twice() {
    for start in [Duration::from_secs(3_600), 40 * YEAR] {
        let clock = std::sync::Arc::new(Told::default());
        let limiter = LocalRateLimiter::builder()
            .window(Duration::from_millis(100))
            .bucket(Duration::from_millis(1))
            .clock(std::sync::Arc::clone(&clock))
            .build()
            .unwrap();
        let absolute = limiter.absolute();
        let rate = RateLimit::per_second(50.0).unwrap();
        clock.set(start);
        assert!(absolute.inc("key", &rate, 4).is_allowed());
        for back in [Duration::from_nanos(1), Duration::from_millis(500), start / 2, start] {
            clock.set(start - back);
            assert_eq!(absolute.usage("key", &RateLimit::unlimited()), 4, "back by {back:?}");
            assert!(absolute.is_allowed("key", &rate, 1).is_allowed(), "back by {back:?}");
            assert!(!absolute.inc("key", &rate, 2).is_allowed(), "back by {back:?}");
        }
        assert!(absolute.inc("key", &rate, 1).is_allowed());
        clock.set(start);
        assert_eq!(absolute.usage("key", &RateLimit::unlimited()), 5);
        assert!(!absolute.inc("key", &rate, 1).is_allowed());
        clock.set(start + Duration::from_millis(101));
        assert_eq!(absolute.usage("key", &RateLimit::unlimited()), 0);
    }
}

/// At the end of time nothing expires any more, and nothing breaks.
#[test]
fn the_end_of_time_is_a_time_like_any_other() {
    for (window, bucket) in [(1, 1), (60_000, 100), (86_400_000, 86_400_000)] {
        let clock = ManualClock::new();
        let limiter = LocalRateLimiter::builder()
            .window(Duration::from_millis(window))
            .bucket(Duration::from_millis(bucket))
            .clock(clock.clone())
            .build()
            .unwrap();
        let absolute = limiter.absolute();
        let rate = RateLimit::per_second(3_000.0).unwrap();
        let capacity = rate.capacity(Duration::from_millis(window));
        assert!(absolute.inc("early", &rate, capacity).is_allowed());
        clock.set(Duration::MAX);
        for key in ["early", "late"] {
            assert_eq!(absolute.usage(key, &RateLimit::unlimited()), 0);
            assert!(absolute.inc(key, &rate, capacity).is_allowed());
            assert!(!absolute.inc(key, &rate, 1).is_allowed());
            clock.advance(Duration::MAX);
            assert_eq!(absolute.usage(key, &RateLimit::unlimited()), capacity);
            assert!(absolute.record(key, &RateLimit::unlimited(), 1));
            assert_eq!(absolute.refund(key, &RateLimit::unlimited(), 2), 2);
            assert!(absolute.inc(key, &rate, 1).is_allowed());
            assert!(!absolute.inc(key, &rate, 1).is_allowed());
        }
    }
    // A clock that shows more than can be counted is at that end.
    let clock = std::sync::Arc::new(Told::default());
    clock.set(Duration::MAX);
    assert_eq!(clock.now_nanos(), u64::MAX);
    let limiter = LocalRateLimiter::builder().clock(clock).build().unwrap();
    let rate = RateLimit::per_minute(1.0).unwrap();
    assert!(limiter.absolute().inc("key", &rate, 1).is_allowed());
    assert!(!limiter.absolute().inc("key", &rate, 1).is_allowed());
}

/// A clock that may read anything.
#[derive(Clone, Default)]
struct Wild(std::sync::Arc<std::sync::atomic::AtomicU64>);

impl Wild {
    fn set(&self, seconds: u64) {
        self.0.store(seconds, std::sync::atomic::Ordering::Relaxed); // one thread alone
    }
}

impl Clock for Wild {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(std::sync::atomic::Ordering::Relaxed)) // one thread alone
    }
}

/// Keys that are forgotten at a time far ahead hold new ones to it, until all is cleared.
// proves: G5
#[test]
fn clear_ends_the_harm_of_one_wild_reading() {
    let clock = Wild::default();
    let limiter = LocalRateLimiter::builder().clock(clock.clone()).build().unwrap();
    let rate = RateLimit::per_second(1).unwrap();
    let inc = |key: &str| limiter.absolute().inc(key, &rate, 1).is_allowed();
    clock.set(10);
    assert!(inc("old"));
    clock.set(1_000_000);
    assert_eq!(limiter.cleanup(Duration::ZERO), 1);
    clock.set(20);
    assert!(inc("new"));
    clock.set(30);
    assert!(!inc("new"), "its unit counts at the time far ahead");
    limiter.clear();
    for seconds in [40, 42, 44] {
        clock.set(seconds);
        assert!(inc("new"));
    }
}
