//! The short way to a decision, for calls that need nothing but the window's own words: a key that
//! is alive, with its marks inline or a note kept, and no refund. That is nearly every call to a
//! busy key. What a glance cannot tell is left to the long way, see `window`, which it agrees with.

use crate::key::hint::Relief;
use crate::key::layout::Layout;
use crate::key::window::Window;
use crate::sync::atomic::Ordering;

/// What a glance tells of an addition.
pub(crate) enum Glance {
    /// It fits, in the newest mark, of `tick` (64 bits wide), if the state is still this one.
    Fits {
        state: u64,
        tick: u64,
        usage: u64,
    },
    /// It does not fit; this was true a moment ago.
    Full {
        usage: u64,
        relief: Option<Relief>,
    },
    Unclear,
}

impl Window {
    /// Looks whether `count` more units fit at tick `now` under a limit of `most`. Unless a hint is
    /// wanted, `relief` means nothing.
    #[inline]
    pub(in crate::key) fn glance<const HINT: bool>(
        &self,
        layout: &Layout,
        now: u64,
        count: u64,
        most: u64,
    ) -> Glance {
        // Acquire: as in `Window::snapshot`, and the order of the loads is that, too.
        let state = self.state.load(Ordering::Acquire);
        let marks = self.marks.inline();
        let note = self.note.load();
        // Relaxed: as in `Window::place`.
        let latest = self.latest.load(Ordering::Relaxed);
        // Half of what `Layout::comparable` asks: a note's ticks are a bit narrower than a mark's.
        if Layout::is_dead(state) || now.abs_diff(latest) > layout.quarter() / 2 {
            return Glance::Unclear;
        }
        let (base, tick, oldest) = if note.is_kept() {
            if layout.note_ticks_between(note.tick(layout), now) != 0 {
                return Glance::Unclear;
            }
            (note.position(layout), now, None)
        } else {
            let Some(marks) = marks else { return Glance::Unclear };
            let (tail, len) = (layout.tail(state), layout.len(state));
            if len == 0 || note.is_refund() {
                return Glance::Unclear;
            }
            // Acquire: as in `Snapshot::mark`.
            let mark = |index: u64| marks.slot(index).load(Ordering::Acquire);
            let newest = mark(tail.wrapping_sub(1));
            let oldest = mark(tail.wrapping_sub(len));
            let since = layout.ticks_between(layout.tick(newest), now);
            let age = layout.ticks_between(layout.tick(oldest), now);
            if since.unsigned_abs() >= layout.quarter() || age >= layout.span().cast_signed() {
                return Glance::Unclear;
            }
            let followers = if len == 1 {
                0
            } else {
                let second = mark(tail.wrapping_sub(len - 1));
                layout.units_between(layout.start(second), layout.cum(state))
            };
            let from =
                Oldest { tick: now.wrapping_sub_signed(age), followers, is_newest: since <= 0 };
            (layout.start(oldest), now.wrapping_sub_signed(since.min(0)), Some(from))
        };
        let usage = layout.units_between(base, layout.cum(state));
        let Some(excess) = excess(usage, count, most) else {
            // In a tick without a mark there is more to do.
            return match oldest {
                Some(Oldest { is_newest: false, .. }) => Glance::Unclear,
                _ => Glance::Fits { state, tick, usage },
            };
        };
        let relief = match oldest {
            _ if !HINT || count > most => None,
            Some(Oldest { tick, followers, .. }) if excess <= usage - followers => {
                Some(Relief { tick, remaining: followers })
            }
            // More than the oldest mark stands in the way.
            _ => return Glance::Unclear,
        };
        // Relaxed: as in `Window::holds`.
        if self.state.load(Ordering::Relaxed) == state {
            Glance::Full { usage, relief }
        } else {
            Glance::Unclear
        }
    }
}

/// The oldest mark that counts.
struct Oldest {
    tick: u64,
    /// Units in the marks after it.
    followers: u64,
    /// Whether the call is judged at the newest mark.
    is_newest: bool,
}

/// By how many units `count` more are too many, if they are.
#[inline]
fn excess(usage: u64, count: u64, most: u64) -> Option<u64> {
    let total = usage.saturating_add(count);
    (total > most).then(|| total - most)
}
