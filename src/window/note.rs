//! The note: one word beside the marks, for what does not follow from them, or not quickly.
//!
//! ```text
//! kind    | position                              | tick
//! list    | the address of a list of units given back, see `undo`
//! kept    | `start` of the oldest mark inside     | the newest mark's
//! claim   | `cum` of a state                      | the newest mark's
//! void    | whatever it was; where there was a list, see below
//! ```
//!
//! `undo` explains lists. The other kinds are a shortcut: with a *kept* note a call in the newest mark's
//! tick needs neither the marks nor the protection of the ring that they are in. A list replaces it, and
//! while there is a list nothing is kept. Windows whose marks are inline never keep a note: reading the
//! marks costs no more.
//!
//! # A kept note is true
//!
//! *A thread that loads the state, then a kept note, and then finds the state unchanged, has in the
//! note what the marks of that state say.* Marks are looked at through `(tail, len)`, so this asks
//! that every change of those be preceded by the end of the note, and that no note appear late:
//!
//! 1. A thread that commits a mark, or anything else that changes more of the state than the units, has
//!    loaded the note after the state, and first voids it if it is kept or a claim.
//! 2. A thread that adds units in the newest tick of a state `s`, and finds no note kept, puts a claim to
//!    `s` there, or finds one there, then commits the units, and then turns that same claim into a
//!    kept note. Only one thread's units are committed at `s`, so there is only one to do that.
//! 3. A claim to `s` is put there only over a note that was loaded while the state was `s`, and
//!    never over one that was a claim to `s` before, voided, nor over a list. Hence it is there at
//!    most once.
//!
//! Say that the units of claim `s` were committed. A thread that later commits a mark has loaded a state
//! no older than the one that followed `s`, so it finds that claim or its replacement: the claim or
//! the kept note it voids, and what was replaced does not come back, by 3. Either way no note made
//! from the claim remains when the mark is committed, nor appears later.
//!
//! To compare a note with one loaded while the state was `s`, no word may come back. Kept notes and claims
//! do not, by the above, nor do they as void ones. Lists do not, since a thread that has
//! loaded the address of one is pinned. A list of which nothing counts any more, since a mark was committed, gives
//! way to a void note of that mark's start and tick: the list was there before the mark was, so no
//! note before it was of both. (All this is modulo the ranges of ticks and counts, as in `window`.)
//!
//! Each of these is one compare-and-swap that is not repeated; where it fails, another thread was
//! faster, and calls still go through the marks.

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::window::given_back;
use crate::window::layout::Layout;

const VOID: u64 = 0;
const LIST: u64 = 1;
const CLAIM: u64 = 2;
const KEPT: u64 = 3;

/// The word, shared by all threads.
pub(crate) struct Note(AtomicU64);

/// The note's content when it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Noted(u64);

impl Note {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(VOID))
    }

    #[inline]
    pub(crate) fn load(&self) -> Noted {
        // Acquire: pairs with every change below. A note that belongs to a newer state than the
        // caller's is thereby found out when the caller looks at the state again.
        Noted(self.0.load(Ordering::Acquire))
    }

    /// Puts `next` in place of `found`. `false`: the note has changed.
    #[inline]
    pub(crate) fn replace(&self, found: Noted, next: Noted) -> bool {
        self.0
            .compare_exchange(
                found.0,
                next.0,
                // AcqRel: Release publishes the list, and the state that this was made for, pairs
                // with `load`;
                // Acquire orders a list after the one it replaces, which is about to be reclaimed.
                Ordering::AcqRel,
                // Relaxed: what is there instead is not looked at.
                Ordering::Relaxed,
            )
            .is_ok()
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        // Relaxed: exclusive access has ordered everything that came before.
        given_back::free(Noted(self.0.load(Ordering::Relaxed)));
    }
}

impl Noted {
    /// The list at this address, whose lower two bits are 0.
    pub(crate) fn of_list(address: usize) -> Self {
        Self(Layout::of_kind(address as u64, LIST))
    }

    /// No list any more.
    pub(crate) fn void(layout: &Layout, position: u64, tick: u64) -> Self {
        Self(layout.note(position, tick, VOID))
    }

    /// The newest mark is of `tick`, and what counts there begins at `base`.
    pub(crate) fn kept(layout: &Layout, base: u64, tick: u64) -> Self {
        Self(layout.note(base, tick, KEPT))
    }

    /// A claim to the state with this `cum`.
    pub(crate) fn claim(layout: &Layout, cum: u64, tick: u64) -> Self {
        Self(layout.note(cum, tick, CLAIM))
    }

    /// This, void.
    pub(crate) fn voided(self) -> Self {
        Self(Layout::of_kind(self.0, VOID))
    }

    #[inline]
    pub(crate) fn is_list(self) -> bool {
        Layout::note_kind(self.0) == LIST
    }

    /// The address of a list.
    #[inline]
    pub(crate) fn list(self) -> Option<usize> {
        #[expect(clippy::cast_possible_truncation, reason = "an address")]
        self.is_list().then_some(Layout::of_kind(self.0, 0) as usize)
    }

    #[inline]
    pub(crate) fn is_kept(self) -> bool {
        Layout::note_kind(self.0) == KEPT
    }

    /// Whether it speaks of marks, or may come to.
    #[inline]
    pub(crate) fn ends_with_marks(self) -> bool {
        self.0 & CLAIM != 0
    }

    /// Whether `claim` may take its place: it is no list, nothing kept, and was not that claim
    /// before.
    #[inline]
    pub(crate) fn yields_to(self, claim: Self, layout: &Layout) -> bool {
        match Layout::note_kind(self.0) {
            VOID => self.position(layout) != claim.position(layout),
            CLAIM => true,
            _ => false,
        }
    }

    #[inline]
    pub(crate) fn position(self, layout: &Layout) -> u64 {
        layout.note_position(self.0)
    }

    /// Whether its tick is `now`, which must not be more than a half of their range away.
    #[inline]
    pub(crate) fn is_of(self, layout: &Layout, now: u64) -> bool {
        layout.is_note_of(self.0, now)
    }
}
