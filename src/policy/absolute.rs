//! Absolute: units are admitted up to the rate's capacity within the window, and not one more.

use crate::RateLimitDecision;
use crate::policy::Grid;

/// The decision on a call that does not fit. `retry_hint` is the tick whose units must leave the
/// window for it to fit, and the usage left then; `None` where it never fits.
#[inline]
pub(crate) fn rejected(
    grid: &Grid,
    now_ms: u64,
    usage: u64,
    retry_hint: Option<(u64, u64)>,
) -> RateLimitDecision {
    match retry_hint {
        Some((tick, remaining)) => RateLimitDecision::Rejected {
            retry_after_ms: Some(grid.millis_until_gone(tick, now_ms)),
            remaining_after_waiting: remaining,
        },
        None => {
            RateLimitDecision::Rejected { retry_after_ms: None, remaining_after_waiting: usage }
        }
    }
}
