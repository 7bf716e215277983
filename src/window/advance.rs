//! Changing the marks of a window: adding one, exchanging the ring, a restart, and filling up when a
//! count does not fit. The protocol is told in `window`.

use crate::sync::atomic::Ordering;
use crate::sync::{INLINE_MARKS, ROOMY, SMALLEST_RING, rings};
use crate::window::layout::Layout;
use crate::window::note::Noted;
use crate::window::ring::View;
use crate::window::snapshot::{Snapshot, is_odd_lap};
use crate::window::undo::MarkId;
use crate::window::window::{Basis, Window};

/// The slot of the next mark, and its content.
struct FreeSlot {
    found: u64,
    /// Whether that is an announcement for this very state.
    is_announced: bool,
}

impl Window {
    /// Adds more units than a window can hold to the newest mark: the window is then as full as
    /// can be, and stays so until this mark leaves it.
    #[cold]
    pub(in crate::window) fn fill_up(&self, basis: &Basis<'_>, tick: u64) -> Option<MarkId> {
        let &Basis { snapshot, .. } = basis;
        let layout = snapshot.layout;
        // `len` changes here, and that is forbidden while an exchange is due.
        self.free_slot(snapshot)?;
        // Full from where the newest mark's own units begin to count: past those given back.
        let (_, start) = snapshot.name(1, tick);
        let base = start.wrapping_add(snapshot.given(1, tick));
        let full = layout.with_window(snapshot.state, base.wrapping_add(layout.most()), 1);
        let head = snapshot.next_head(full, || snapshot.mark(snapshot.tail().wrapping_sub(1)));
        self.commit_with(snapshot, full, head).then_some(MarkId { tick, at: full })
    }

    /// Announces a mark for `now` and commits it with `count` units, or joins or completes the
    /// one announced already. `None`: something has moved, start over.
    pub(in crate::window) fn add_mark(
        &self,
        basis: &Basis<'_>,
        now: u64,
        count: u64,
    ) -> Option<MarkId> {
        let &Basis { snapshot, usage, .. } = basis;
        let layout = snapshot.layout;
        let FreeSlot { found, is_announced } = self.free_slot(snapshot)?;
        // Relaxed: as in `decision_tick`.
        let latest = self.latest.load(Ordering::Relaxed);
        let (mut at, mut live) = (now, usage.live);
        if snapshot.len() == 0 && now > latest.saturating_add(layout.quarter()) {
            // `latest` must not run ahead of a mark that a sleeper may still commit here.
            return self.restart(basis, now);
        }
        let mark = if is_announced {
            let ahead = layout.ticks_between(now, layout.tick(found));
            if is_of_another_turn(snapshot, now, latest, ahead) {
                return self.restart(basis, now);
            }
            at = now.wrapping_add_signed(ahead);
            if ahead != 0 {
                live = snapshot.live_at(at);
            }
            if ahead < 0 {
                self.commit_mark(snapshot, found, at, 0, live);
                return None;
            }
            found
        } else {
            if now > latest.saturating_add(layout.quarter() / 2) {
                // Release: pairs with the Acquire load in `decision_tick`. It is for this state, and not for
                // those of long before.
                self.latest.fetch_max(now, Ordering::Release);
            }
            let mark = layout.mark(snapshot.cum(), now, is_odd_lap(snapshot.tail()));
            let slot = self.marks.newest(snapshot.tail());
            // Release: publishes `latest` with the mark, and orders the mark after the state it
            // was made for; pairs with `Snapshot::mark`. Relaxed on failure: loaded afresh.
            slot.compare_exchange(found, mark, Ordering::Release, Ordering::Relaxed).ok()?;
            mark
        };
        let (count, live) = if usage.overflows(layout, count) {
            // More than a window can hold: it counts from this tick on, and what was there too.
            (layout.most(), 0)
        } else {
            (count, live)
        };
        let next = self.commit_mark(snapshot, mark, at, count, live)?;
        Some(MarkId { tick: at, at: next })
    }

    /// Commits `mark`, which is announced, of tick `at`, with `count` units; of those before it
    /// `live` are inside.
    #[inline]
    fn commit_mark(
        &self,
        snapshot: &Snapshot<'_>,
        mark: u64,
        at: u64,
        count: u64,
        live: u64,
    ) -> Option<u64> {
        let next = snapshot.layout.with_mark(snapshot.state, count, live + 1);
        // A list of which nothing counts any more is dropped only after the commit: threads with an older
        // reading are still judged by it.
        let head = if live == 0 {
            Some(Noted::head_of(snapshot.layout, next, mark))
        } else if snapshot.given_back.is_empty() {
            snapshot.next_head(next, || snapshot.mark(snapshot.tail().wrapping_sub(live)))
        } else if snapshot.given(live, at) == 0 {
            let oldest = snapshot.mark(snapshot.tail().wrapping_sub(live));
            Some(Noted::head_of(snapshot.layout, next, oldest))
        } else {
            None
        };
        self.commit_with(snapshot, next, head).then_some(next)
    }

    /// The slot of the next mark, once there is room for it. `None`: the
    /// ring was exchanged, or the state has moved, start over.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "half of its cost would be the call and its results")]
    fn free_slot(&self, snapshot: &Snapshot<'_>) -> Option<FreeSlot> {
        if needs_ring(snapshot.tail()) || !snapshot.ring.exists() {
            self.make_room(snapshot)?;
        }
        // Acquire: as in `Snapshot::mark`.
        let found = self.marks.newest(snapshot.tail()).load(Ordering::Acquire);
        // Told by the newest mark, so before the look at the state: once that has moved, another
        // mark may be in the newest one's slot.
        let is_announced = snapshot.is_announced(found);
        self.holds(snapshot).then_some(FreeSlot { found, is_announced })
    }

