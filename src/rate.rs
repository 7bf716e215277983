//! Rates: how many units per period.

mod capacity;
pub(crate) mod text;

use core::time::Duration;

use self::capacity::{Class, as_f64, floor};
use self::text::Period;
use crate::TrypemaError;

pub(crate) use self::capacity::Multiples;

const NANOS_PER_MILLI: u128 = 1_000_000;

// Periods, in milliseconds.
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;
/// A hundred years of 365 days: as long as a window can be.
const LONGEST_PERIOD: u64 = 36_500 * DAY;

const COUNT_ALLOWED: &str = "a rate is a positive, finite number of units per period; \
                             RateLimit::zero() rejects everything, RateLimit::unlimited() nothing";
const PERIOD_ALLOWED: &str =
    "a period is a whole number of milliseconds, at least 1 ms and at most 100 years of 365 days";

/// A rate: so many units per period.
///
/// A rate is not tied to a key or to a limiter: it is passed with every call and is the limit of
/// that call. What it allows within a window is its [capacity](RateLimit::capacity).
///
/// ```
/// use core::time::Duration;
/// use trypema::RateLimit;
///
/// # fn main() -> Result<(), trypema::TrypemaError> {
/// let rate = RateLimit::per_minute(100)?;
/// assert_eq!(rate, "100/minute".parse()?);
/// assert_eq!(rate.capacity(Duration::from_secs(60)), 100);
/// assert_eq!(rate.capacity(Duration::from_secs(90)), 150);
///
/// let burst = RateLimit::per(20, Duration::from_secs(10))?;
/// assert_eq!(burst, "20/10s".parse()?);
/// assert_eq!(burst.capacity(burst.period()), 20);
/// assert!(RateLimit::per_second(f64::NAN).is_err());
/// # Ok(())
/// # }
/// ```
///
/// A count is any number that converts to an `f64` without loss: `5`, `0.5`, a `u32`. Convert a count of
/// another type yourself: `RateLimit::per_hour(quota as f64)`.
///
/// Two rates are equal if they were made of the same count and the same period: `60/minute` and
/// `60/60s` are equal; `60/minute` and `1/second` allow the same, but are not.
#[derive(Clone, Copy, PartialEq)]
pub struct RateLimit {
    /// Infinite for an unlimited rate, 0 for one that allows nothing, else positive.
    count: f64,
    /// The capacity over the period: the count, if that is a whole number.
    units: u64,
    period_ms: u64,
    class: Class,
}

impl RateLimit {
    /// `count` units per second.
    ///
    /// # Errors
    /// [`TrypemaError::InvalidRateLimit`] unless `count` is positive and finite.
    pub fn per_second(count: impl Into<f64>) -> Result<Self, TrypemaError> {
        Self::checked(count.into(), SECOND)
    }

    /// `count` units per minute.
    ///
    /// # Errors
    /// [`TrypemaError::InvalidRateLimit`] unless `count` is positive and finite.
    pub fn per_minute(count: impl Into<f64>) -> Result<Self, TrypemaError> {
        Self::checked(count.into(), MINUTE)
    }

    /// `count` units per hour.
    ///
    /// # Errors
    /// [`TrypemaError::InvalidRateLimit`] unless `count` is positive and finite.
    pub fn per_hour(count: impl Into<f64>) -> Result<Self, TrypemaError> {
        Self::checked(count.into(), HOUR)
    }

    /// `count` units per day of 24 hours.
    ///
    /// # Errors
    /// [`TrypemaError::InvalidRateLimit`] unless `count` is positive and finite.
    pub fn per_day(count: impl Into<f64>) -> Result<Self, TrypemaError> {
        Self::checked(count.into(), DAY)
    }

    /// `count` units per `period`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use trypema::RateLimit;
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let rate = RateLimit::per(5, Duration::from_secs(15 * 60))?;
    /// assert_eq!(rate.to_string(), "5/15min");
    /// assert_eq!(RateLimit::per(60, Duration::from_secs(60))?, RateLimit::per_minute(60)?);
    /// assert!(RateLimit::per(5, Duration::ZERO).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TrypemaError::InvalidRateLimit`] unless `count` is positive and finite, and `period` a
    /// whole number of milliseconds, at least 1 ms and at most 100 years of 365 days.
    pub fn per(count: impl Into<f64>, period: Duration) -> Result<Self, TrypemaError> {
        let count = count.into();
        let is_whole_millis = period.subsec_nanos().is_multiple_of(1_000_000);
        match u64::try_from(period.as_millis()) {
            Ok(period_ms @ 1..=LONGEST_PERIOD) if is_whole_millis => {
                Self::checked(count, period_ms)
            }
            _ => Err(TrypemaError::InvalidRateLimit {
                given: format!("{count} per {period:?}"),
                allowed: PERIOD_ALLOWED,
            }),
        }
    }

