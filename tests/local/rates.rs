//! Rates: constructors, capacities, parsing and printing.

// each proves: rates

use core::time::Duration;

use proptest::prelude::*;
use trypema::{RateLimit, TrypemaError};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

type Constructor = fn(f64) -> Result<RateLimit, TrypemaError>;

/// Each constructor with its period.
const CONSTRUCTORS: [(Constructor, Duration); 5] = [
    (RateLimit::per_second, SECOND),
    (RateLimit::per_minute, MINUTE),
    (RateLimit::per_hour, HOUR),
    (RateLimit::per_day, DAY),
    (|count| RateLimit::try_from(count), SECOND),
];

/// Positive and finite, whatever the bits.
fn positive() -> impl Strategy<Value = f64> {
    (1..f64::INFINITY.to_bits()).prop_map(f64::from_bits)
}

#[test]
fn only_positive_finite_counts_make_a_rate() {
    let subnormal = f64::from_bits(1);
    for (constructor, _) in CONSTRUCTORS {
        for bad in [0.0, -0.0, -1.0, -subnormal, f64::MIN, f64::NAN, -f64::NAN] {
            assert!(constructor(bad).is_err(), "{bad}");
        }
        for bad in [f64::INFINITY, f64::NEG_INFINITY] {
            assert!(constructor(bad).is_err(), "{bad}");
        }
        for good in [subnormal, f64::MIN_POSITIVE, 0.5, 1.0, 1e15, f64::MAX] {
            assert!(constructor(good).is_ok(), "{good}");
        }
    }
}

#[test]
fn errors_say_what_was_given_and_what_is_allowed() {
    for (count, given) in [(-2.5, "-2.5"), (f64::NAN, "NaN"), (f64::INFINITY, "inf"), (0.0, "0")] {
        let message = RateLimit::per_minute(count).unwrap_err().to_string();
        assert!(message.contains(given) && message.contains("minute"), "{message}");
        assert!(message.contains("positive"), "{message}");
    }
    let error = "5/fortnight".parse::<RateLimit>().unwrap_err();
    assert!(matches!(error, TrypemaError::InvalidRateLimit { .. }));
    let message = error.to_string();
    assert!(message.contains("5/fortnight") && message.contains("100/minute"), "{message}");
    assert!(message.contains("day"), "{message}");
}

#[test]
fn units_per_second() {
    assert_eq!(RateLimit::per_second(5.0).unwrap().as_per_second(), 5.0);
    assert_eq!(RateLimit::per_minute(60.0).unwrap().as_per_second(), 1.0);
    assert_eq!(RateLimit::per_hour(1_800.0).unwrap().as_per_second(), 0.5);
    assert_eq!(RateLimit::per_day(86_400.0).unwrap().as_per_second(), 1.0);
    assert_eq!(RateLimit::unlimited().as_per_second(), f64::INFINITY);
    assert!(RateLimit::unlimited().is_unlimited());
    assert!(!RateLimit::per_second(f64::MAX).unwrap().is_unlimited());
}

