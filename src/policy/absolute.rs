//! Absolute: units are admitted up to the rate's capacity within the window, and not one more.

use crate::RateLimitDecision;
use crate::policy::Grid;

/// The decision on a call that does not fit under `capacity`, because of this usage. `retry_hint` is
/// the tick whose units must leave the window for it to fit, and the usage left then; `None` where it
/// never fits.
#[inline]
pub(crate) fn rejected(
    grid: &Grid,
    now_ms: u64,
    capacity: u64,
    usage: u64,
    retry_hint: Option<(u64, u64)>,
) -> RateLimitDecision {
    let remaining = capacity.saturating_sub(usage);
    let (retry_after_ms, remaining_after_waiting) = match retry_hint {
        Some((tick, left)) => (Some(grid.millis_until_gone(tick, now_ms)), left),
        None => (None, usage),
    };
    RateLimitDecision::rejected(retry_after_ms, remaining_after_waiting).with_remaining(remaining)
}
