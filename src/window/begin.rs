//! Beginning a bucket without the full protocol: where keys are many, nearly every call does. It takes the same
//! steps (see `window`), and leaves everything rare to that: a state that another thread has changed, an
//! announcement, an exchange of rings, units given back.

use crate::sync::INLINE_MARKS;
use crate::sync::atomic::Ordering;
use crate::sync::epoch;
use crate::window::advance::{needs_ring, wanted_slots};
use crate::window::layout::Layout;
use crate::window::note::Noted;
use crate::window::ring::View;
use crate::window::snapshot::is_odd_lap;
use crate::window::undo::MarkId;
use crate::window::window::{Outcome, Window};

/// Marks inside the window.
const INLINE: u64 = INLINE_MARKS as u64;

/// Marks that are looked at, each in turn, for the oldest that stays. Where more have left the window, the full
/// protocol finds it by galloping.
const LOOKS: usize = 8;

/// A call that begins a bucket.
#[derive(Clone, Copy)]
pub(in crate::window) struct Beginning<'a> {
    pub(in crate::window) layout: &'a Layout,
    /// Its tick, later than that of the newest mark.
    pub(in crate::window) now: u64,
    pub(in crate::window) count: u64,
    /// Its limit.
    pub(in crate::window) most: u64,
}

/// The state that it was found at, which counts some marks, and that state's head.
#[derive(Clone, Copy)]
pub(in crate::window) struct Start {
    pub(in crate::window) state: u64,
    pub(in crate::window) head: Noted,
    /// Ticks since the head's.
    pub(in crate::window) since_head: u64,
}

impl Window {
    /// Begins a bucket where the head is inside, and the units fit on top of `usage`. `None`: by the full
    /// protocol.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Window::add_with`")]
    pub(in crate::window) fn begin(
        &self,
        call: Beginning<'_>,
        start: Start,
        usage: u64,
    ) -> Option<Outcome> {
        let (tail, len) = (call.layout.tail(start.state), call.layout.len(start.state));
        let is_busy = if self.marks.has_ring() { needs_ring(tail) } else { len >= INLINE };
        if is_busy {
            return self.begin_busy(call, start);
        }
        let at = self.commit_new(call, start.state, len)?;
        Some(Outcome::Admitted { mark: MarkId { tick: call.now, at }, usage })
    }

    /// [`Window::begin`], where marks may have left the window, and some may have to be copied to the ring.
    #[inline(never)]
    pub(in crate::window) fn begin_busy(
        &self,
        call: Beginning<'_>,
        start: Start,
    ) -> Option<Outcome> {
        let Beginning { layout, now, count, most } = call;
        let Start { state, head, since_head } = start;
        let guard;
        let ring = if self.marks.has_ring() {
            guard = epoch::pin();
            self.marks.ring(&guard)
        } else {
            View::none()
        };
        let (tail, len, cum) = (layout.tail(state), layout.len(state), layout.cum(state));
        let (live, base, oldest) = if since_head < layout.span() {
            (len, head.start(layout), None)
        } else {
            let (live, mark) = self.oldest_inside(call, state, &ring)?;
            (live, layout.start(mark), Some(mark))
        };
        let usage = layout.units_between(base, cum);
        if usage.saturating_add(count) > most {
            return None;
        }
        let has_room = if ring.exists() {
            !needs_ring(tail)
                || wanted_slots(len, ring.len()).is_none() && self.copy_newest(state, tail, &ring)
        } else {
            len < INLINE
        };
        if !has_room {
            return None;
        }
        let at = self.commit_new(call, state, live)?;
        if let Some(mark) = oldest {
            // A thread that was faster has left a newer note.
            let _ = self.note.replace(head, Noted::head_of(layout, at, mark));
        }
        Some(Outcome::Admitted { mark: MarkId { tick: now, at }, usage })
    }

    /// How many marks are inside at the call's tick, if not all, and the oldest of them; the new one if there
    /// is no other.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a part of `begin_busy`")]
    fn oldest_inside(
        &self,
        call: Beginning<'_>,
        state: u64,
        ring: &View<'_>,
    ) -> Option<(u64, u64)> {
        let Beginning { layout, now, .. } = call;
        let tail = layout.tail(state);
        let mut live = layout.len(state);
        for _ in 0..LOOKS {
            live -= 1;
            if live == 0 {
                return Some((0, layout.mark(layout.cum(state), now, false)));
            }
            let index = tail.wrapping_sub(live);
            let mark = if live > INLINE {
                // Acquire: as in `Snapshot::mark`.
                ring.slot(index)?.load(Ordering::Acquire)
            } else {
                // Acquire: as in `Snapshot::mark`.
                let mark = self.marks.newest(index).load(Ordering::Acquire);
                if live == INLINE && Layout::is_odd_lap(mark) != is_odd_lap(index) {
                    return None;
                }
                mark
            };
            if layout.age(mark, now) < layout.span() {
                return Some((live, mark));
            }
        }
        None
    }

    /// Announces a mark and commits it with the call's units; `live` of those before it are inside. There is
    /// room for it. Returns the state that counts them.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a part of `begin`")]
    fn commit_new(&self, call: Beginning<'_>, state: u64, live: u64) -> Option<u64> {
        let Beginning { layout, now, count, .. } = call;
        let (tail, cum) = (layout.tail(state), layout.cum(state));
        let slot = self.marks.newest(tail);
        // Acquire: as in `Snapshot::mark`.
        let found = slot.load(Ordering::Acquire);
        // It may have been announced for this very state. If not, it is there until this one has moved, and does
        // not come back.
        if layout.start(found) == cum || !self.is_at(state) {
            return None;
        }
        let mark = layout.mark(cum, now, is_odd_lap(tail));
        // Release and Relaxed: as in `Window::add_mark`.
        slot.compare_exchange(found, mark, Ordering::Release, Ordering::Relaxed).ok()?;
        let at = layout.with_mark(state, count, live + 1);
        self.swap_state(state, at).then_some(at)
    }
}
