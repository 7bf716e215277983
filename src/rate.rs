//! Rates: how many units per period.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use crate::TrypemaError;

const ALLOWED: &str = "a rate is a positive, finite number of units per period";
const GRAMMAR: &str = "write a positive number and a period, as in \"100/minute\", \"5/s\" or \
                       \"0.5 per second\"; periods are second, minute, hour and day";

/// A rate: so many units per second, minute, hour or day.
///
/// A rate is not tied to a key or to a limiter: it is passed with every call and is the limit of
/// that call. What it allows within a window is its [capacity](RateLimit::capacity).
///
/// ```
/// use core::time::Duration;
/// use trypema::RateLimit;
///
/// # fn main() -> Result<(), trypema::TrypemaError> {
/// let rate = RateLimit::per_minute(100.0)?;
/// assert_eq!(rate, "100/minute".parse()?);
/// assert_eq!(rate.capacity(Duration::from_secs(60)), 100);
/// assert_eq!(rate.capacity(Duration::from_secs(90)), 150);
/// assert!(RateLimit::per_second(f64::NAN).is_err());
/// # Ok(())
/// # }
/// ```
///
/// Two rates are equal if they were made of the same count and period: `60/minute` and `1/second`
/// allow the same, but are not equal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// Positive; infinite for an unlimited rate only.
    count: f64,
    period: Period,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Period {
    Second,
    Minute,
    Hour,
    Day,
}

impl Period {
    const fn millis(self) -> u64 {
        match self {
            Self::Second => 1_000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "s" | "sec" | "secs" | "second" | "seconds" => Self::Second,
            "m" | "min" | "mins" | "minute" | "minutes" => Self::Minute,
            "h" | "hr" | "hrs" | "hour" | "hours" => Self::Hour,
            "d" | "day" | "days" => Self::Day,
            _ => return None,
        })
    }
}

impl RateLimit {
    /// `count` units per second.
    ///
    /// # Errors
    /// [`TrypemaError::InvalidRateLimit`] unless `count` is positive and finite.
    pub fn per_second(count: f64) -> Result<Self, TrypemaError> {
        Self::new(count, Period::Second)
    }

    /// `count` units per minute.
    ///
    /// # Errors
    /// [`TrypemaError::InvalidRateLimit`] unless `count` is positive and finite.
    pub fn per_minute(count: f64) -> Result<Self, TrypemaError> {
        Self::new(count, Period::Minute)
    }

    /// `count` units per hour.
    ///
    /// # Errors
    /// [`TrypemaError::InvalidRateLimit`] unless `count` is positive and finite.
    pub fn per_hour(count: f64) -> Result<Self, TrypemaError> {
        Self::new(count, Period::Hour)
    }

    /// `count` units per day of 24 hours.
    ///
    /// # Errors
    /// [`TrypemaError::InvalidRateLimit`] unless `count` is positive and finite.
    pub fn per_day(count: f64) -> Result<Self, TrypemaError> {
        Self::new(count, Period::Day)
    }

