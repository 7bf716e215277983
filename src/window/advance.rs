//! Changing the marks of a window: adding one, exchanging the ring, a restart, and filling up when a
//! count does not fit. The protocol is told in `window`.

use crate::sync::atomic::Ordering;
use crate::sync::{ROOMY, SMALLEST_RING};
use crate::window::layout::Layout;
use crate::window::snapshot::Snapshot;
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
        // `len` changes here, and that is forbidden while the ring is full.
        self.free_slot(snapshot)?;
        // Full from where the newest mark's own units begin to count: past those given back.
        let (_, start) = snapshot.name(1, tick);
        let base = start.wrapping_add(snapshot.given(1, tick));
        let full = layout.with_window(snapshot.state, base.wrapping_add(layout.most()), 1);
        self.commit_marks(snapshot, full).then_some(MarkId { tick, at: full })
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
        let &Snapshot { layout, state, .. } = snapshot;
        let FreeSlot { found, is_announced } = self.free_slot(snapshot)?;
        // Relaxed: as in `decision_tick`.
        let latest = self.latest.load(Ordering::Relaxed);
        let (mut at, mut live) = (now, usage.live);
        if snapshot.len() == 0 && now > latest.saturating_add(layout.quarter()) {
            // `latest` must not run ahead of a mark that a sleeper may still commit here.
            return self.restart(basis, now);
        }
        if is_announced {
            let ahead = layout.ticks_between(now, layout.tick(found));
            if is_of_another_turn(snapshot, now, latest, ahead) {
                return self.restart(basis, now);
            }
            at = now.wrapping_add_signed(ahead);
            if ahead != 0 {
                live = snapshot.live_at(at);
            }
            if ahead < 0 {
                self.commit_marks(snapshot, layout.with_mark(state, 0, live + 1));
                return None;
            }
        } else {
            if now > latest.saturating_add(layout.quarter() / 2) {
                // Release: pairs with the Acquire load in `decision_tick`. It is for this state, and not for
                // those of long before.
                self.latest.fetch_max(now, Ordering::Release);
            }
            let lap = Snapshot::lap(snapshot.tail(), snapshot.view.len());
            let mark = layout.mark(snapshot.cum(), now, lap);
            let slot = snapshot.view.slot(snapshot.tail());
            // Release: publishes `latest` with the mark, and orders the mark after the state it
            // was made for; pairs with `Snapshot::mark`. Relaxed on failure: loaded afresh.
            slot.compare_exchange(found, mark, Ordering::Release, Ordering::Relaxed).ok()?;
        }
        let next = if usage.overflows(layout, count) {
            // More than a window can hold: it counts from this tick on, and what was there too.
            live = 0;
            layout.with_mark(state, layout.most(), 1)
        } else {
            layout.with_mark(state, count, live + 1)
        };
        if !self.commit_marks(snapshot, next) {
            return None;
        }
        if !snapshot.given_back.is_empty() && (live == 0 || snapshot.given(live, at) == 0) {
            // Only after the commit: threads with an older reading are still judged by the list. If it is
            // gone already, or a newer one is there, leave that.
            let _ = self.forget_list(snapshot, at);
        }
        Some(MarkId { tick: at, at: next })
    }

    /// The slot of the next mark, once the ring can take one more. `None`: the
    /// ring was exchanged, or the state has moved, start over.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "half of its cost would be the call and its results")]
    fn free_slot(&self, snapshot: &Snapshot<'_>) -> Option<FreeSlot> {
        let (len, slots) = (snapshot.len(), snapshot.view.len());
        // Tested on the `len` of the state, not on the marks inside by now: a thread that has read
        // this state may still be reading all of them.
        if len == slots {
            self.exchange(snapshot, 2 * slots);
            return None;
        }
        if slots > SMALLEST_RING as u64 && len * ROOMY as u64 <= slots {
            let size = (2 * len + 1).next_power_of_two().max(SMALLEST_RING as u64);
            self.exchange(snapshot, size);
            return None;
        }
        let found = snapshot.mark(snapshot.tail());
        // Told by the newest mark, so before the look at the state: once that has moved, another
        // mark may be in the newest one's slot.
        let is_announced = snapshot.is_announced(found);
        self.holds(snapshot).then_some(FreeSlot { found, is_announced })
    }

    /// Puts a ring of `size` in place of the one in view, with the marks of the snapshot. To be
    /// called only at states that call for it; see the top of `window`.
    #[cold]
    fn exchange(&self, snapshot: &Snapshot<'_>, size: u64) {
        let &Snapshot { layout, ref view, .. } = snapshot;
        // The ring was loaded after the state; only if the state stands do they belong together.
        if !self.holds(snapshot) {
            return;
        }
        let len = snapshot.len();
        let first = snapshot.tail().wrapping_sub(len);
        #[expect(clippy::cast_possible_truncation, reason = "a ring's length is a usize")]
        self.marks.replace(view, size as usize, |slot| {
            // The first mark of this state, or the first one yet to come, that has this slot.
            let age = slot.wrapping_sub(first) & (size - 1);
            let index = first.wrapping_add(age);
            let lap = Snapshot::lap(index, size);
            if age < len {
                Layout::on_lap(snapshot.mark(index), lap)
            } else {
                layout.mark(0, 0, !lap)
            }
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
        self.commit_marks(snapshot, snapshot.layout.with_window(snapshot.state, cum, 0))
            .then_some(())
    }
}

/// Whether the mark at `ahead` of `now` was announced by a thread that has slept since, for so long
/// that ticks wrapped. Marks in the window rule that out.
#[inline]
fn is_of_another_turn(snapshot: &Snapshot<'_>, now: u64, latest: u64, ahead: i64) -> bool {
    snapshot.len() == 0 && !snapshot.layout.comparable(now, latest, ahead)
}
