//! The rate parser against the grammar, written down a second time, and a rate that parses against
//! exact arithmetic.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use trypema::{RateLimit, TrypemaError};

/// Names of units, and their lengths in nanoseconds.
const UNITS: [(&[&str], u128); 6] = [
    (&["ms", "msec", "msecs", "millisecond", "milliseconds"], 1_000_000),
    (&["s", "sec", "secs", "second", "seconds"], 1_000_000_000),
    (&["m", "min", "mins", "minute", "minutes"], 60_000_000_000),
    (&["h", "hr", "hrs", "hour", "hours"], 3_600_000_000_000),
    (&["d", "day", "days"], 86_400_000_000_000),
    (&["w", "wk", "wks", "week", "weeks"], 604_800_000_000_000),
];

/// A hundred years.
const LONGEST_PERIOD: u128 = 36_500 * 86_400_000_000_000;

const TOO_LARGE: f64 = 18_446_744_073_709_551_616.0;

/// Whether the text was read as a rate.
pub(crate) fn check(bytes: &[u8]) -> Result<bool, TestCaseError> {
    let text = &*String::from_utf8_lossy(bytes);
    let expected = Expected::of(text);
    match (text.parse::<RateLimit>(), expected) {
        (Ok(rate), Some(expected)) => {
            survives_printing(rate)?;
            ignores_case_and_space(text, rate)?;
            prop_assert_eq!(rate.is_unlimited(), expected == Expected::Unlimited);
            prop_assert_eq!(rate.is_zero(), expected == Expected::Zero);
            let period_ns = match expected {
                Expected::Count { period_ns, .. } => period_ns,
                Expected::Unlimited | Expected::Zero => 60_000_000_000,
            };
            prop_assert_eq!(rate.period().as_nanos(), period_ns);
            let per_second = rate.as_per_second();
            prop_assert!(per_second >= 0.0 && per_second.is_finite() != rate.is_unlimited());
            capacities(rate, expected)?;
            Ok(true)
        }
        (Err(error), None) => {
            // It may come from anybody: what is echoed of it is bounded, and escaped.
            let TrypemaError::InvalidRateLimit { given, .. } = &error else {
                return Err(TestCaseError::fail(format!("not an invalid rate: {error:?}")));
            };
            prop_assert!(given.chars().count() <= 64 * 10 + 2, "echoed in full: {}", given);
            let printable = !error.to_string().contains(|char: char| char.is_control());
            prop_assert!(printable, "not escaped: {:?}", given);
            Ok(false)
        }
        (read, expected) => {
            Err(TestCaseError::fail(format!("{text:?} is read as {read:?}, not as {expected:?}")))
        }
    }
}

/// The meaning of a text, by the grammar: a number, a slash or the word "per", a whole number or none, a
/// unit.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Expected {
    Unlimited,
    Zero,
    Count { count: f64, period_ns: u128 },
}

impl Expected {
    /// Whether capacities are exact: of whole counts up to 2^64.
    fn is_exact(self) -> bool {
        matches!(self, Self::Count { count, .. } if count.fract() == 0.0 && count < TOO_LARGE)
    }

    fn of(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        match text.as_str() {
            "unlimited" => return Some(Self::Unlimited),
            "zero" => return Some(Self::Zero),
            _ => {}
        }
        // From the end. Some names are the end of others; then only one of them leaves a rate.
        let names = UNITS.iter().flat_map(|(names, ns)| names.iter().map(move |name| (name, *ns)));
        names.into_iter().find_map(|(name, unit_ns)| {
            let (before, multiple) = multiple_of(text.strip_suffix(name)?)?;
            let number = match before.trim_end().strip_suffix('/') {
                Some(number) => number,
                None => spaced(spaced(before)?.strip_suffix("per")?)?,
            };
            let count = number_of(number.trim_end())?;
            let period_ns = unit_ns.checked_mul(multiple)?;
            let is_period = (1..=LONGEST_PERIOD).contains(&period_ns);
            is_period.then_some(Self::Count { count, period_ns })
        })
    }
}

/// The whole number at the end of the text, 1 if there is none, and the text before it.
fn multiple_of(text: &str) -> Option<(&str, u128)> {
    let trimmed = text.trim_end();
    let before = trimmed.trim_end_matches(|char: char| char.is_ascii_digit());
    if before.len() == trimmed.len() {
        return Some((text, 1));
    }
    Some((before, trimmed[before.len()..].parse().ok()?))
}

