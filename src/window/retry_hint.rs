//! What to tell those who were turned away: which mark stands in the way.

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
    let Holder { mark, left_after } = holder(snapshot, usage, usage.base.wrapping_add(excess));
    let age = snapshot.layout.ticks_between(snapshot.layout.tick(mark), now);
    Some(RetryHint { tick: now.wrapping_sub_signed(age), remaining: left_after })
}

/// A mark, and the units admitted after the last one that it holds.
pub(crate) struct Holder {
    pub(crate) mark: u64,
    left_after: u64,
}

/// The mark in the window that holds the unit just before cumulative `position`.
#[inline]
pub(crate) fn holder(snapshot: &Snapshot<'_>, usage: &Usage, position: u64) -> Holder {
    let layout = snapshot.layout;
    let mark = |age: u64| snapshot.mark(usage.first.wrapping_add(age));
    let start = |age: u64| layout.start(mark(age));
    let wanted = layout.units_between(usage.base, position);
    let followers = layout.marks_between(usage.first, snapshot.tail()).saturating_sub(1);
    let reaches = |age: u64| layout.units_between(usage.base, start(age + 1)) >= wanted;
    match gallop(followers, reaches) {
        Some(age) => Holder {
            mark: mark(age),
            left_after: layout.units_between(start(age + 1), snapshot.cum()),
        },
        None => Holder { mark: mark(followers), left_after: 0 },
    }
}