    /// A rate that allows everything. Its usage is recorded like that of any other rate.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self { count: f64::INFINITY, period: Period::Second }
    }

    fn new(count: f64, period: Period) -> Result<Self, TrypemaError> {
        if count.is_finite() && count > 0.0 {
            Ok(Self { count, period })
        } else {
            Err(TrypemaError::InvalidRateLimit {
                given: format!("{count} per {}", period.name()),
                allowed: ALLOWED,
            })
        }
    }

    /// A share of this rate, above 0 and at most 1, in the same period.
    #[cfg(feature = "redis")]
    pub(crate) fn share(&self, share: f64) -> Self {
        Self { count: (self.count * share).max(f64::MIN_POSITIVE), period: self.period }
    }

    /// Whether this is [`RateLimit::unlimited`].
    #[inline]
    #[must_use]
    pub const fn is_unlimited(&self) -> bool {
        self.count == f64::INFINITY
    }

    /// Units per second; infinite for an unlimited rate.
    #[must_use]
    pub fn as_per_second(&self) -> f64 {
        self.count / Duration::from_millis(self.period.millis()).as_secs_f64()
    }

    /// The whole units that this rate allows within `window`: the count times the window over
    /// the period, rounded down. Exact where the count is a whole number; else as exact as `f64`
    /// arithmetic is. At most `u64::MAX`, which is also the capacity of an unlimited rate.
    ///
    /// It is 0 where the window is too short for a single unit.
    #[must_use]
    pub fn capacity(&self, window: Duration) -> u64 {
        let period_ms = self.period.millis();
        let window_ms = window.as_millis();
        let sub_ms = !window.subsec_nanos().is_multiple_of(1_000_000);
        if let Ok(window_ms) = u64::try_from(window_ms)
            && !sub_ms
        {
            return self.capacity_of_millis(window_ms);
        }
        let window_ns = window.as_nanos();
        let period_ns = u128::from(period_ms) * 1_000_000;
        if let Some(count) = self.whole_count() {
            let units = u128::from(count).saturating_mul(window_ns) / period_ns;
            return u64::try_from(units).unwrap_or(u64::MAX);
        }
        floor(self.count * as_f64(window_ns) / as_f64(period_ns))
    }

    /// [`RateLimit::capacity`] of a window of whole milliseconds.
    #[inline]
    pub(crate) fn capacity_of_millis(&self, window_ms: u64) -> u64 {
        let period_ms = self.period.millis();
        match self.whole_count() {
            Some(count) => match count.checked_mul(window_ms) {
                Some(product) => product / period_ms,
                None => wide_capacity(count, window_ms, period_ms),
            },
            None if self.is_unlimited() => u64::MAX,
            None => {
                floor(self.count * as_f64(u128::from(window_ms)) / as_f64(u128::from(period_ms)))
            }
        }
    }

    /// The count, if it is a whole number that `u64` holds exactly.
    #[inline]
    fn whole_count(&self) -> Option<u64> {
        /// 2^64: every whole `f64` below it converts to `u64` and back unchanged.
        const TOO_LARGE: f64 = 18_446_744_073_709_551_616.0;
        if self.count >= TOO_LARGE {
            return None;
        }
        let whole = floor(self.count);
        (as_f64(u128::from(whole)) == self.count).then_some(whole)
    }
}

#[cold]
fn wide_capacity(count: u64, window_ms: u64, period_ms: u64) -> u64 {
    let units = u128::from(count) * u128::from(window_ms) / u128::from(period_ms);
    u64::try_from(units).unwrap_or(u64::MAX)
}

/// Rounds a number that is not negative down, saturating at `u64::MAX`.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounding down and saturating is what this is for"
)]
fn floor(number: f64) -> u64 {
    number as u64
}

#[inline]
#[expect(clippy::cast_precision_loss, reason = "callers accept, or check for, rounding")]
fn as_f64(number: u128) -> f64 {
    // The narrow conversion is a single instruction.
    u64::try_from(number).map_or(number as f64, |number| number as f64)
}

/// Units per second.
impl TryFrom<f64> for RateLimit {
    type Error = TrypemaError;

    fn try_from(per_second: f64) -> Result<Self, TrypemaError> {
        Self::per_second(per_second)
    }
}

/// Reads `"100/minute"`, `"5/s"`, `"0.5 per second"`, `"1000/h"`, `"20/d"`, in any letter case, or
/// `"unlimited"`. Space around the parts is ignored.
impl FromStr for RateLimit {
    type Err = TrypemaError;

    fn from_str(text: &str) -> Result<Self, TrypemaError> {
        parse(text).ok_or_else(|| {
            // What an untrusted source gave is echoed in part only.
            let given = text.chars().take(64).collect::<String>();
            TrypemaError::InvalidRateLimit { given: format!("{given:?}"), allowed: GRAMMAR }
        })
    }
}

fn parse(text: &str) -> Option<RateLimit> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("unlimited") {
        return Some(RateLimit::unlimited());
    }
    let (count, period) = match text.split_once('/') {
        Some(parts) => parts,
        None => {
            let (count, rest) = text.split_once(char::is_whitespace)?;
            let rest = rest.trim_start();
            let per = rest.get(..3).filter(|per| per.eq_ignore_ascii_case("per"))?;
            let period = &rest[per.len()..];
            if !period.starts_with(char::is_whitespace) {
                return None;
            }
            (count, period)
        }
    };
    let count = count.trim();
    // `f64` also reads "inf", "nan" and signs; a rate is written in digits.
    if !count.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    RateLimit::new(count.parse().ok()?, Period::named(period.trim())?).ok()
}

/// As [`FromStr`] reads it: `100/minute`.
impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unlimited() {
            f.pad("unlimited")
        } else {
            f.pad(&format!("{}/{}", self.count, self.period.name()))
        }
    }
}
