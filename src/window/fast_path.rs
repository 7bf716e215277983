//! The fast path to a decision, for calls that need nothing but the window's own words: a key that
//! is alive, with its marks inline or a note kept, and nothing given back. That is nearly every call
//! to a busy key. It leaves the others to the full protocol (see `window`), and where it decides, it decides
//! the same.

use crate::sync::atomic::Ordering;
use crate::sync::fast_path_enabled;
use crate::window::layout::Layout;
use crate::window::retry_hint::RetryHint;
use crate::window::window::Window;

/// The outcome of the fast path of an addition.
pub(crate) enum FastPath {
    /// It fits, and this tick has a mark, if the state is still this one.
    Fits {
        state: u64,
        usage: u64,
    },
    /// It does not fit; this was true a moment ago.
    Full {
        usage: u64,
        retry_hint: Option<RetryHint>,
    },
    Unclear,
}

impl Window {
    /// Looks whether `count` more units fit at tick `now` under a limit of `most`. Unless a hint is
    /// wanted, `retry_hint` means nothing.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Window::add_with`")]
    pub(in crate::window) fn fast_path<const HINT: bool>(
        &self,
        layout: &Layout,
        now: u64,
        count: u64,
        most: u64,
    ) -> FastPath {
        if !fast_path_enabled() {
            return FastPath::Unclear;
        }
        // Acquire: as in `Window::snapshot`, and the order of the loads is that, too.
        let state = self.state.load(Ordering::Acquire);
        let marks = self.marks.inline();
        let note = self.note.load();
        // Acquire: as in `Window::decision_tick`.
        let latest = self.latest.load(Ordering::Acquire);
        // Half the distance that `Layout::comparable` allows: a note's ticks have one bit less than a mark's.
        if Layout::is_dead(state) || now.abs_diff(latest) > layout.quarter() / 2 {
            return FastPath::Unclear;
        }
        let (base, oldest) = if note.is_kept() {
            if !note.is_of(layout, now) {
                return FastPath::Unclear;
            }
            (note.position(layout), None)
        } else {
            let Some(marks) = marks else { return FastPath::Unclear };
            let (tail, len) = (layout.tail(state), layout.len(state));
            if len == 0 || note.is_list() {
                return FastPath::Unclear;
            }
            // Acquire: as in `Snapshot::mark`.
            let mark = |index: u64| marks.slot(index).load(Ordering::Acquire);
            let oldest = mark(tail.wrapping_sub(len));
            let since_newest = layout.age(mark(tail.wrapping_sub(1)), now);
            let since_oldest = layout.age(oldest, now);
            // An old reading of the clock makes these large.
            if since_newest >= layout.quarter() || since_oldest >= layout.span() {
                return FastPath::Unclear;
            }
            let followers = if len == 1 {
                0
            } else {
                let second = mark(tail.wrapping_sub(len - 1));
                layout.units_between(layout.start(second), layout.cum(state))
            };
            let is_newest = since_newest == 0;
            let tick = now.wrapping_sub(since_oldest);
            (layout.start(oldest), Some(Oldest { tick, followers, is_newest }))
        };
        let usage = layout.units_between(base, layout.cum(state));
        let total = usage.saturating_add(count);
        if total <= most {
            // A tick without a mark needs the full protocol.
            return match oldest {
                Some(Oldest { is_newest: false, .. }) => FastPath::Unclear,
                _ => FastPath::Fits { state, usage },
            };
        }
        let retry_hint = match oldest {
            _ if !HINT || count > most => None,
            // Wrapping: until the look at the state below, these may be of different states.
            Some(Oldest { tick, followers, .. })
                if total - most <= usage.wrapping_sub(followers) =>
            {
                Some(RetryHint { tick, remaining: followers })
            }
            // The oldest mark is not the only one in the way.
            _ => return FastPath::Unclear,
        };
        if self.is_at(state) { FastPath::Full { usage, retry_hint } } else { FastPath::Unclear }
    }
}

/// The oldest mark that counts.
struct Oldest {
    tick: u64,
    /// Units in the marks after it.
    followers: u64,
    /// Whether the newest mark is of this tick.
    is_newest: bool,
}
