//! The limit that every rival is asked to keep, in terms that each can translate.

use core::time::Duration;

/// At most `capacity` units within `window`.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// A whole number of seconds: some peers take no other.
    pub window: Duration,
    /// The grain of time, for rivals that have one.
    pub bucket: Duration,
    /// Units per window.
    pub capacity: u32,
}

impl Rule {
    /// The setting of all timed workloads: 10 s in buckets of 10 ms.
    #[must_use]
    pub fn timed(capacity: u32) -> Self {
        let (window, bucket) = (Duration::from_secs(10), Duration::from_millis(10));
        Self { window, bucket, capacity }
    }

    /// A window of one second in buckets of 10 ms.
    #[must_use]
    pub fn second(capacity: u32) -> Self {
        Self { window: Duration::from_secs(1), ..Self::timed(capacity) }
    }

    /// A window of 64 buckets.
    #[must_use]
    pub fn coarse(capacity: u32) -> Self {
        let (window, bucket) = (Duration::from_secs(16), Duration::from_millis(250));
        Self { window, bucket, capacity }
    }

    /// The rate that allows the capacity in the window.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        f64::from(self.capacity) / self.window.as_secs_f64()
    }
}
