//! An addition in two steps, for calls that concern several windows: look whether the units fit into each,
//! then add them to each.
//!
//! Between the two steps anything may happen. The second decides anew, unless the fast path has found the room
//! and the state is still the one that it was found in: then it is one compare-and-swap of that state, as an
//! addition on the fast path is, which merely had more time between its read and its write.

use crate::window::fast_path::FastPath;
use crate::window::retry_hint::RetryHint;
use crate::window::snapshot::Limit;
use crate::window::timeline::Timeline;
use crate::window::undo::MarkId;
use crate::window::window::{Outcome, Window};

/// The outcome of the first step.
pub(crate) enum Look {
    /// They fit, on top of this usage.
    Fits { usage: u64, room: Room },
    /// As [`Outcome::Rejected`].
    Full { usage: u64, retry_hint: Option<RetryHint> },
    /// As [`Outcome::Dead`].
    Dead,
}

/// Room for some units at some tick.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// The state in which the fast path has found it, and the same with the units.
    state: u64,
    next: u64,
}

impl Room {
    /// Room that was not found by the fast path.
    pub(crate) const BY_MARKS: Self = Self { state: 0, next: 0 };
}

impl Window {
    /// The first step: looks whether `count` more units fit at tick `now` under a limit of `most`.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Window::add_with`")]
    pub(crate) fn look_for_room(
        &self,
        timeline: &Timeline,
        now: u64,
        count: u64,
        most: u64,
    ) -> Look {
        let layout = timeline.layout();
        match self.fast_path::<true>(layout, now, count, most) {
            FastPath::Fits { state, usage } => {
                Look::Fits { usage, room: Room { state, next: layout.with_units(state, count) } }
            }
            FastPath::Full { usage, retry_hint } => Look::Full { usage, retry_hint },
            FastPath::Begins { .. } | FastPath::Moves { .. } | FastPath::Unclear => {
                self.look_by_marks(timeline, now, count, most)
            }
        }
    }

    #[inline(never)]
    fn look_by_marks(&self, timeline: &Timeline, now: u64, count: u64, most: u64) -> Look {
        match self.peek(timeline, now, count, Limit::Within(most)) {
            Outcome::Admitted { usage, .. } => Look::Fits { usage, room: Room::BY_MARKS },
            Outcome::Rejected { usage, retry_hint } => Look::Full { usage, retry_hint },
            Outcome::Dead => Look::Dead,
        }
    }

    /// The second step where the fast path has found the room: takes it if nothing has changed. The usage
    /// before it is what the look has said. `None`: [`Window::add`] decides.
    #[inline]
    pub(crate) fn take_room(&self, now: u64, room: Room) -> Option<MarkId> {
        let Room { state, next: at } = room;
        // A state with room has marks, so it is not 0.
        (state != 0 && self.swap_state(state, at)).then_some(MarkId { tick: now, at })
    }
}
