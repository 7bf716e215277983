//! Windows and buckets that cannot be, and those that barely can.

// each proves: input

use core::time::Duration;

use trypema::{LocalRateLimiter, ManualClock, RateLimit, TrypemaError};

const DAY: Duration = Duration::from_secs(86_400);
const CENTURY: Duration = Duration::from_secs(36_500 * 86_400);
/// The table in the docs of `bucket`: no window is cut into more.
const MOST_BUCKETS: u64 = 524_285;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn build(window: Duration, bucket: Duration) -> Result<LocalRateLimiter, TrypemaError> {
    LocalRateLimiter::builder().window(window).bucket(bucket).build()
}

/// The setting that an error names, and its message, which has to quote the value given.
fn refused(window: Duration, bucket: Duration) -> (&'static str, String) {
    let error = build(window, bucket).unwrap_err();
    let message = error.to_string();
    let TrypemaError::InvalidConfig { field, given, allowed, .. } = error else {
        panic!("{message}");
    };
    let value = if field == "window" { window } else { bucket };
    assert_eq!(given, format!("{value:?}"), "{message}");
    for part in [field, &given, &allowed] {
        assert!(message.contains(part) && !part.is_empty(), "{message}");
    }
    (field, message)
}

#[test]
fn defaults_build() {
    let limiter = LocalRateLimiter::builder().build().unwrap();
    assert!(limiter.is_empty());
    // A minute, in tenths of a second.
    let rate = RateLimit::per_minute(3.0).unwrap();
    assert!(limiter.absolute().inc("key", &rate, 3).is_allowed());
    let wait = limiter.absolute().inc("key", &rate, 1).retry_after().unwrap();
    assert!(wait > Duration::from_secs(59) && wait <= ms(60_100), "{wait:?}");
}

#[test]
fn windows_and_buckets_are_whole_milliseconds() {
    let micros = Duration::from_micros;
    for bad in [Duration::ZERO, Duration::from_nanos(1), micros(999), micros(1_500), Duration::MAX]
    {
        assert_eq!(refused(bad, ms(1)).0, "window", "{bad:?}");
        assert_eq!(refused(DAY, bad).0, "bucket", "{bad:?}");
        assert_eq!(refused(bad, bad).0, "window", "{bad:?}");
    }
    assert!(refused(ms(60_000), micros(500)).1.contains("millisecond"));
    build(ms(1), ms(1)).unwrap();
}

#[test]
fn a_bucket_is_at_most_the_window() {
    for (window, bucket) in [(1, 2), (99, 100), (1_000, 1_001)] {
        let (field, message) = refused(ms(window), ms(bucket));
        assert_eq!(field, "bucket");
        assert!(message.contains(&format!("{:?}", ms(window))), "{message}");
    }
    build(ms(100), ms(100)).unwrap();
}

#[test]
fn a_century_is_the_longest_window() {
    build(CENTURY, DAY).unwrap();
    build(CENTURY, CENTURY).unwrap();
    assert_eq!(refused(CENTURY + ms(1), DAY).0, "window");
    assert_eq!(refused(Duration::from_secs(u64::MAX), DAY).0, "window");
    assert_eq!(refused(DAY, Duration::from_secs(u64::MAX)).0, "bucket");
}

#[test]
fn too_many_buckets_name_the_smallest_bucket_that_works() {
    for (window_ms, smallest_ms) in [
        (MOST_BUCKETS + 1, 2),
        (2 * MOST_BUCKETS, 2),
        (2 * MOST_BUCKETS + 1, 3),
        (3_600_000, 7),
        (86_400_000, 165),
        (7 * 86_400_000, 1_154),
        (36_500 * 86_400_000, 6_015_050),
    ] {
        let (window, smallest) = (ms(window_ms), ms(smallest_ms));
        for bucket in [ms(1), smallest - ms(1)] {
            let (field, message) = refused(window, bucket);
            assert_eq!(field, "bucket");
            assert!(message.contains(&format!("{smallest:?}")), "{message}");
        }
        works(window, smallest);
    }
    works(ms(MOST_BUCKETS), ms(1));
}

/// Fills a window, sees it full until the very last moment, and empty then.
fn works(window: Duration, bucket: Duration) {
    let clock = ManualClock::new();
    let limiter = LocalRateLimiter::builder()
        .window(window)
        .bucket(bucket)
        .clock(clock.clone())
        .build()
        .unwrap();
    // A day is the longest period of a rate, and is a fraction of some of these windows.
    let rate = RateLimit::per_day(10.0 * DAY.as_secs_f64() / window.as_secs_f64()).unwrap();
    let capacity = rate.capacity(window);
    assert!((9..=10).contains(&capacity), "{capacity}");

    let held = bucket * u32::try_from(window.as_millis().div_ceil(bucket.as_millis())).unwrap();
    assert!(limiter.absolute().inc("key", &rate, capacity).is_allowed());
    let wait = limiter.absolute().inc("key", &rate, 1).retry_after();
    assert_eq!(wait, Some(bucket + held), "{window:?} in {bucket:?}");
    clock.advance(bucket + held - Duration::from_nanos(1));
    assert_eq!(limiter.absolute().usage("key", &RateLimit::unlimited()), capacity);
    clock.advance(Duration::from_nanos(1));
    assert_eq!(limiter.absolute().usage("key", &RateLimit::unlimited()), 0);
    assert!(limiter.absolute().inc("key", &rate, capacity).is_allowed());
}

/// Units count for the window rounded up to whole buckets; capacities are those of the window that
/// was asked for.
// proves: G2 input
#[test]
fn a_window_that_is_no_multiple_of_the_bucket_is_rounded_up() {
    works(ms(250), ms(100));
    works(ms(1_001), ms(1_000));

    let limiter = build(ms(250), ms(100)).unwrap();
    let rate = RateLimit::per_second(20.0).unwrap();
    assert!(!limiter.absolute().inc("key", &rate, 6).is_allowed(), "5 in 250 ms, 6 in 300 ms");
    assert!(limiter.absolute().inc("key", &rate, 5).is_allowed());
}

#[test]
fn settings_may_come_in_any_order() {
    let clock = ManualClock::new();
    let limiter = LocalRateLimiter::builder()
        .clock(clock)
        .keys::<u32>()
        .hasher(std::hash::RandomState::new())
        .bucket(DAY)
        .window(DAY)
        .build()
        .unwrap();
    let rate = RateLimit::per_day(1.0).unwrap();
    assert!(limiter.absolute().inc(&7, &rate, 1).is_allowed());
    assert_eq!(limiter.absolute().inc(&7, &rate, 1).retry_after(), Some(2 * DAY));
}