    /// Sees to it that the mark whose slot is next, if it counts, is in a ring that is large enough. `None`: the
    /// ring was exchanged, or the state has moved, start over.
    #[inline]
    fn make_room(&self, snapshot: &Snapshot<'_>) -> Option<()> {
        let (len, slots) = (snapshot.len(), snapshot.ring.len());
        // Tested on the `len` of the state, not on the marks inside by now: a thread that has read
        // this state may still be reading all of them.
        if slots == 0 {
            if len == INLINE_MARKS as u64 {
                self.exchange(snapshot, SMALLEST_RING as u64);
                return None;
            }
            return Some(());
        }
        if let Some(size) = wanted_slots(len, slots) {
            self.exchange(snapshot, size);
            return None;
        }
        self.copy_newest(snapshot.state, snapshot.tail(), &snapshot.ring).then_some(())
    }

    /// Copies the marks inside the window to a ring that was loaded after `state`, where they are not there yet.
    /// `false`: the state has moved.
    #[inline]
    pub(in crate::window) fn copy_newest(&self, state: u64, tail: u64, ring: &View<'_>) -> bool {
        let first = tail.wrapping_sub(INLINE_MARKS as u64);
        let mut copies = [(0, 0); INLINE_MARKS];
        for (place, copy) in (0..).zip(&mut copies) {
            let index = first.wrapping_add(place);
            // Acquire: as in `Snapshot::mark`.
            let mark = self.marks.newest(index).load(Ordering::Acquire);
            let Some(slot) = ring.slot(index) else { return false };
            // Acquire: if the copy is there, those who acquire what this thread commits will see it, too.
            let found = slot.load(Ordering::Acquire);
            // Where the next mark was announced already, all had been copied before.
            let is_there = Layout::is_odd_lap(mark) != is_odd_lap(index);
            *copy = (found, if is_there { found } else { mark });
        }
        // Before anything is written: what was found in the ring was there while this state stood. Once it has
        // moved, all of this is in the ring, and what was found does not come back.
        if !self.is_at(state) {
            return false;
        }
        for (place, (found, mark)) in (0..).zip(copies) {
            let index = first.wrapping_add(place);
            if found != mark
                && let Some(slot) = ring.slot(index)
            {
                // Release: pairs with the Acquire load in `Snapshot::mark`. Acquire on failure: as above,
                // another thread has copied it.
                let _ = slot.compare_exchange(found, mark, Ordering::Release, Ordering::Acquire);
            }
        }
        true
    }

    /// Puts a ring of `size` slots, or a little more, in place of the one in view, with the marks of the
    /// snapshot. To be called only at states that call for it; see the top of `window`.
    #[cold]
    fn exchange(&self, snapshot: &Snapshot<'_>, size: u64) {
        // The ring was loaded after the state; only if the state stands do they belong together.
        if !self.holds(snapshot) {
            return;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a ring's length is a usize")]
        let size = rings::fitting(size as usize);
        let len = snapshot.len();
        let first = snapshot.tail().wrapping_sub(len);
        self.marks.replace(&snapshot.ring, size, |slot| {
            // The first mark of this state, or the first one yet to come, that has this slot.
            let age = slot.wrapping_sub(first) & (size as u64 - 1);
            if age < len { snapshot.mark(first.wrapping_add(age)) } else { 0 }
        });
    }

    /// Forgets marks that are all far older than the window; see the top of `window`. There is
    /// always more to do after it, hence `None`.
    #[cold]
    pub(in crate::window) fn restart(&self, basis: &Basis<'_>, now: u64) -> Option<MarkId> {
        if self.begin_afresh(basis, now).is_some() {
            // Release: pairs with the Acquire load in `decision_tick`. Not before the restart: while there
            // are marks it vouches for them.
            self.latest.fetch_max(now, Ordering::Release);
        }
        None
    }

    /// Forgets all marks, of which none counts at `now` or later. `None`: something has moved.
    pub(in crate::window) fn begin_afresh(&self, basis: &Basis<'_>, now: u64) -> Option<()> {
        let &Basis { snapshot, timeline, .. } = basis;
        // `len` changes here, and that is forbidden while the ring is full.
        if snapshot.len() != 0 {
            self.free_slot(snapshot)?;
        }
        timeline.raise_floor(now);
        let cum = snapshot.cum().wrapping_add(snapshot.layout.stride());
        let next = snapshot.layout.with_window(snapshot.state, cum, 0);
        self.commit(snapshot, next).then_some(())
    }
}

/// The slots of the ring that is to be put in the place of one of `slots`, if one is, where `len` marks count and
/// the newest are about to be copied.
#[inline]
pub(in crate::window) const fn wanted_slots(len: u64, slots: u64) -> Option<u64> {
    if len > slots {
        return Some(2 * slots);
    }
    if slots > SMALLEST_RING as u64 && len * ROOMY as u64 <= slots {
        let size = (2 * len + 1).next_power_of_two();
        return Some(if size > SMALLEST_RING as u64 { size } else { SMALLEST_RING as u64 });
    }
    None
}

/// Whether the slot of mark `tail`, and of those after it, is that of a mark which is not in the ring yet.
#[inline]
pub(in crate::window) const fn needs_ring(tail: u64) -> bool {
    tail.is_multiple_of(INLINE_MARKS as u64)
}

/// Whether the mark at `ahead` of `now` was announced by a thread that has slept since, for so long
/// that ticks wrapped. Marks in the window rule that out.
#[inline]
fn is_of_another_turn(snapshot: &Snapshot<'_>, now: u64, latest: u64, ahead: i64) -> bool {
    snapshot.len() == 0 && !snapshot.layout.comparable(now, latest, ahead)
}
