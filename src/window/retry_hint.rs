//! When a rejected call would fit: the mark that stands in the way.

use crate::window::gallop::gallop;
use crate::window::snapshot::{Limit, Snapshot, Usage};

/// When a rejected call would fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RetryHint {
    /// The tick (64 bits wide) whose units must have left the window.
    pub(crate) tick: u64,
    /// The usage that is left then.
    pub(crate) remaining: u64,
}

/// When `count` more units would fit, judged at tick `now`, or `None` if never.
#[inline]
pub(crate) fn retry_hint(
    snapshot: &Snapshot<'_>,
    usage: &Usage,
    now: u64,
    count: u64,
    limit: Limit,
) -> Option<RetryHint> {
    let Limit::Within(most) = limit else { return None };
    if count > most {
        return None;
    }
    let excess = usage.units.saturating_add(count).saturating_sub(most);
    // Units that leave the window with the oldest mark and `after` more.
    let leaving = |after: u64| {
        let base = usage.base.wrapping_add(given_up_to(snapshot, usage, now, after));
        // Modulo the range of counts, as in `Snapshot::usage`.
        snapshot.layout.units_between(base, snapshot.end(usage.live - after))
    };
    // When the newest mark leaves, everything has left.
    let followers = usage.live.saturating_sub(1);
    let after = gallop(followers, |after| leaving(after) >= excess).unwrap_or(followers);
    let (tick, _) = snapshot.name(usage.live - after, now);
    // Wrapping: until the look at the state, these may not go together.
    Some(RetryHint { tick, remaining: usage.units.wrapping_sub(leaving(after)) })
}

/// Units given back of the oldest mark inside and of `after` more.
#[inline]
fn given_up_to(snapshot: &Snapshot<'_>, usage: &Usage, now: u64, after: u64) -> u64 {
    if snapshot.given_back.is_empty() {
        return 0;
    }
    let (oldest, start) = snapshot.name(usage.live, now);
    let (last, _) = snapshot.name(usage.live - after, now);
    snapshot.given_back.between(oldest, start, last)
}
