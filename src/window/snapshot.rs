//! One read of a window: where a call is judged, and what counts there.
//!
//! A snapshot is a state, the ring that was found after it, and the note that was found after
//! that, with the list of units given back if it holds one. The marks are read through it one by one, while
//! other threads may be changing them:
//! whatever is computed here means nothing until the window has been found to be still in that
//! state (see `window`), and must only not panic or loop until then.

use crate::sync::INLINE_MARKS;
use crate::sync::atomic::Ordering;
use crate::sync::epoch;
use crate::window::gallop::gallop;
use crate::window::given_back::{Entry, GivenBack};
use crate::window::layout::Layout;
use crate::window::note::Noted;
use crate::window::ring::{Marks, View};

/// The limit of an addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Add only if usage stays at or below this.
    Within(u64),
    /// Add whatever the usage. A sum beyond what a window can hold is clipped to that, and then
    /// counts as if all of it had happened in the newest tick: never too little, for long enough. A
    /// refund that is under way at the same time may take what it gives back from the clipped sum.
    Unbounded,
}

/// The tick at which a call is judged. Ticks are 64 bits wide.
pub(crate) enum DecisionTick {
    /// At the newest mark, whose tick this is.
    Newest(u64),
    /// At this tick, later than the newest mark, or first of all.
    New(u64),
    /// Nowhere yet: the marks are too old to be compared with this tick.
    Idle(u64),
}

/// Units that count at some tick, and the marks that they are in.
pub(crate) struct Usage {
    /// Marks inside the window.
    pub(crate) live: u64,
    /// The start of the oldest of them.
    pub(crate) base: u64,
    /// Units counted.
    pub(crate) units: u64,
}

impl Usage {
    #[inline]
    pub(crate) fn fits(&self, count: u64, limit: Limit) -> bool {
        match limit {
            Limit::Within(most) => self.units.saturating_add(count) <= most,
            Limit::Unbounded => true,
        }
    }

    /// Whether `count` more units are more than a window can hold.
    #[inline]
    pub(crate) fn overflows(&self, layout: &Layout, count: u64) -> bool {
        count > layout.most() - self.units
    }
}

pub(crate) struct Snapshot<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) state: u64,
    pub(crate) marks: &'a Marks,
    /// The ring that was found after the state.
    pub(crate) ring: View<'a>,
    pub(crate) note: Noted,
    /// The units given back, as listed in the note.
    pub(crate) given_back: GivenBack<'a>,
}

