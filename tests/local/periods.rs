//! Rates over periods of any length, and the two that have none of their own.

// each proves: rates

use core::time::Duration;

use proptest::prelude::*;
use trypema::{LocalRateLimiter, RateLimit, TrypemaError};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

/// Whole milliseconds of every magnitude, many of them whole units.
fn period() -> impl Strategy<Value = Duration> {
    let units = prop_oneof![Just(MS), Just(SECOND), Just(MINUTE), Just(HOUR), Just(DAY)];
    let of_unit = (units, 1..=5_200_u32).prop_map(|(unit, count)| unit * count);
    let any = (0..=42_u32).prop_flat_map(|bits| 1..=1_u64 << bits).prop_map(Duration::from_millis);
    prop_oneof![of_unit, any].prop_map(|period| period.min(LONGEST))
}

/// Positive and finite, whatever the bits, and what people write.
fn count() -> impl Strategy<Value = f64> {
    let bits = (1..f64::INFINITY.to_bits()).prop_map(f64::from_bits);
    prop_oneof![(1..=10_000_u32).prop_map(f64::from), 0.001..1_000.0, bits]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    // proves (property): rates
    #[test]
    fn what_is_printed_is_read_back(count in count(), period in period()) {
        let rate = RateLimit::per(count, period).unwrap();
        let printed = rate.to_string();
        prop_assert_eq!(printed.parse(), Ok(rate), "{}", printed);
        prop_assert_eq!(rate.period(), period);
        prop_assert_eq!(format!("{rate:?}"), format!("RateLimit({printed})"));
    }

    /// A count is its own capacity over its own period, and exact over every other.
    // proves (property): rates
    #[test]
    fn capacities_of_whole_counts_are_exact(
        whole in 1..=(1_u64 << 53),
        period in period(),
        window in period(),
        ns in 0..1_000_000_u32,
    ) {
        let rate = RateLimit::per(whole as f64, period).unwrap();
        prop_assert_eq!(rate.capacity(period), whole);
        for window in [window, window + Duration::from_nanos(u64::from(ns))] {
            let exact = u128::from(whole) * window.as_nanos() / period.as_nanos();
            let exact = u64::try_from(exact).unwrap_or(u64::MAX);
            prop_assert_eq!(rate.capacity(window), exact, "{} in {:?}", rate, window);
        }
    }

    /// A longer window never allows less, whatever the count.
    // proves (property): rates
    #[test]
    fn capacity_grows_with_the_window(
        count in count(),
        period in period(),
        shorter in period(),
        longer in period(),
    ) {
        let rate = RateLimit::per(count, period).unwrap();
        let (shorter, longer) = (shorter.min(longer), longer.max(shorter));
        prop_assert!(rate.capacity(shorter) <= rate.capacity(longer));
        prop_assert!(rate.capacity(period - MS) <= rate.capacity(period));
        prop_assert!(rate.capacity(period) <= rate.capacity(period + MS));
    }

    /// Capacities of a limiter's own making: of whole milliseconds, by a table or known beforehand.
    // proves (property): rates
    #[test]
    fn a_limiter_admits_the_capacity(
        count in prop_oneof![(1..=5_000_u32).prop_map(f64::from), 0.01..5_000.0],
        period in prop_oneof![4 => period(), 1 => prop::sample::select(vec![SECOND, MINUTE, HOUR, DAY])],
        window in prop_oneof![
            Just(None),
            prop::sample::select(vec![SECOND, MINUTE, 2 * HOUR, 7 * SECOND]).prop_map(Some),
        ],
    ) {
        let window = window.unwrap_or(period);
        admits_the_capacity(RateLimit::per(count, period).unwrap(), window);
    }
}

fn admits_the_capacity(rate: RateLimit, window: Duration) {
    let capacity = rate.capacity(window);
    // Few buckets can hold as much.
    assert!(capacity < 1 << 52, "{rate} in {window:?}");
    let limiter = LocalRateLimiter::builder().window(window).bucket(window).build().unwrap();
    let absolute = limiter.absolute();
    assert!(!absolute.is_allowed("key", &rate, capacity + 1).is_allowed(), "{rate} in {window:?}");
    assert!(absolute.is_allowed("key", &rate, capacity).is_allowed(), "{rate} in {window:?}");
}