#[test]
fn capacities_are_rounded_down() {
    let capacity = |text: &str, window| text.parse::<RateLimit>().unwrap().capacity(window);
    let ms = Duration::from_millis;
    for (rate, window, expected) in [
        // Less than a unit is none.
        ("0.5/s", SECOND, 0),
        ("0.5/s", ms(1_999), 0),
        ("0.5/s", ms(2_000), 1),
        ("1/day", ms(86_399_999), 0),
        ("1/day", DAY, 1),
        ("2.5/minute", MINUTE, 2),
        // No rounding through seconds: a third of a unit per second would make 99.
        ("100/minute", MINUTE, 100),
        ("100/minute", 3 * MINUTE, 300),
        ("7/hour", HOUR, 7),
        ("1000/day", DAY, 1_000),
        ("1/minute", ms(59_999), 0),
        // Decimal fractions that have no exact binary form.
        ("0.1/s", 10 * SECOND, 1),
        ("0.3/s", 10 * SECOND, 3),
        ("0.7/s", 10 * SECOND, 7),
        ("1.1/s", 10 * SECOND, 11),
        ("8.7/s", MINUTE, 522),
        ("4.35/s", MINUTE, 261),
        ("2.3/s", HOUR, 8_280),
        ("0.29/s", HOUR, 1_044),
        ("0.7/s", DAY, 60_480),
        ("8.6999/s", MINUTE, 521),
        // Windows that are not whole milliseconds.
        ("1000000000/s", Duration::from_nanos(1), 1),
        ("999999999/s", Duration::from_nanos(1), 0),
        ("1000/s", Duration::from_nanos(1_999_999), 1),
        // Windows without end, or none at all.
        ("1000/s", Duration::ZERO, 0),
        ("1/s", Duration::MAX, u64::MAX),
        ("1/day", Duration::MAX, u64::MAX / 86_400),
        ("2/s", Duration::MAX, u64::MAX),
        // More than can be counted.
        ("18446744073709549568/s", SECOND, 18_446_744_073_709_549_568),
        ("18446744073709551616/s", SECOND, u64::MAX),
        ("1e300/s", ms(1), u64::MAX),
        ("unlimited", ms(1), u64::MAX),
    ] {
        assert_eq!(capacity(rate, window), expected, "{rate} in {window:?}");
    }
    for (constructor, period) in CONSTRUCTORS {
        assert_eq!(constructor(f64::from_bits(1)).unwrap().capacity(period), 0);
        assert_eq!(constructor(f64::from_bits(1)).unwrap().capacity(Duration::MAX), 0);
        assert_eq!(constructor(f64::MAX).unwrap().capacity(Duration::from_nanos(1)), u64::MAX);
        assert_eq!(constructor(1e15).unwrap().capacity(Duration::ZERO), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A count is its own capacity over the period that it was given for, up to 2^53.
    // proves (property): rates
    #[test]
    fn a_whole_count_is_what_its_period_allows(bits in 0..=53_u32, less in any::<u64>()) {
        let whole = (1_u64 << bits).saturating_sub(less % (1 << bits.saturating_sub(1))).max(1);
        for (constructor, period) in CONSTRUCTORS {
            prop_assert_eq!(constructor(whole as f64).unwrap().capacity(period), whole);
        }
    }

    /// Nor is anything lost beyond that, where `f64` has not every whole number.
    // proves (property): rates
    #[test]
    fn a_huge_whole_count_is_too(mantissa in (1_u64 << 52)..(1 << 53), exponent in 1..=11_u32) {
        let whole = mantissa << exponent;
        for (constructor, period) in CONSTRUCTORS {
            prop_assert_eq!(constructor(whole as f64).unwrap().capacity(period), whole);
        }
    }

    /// Exact arithmetic on whole counts, for any window.
    // proves (property): rates
    #[test]
    fn capacities_of_whole_counts_are_exact(
        whole in 1..=(1_u64 << 53),
        seconds in 0..=10_000_000_000_u64,
        nanos in 0..1_000_000_000_u32,
        grain in prop_oneof![Just(1_000_000_000_u32), Just(1_000_000), Just(1)],
    ) {
        let window = Duration::new(seconds, nanos / grain * grain);
        for (constructor, period) in CONSTRUCTORS {
            // Below 2^53 * 2^64 in all: no overflow.
            let exact = u128::from(whole) * window.as_nanos() / period.as_nanos();
            let exact = u64::try_from(exact).unwrap_or(u64::MAX);
            prop_assert_eq!(constructor(whole as f64).unwrap().capacity(window), exact);
        }
    }

    /// Fractions are as exact as `f64` is: relative to the true product, within a few roundings.
    // proves (property): rates
    #[test]
    fn capacities_of_fractions_are_close(count in 1e-6..1e9_f64, ms in 1..=10_000_000_000_u64) {
        for (constructor, period) in CONSTRUCTORS {
            let capacity = constructor(count).unwrap().capacity(Duration::from_millis(ms));
            let product = count * ms as f64 / period.as_millis() as f64;
            prop_assert!(capacity as f64 <= product * (1.0 + 1e-15));
            prop_assert!(capacity as f64 > product * (1.0 - 1e-15) - 1.0);
        }
    }

    /// The capacity of a decimal fraction over a whole number of seconds is the one computed on paper.
    // proves (property): rates
    #[test]
    fn decimals_are_what_they_are_on_paper(
        digits in 1..1_000_000_u64,
        places in 1..=4_u32,
        seconds in 1..=1_000_000_u64,
    ) {
        let tens = 10_u64.pow(places);
        let text = format!("{}.{:0width$}/s", digits / tens, digits % tens, width = places as usize);
        let capacity = text.parse::<RateLimit>().unwrap().capacity(Duration::from_secs(seconds));
        prop_assert_eq!(capacity, digits * seconds / tens, "{} in {} s", text, seconds);
    }

    /// A longer window never allows less.
    // proves (property): rates
    #[test]
    fn capacity_grows_with_the_window(count in positive(), ns in any::<u64>(), more: u64) {
        let rate = RateLimit::per_minute(count).unwrap();
        let capacity = |ns| rate.capacity(Duration::from_nanos(ns));
        prop_assert!(capacity(ns) <= capacity(ns.saturating_add(more)));
    }

    // proves (property): rates
    #[test]
    fn what_is_printed_is_read_back(count in positive()) {
        for (constructor, _) in CONSTRUCTORS {
            let rate = constructor(count).unwrap();
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        }
    }

    /// The parser answers, whatever it is given.
    // proves (property): rates input
    #[test]
    fn parsing_does_not_panic(text in "\\PC{0,20}", rest in "(/|per| |s|[0-9]|\\.|é){0,12}") {
        let _ = text.parse::<RateLimit>();
        let _ = rest.parse::<RateLimit>();
        let _ = format!("5 {rest}").parse::<RateLimit>();
    }
}

#[test]
fn forms_that_are_read() {
    let (second, minute) = (RateLimit::per_second, RateLimit::per_minute);
    let (hour, day) = (RateLimit::per_hour, RateLimit::per_day);
    for (text, expected) in [
        ("5/s", second(5.0)),
        ("5/sec", second(5.0)),
        ("5/second", second(5.0)),
        ("5/seconds", second(5.0)),
        ("100/minute", minute(100.0)),
        ("100/m", minute(100.0)),
        ("100/MIN", minute(100.0)),
        ("1 / minute", minute(1.0)),
        ("\t1/\nminute ", minute(1.0)),
        ("1000/h", hour(1_000.0)),
        ("1000/Hour", hour(1_000.0)),
        ("20/d", day(20.0)),
        ("20 per day", day(20.0)),
        ("0.5 per second", second(0.5)),
        ("0.5   PER   Second", second(0.5)),
        (".5/s", second(0.5)),
        ("1e3/s", second(1_000.0)),
        ("0007/s", second(7.0)),
        ("unlimited", Ok(RateLimit::unlimited())),
        ("zero", Ok(RateLimit::zero())),
        (" Zero\n", Ok(RateLimit::zero())),
        (" Unlimited\n", Ok(RateLimit::unlimited())),
    ] {
        assert_eq!(text.parse(), expected, "{text:?}");
    }
    let padded = format!("{}5/s", "0".repeat(100_000));
    assert_eq!(padded.parse(), second(5.0));
}

#[test]
fn forms_that_are_refused() {
    let long_count = "9".repeat(1_000_000) + "/s";
    let long_period = "5/".to_owned() + &"s".repeat(1_000_000);
    let too_small = format!("0.{}1/s", "0".repeat(10_000));
    for text in [
        "",
        " ",
        "/",
        "//",
        "1/",
        "/s",
        " /s",
        "s",
        "1",
        "1s",
        "1 s",
        "per",
        "per second",
        "5 per",
        "5per second",
        "5 persecond",
        "5 perses",
        "5 / per second",
        "5/s/s",
        "5/s 5/s",
        "5 /s x",
        "100/fortnight",
        "100/month",
        "100/us",
        "inf/s",
        "infinity/s",
        "nan/s",
        "NaN/s",
        "inf per second",
        "-1/s",
        "+1/s",
        "-0/s",
        "0/s",
        "0.0/s",
        "1e400/s",
        "1e-400/s",
        "1,5/s",
        "1_000/s",
        "0x10/s",
        "1 000/s",
        "./s",
        "e3/s",
        "1.2.3/s",
        "١/s",
        "５/s",
        "5∕s",
        "5/ſ",
        "5/秒",
        "5 pé second",
        "é",
        "5 pe\u{301}r s",
        "5/\u{0}",
        "unlimited/s",
        "unlimited ish",
        "zero/s",
        "0",
        "\u{feff}5/s",
        &long_count,
        &long_period,
        &too_small,
    ] {
        let error = text.parse::<RateLimit>().unwrap_err();
        assert!(matches!(error, TrypemaError::InvalidRateLimit { .. }), "{error}");
        // However long the input was.
        assert!(error.to_string().len() < 1_000, "{error}");
    }
}

#[test]
fn rates_print_as_they_are_written() {
    let print = |rate: Result<RateLimit, TrypemaError>| rate.unwrap().to_string();
    assert_eq!(print(RateLimit::per_minute(100.0)), "100/minute");
    assert_eq!(print(RateLimit::per_second(0.5)), "0.5/second");
    assert_eq!(print(RateLimit::per_hour(3.0)), "3/hour");
    assert_eq!(print(RateLimit::per_day(1e21)), "1000000000000000000000/day");
    assert_eq!(RateLimit::unlimited().to_string(), "unlimited");
    assert_eq!(format!("{:>10}|{:<6}|", RateLimit::unlimited(), "5/s"), " unlimited|5/s   |");
    assert_eq!(RateLimit::unlimited().to_string().parse(), Ok(RateLimit::unlimited()));
}
