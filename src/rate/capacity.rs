//! How many units a rate allows within a window.

use core::time::Duration;

use super::{DAY, HOUR, MINUTE, NANOS_PER_MILLI, RateLimit, SECOND};

/// How the capacity over a window other than the rate's own period is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    // A whole count that `u64` holds exactly, over a period for which `Multiples` has a number.
    PerSecond,
    PerMinute,
    PerHour,
    PerDay,
    /// Another whole count.
    Whole,
    /// A fraction, a huge count, or infinity: in floating point.
    Fraction,
}

/// The periods with a number in [`Multiples`]; the first in [`Class`].
const NAMED: [u64; 4] = [SECOND, MINUTE, HOUR, DAY];

impl Class {
    pub(super) fn of(count: f64, period_ms: u64) -> Self {
        if !is_whole(count) {
            return Self::Fraction;
        }
        match period_ms {
            SECOND => Self::PerSecond,
            MINUTE => Self::PerMinute,
            HOUR => Self::PerHour,
            DAY => Self::PerDay,
            _ => Self::Whole,
        }
    }
}

impl RateLimit {
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
        if self.class == Class::Fraction {
            return self.fractional_capacity(window.as_nanos());
        }
        let period_ns = u128::from(self.period_ms) * NANOS_PER_MILLI;
        let units = u128::from(self.units).saturating_mul(window.as_nanos()) / period_ns;
        u64::try_from(units).unwrap_or(u64::MAX)
    }

    /// [`RateLimit::capacity`] of a window of whole milliseconds.
    #[inline(never)]
    pub(crate) fn capacity_of_millis(&self, window_ms: u64) -> u64 {
        if self.period_ms == window_ms {
            return self.own_capacity();
        }
        if self.class == Class::Fraction {
            return self.fractional_capacity(u128::from(window_ms) * NANOS_PER_MILLI);
        }
        match self.units.checked_mul(window_ms) {
            Some(product) => product / self.period_ms,
            None => wide_capacity(self.units, window_ms, self.period_ms),
        }
    }

    /// The capacity for a count that is no whole number, too large for one, or infinite.
    pub(super) fn fractional_capacity(&self, window_ns: u128) -> u64 {
        if self.is_unlimited() {
            return u64::MAX;
        }
        let period_ns = u128::from(self.period_ms) * NANOS_PER_MILLI;
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

/// The capacities of nearly all rates in one window, each by one multiplication: those of a whole count, in
/// a window of whole periods.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Multiples {
    window_ms: u64,
    /// The most units that the window holds.
    most: u64,
    /// How often the period of each [`Class`] goes into the window, if that is a whole number of times.
    multiples: [u64; CLASSES],
    /// Above the counts of which the capacity is wanted here; 0 where there is no multiple.
    bounds: [u64; CLASSES],
}

const CLASSES: usize = Class::Fraction as usize + 1;

impl Multiples {
    /// For a window that holds `most` units.
    pub(crate) fn of(window_ms: u64, most: u64) -> Self {
        let (mut multiples, mut bounds) = ([0; CLASSES], [0; CLASSES]);
        for (class, period_ms) in NAMED.into_iter().enumerate() {
            if window_ms.is_multiple_of(period_ms) {
                multiples[class] = window_ms / period_ms;
                bounds[class] = most.checked_div(multiples[class]).map_or(0, |most| most + 1);
            }
        }
        Self { window_ms, most, multiples, bounds }
    }

    /// [`RateLimit::capacity`] of that window, unless it takes more than a multiplication, or is more
    /// than the window holds.
    #[inline]
    pub(crate) fn capacity(&self, rate: &RateLimit) -> Option<u64> {
        let class = rate.class as usize;
        if rate.units < self.bounds[class] {
            return Some(rate.units * self.multiples[class]);
        }
        // The rate's own period, of whatever length.
        let is_own = rate.period_ms == self.window_ms && rate.class == Class::Whole;
        (is_own && (1..=self.most).contains(&rate.units)).then_some(rate.units)
    }
}

/// Whether this is a whole number that `u64` holds exactly.
fn is_whole(count: f64) -> bool {
    /// 2^64: every whole `f64` below it converts to `u64` and back unchanged.
    const TOO_LARGE: f64 = 18_446_744_073_709_551_616.0;
    count < TOO_LARGE && as_f64(u128::from(floor(count))) == count
}

/// Rounds a number that is not negative down, saturating at `u64::MAX`.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounding down and saturating is what this is for"
)]
pub(super) fn floor(number: f64) -> u64 {
    number as u64
}

#[inline]
#[expect(clippy::cast_precision_loss, reason = "callers accept, or check for, rounding")]
pub(super) fn as_f64(number: u128) -> f64 {
    // The narrow conversion is a single instruction.
    u64::try_from(number).map_or(number as f64, |number| number as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiples_say_what_capacities_are() {
        let most = (1 << 40) - 1;
        let (fits, exceeds) = (most as f64, (most + 1) as f64);
        let counts = [0.4, 1.0, 2.5, 7.0, 1e6, fits, exceeds, 1e15, 1e19, 1e30];
        let windows =
            [1, SECOND, 1_500, 7 * SECOND, MINUTE, 90 * SECOND, HOUR, 6 * HOUR, DAY, 7 * DAY];
        for window_ms in windows {
            let multiples = Multiples::of(window_ms, most);
            for (count, period_ms) in counts.iter().flat_map(|count| windows.map(|ms| (*count, ms)))
            {
                let rate = RateLimit::new(count, period_ms);
                let capacity = rate.capacity_of_millis(window_ms);
                let is_quick = count >= 1.0
                    && count.fract() == 0.0
                    && capacity <= most
                    && (NAMED.contains(&period_ms) && window_ms % period_ms == 0
                        || period_ms == window_ms);
                let expected = is_quick.then_some(capacity);
                assert_eq!(multiples.capacity(&rate), expected, "{rate} over {window_ms} ms");
            }
            assert_eq!(multiples.capacity(&RateLimit::zero()), None);
            assert_eq!(multiples.capacity(&RateLimit::unlimited()), None);
        }
    }
}
