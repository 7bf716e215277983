//! The note: one word beside the marks, which spares most calls the look at the ring.
//!
//! ```text
//! none    | 0
//! list    | the address of a list of units given back, see `undo`
//! head    | a mark, and its index: see `layout`
//! ```
//!
//! `undo` explains lists. The *head* of a state is the oldest mark that it counts, mark `tail - len`. Usage is
//! reckoned from it, and it may be in the ring, so a copy of it is put into the note; while there is a
//! list there is none.
//!
//! # A head is true
//!
//! A head tells the index of its mark, and the state tells the index of its head, so a call knows which
//! mark the note holds, and needs nothing but a look at that:
//!
//! 1. A head is put there by a thread that has committed that very mark, or found it committed. Committed
//!    marks do not change. So whatever head is in the note, and however late it came there, it is true of
//!    the mark that it names.
//! 2. Indices name one mark each (modulo their range, as in `window`), also across restarts, fill-ups and
//!    clipping: all of these leave `tail` alone, and the marks that they forget are those before
//!    `tail - len`.
//!
//! The thread whose commit lets marks leave the window puts the new head there, after the commit, by one
//! compare-and-swap that is not repeated. If it sleeps before that, or another thread has changed the
//! note meanwhile, calls find a head of another mark, and go through the marks; the next that commits
//! mends that. Nobody waits.
//!
//! # Words do not come back
//!
//! A list is put in the place of the note by which its units were chosen, so no word may come back that
//! was there before a list:
//!
//! - A head takes the place of a note that was loaded while an earlier state stood, or of none. So heads that
//!   follow each other are of ever later marks.
//! - A list takes over the place of a head, and only a thread that has committed a mark after which no
//!   entry of the list counts puts a head there again: of a mark later than those of all entries,
//!   which are no earlier than the head before.
//! - A list does not come back, since a thread that has loaded the address of one is pinned.

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::window::given_back;
use crate::window::layout::Layout;

const NONE: u64 = 0;

/// The word, shared by all threads.
pub(crate) struct Note(AtomicU64);

/// The note's content when it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Noted(u64);

impl Note {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(NONE))
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
    /// The list at this address, which is even.
    pub(crate) fn of_list(address: usize) -> Self {
        Self(address as u64)
    }

    /// The head of `state`: `mark`.
    #[inline]
    pub(crate) fn head_of(layout: &Layout, state: u64, mark: u64) -> Self {
        let index = layout.tail(state).wrapping_sub(layout.len(state));
        Self(layout.head(index, layout.start(mark), layout.tick(mark)))
    }

    #[inline]
    pub(crate) fn is_list(self) -> bool {
        self.0 & 1 == 0 && self.0 != NONE
    }

    /// The address of a list.
    #[inline]
    pub(crate) fn list(self) -> Option<usize> {
        #[expect(clippy::cast_possible_truncation, reason = "an address")]
        self.is_list().then_some(self.0 as usize)
    }

    /// Whether this is the head of `state`.
    #[inline]
    pub(crate) fn is_head_of(self, layout: &Layout, state: u64) -> bool {
        layout.is_head_of(self.0, state)
    }

    /// The start of the mark that is this head.
    #[inline]
    pub(crate) fn start(self, layout: &Layout) -> u64 {
        layout.start(self.0)
    }

    /// Ticks from this head of a state to its newest mark.
    #[inline]
    pub(crate) fn before(self, layout: &Layout, newest: u64) -> u64 {
        layout.head_before(self.0, newest)
    }
}