impl Snapshot<'_> {
    /// Marks inside the window when the newest was committed.
    #[inline]
    pub(crate) fn len(&self) -> u64 {
        self.layout.len(self.state)
    }

    /// Marks ever committed: the index of the next.
    #[inline]
    pub(crate) fn tail(&self) -> u64 {
        self.layout.tail(self.state)
    }

    #[inline]
    pub(crate) fn cum(&self) -> u64 {
        self.layout.cum(self.state)
    }

    /// Mark `index`, one of those that the state counts.
    #[inline]
    pub(crate) fn mark(&self, index: u64) -> u64 {
        let age = self.layout.marks_between(index, self.tail());
        if age > INLINE_MARKS as u64
            && let Some(slot) = self.ring.slot(index)
        {
            // Acquire: pairs with the copy in `spill`.
            return slot.load(Ordering::Acquire);
        }
        // Acquire: pairs with the announcement. If this is a mark that is newer than the state,
        // the look at the state that follows will see a newer one.
        let mark = self.marks.newest(index).load(Ordering::Acquire);
        if age == INLINE_MARKS as u64 && Layout::is_odd_lap(mark) != is_odd_lap(index) {
            return self.displaced(index);
        }
        mark
    }

    /// Mark `index`, in whose slot the next one was announced.
    ///
    /// Before that it was copied to the ring: the one that is there by now, maybe not the one that was
    /// found after the state.
    #[cold]
    fn displaced(&self, index: u64) -> u64 {
        let guard = epoch::pin();
        let ring = self.marks.ring(&guard);
        // Acquire: as in `mark`.
        ring.slot(index).map_or(0, |slot| slot.load(Ordering::Acquire))
    }

    /// The tick of the newest mark, of which there must be one.
    #[inline]
    pub(crate) fn newest_tick(&self) -> u64 {
        self.layout.tick(self.mark(self.tail().wrapping_sub(1)))
    }

    /// The tick at which a call whose clock reads `now` is judged. `latest` is the window's word of that name;
    /// `floor` is asked only where there are no marks.
    #[inline]
    pub(crate) fn decision_tick(
        &self,
        now: u64,
        latest: u64,
        floor: impl FnOnce() -> u64,
    ) -> DecisionTick {
        if self.len() == 0 {
            return DecisionTick::New(now.max(latest).max(floor()));
        }
        let layout = self.layout;
        let newest = self.newest_tick();
        let since = layout.ticks_between(newest, now);
        if layout.comparable(now, latest, since) {
            return compared(now, since);
        }
        // Either this is an old reading, or the marks are old.
        let now = now.max(latest);
        let since = layout.ticks_between(newest, now);
        if layout.comparable(now, latest, since) {
            compared(now, since)
        } else {
            DecisionTick::Idle(now)
        }
    }

    /// How many marks are inside at `tick`, which is not before the newest of them.
    #[inline]
    pub(crate) fn live_at(&self, tick: u64) -> u64 {
        self.live_within(tick, self.layout.span())
    }

    /// [`Snapshot::live_at`], for a window of another span.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "half of its cost would be the call and its results")]
    pub(crate) fn live_within(&self, tick: u64, span: u64) -> u64 {
        let oldest = self.tail().wrapping_sub(self.len());
        let has_head = self.note.is_head_of(self.layout, self.state);
        let inside = |age: u64| {
            if age == 0 && has_head {
                let newest = self.mark(self.tail().wrapping_sub(1));
                let before = self.note.before(self.layout, newest);
                return self.layout.age(newest, tick).wrapping_add(before) < span;
            }
            let mark = self.layout.tick(self.mark(oldest.wrapping_add(age)));
            self.layout.ticks_between(mark, tick) < span.cast_signed()
        };
        gallop(self.len(), inside).map_or(0, |gone| self.len() - gone)
    }

    /// The usage at a decision tick, and that tick.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "half of its cost would be the call and its results")]
    pub(crate) fn usage_at(&self, at: &DecisionTick) -> (Usage, u64) {
        match *at {
            DecisionTick::Newest(tick) => (self.usage(self.len(), tick), tick),
            DecisionTick::New(tick) => (self.usage(self.live_at(tick), tick), tick),
            DecisionTick::Idle(tick) => (self.usage(0, tick), tick),
        }
    }

    /// The usage when the `live` newest marks are inside, judged at `tick`.
    #[inline]
    pub(crate) fn usage(&self, live: u64, tick: u64) -> Usage {
        let layout = self.layout;
        if live == 0 {
            return Usage { live, base: self.cum(), units: 0 };
        }
        let base = if live == self.len() && self.note.is_head_of(layout, self.state) {
            self.note.start(layout)
        } else {
            layout.start(self.mark(self.tail().wrapping_sub(live)))
        };
        let given = if self.given_back.is_empty() { 0 } else { self.given(live, tick) };
        // Units given back included, there may be more than a count can hold. Modulo its range, the
        // difference is still right.
        let units = layout.units_between(base.wrapping_add(given), self.cum());
        Usage { live, base, units }
    }

    /// The head of `next`, a state to be committed, if the note is to tell it and does not yet. `oldest` is the
    /// oldest mark that it counts: read before the commit, which shows that it was there.
    #[inline]
    pub(crate) fn next_head(&self, next: u64, oldest: impl FnOnce() -> u64) -> Option<Noted> {
        let is_wanted = !self.note.is_list() && !self.note.is_head_of(self.layout, next);
        is_wanted.then(|| Noted::head_of(self.layout, next, oldest()))
    }

    /// Units given back of the `live` newest marks, at least one, judged at `tick`.
    #[cold]
    pub(crate) fn given(&self, live: u64, tick: u64) -> u64 {
        let (oldest, start) = self.name(live, tick);
        self.given_back.since(oldest, start)
    }

    /// The list's entries for the marks of the state, which has at least one; `tick` is not before the
    /// newest.
    pub(crate) fn entries(&self, tick: u64) -> impl Iterator<Item = Entry> + '_ {
        let (oldest, start) = self.name(self.len(), tick);
        self.given_back.entries_since(oldest, start)
    }

    /// The tick, unwrapped, and the start of the mark that is `age` marks before the next one; `tick`
    /// is not before it.
    pub(crate) fn name(&self, age: u64, tick: u64) -> (u64, u64) {
        let mark = self.mark(self.tail().wrapping_sub(age));
        (tick.wrapping_sub(self.layout.age(mark, tick)), self.layout.start(mark))
    }

    /// Where the units of that mark end.
    pub(crate) fn end(&self, age: u64) -> u64 {
        if age <= 1 {
            return self.cum();
        }
        self.layout.start(self.mark(self.tail().wrapping_sub(age - 1)))
    }

    /// Whether `found`, in the slot of the next mark, was announced for this very state.
    #[inline]
    pub(crate) fn is_announced(&self, found: u64) -> bool {
        let layout = self.layout;
        layout.start(found) == self.cum()
            && Layout::is_odd_lap(found) == is_odd_lap(self.tail())
            && (self.len() == 0 || layout.ticks_between(self.newest_tick(), layout.tick(found)) > 0)
    }
}

/// Whether mark `index` is on an odd turn round the slots inside the window.
#[inline]
pub(crate) const fn is_odd_lap(index: u64) -> bool {
    index & INLINE_MARKS as u64 != 0
}

#[inline]
fn compared(now: u64, since: i64) -> DecisionTick {
    if since <= 0 {
        DecisionTick::Newest(now.wrapping_sub_signed(since))
    } else {
        DecisionTick::New(now)
    }
}
