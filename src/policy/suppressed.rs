//! Suppressed: between a soft and a hard limit, calls are declined at random, so that the
//! admitted rate stays near the limit under an overload of any size.
//!
//! With `A` the admitted units that count, `O` the observed ones (admitted and declined), `W` the
//! window, and soft and hard the capacity and the capacity times `hard_limit_factor`:
//!
//! 1. `A + count <= soft`: allowed.
//! 2. `A + count > hard`: declined, with factor 1.
//! 3. else admitted with probability `1 - f`, where `f = 1 - rate / perceived`, at least 0, and
//!    `perceived` is the greater of `O / W` and the units observed over the last second (as many
//!    whole buckets as it takes) per second of it.
//!
//! The idea is that of Ably's write-up on distributed rate limiting: admit the share of the
//! traffic that the limit is of the demand.

use core::time::Duration;

use crate::policy::Grid;

/// Settings of the strategy, validated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Suppression {
    hard_limit_factor: f64,
    /// How long a perceived rate is used again.
    pub(crate) refresh_ns: u64,
    /// Seconds in the window asked for, and in a lease.
    pub(crate) window_s: f64,
    /// Seconds of "the last second": less where the window is shorter, more where buckets are
    /// coarse.
    pub(crate) recent_s: f64,
    /// The same in ticks that it touches.
    pub(crate) recent_span: u64,
}

/// Units observed on a key, admitted and declined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// Over the window.
    pub(crate) window: u64,
    /// Over the last second.
    pub(crate) recent: u64,
}

impl Suppression {
    pub(crate) fn new(grid: &Grid, hard_limit_factor: f64, refresh: Duration) -> Self {
        let recent = grid.window().min(Duration::from_secs(1));
        let recent_span = grid.span_of(recent);
        // How long its units count, as for the window: a second, rounded up to whole buckets. Over
        // less, coarse buckets would make the demand look larger than it is.
        let recent_held = grid.bucket().saturating_mul(u32::try_from(recent_span - 1).unwrap_or(1));
        Self {
            hard_limit_factor,
            refresh_ns: u64::try_from(refresh.as_nanos()).unwrap_or(u64::MAX),
            window_s: grid.counted().as_secs_f64(),
            recent_s: recent_held.as_secs_f64(),
            recent_span,
        }
    }

    /// The hard limit that goes with a soft one. `most` is what a window can hold.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "rounding down and saturating is wanted; exact below 2^53"
    )]
    pub(crate) fn hard_limit(&self, soft: u64, most: u64) -> u64 {
        let product = soft as f64 * self.hard_limit_factor;
        // The factor is read as the decimal that it was written as: 650 times 1.4 are 910, though the
        // product of the nearest `f64` is just below. Both are off by up to half a unit in the last
        // place. Of large products that would be whole units: those stay as they come out.
        let is_fine = product < (1_u64 << 40) as f64;
        let hard = if is_fine { product * (1.0 + 2.0 * f64::EPSILON) } else { product } as u64;
        hard.max(soft).min(most)
    }

    /// The rate that callers are asking for, in units per second.
    #[expect(clippy::cast_precision_loss, reason = "a factor needs no more than 53 bits")]
    pub(crate) fn perceived(&self, observed: Observed) -> f64 {
        let over_window = observed.window as f64 / self.window_s;
        let over_recent = observed.recent as f64 / self.recent_s;
        over_window.max(over_recent)
    }
}

/// The share of calls to turn away, from 0 to 1, so that of `perceived` units per second `rate`
/// are admitted.
pub(crate) fn factor(rate: f64, perceived: f64) -> f64 {
    if perceived > rate { 1.0 - rate / perceived } else { 0.0 }
}
