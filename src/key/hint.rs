//! Searches along a window's marks, which lie in order of tick and of start: which mark holds a
//! given unit, and so when a rejected call would fit.
//!
//! Everything here reads marks that may be changing; callers validate the state afterwards, and
//! until then an answer may be wrong, but no search fails to end.

use crate::key::layout::Layout;
use crate::key::ring::View;
use crate::key::window::{Limit, Sight};
use crate::sync::atomic::Ordering;

/// When a rejected call would fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Relief {
    /// The tick (64 bits wide) whose units must have left the window.
    pub(crate) tick: u64,
    /// The usage that is left then.
    pub(crate) remaining: u64,
}

/// When `count` more units would fit, judged at tick `now`, or `None` if never.
#[inline]
pub(crate) fn relief(
    layout: &Layout,
    state: u64,
    view: &View<'_>,
    sight: &Sight,
    now: u64,
    count: u64,
    limit: Limit,
) -> Option<Relief> {
    let Limit::Within(most) = limit else { return None };
    if count > most {
        return None;
    }
    let excess = sight.usage.saturating_add(count).saturating_sub(most);
    let Holder { mark, left_after } =
        holder(layout, state, view, sight, sight.base.wrapping_add(excess));
    let age = layout.ticks_between(layout.tick(mark), now);
    Some(Relief { tick: now.wrapping_sub_signed(age), remaining: left_after })
}

/// A mark, and the units admitted after the last one that it holds.
pub(crate) struct Holder {
    pub(crate) mark: u64,
    left_after: u64,
}

/// The mark in the window that holds the unit just before cumulative `position`.
#[inline]
pub(crate) fn holder(
    layout: &Layout,
    state: u64,
    view: &View<'_>,
    sight: &Sight,
    position: u64,
) -> Holder {
    // Acquire: pairs with the announcement of the mark, as everywhere (see `window`).
    let mark = |age: u64| view.slot(sight.first.wrapping_add(age)).load(Ordering::Acquire);
    let start = |age: u64| layout.start(mark(age));
    let wanted = layout.units_between(sight.base, position);
    let followers = layout.marks_between(sight.first, layout.tail(state)).saturating_sub(1);
    let reaches = |age: u64| layout.units_between(sight.base, start(age + 1)) >= wanted;
    match first_such(followers, reaches) {
        Some(age) => Holder {
            mark: mark(age),
            left_after: layout.units_between(start(age + 1), layout.cum(state)),
        },
        None => Holder { mark: mark(followers), left_after: 0 },
    }
}

/// The least index below `len` for which `holds`, where that is false up to some index and true
/// from there on. Looks at the first index first and then in doubling steps, so the cost grows
/// with the logarithm of the answer.
#[inline]
pub(crate) fn first_such(len: u64, holds: impl Fn(u64) -> bool) -> Option<u64> {
    if len == 0 {
        return None;
    }
    if holds(0) {
        return Some(0);
    }
    let (mut below, mut step) = (0, 1);
    let mut above = loop {
        let probe = below + step;
        if probe >= len {
            break len;
        }
        if holds(probe) {
            break probe;
        }
        below = probe;
        step *= 2;
    };
    while above - below > 1 {
        let middle = below + (above - below) / 2;
        if holds(middle) {
            above = middle;
        } else {
            below = middle;
        }
    }
    (above < len).then_some(above)
}

#[cfg(test)]
mod tests {
    use super::first_such;

    #[test]
    fn first_such_finds_every_threshold() {
        for len in 0..40 {
            for threshold in 0..=len {
                let expected = (threshold < len).then_some(threshold);
                assert_eq!(first_such(len, |index| index >= threshold), expected);
            }
        }
    }
}
