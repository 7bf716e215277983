//! Giving units back: a refund takes them from the oldest buckets, an undo from the bucket named.
//!
//! # The list
//!
//! Marks and the cumulative count stay as they are. Beside them a window may have a list: which marks
//! have given units back, and how many each (see `given_back`). A list never changes. It is replaced as a
//! whole, by a compare-and-swap of the note, the word that holds its address. Nearly all windows have none.
//!
//! Usage is `cum` less the `start` of the oldest mark inside, as always, and less the units in the list
//! of that mark and of later ones. Those entries, and no others, are of marks inside:
//!
//! - An entry that is later than the oldest mark inside is of a mark inside. For the list that goes with a
//!   state names marks that were committed up to that state. Those of the same life, that is since the
//!   last restart, are inside if they are later than the oldest inside. Those of an earlier life
//!   are not later than any mark of this one (see `window`, "Without marks").
//! - An entry of the oldest mark's tick is of that mark if it has its start. If not, it is of an
//!   earlier life: the window was begun afresh within the tick, and that moves `cum` on by a stride.
//! - The mark of an earlier entry has left the window.
//!
//! Sums are modulo the range of counts: what was admitted, undone and admitted again within a window may
//! be more than a count can tell. What is left of it is not, so the difference is right. A fill-up
//! leaves as many units in the newest mark as a window can hold, past those that were given back of it.
//!
//! # Giving back
//!
//! 1. Load the state, then the note. Look at the marks, and choose how much to take from which: from no
//!    mark more than it holds, less what the list says it has given back.
//! 2. Look at the state again. If it has not changed, all of that was true.
//! 3. Put a list with these units added in the place of the note that was found, by a
//!    compare-and-swap. If that fails, start over.
//!
//! *No unit is given back twice, and none that is not there.* The units of a mark only become more, and
//! only while it is the newest: the choice stays good whatever the state is by step 3. The list that
//! is replaced is the one that the choice was made by: while this thread is pinned, its address is not
//! that of another. (If there was none, there is none now; that there was one in between is no matter.)
//!
//! *Nothing is admitted too much.* An admission loads the list after the state, and commits by a
//! compare-and-swap of that state. If it saw a list that was made for a later state, the state has
//! changed, and the compare-and-swap fails. So all units in the list are units that the state counts.
//! The list may be outdated by then: the admission counts units that were given back meanwhile.
//! Races between the two err towards counting too much. But the list is no older than any list by which
//! the admissions up to this state were judged, since those were published with the state: the usage by
//! this list is no more than the usage that the last of them left.
//!
//! *When entries leave the list.* A new list takes over the entries of the old one for the `len` marks
//! of the state. A thread that commits a mark after which no entry does voids the note. Nobody misses
//! the dropped entries: a call is judged at the newest mark or later, and then those marks have
//! left the window. A thread with an older state finds out when it looks at the state again: the newer
//! one was published with the note.
//!
//! While there is a list, calls take the full protocol instead of the fast path, and no note is kept.

use crate::window::given_back::{self, Entry};
use crate::window::note::Noted;
use crate::window::snapshot::{Snapshot, Usage};
use crate::window::timeline::Timeline;
use crate::window::window::Window;

/// Names the bucket that units were counted in. No other mark of the key has the same name, neither of
/// this window, once it was begun afresh, nor of one that replaced it after a reset: they have
/// another index and hold other cumulative counts, see [`Timeline`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct MarkId {
    /// Its tick.
    pub(crate) tick: u64,
    /// The state that counted the units. The mark is its newest, and holds the unit before its `cum`.
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

    /// Puts `head` in the place of a list none of whose units count since the head's state was committed. If
    /// the list is gone already, or a newer one is there, leaves that.
    #[cold]
    pub(in crate::window) fn forget_list(&self, list: Noted, head: Noted) {
        // A note unlike any before, see `note`. Release, by `Note::replace`: orders the state that
        // outdates the list before its absence, for those who acquire that and look at the
        // state again.
        let _ = given_back::replace_list(&self.note, list, head);
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
