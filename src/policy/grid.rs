//! The grid that time is laid on: buckets, and windows of a whole number of them.

use core::time::Duration;

use crate::TrypemaError;

const NANOS_PER_MILLI: u64 = 1_000_000;
/// A hundred years: sums of a window and any uptime stay far inside 64 bits of nanoseconds.
const LONGEST_WINDOW: Duration = Duration::from_secs(36_500 * 86_400);

/// Window and bucket, validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    /// The window asked for: what capacities are taken over.
    window_ms: u64,
    /// The window, rounded up to whole buckets: how long a unit counts.
    held_ns: u64,
    bucket_ns: u64,
}

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
        let bucket_ns = bucket_ms * NANOS_PER_MILLI;
        Ok(Self { window_ms, held_ns: buckets * bucket_ns, bucket_ns })
    }

    /// Ticks that a window touches: a unit of tick `t` counts while `now - t` is below this.
    pub(crate) const fn span(&self) -> u64 {
        self.held_ns / self.bucket_ns + 1
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
        Duration::from_nanos(self.bucket_ns)
    }

    /// Ticks that a shorter window would touch.
    pub(crate) fn span_of(&self, shorter: Duration) -> u64 {
        let nanos = u64::try_from(shorter.as_nanos()).unwrap_or(u64::MAX);
        nanos.div_ceil(self.bucket_ns) + 1
    }

    /// Whole ticks in a time, rounded up.
    pub(crate) fn ticks_in(&self, time: Duration) -> u64 {
        u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).div_ceil(self.bucket_ns)
    }

    /// The bucket that a moment falls into.
    #[inline]
    pub(crate) const fn tick(&self, now_ns: u64) -> u64 {
        now_ns / self.bucket_ns
    }

    /// Whole milliseconds, rounded up, from `now_ns` until the units of `tick` have left the
    /// window: until `(tick + 1) · bucket + window`.
    #[inline]
    pub(crate) const fn millis_until_gone(&self, tick: u64, now_ns: u64) -> u64 {
        self.nanos_until_gone(tick, now_ns).div_ceil(NANOS_PER_MILLI)
    }

    /// [`Grid::millis_until_gone`] in nanoseconds.
    #[inline]
    pub(crate) const fn nanos_until_gone(&self, tick: u64, now_ns: u64) -> u64 {
        let gone_ns = (tick + 1).saturating_mul(self.bucket_ns).saturating_add(self.held_ns);
        gone_ns.saturating_sub(now_ns)
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