/// The text without the space at its end, of which there must be some.
fn spaced(text: &str) -> Option<&str> {
    let trimmed = text.trim_end();
    (trimmed.len() < text.len()).then_some(trimmed)
}

/// A positive number in digits, with or without a point and an exponent.
fn number_of(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('e').map_or((text, "0"), |(m, e)| (m, e));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = digits(whole)
        && digits(fraction)
        && digits(exponent)
        && !(whole.is_empty() && fraction.is_empty())
        && !exponent.is_empty();
    let number = text.parse::<f64>().ok().filter(|_| is_number)?;
    (number > 0.0 && number.is_finite()).then_some(number)
}

fn survives_printing(rate: RateLimit) -> Result<(), TestCaseError> {
    let printed = rate.to_string();
    prop_assert_eq!(printed.parse(), Ok(rate), "printed as {}", printed);
    Ok(())
}

fn ignores_case_and_space(text: &str, rate: RateLimit) -> Result<(), TestCaseError> {
    for other in [
        text.to_ascii_uppercase(),
        text.to_ascii_lowercase(),
        format!("\t {text}\u{2003}\n"),
        text.replacen('/', " / ", 1),
    ] {
        prop_assert_eq!(other.parse(), Ok(rate), "{:?}", other);
    }
    Ok(())
}

/// Never less in a longer window, and what exact arithmetic says.
fn capacities(rate: RateLimit, expected: Expected) -> Result<(), TestCaseError> {
    let mut before = 0;
    for window in windows(expected) {
        let capacity = rate.capacity(window);
        // Fractions are rounded in another way where the window is no whole number of
        // milliseconds. A limiter has no such window.
        if window.subsec_nanos().is_multiple_of(1_000_000) {
            prop_assert!(capacity >= before, "{rate} in {window:?}: {capacity} after {before}");
            before = capacity;
        }
        match expected {
            Expected::Unlimited => prop_assert_eq!(capacity, u64::MAX),
            Expected::Zero => prop_assert_eq!(capacity, 0),
            Expected::Count { count, period_ns } if expected.is_exact() => {
                let exact = whole_capacity(count, window.as_nanos(), period_ns);
                prop_assert_eq!(capacity, exact, "{} in {:?}", rate, window);
            }
            Expected::Count { count, period_ns } => {
                // Within a few roundings of `f64`.
                let product = count * window.as_nanos() as f64 / period_ns as f64;
                let product = product.min(u64::MAX as f64);
                let capacity = capacity as f64;
                prop_assert!(
                    capacity <= product * (1.0 + 1e-15) && capacity > product * (1.0 - 1e-15) - 1.0,
                    "{rate} in {window:?}: {capacity}, not {product}"
                );
            }
        }
    }
    Ok(())
}

/// Windows of every length, and those around which the capacity takes a step, in order.
fn windows(expected: Expected) -> Vec<Duration> {
    let mut windows: Vec<u128> = (0..=94).map(|bits| 1 << bits).collect();
    windows.extend(UNITS.iter().flat_map(|&(_, ns)| [ns, 7 * ns, 1_000 * ns]));
    if let Expected::Count { count, period_ns } = expected {
        windows.extend([period_ns, 3 * period_ns]);
        for units in [1.0, 2.0, 3.0, 10.0, 1_000.0, 1e6, 1e12, 1e15] {
            // Saturates where it is too long.
            let step = (units / count * period_ns as f64) as u128;
            windows.push(step);
            windows.push(step.saturating_add(999_999) / 1_000_000 * 1_000_000);
        }
    }
    let around = |ns: u128| [ns.saturating_sub(1), ns, ns.saturating_add(1)];
    let mut windows: Vec<u128> = windows.into_iter().flat_map(around).collect();
    windows.retain(|&ns| ns <= Duration::MAX.as_nanos());
    windows.sort_unstable();
    windows.dedup();
    windows
        .into_iter()
        .filter_map(|ns| {
            let seconds = u64::try_from(ns / 1_000_000_000).ok()?;
            let nanos = u32::try_from(ns % 1_000_000_000).ok()?;
            Some(Duration::new(seconds, nanos))
        })
        .collect()
}

/// The capacity of a whole count below 2^64. What does not fit into 128 bits is more than `u64::MAX`
/// in any period.
fn whole_capacity(count: f64, window_ns: u128, period_ns: u128) -> u64 {
    let units = (count as u128).checked_mul(window_ns).map(|product| product / period_ns);
    units.and_then(|units| u64::try_from(units).ok()).unwrap_or(u64::MAX)
}
