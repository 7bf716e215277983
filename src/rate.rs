//! Rates: how many units per period.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use crate::TrypemaError;

const NANOS_PER_MILLI: u128 = 1_000_000;

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
    /// The count, if it is a whole number that `u64` holds exactly, else 0.
    whole: u64,
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
    const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    const fn millis(self) -> u64 {
        match self {
            Self::Second => 1_000,
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    const fn seconds(self) -> f64 {
        match self {
            Self::Second => 1.0,
            Self::Minute => 60.0,
            Self::Hour => 3_600.0,
            Self::Day => 86_400.0,
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
        Self { count: f64::INFINITY, whole: 0, period: Period::Second }
    }

    fn new(count: f64, period: Period) -> Result<Self, TrypemaError> {
        if count.is_finite() && count > 0.0 {
            Ok(Self { count, whole: whole(count), period })
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
        let count = (self.count * share).max(f64::MIN_POSITIVE);
        Self { count, whole: whole(count), period: self.period }
    }

    /// Whether this is [`RateLimit::unlimited`].
    #[inline]
    #[must_use]
    pub const fn is_unlimited(&self) -> bool {
        self.whole == 0 && self.count == f64::INFINITY
    }

    /// Units per second; infinite for an unlimited rate.
    #[must_use]
    pub fn as_per_second(&self) -> f64 {
        self.count / self.period.seconds()
    }

    /// The whole units that this rate allows within `window`: the count times the window over
    /// the period, rounded down. Exact where the count is a whole number below 2^64. Another is read
    /// as the decimal that it was written as: 8.7 per second are 522 per minute, though the nearest
    /// `f64` to 8.7 is below it; what falls short of a whole number of units by less than 5 parts in
    /// 10^16 is taken for it. A longer window never allows less. At most `u64::MAX`, which is also the
    /// capacity of an unlimited rate.
    ///
    /// It is 0 where the window is too short for a single unit.
    #[must_use]
    pub fn capacity(&self, window: Duration) -> u64 {
        if self.whole != 0 {
            let period_ns = u128::from(self.period.millis()) * NANOS_PER_MILLI;
            let units = u128::from(self.whole).saturating_mul(window.as_nanos()) / period_ns;
            return u64::try_from(units).unwrap_or(u64::MAX);
        }
        self.fractional_capacity(window.as_nanos())
    }

    /// [`RateLimit::capacity`] of a window of whole milliseconds.
    #[inline(never)]
    pub(crate) fn capacity_of_millis(&self, window_ms: u64) -> u64 {
        let period_ms = self.period.millis();
        if self.whole != 0 {
            return match self.whole.checked_mul(window_ms) {
                Some(product) => product / period_ms,
                None => wide_capacity(self.whole, window_ms, period_ms),
            };
        }
        self.fractional_capacity(u128::from(window_ms) * NANOS_PER_MILLI)
    }

    /// Of a count that is no whole number, or too large for one; it may be infinite.
    fn fractional_capacity(&self, window_ns: u128) -> u64 {
        if self.is_unlimited() {
            return u64::MAX;
        }
        let period_ns = u128::from(self.period.millis()) * NANOS_PER_MILLI;
        let units = self.count * as_f64(window_ns) / as_f64(period_ns);
        // The count, the product and the quotient are each off by up to half a unit in the last place.
        floor(units * (1.0 + 2.0 * f64::EPSILON))
    }
}

#[cold]
fn wide_capacity(count: u64, window_ms: u64, period_ms: u64) -> u64 {
    let units = u128::from(count) * u128::from(window_ms) / u128::from(period_ms);
    u64::try_from(units).unwrap_or(u64::MAX)
}

/// How often each period goes into a window, where that is a whole number of times. By it, a
/// capacity is one multiplication.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Multiples([u64; Period::ALL.len()]);

impl Multiples {
    pub(crate) fn of(window_ms: u64) -> Self {
        // 0 where it is not.
        let whole = |period: Period| match window_ms % period.millis() {
            0 => window_ms / period.millis(),
            _ => 0,
        };
        Self(Period::ALL.map(whole))
    }

    /// [`RateLimit::capacity`] of that window, for nearly all rates in use: of a whole count, in a
    /// window of whole periods.
    #[inline]
    pub(crate) fn capacity(&self, rate: &RateLimit) -> Option<u64> {
        let capacity = rate.whole.checked_mul(self.0[rate.period as usize])?;
        (capacity != 0).then_some(capacity)
    }
}

/// `count`, if it is a whole number that `u64` holds exactly, else 0.
fn whole(count: f64) -> u64 {
    /// 2^64: every whole `f64` below it converts to `u64` and back unchanged.
    const TOO_LARGE: f64 = 18_446_744_073_709_551_616.0;
    let whole = floor(count);
    if count < TOO_LARGE && as_f64(u128::from(whole)) == count { whole } else { 0 }
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