/// A capacity that rounding alone keeps below a whole number is taken for that number, over the own period
/// as well.
#[test]
fn fractions_over_their_own_period() {
    for (count, capacity) in [(1.0 - f64::EPSILON / 2.0, 1), (0.999_999, 0), (2.5, 2)] {
        for period in [MS, MINUTE, 7 * SECOND, LONGEST] {
            let rate = RateLimit::per(count, period).unwrap();
            assert_eq!(rate.capacity(period), capacity, "{rate}");
            admits_the_capacity(rate, period);
        }
    }
}

#[test]
fn counts_of_other_types_need_no_cast() {
    let five = RateLimit::per_minute(5.0).unwrap();
    assert_eq!(RateLimit::per_minute(5), Ok(five));
    assert_eq!(RateLimit::per_minute(5_u8), Ok(five));
    assert_eq!(RateLimit::per_minute(5_u32), Ok(five));
    assert_eq!(RateLimit::per_minute(5.0_f32), Ok(five));
    assert_eq!(RateLimit::per(5_u16, MINUTE), Ok(five));
    assert_eq!(RateLimit::per_second(1), RateLimit::try_from(1.0));
    assert_eq!(RateLimit::per_hour(1).unwrap().period(), HOUR);
    assert_eq!(RateLimit::per_day(1).unwrap().period(), DAY);
    assert!(RateLimit::per_minute(0).is_err());
    assert!(RateLimit::per_minute(-1).is_err());
}

