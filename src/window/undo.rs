//! Units given back: by a refund, of whichever bucket they are in, or by an undo, of a bucket named.
//!
//! # What is kept
//!
//! Marks and the cumulative count stay as they are. Beside them there may be a list of marks, and
//! of how many units each has given back, see `given_back`. A list is never changed, only replaced, by a
//! compare-and-swap of the note, the word that holds its address: null for nearly all windows.
//!
//! Usage is `cum` less the `start` of the oldest mark inside, as ever, less what was given back of that mark and
//! of later ones. That is all of the list that speaks of marks inside:
//!
//! - An entry later than the oldest mark inside is of a mark inside. A list that goes with a state, as
//!   below, names marks that were committed up to that state, and in one life of the window, that is
//!   without a restart, all that are later than the oldest inside are inside themselves. In a later
//!   life no mark is earlier than any of an earlier life.
//! - An entry of the oldest mark's tick is of that mark if it has its start. Otherwise the window
//!   was begun afresh within the tick: a restart moves `cum` on by a stride, so starts differ.
//! - Anything earlier has left.
//!
//! Sums are modulo the range of counts: with units that were given back, a window may have more than
//! a count can tell, but what is left of them is less. A fill-up leaves as many in the newest mark: it puts
//! `cum` past those that were given back of it.
//!
//! # Giving back
//!
//! 1. Load the state, then the note; look at the marks, and choose from which to take, and how much:
//!    no more from any than it holds less what the list says was given back of it.
//! 2. Look at the state again. If it has not changed, all that was true.
//! 3. Put a list with these units added in the place of the note that was found, by a
//!    compare-and-swap. If that fails, start over.
//!
//! *Nothing is given back twice, and no more than there is.* What a mark holds only grows while it is the newest, and is fixed
//! afterwards, so the choice stays within it whatever the state has become by 3. And the
//! list is still the one that the choice was made by: its address is not used again while this thread is
//! pinned. (Where there was none, there is none again.)
//!
//! *Nothing is admitted too much.* An admission loads the list after the state, and commits by a
//! compare-and-swap of that state. So the list was at most newer than the state by units that the state
//! counts. Or it is older, and the admission counts units that were given back meanwhile: races
//! between the two err on the side of counting.
//!
//! *What leaves the list.* A new list is made of those entries of the old one that speak of the `len` marks
//! of the state. A thread that commits a mark after which none does voids the note. Nobody misses the others:
//! a call is judged at the newest mark or later, and those marks have left the window by then. A thread
//! that has an older state finds out when it looks at the state again, since the state is
//! published with the note.
//!
//! While there is a list, no note is kept, and calls take the long way.

use crate::window::given_back::{self, Entry};
use crate::window::note::Noted;
use crate::window::snapshot::{Snapshot, Usage};
use crate::window::timeline::Timeline;
use crate::window::window::Window;

/// Names the mark that units were counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct MarkId {
    /// Its tick.
    pub(crate) tick: u64,
    /// The state that counted the units: that mark is its newest, and holds the unit before its `cum`.
    pub(crate) at: u64,
}

impl Window {
    /// Gives up to `count` units back, oldest first. Returns how many, or `None` if dead.
    pub(crate) fn refund(&self, timeline: &Timeline, now: u64, count: u64) -> Option<u64> {
        self.give_back(timeline, now, |snapshot, usage, tick| {
            let mut wanted = count.min(usage.units);
            let mut entries = Vec::new();
            for age in (1..=usage.live).rev() {
                if wanted == 0 {
                    break;
                }
                let left = snapshot.left(age, tick);
                let units = wanted.min(left.units);
                if units > 0 {
                    wanted -= units;
                    entries.push(Entry { units, ..left });
                }
            }
            entries
        })
    }

    /// Gives up to `count` units back of the mark named. Returns how many: fewer if that many are not
    /// counted there any more. `None` if dead.
    pub(crate) fn undo(
        &self,
        timeline: &Timeline,
        now: u64,
        mark: MarkId,
        count: u64,
    ) -> Option<u64> {
        self.give_back(timeline, now, |snapshot, usage, tick| {
            let left = snapshot.find(mark, usage, tick);
            let units = left.map_or(0, |left| left.units.min(count));
            left.filter(|_| units > 0).map(|left| Entry { units, ..left }).into_iter().collect()
        })
    }

    /// Gives back what is chosen, in the order of the marks. Returns how much.
    fn give_back(
        &self,
        timeline: &Timeline,
        now: u64,
        choose: impl Fn(&Snapshot<'_>, &Usage, u64) -> Vec<Entry>,
    ) -> Option<u64> {
        let mut pin = None;
        loop {
            let snapshot = self.snapshot(timeline, &mut pin)?;
            let (usage, tick) = self.look(&snapshot, now);
            let chosen = choose(&snapshot, &usage, tick);
            let entries = if chosen.is_empty() {
                Vec::new()
            } else {
                merged(snapshot.entries(tick), &chosen)
            };
            if !self.holds(&snapshot) {
                continue;
            }
            let units = chosen.iter().map(|entry| entry.units).sum();
            if units == 0 || given_back::publish(&self.note, snapshot.note, &entries) {
                return Some(units);
            }
        }
    }

    /// Drops a list of which nothing counts since a mark of `tick` was committed to this state.
    /// `false`: there is another.
    #[cold]
    pub(in crate::window) fn forget_list(&self, snapshot: &Snapshot<'_>, tick: u64) -> bool {
        // A note like none before, see `note`. Release, by `Note::replace`: orders the state that
        // outdates the list before its absence, for those who acquire that and look at the
        // state again.
        let void = Noted::void(snapshot.layout, snapshot.cum(), tick);
        given_back::replace(&self.note, snapshot.note, void)
    }
}

impl Snapshot<'_> {
    /// The units left of the mark that is `age` marks before the next one; `tick` is not before it.
    fn left(&self, age: u64, tick: u64) -> Entry {
        let (tick, start) = self.name(age, tick);
        let given = self.given_back.between(tick, start, tick);
        // Modulo the range of counts, as in `usage`.
        let units = self.layout.units_between(start.wrapping_add(given), self.end(age));
        Entry { tick, start, units }
    }

    /// The units left of the mark named, if it is inside.
    fn find(&self, id: MarkId, usage: &Usage, tick: u64) -> Option<Entry> {
        let layout = self.layout;
        let age = layout.marks_between(layout.tail(id.at).wrapping_sub(1), self.tail());
        if age == 0 || age > usage.live {
            return None;
        }
        let left = self.left(age, tick);
        // The named mark holds, or has given back, this unit: one of another life of the key does not.
        let unit = layout.units_between(left.start, layout.cum(id.at).wrapping_sub(1));
        let given = self.given_back.between(left.tick, left.start, left.tick);
        (left.tick == id.tick && unit < left.units + given).then_some(left)
    }
}

/// Entries of a list with others added, all in the order of their marks.
fn merged(entries: impl Iterator<Item = Entry>, chosen: &[Entry]) -> Vec<Entry> {
    let mut merged: Vec<Entry> = entries.chain(chosen.iter().copied()).collect();
    merged.sort_by_key(|entry| entry.tick);
    merged.dedup_by(|later, earlier| {
        let is_same = later.tick == earlier.tick;
        if is_same {
            earlier.units += later.units;
        }
        is_same
    });
    merged
}
