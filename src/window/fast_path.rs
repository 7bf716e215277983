//! The fast path to a decision, for calls that need nothing but the window's own words: a key that
//! is alive, with its marks inline or a note kept, and nothing given back. That is nearly every call
//! to a busy key. It leaves the others to the full protocol (see `window`), and where it decides, it decides
//! the same.

use crate::sync::atomic::Ordering;
use crate::sync::{INLINE_MARKS, fast_path_enabled};
use crate::window::begin::Start;
use crate::window::layout::Layout;
use crate::window::retry_hint::RetryHint;
use crate::window::window::Window;

/// Marks inside the window.
const INLINE: u64 = INLINE_MARKS as u64;

/// The outcome of the fast path of an addition.
pub(crate) enum FastPath {
    /// It fits, and this tick has a mark, if the state is still this one.
    Fits {
        state: u64,
        usage: u64,
    },
    /// It fits, and this tick has no mark yet, if the state is still that one.
    Begins {
        start: Start,
        usage: u64,
    },
    /// The oldest mark has left the window, so this tick has no mark yet.
    Moves {
        start: Start,
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
        let note = self.note.load();
        // Acquire: as in `Window::decision_tick`.
        let latest = self.latest.load(Ordering::Acquire);
        let (tail, len) = (layout.tail(state), layout.len(state));
        // Half of the distance that marks can be compared at: so there is no need to raise `latest`.
        if Layout::is_dead(state)
            || now.abs_diff(latest) > layout.quarter() / 2
            || len == 0
            || !note.is_head_of(layout, state)
        {
            return FastPath::Unclear;
        }
        // Acquire: as in `Snapshot::mark`.
        let mark = |age: u64| self.marks.newest(tail.wrapping_sub(age)).load(Ordering::Acquire);
        let newest = mark(1);
        let since_newest = layout.age(newest, now);
        let since_oldest = since_newest.wrapping_add(note.before(layout, newest));
        // An old reading of the clock makes these large.
        if since_newest >= layout.quarter() {
            return FastPath::Unclear;
        }
        if since_oldest >= layout.span() {
            return FastPath::Moves {
                start: Start { state, head: note, since_head: since_oldest },
            };
        }
        let usage = layout.units_between(note.start(layout), layout.cum(state));
        let total = usage.saturating_add(count);
        if total <= most {
            return if since_newest == 0 {
                FastPath::Fits { state, usage }
            } else {
                let start = Start { state, head: note, since_head: since_oldest };
                FastPath::Begins { start, usage }
            };
        }
        let retry_hint = if !HINT || count > most {
            None
        } else {
            let remaining = match len {
                1 => 0,
                // Inside the window, and not in the next mark's slot.
                2..=INLINE => layout.units_between(layout.start(mark(len - 1)), layout.cum(state)),
                _ => return FastPath::Unclear,
            };
            if total - most > usage.wrapping_sub(remaining) {
                // The oldest mark is not the only one in the way.
                return FastPath::Unclear;
            }
            Some(RetryHint { tick: now.wrapping_sub(since_oldest), remaining })
        };
        if self.is_at(state) { FastPath::Full { usage, retry_hint } } else { FastPath::Unclear }
    }
}