#[test]
fn periods_are_whole_milliseconds_up_to_a_century() {
    for period in [MS, 999 * MS, MINUTE + MS, LONGEST - MS, LONGEST] {
        let rate = RateLimit::per(7, period).unwrap();
        assert_eq!((rate.period(), rate.capacity(period)), (period, 7));
    }
    let nanos = Duration::from_nanos;
    for period in [Duration::ZERO, nanos(1), nanos(999_999), nanos(1_000_001), SECOND + nanos(1)] {
        let error = RateLimit::per(7, period).unwrap_err();
        assert!(matches!(error, TrypemaError::InvalidRateLimit { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(&format!("7 per {period:?}")), "{message}");
        assert!(message.contains("whole number of milliseconds"), "{message}");
    }
    for period in [LONGEST + MS, Duration::from_millis(u64::MAX), Duration::MAX] {
        let message = RateLimit::per(7, period).unwrap_err().to_string();
        assert!(message.contains("100 years"), "{message}");
    }
    // The count is checked, too, and says which it was.
    let message = RateLimit::per(-1, 90 * SECOND).unwrap_err().to_string();
    assert!(message.contains("-1 per 90s") && message.contains("zero()"), "{message}");
}

#[test]
fn equal_by_count_and_period() {
    let parse = |text: &str| text.parse::<RateLimit>().unwrap();
    assert_eq!(parse("60/minute"), parse("60/60s"));
    assert_eq!(parse("60/minute"), parse("60 per 60000 ms"));
    assert_eq!(parse("1/7d"), parse("1/week"));
    assert_ne!(parse("60/minute"), parse("1/second"));
    assert_ne!(parse("60/minute"), parse("61/minute"));
    assert_ne!(RateLimit::unlimited(), RateLimit::zero());
}

#[test]
fn forms_that_are_read() {
    let per = RateLimit::per;
    for (text, expected, printed) in [
        ("100/10s", per(100, 10 * SECOND), "100/10s"),
        ("100 / 10 s", per(100, 10 * SECOND), "100/10s"),
        ("5 per 15 minutes", per(5, 15 * MINUTE), "5/15min"),
        ("5 PER 15MINUTES", per(5, 15 * MINUTE), "5/15min"),
        ("1/week", per(1, 7 * DAY), "1/week"),
        ("1/W", per(1, 7 * DAY), "1/week"),
        ("3 per 2 weeks", per(3, 14 * DAY), "3/2w"),
        ("10/2h", per(10, 2 * HOUR), "10/2h"),
        ("10/1h", per(10, HOUR), "10/hour"),
        ("10/0001h", per(10, HOUR), "10/hour"),
        ("1/36500d", per(1, LONGEST), "1/36500d"),
        ("0.5/100ms", RateLimit::per(0.5, 100 * MS), "0.5/100ms"),
        ("1/ms", per(1, MS), "1/millisecond"),
        ("1 per millisecond", per(1, MS), "1/millisecond"),
        ("1/1500 msec", per(1, 1_500 * MS), "1/1500ms"),
        ("1/90s", per(1, 90 * SECOND), "1/90s"),
        ("1/120s", per(1, 2 * MINUTE), "1/2min"),
        ("1/48h", per(1, 2 * DAY), "1/2d"),
        ("1e3/2days", per(1_000, 2 * DAY), "1000/2d"),
    ] {
        let rate: RateLimit = text.parse().unwrap();
        assert_eq!(Ok(rate), expected, "{text:?}");
        assert_eq!(rate.to_string(), printed, "{text:?}");
    }
}

#[test]
fn forms_that_are_refused() {
    let long = format!("1/{}s", "9".repeat(1_000_000));
    for text in [
        "5/0s",
        "5/000 ms",
        "5/-1s",
        "5/+1s",
        "5/1.5h",
        "5/1e3s",
        "5/1_000s",
        "5/1,000s",
        "5/1 000 s",
        "5/10",
        "5/10 ",
        "5 per 10",
        "5 per10s",
        "5per 10s",
        "5/10s10",
        "5/s10",
        "5/1h30m",
        "5/1h 30m",
        "5/10/s",
        "5/ten seconds",
        "5/１０s",
        "5/١s",
        "1/36501d",
        "1/18446744073709551615ms",
        "1/18446744073709551616ms",
        "1/18446744073709551615w",
        "1/fortnight",
        "1/µs",
        "1/ns",
        "zero/minute",
        "0/10s",
        &long,
    ] {
        let error = text.parse::<RateLimit>().unwrap_err().to_string();
        assert!(error.contains("100/10s") && error.len() < 1_000, "{error}");
    }
}

#[test]
fn the_unlimited_and_the_zero_rate() {
    let (unlimited, zero) = (RateLimit::unlimited(), RateLimit::zero());
    assert!(unlimited.is_unlimited() && !unlimited.is_zero());
    assert!(zero.is_zero() && !zero.is_unlimited());
    assert_eq!((unlimited.period(), zero.period()), (MINUTE, MINUTE));
    assert_eq!((unlimited.as_per_second(), zero.as_per_second()), (f64::INFINITY, 0.0));
    for window in [Duration::ZERO, MS, MINUTE, LONGEST, Duration::MAX] {
        assert_eq!((unlimited.capacity(window), zero.capacity(window)), (u64::MAX, 0));
    }
    assert_eq!((unlimited.to_string(), zero.to_string()), ("unlimited".into(), "zero".into()));
    assert_eq!(format!("{zero:>6}|{zero:?}"), "  zero|RateLimit(zero)");
    assert_eq!("ZERO".parse(), Ok(zero));
    // Nothing else is either, however little or much it is.
    let least = RateLimit::per(f64::from_bits(1), LONGEST).unwrap();
    let most = RateLimit::per(f64::MAX, MS).unwrap();
    assert!(!least.is_zero() && !most.is_unlimited());
    assert_eq!((least.capacity(LONGEST), most.capacity(MS)), (0, u64::MAX));
}

#[test]
fn a_zero_rate_rejects_for_good() {
    let limiter = LocalRateLimiter::builder().build().unwrap();
    let zero = RateLimit::zero();
    let decision = limiter.absolute().inc("key", &zero, 1);
    assert!(!decision.is_allowed());
    assert_eq!(decision.retry_after(), None);
    assert!(limiter.absolute().inc("key", &zero, 0).is_allowed());
    assert!(!limiter.suppressed().inc("key", &zero, 1).is_allowed());
}
