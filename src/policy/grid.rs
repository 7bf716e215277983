//! The grid that time is laid on: buckets, and windows of a whole number of them.

use core::time::Duration;

use crate::TrypemaError;

pub(crate) const NANOS_PER_MILLI: u64 = 1_000_000;
/// A hundred years: sums of a window and any uptime stay far inside 64 bits of nanoseconds.
const LONGEST_WINDOW: Duration = Duration::from_secs(36_500 * 86_400);

/// Window and bucket, validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    /// The window asked for: what capacities are taken over.
    window_ms: u64,
    /// The window, rounded up to whole buckets: how long a unit counts.
    held_ms: u64,
    /// For how long leased units may be spent after they were counted: they count for as much longer.
    lease_ms: u64,
    bucket_ms: u64,
    /// 2^64 over `bucket_ms`, rounded up, where that divides without error; else 0.
    bucket_inverse: u64,
}

/// Divisors up to here are multiplied by the inverse instead. With `m = ceil(2^64 / d)`, the high
/// half of `n * m` is `n / d` exactly while `n * (m * d - 2^64) < 2^64`; the bracket is below `d`,
/// and milliseconds, made from 64 bits of nanoseconds, are below 2^45.
const INVERTIBLE: u64 = 1 << 19;

impl Grid {
    /// `longest_span` is how many buckets, the current one included, a window may touch.
    pub(crate) fn new(
        window: Duration,
        bucket: Duration,
        longest_span: u64,
    ) -> Result<Self, TrypemaError> {
        let window_ms = whole_millis("window", window)?;
        let bucket_ms = whole_millis("bucket", bucket)?;
        if bucket_ms > window_ms {
            let allowed = format!("a bucket is at most the window, {window:?}");
            return Err(TrypemaError::config("bucket", bucket, allowed));
        }
        let buckets = window_ms.div_ceil(bucket_ms);
        if buckets >= longest_span {
            let finest = Duration::from_millis(window_ms.div_ceil(longest_span - 1));
            let allowed = format!(
                "a window of {window:?} needs buckets of at least {finest:?}, since it is cut into \
                 at most {} of them",
                longest_span - 1
            );
            return Err(TrypemaError::config("bucket", bucket, allowed));
        }
        // The inverse of 1 would be 2^64, which does not fit: a bucket of 1 ms is divided by.
        let invertible = (2..=INVERTIBLE).contains(&bucket_ms);
        let bucket_inverse = if invertible { u64::MAX / bucket_ms + 1 } else { 0 };
        let held_ms = buckets * bucket_ms;
        Ok(Self { window_ms, held_ms, lease_ms: 0, bucket_ms, bucket_inverse })
    }

    /// The same window for units that are leased for so long, whole milliseconds: they count for the window
    /// and the lease. The capacity is still that of the window.
    pub(crate) const fn with_lease(mut self, lease_ms: u64) -> Self {
        self.lease_ms = lease_ms;
        self.held_ms = (self.window_ms + lease_ms).div_ceil(self.bucket_ms) * self.bucket_ms;
        self
    }

    /// How long leased units may be spent.
    pub(crate) const fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    /// The time that units count for, but for what is rounded up to whole buckets.
    pub(crate) const fn counted(&self) -> Duration {
        Duration::from_millis(self.window_ms + self.lease_ms)
    }

    /// Ticks that a window touches: a unit of tick `t` counts while `now - t` is below this.
    pub(crate) const fn span(&self) -> u64 {
        self.held_ms / self.bucket_ms + 1
    }

    /// The window that was asked for, in milliseconds.
    #[inline]
    pub(crate) const fn window_ms(&self) -> u64 {
        self.window_ms
    }

    /// [`Grid::window_ms`] as a duration.
    pub(crate) const fn window(&self) -> Duration {
        Duration::from_millis(self.window_ms)
    }

    /// One tick.
    pub(crate) const fn bucket(&self) -> Duration {
        Duration::from_millis(self.bucket_ms)
    }

    /// Ticks that a shorter window would touch.
    pub(crate) fn span_of(&self, shorter: Duration) -> u64 {
        self.ticks_in(shorter) + 1
    }

    /// Whole ticks in a time, rounded up.
    pub(crate) fn ticks_in(&self, time: Duration) -> u64 {
        u64::try_from(time.as_nanos())
            .unwrap_or(u64::MAX)
            .div_ceil(self.bucket_ms * NANOS_PER_MILLI)
    }

    /// The bucket that a moment falls into.
    #[inline]
    pub(crate) const fn tick(&self, millis: u64) -> u64 {
        if self.bucket_inverse == 0 {
            millis / self.bucket_ms
        } else {
            // A division by a number that the compiler does not know takes several times as long.
            ((millis as u128 * self.bucket_inverse as u128) >> 64) as u64
        }
    }

    /// Milliseconds from `millis` (rounded down) until the units of `tick` expire, rounded up. They expire
    /// at `(tick + 1) · bucket + window`, a whole number of milliseconds.
    #[inline]
    pub(crate) const fn millis_until_gone(&self, tick: u64, now_ms: u64) -> u64 {
        self.gone_ms(tick).saturating_sub(now_ms)
    }

    /// Nanoseconds from `nanos` until the units of `tick` expire.
    pub(crate) const fn nanos_until_gone(&self, tick: u64, nanos: u64) -> u64 {
        self.gone_ms(tick).saturating_mul(NANOS_PER_MILLI).saturating_sub(nanos)
    }

    /// When the units of `tick` have left the window. Nothing overflows: ticks are made of clock
    /// readings, which are below 2^45 ms, or follow the newest of those by less than a window.
    #[inline]
    const fn gone_ms(&self, tick: u64) -> u64 {
        (tick + 1) * self.bucket_ms + self.held_ms
    }
}

fn whole_millis(field: &'static str, given: Duration) -> Result<u64, TrypemaError> {
    if given.is_zero() || !given.subsec_nanos().is_multiple_of(1_000_000) {
        return Err(TrypemaError::config(
            field,
            given,
            "it must be a whole number of milliseconds, at least 1 ms",
        ));
    }
    match u64::try_from(given.as_millis()) {
        Ok(millis) if given <= LONGEST_WINDOW => Ok(millis),
        _ => Err(TrypemaError::config(field, given, "it must be at most 100 years")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_quotients() {
        let window = Duration::from_secs(10_000);
        for bucket_ms in [1, 2, 3, 7, 10, 100, 999, 1_000, 4_096, INVERTIBLE, INVERTIBLE + 1] {
            let bucket = Duration::from_millis(bucket_ms);
            let grid = Grid::new(window.max(bucket), bucket, u64::MAX).expect("valid");
            let longest = u64::MAX / NANOS_PER_MILLI;
            for tick in [1, 2, 1_000, longest / bucket_ms / 3, longest / bucket_ms] {
                assert_eq!(grid.tick(tick * bucket_ms), tick, "{bucket_ms} ms");
                assert_eq!(grid.tick(tick * bucket_ms - 1), tick - 1, "{bucket_ms} ms");
            }
            assert_eq!(grid.tick(longest), longest / bucket_ms);
        }
    }
}
