//! The units that were given back of a window: an immutable list, replaced as a whole. `undo` tells its
//! meaning, `note` how its address is kept.
//!
//! ```text
//! entry   | tick: 64 | start: 64 | up_to: 64 |
//! ```
//!
//! An entry names a mark by its tick, unwrapped, and its start. `up_to` is how many units were given
//! back of this mark and of those before it in the list, so that any sum over the entries is a
//! difference of two of them. Entries are in the order of their marks, one for each mark.

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::epoch::{self, Guard, Owned, Pointer, Shared};
use crate::window::note::{Note, Noted};
use crate::window::words::{Words, filled, initialised};

/// Words of an entry.
const ENTRY: u64 = 3;

/// Units given back of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) tick: u64,
    pub(crate) start: u64,
    pub(crate) units: u64,
}

/// A list of entries, of which there may be none.
#[derive(Clone, Copy)]
pub(crate) struct GivenBack<'a> {
    words: &'a [AtomicU64],
}

impl<'a> GivenBack<'a> {
    /// The list whose address a note holds, if it is of that kind.
    ///
    /// # Safety
    /// The note was loaded after `guard` was pinned.
    #[inline]
    pub(crate) unsafe fn of(noted: Noted, guard: &'a Guard) -> Self {
        let Some(address) = noted.list() else { return Self::none() };
        // SAFETY: the address comes from `Pointer::into_usize` in `publish`.
        let list = unsafe { shared(address, guard) };
        // SAFETY: a list is reclaimed after it was replaced and all guards have gone that were pinned
        // before; the caller's was.
        let words = unsafe { list.deref() };
        // SAFETY: `publish`, which alone makes lists, has them filled.
        Self { words: unsafe { initialised(words) } }
    }

    #[inline]
    pub(crate) fn none() -> Self {
        Self { words: &[] }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Heap bytes.
    pub(crate) fn bytes(&self) -> usize {
        // And its length.
        if self.is_empty() { 0 } else { size_of_val(self.words) + size_of::<usize>() }
    }

    /// Units given back of the mark `(tick, start)` and of later ones.
    pub(crate) fn since(&self, tick: u64, start: u64) -> u64 {
        // Saturating: nothing is known of the mark until the state is looked at again.
        self.total().saturating_sub(self.up_to(self.first(tick, start)))
    }

    /// Units given back of the mark `(tick, start)` and of those that follow up to tick `last`.
    pub(crate) fn between(&self, tick: u64, start: u64, last: u64) -> u64 {
        let before = self.up_to(self.first(tick, start));
        self.up_to(self.later_than(last)).saturating_sub(before)
    }

    /// The entries of the mark `(tick, start)` and of later ones.
    pub(crate) fn entries_since(&self, tick: u64, start: u64) -> impl Iterator<Item = Entry> + '_ {
        (self.first(tick, start)..self.len()).map(|index| Entry {
            tick: self.tick(index),
            start: self.start(index),
            units: self.up_to(index + 1) - self.up_to(index),
        })
    }

    /// The index of the first entry that is of the mark `(tick, start)` or a later one. An entry of
    /// another mark in that tick is of an earlier life of the window; see `undo`.
    fn first(&self, tick: u64, start: u64) -> u64 {
        let index = self.partition_point(|entry| entry < tick);
        let is_of_another =
            index < self.len() && self.tick(index) == tick && self.start(index) != start;
        index + u64::from(is_of_another)
    }

    /// The index of the first entry later than `tick`.
    fn later_than(&self, tick: u64) -> u64 {
        self.partition_point(|entry| entry <= tick)
    }

    /// The index of the first entry for whose tick `is_before` is false; it is true up to there.
    fn partition_point(&self, is_before: impl Fn(u64) -> bool) -> u64 {
        let (mut least, mut most) = (0, self.len());
        while least < most {
            let middle = least + (most - least) / 2;
            if is_before(self.tick(middle)) {
                least = middle + 1;
            } else {
                most = middle;
            }
        }
        least
    }

    #[inline]
    fn len(&self) -> u64 {
        self.words.len() as u64 / ENTRY
    }

    fn total(&self) -> u64 {
        self.up_to(self.len())
    }

    /// Units given back in the entries before `index`.
    fn up_to(&self, index: u64) -> u64 {
        if index == 0 { 0 } else { self.word(index - 1, 2) }
    }

    fn tick(&self, index: u64) -> u64 {
        self.word(index, 0)
    }

    fn start(&self, index: u64) -> u64 {
        self.word(index, 1)
    }

    fn word(&self, index: u64, part: u64) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "below the slice's length")]
        let word = &self.words[(index * ENTRY + part) as usize];
        // Relaxed: never changed, and published with the address; see `Note::replace`.
        word.load(Ordering::Relaxed)
    }
}

/// Puts a list of `entries`, which are in order, into a note that holds `found`. `false`: the note
/// has changed.
pub(crate) fn publish(note: &Note, found: Noted, entries: &[Entry]) -> bool {
    let sums = entries.iter().scan(0, |sum: &mut u64, entry| {
        *sum += entry.units;
        Some([entry.tick, entry.start, *sum])
    });
    let words: Vec<u64> = sums.flatten().collect();
    #[expect(clippy::cast_possible_truncation, reason = "below the length of a vector")]
    let list = filled(words.len(), |index| words[index as usize]);
    let address = list.into_usize();
    if replace_list(note, found, Noted::of_list(address)) {
        return true;
    }
    // SAFETY: the address of the list just made, which nobody else has seen.
    drop(unsafe { <Owned<Words> as Pointer<Words>>::from_usize(address) });
    false
}

/// Puts `next` into a note that holds `found`, and has the list that it held reclaimed. `false`: the
/// note has changed.
pub(crate) fn replace_list(note: &Note, found: Noted, next: Noted) -> bool {
    let guard = epoch::pin();
    let is_replaced = note.replace(found, next);
    if is_replaced && let Some(address) = found.list() {
        // SAFETY: the address comes from `Pointer::into_usize` in `publish`.
        let list = unsafe { shared(address, &guard) };
        // SAFETY: the list cannot be reached any more by threads that pin from now on, and only the
        // one thread that replaced it comes here. Its words need no drop.
        unsafe { guard.defer_destroy(list) };
    }
    is_replaced
}

/// Frees the list of a note that nobody can reach any more.
pub(crate) fn free(noted: Noted) {
    let Some(address) = noted.list() else { return };
    // SAFETY: the caller's exclusive access; the address comes from `Pointer::into_usize`.
    drop(unsafe { <Owned<Words> as Pointer<Words>>::from_usize(address) });
}

/// # Safety
/// The address comes from `Pointer::into_usize` of a list.
unsafe fn shared(address: usize, _guard: &Guard) -> Shared<'_, Words> {
    // SAFETY: the caller's promise.
    unsafe { <Shared<'_, Words> as Pointer<Words>>::from_usize(address) }
}