    /// A rate that allows everything. Its usage is recorded like that of any other rate, over a
    /// period of a minute.
    ///
    /// ```
    /// use trypema::{LocalRateLimiter, RateLimit};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let limiter = LocalRateLimiter::builder().build()?;
    /// let (limit, none) = (limiter.absolute(), RateLimit::unlimited());
    /// assert!(limit.inc("internal", &none, 1_000_000).is_allowed());
    /// assert_eq!(limit.usage("internal", &none), 1_000_000);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn unlimited() -> Self {
        let count = f64::INFINITY;
        Self { count, units: u64::MAX, period_ms: MINUTE, class: Class::Fraction }
    }

    /// A rate that allows nothing, to turn a key off: every call that asks for a unit is rejected,
    /// with no time after which to ask again. Its period is a minute.
    ///
    /// ```
    /// use trypema::{LocalRateLimiter, RateLimit};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let limiter = LocalRateLimiter::builder().build()?;
    /// let decision = limiter.absolute().inc("banned", &RateLimit::zero(), 1);
    /// assert!(!decision.is_allowed());
    /// assert_eq!(decision.retry_after(), None);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn zero() -> Self {
        Self { count: 0.0, units: 0, period_ms: MINUTE, class: Class::Whole }
    }

    fn checked(count: f64, period_ms: u64) -> Result<Self, TrypemaError> {
        if count.is_finite() && count > 0.0 {
            Ok(Self::new(count, period_ms))
        } else {
            Err(TrypemaError::InvalidRateLimit {
                given: format!("{count} per {}", Period(period_ms)),
                allowed: COUNT_ALLOWED,
            })
        }
    }

    fn new(count: f64, period_ms: u64) -> Self {
        let class = Class::of(count, period_ms);
        let mut rate = Self { count, units: floor(count), period_ms, class };
        if class == Class::Fraction {
            rate.units = rate.fractional_capacity(u128::from(period_ms) * NANOS_PER_MILLI);
        }
        rate
    }

    /// A share of this rate, above 0 and at most 1, for a limiter that judges this rate over a
    /// window of `window_ms`. Where this rate allows anything in that window, so does the share: at
    /// least one unit.
    #[cfg(feature = "redis")]
    pub(crate) fn share(&self, share: f64, window_ms: u64) -> Self {
        // These, and a whole share, change nothing.
        if share >= 1.0 || self.is_zero() || self.is_unlimited() {
            return *self;
        }
        let shared = Self::new((self.count * share).max(f64::MIN_POSITIVE), self.period_ms);
        if shared.capacity_of_millis(window_ms) == 0 && self.capacity_of_millis(window_ms) > 0 {
            // A rate with this period is judged over this window by every limiter that has it.
            return Self::new(1.0, window_ms);
        }
        shared
    }

    /// Whether this is [`RateLimit::unlimited`].
    #[inline]
    #[must_use]
    pub const fn is_unlimited(&self) -> bool {
        self.units == u64::MAX && self.count == f64::INFINITY
    }

    /// Whether this is [`RateLimit::zero`].
    #[inline]
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.units == 0 && self.count == 0.0
    }

    /// Units per second; infinite for an unlimited rate.
    #[must_use]
    pub fn as_per_second(&self) -> f64 {
        self.count / (as_f64(u128::from(self.period_ms)) / as_f64(u128::from(SECOND)))
    }

    /// The period that the count was given for. A minute for [`RateLimit::unlimited`] and
    /// [`RateLimit::zero`].
    ///
    /// ```
    /// use core::time::Duration;
    /// use trypema::RateLimit;
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let rate: RateLimit = "100/10s".parse()?;
    /// assert_eq!(rate.period(), Duration::from_secs(10));
    /// assert_eq!(rate.capacity(rate.period()), 100);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn period(&self) -> Duration {
        Duration::from_millis(self.period_ms())
    }

    /// [`RateLimit::period`] in milliseconds.
    #[inline]
    pub(crate) const fn period_ms(&self) -> u64 {
        self.period_ms
    }

    /// [`RateLimit::capacity`] of the own period: found when the rate was made.
    #[inline]
    pub(crate) const fn own_capacity(&self) -> u64 {
        self.units
    }
}

/// Units per second.
impl TryFrom<f64> for RateLimit {
    type Error = TrypemaError;

    fn try_from(per_second: f64) -> Result<Self, TrypemaError> {
        Self::per_second(per_second)
    }
}

#[cfg(all(test, feature = "redis"))]
mod tests {
    use super::*;

    #[test]
    fn a_share_allows_a_unit_where_the_whole_does() {
        for (rate, share, window_ms, expected) in [
            ("100/minute", 0.25, MINUTE, 25),
            ("100/minute", 0.001, MINUTE, 1),
            ("100/minute", 0.001, HOUR, 6),
            ("100/minute", 1.0, MINUTE, 100),
            ("1/minute", 0.5, MINUTE, 1),
            ("1/week", f64::MIN_POSITIVE, WEEK, 1),
            ("0.5/s", 0.5, 2 * SECOND, 1),
            // Nor more than the whole.
            ("0.5/s", 0.5, SECOND, 0),
            ("100/minute", 0.5, 1, 0),
            ("zero", 0.5, MINUTE, 0),
            ("unlimited", 0.5, MINUTE, u64::MAX),
        ] {
            let whole: RateLimit = rate.parse().expect("a rate");
            let shared = whole.share(share, window_ms);
            assert_eq!(shared.capacity_of_millis(window_ms), expected, "{share} of {rate}");
            assert!(expected <= whole.capacity_of_millis(window_ms));
        }
    }
}
