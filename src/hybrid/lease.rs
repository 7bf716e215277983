//! A lease: units of one key that the server has granted and counted, for this process to spend until
//! the lease ends. Imports only [`crate::sync`]; plain integers in and out.
//!
//! # Why nothing overshoots
//!
//! Take a window of length `W`, leases of length `L`, and a key of capacity `C`.
//!
//! 1. *The server counts what it grants.* It counts a grant's units from the moment `s` of the grant for
//!    at least `W + L`, and it grants only what fits under `C` beside all that count at `s`.
//! 2. *No grant is spent twice.* Units leave the lease only by a compare-and-swap of [`Lease`]'s word,
//!    either spent or taken back; only units that were taken back are given back to the server, out of
//!    the bucket that they were granted in. So units spent and units given back together are never more
//!    than those granted, and the server still counts all that were spent.
//! 3. *Leases end in time.* Let `t` be the reading of this process's clock that a spending thread brings.
//!    It spends only before the lease's `end`, which is `L` after a reading that was taken before the
//!    request was sent, so before `s`, less a margin by which the two clocks may differ over that
//!    time. By the server's clock, `t` is therefore before `s + L`.
//! 4. *When a unit is spent.* Its time is the later of `t` and `s`. It lies between the call and its return:
//!    `t` was read within the call, and a thread that finds the grant in the lease returns after `s`.
//!    By 3 it lies in `[s, s + L)`.
//!
//! Now take all units spent at times in `(x, x + W]`. By 4 each was granted after `x - L` and up to
//! `x + W`. When the last of their grants was made, the others were less than `W + L` old, so by 1 and 2 the
//! server counted all of their units, and all together were at most `C`. A call of another rate may spend
//! only what was granted under a capacity no larger than its own. The same holds for the hard limit.
//!
//! This asks something of the clocks. The server's is not set forward while a lease lasts, else units in
//! leases held then may overshoot once; Redis alone would lose as much of its window. The process's
//! clock counts the time that the machine is suspended, where the system has such a clock. If the processor's
//! counter stood still meanwhile, that is found out within a millisecond of running again; until then a lease
//! that has ended may be spent, at most what is left of it.
//!
//! # The word
//!
//! ```text
//! bits 32-63   generation: even while a grant may be spent, odd while one replaces another
//! bits  0-31   units left
//! ```
//!
//! The grant's end and [`Terms`] stand beside the word. They belong to the generation.
//!
//! *A thread that spends* loads the word, then end and terms, checks them, and takes its units by a
//! compare-and-swap of the word. If that succeeds, the generation was the same all the while, so end,
//! terms and units are of one grant: check and take are one step.
//!
//! *A thread that renews* closes the word first: a compare-and-swap to the next generation, an odd one, with
//! no units. The units that it found there, the rest of the old grant, are its own from then on. Then it
//! writes end and terms, and stores the word with the new units and the next even generation. Nobody
//! else changes a closed word. Another thread that wants to renew meanwhile is refused with [`Busy`]
//! rather than wait; so if the renewing thread is stopped, other threads find no units here and ask the
//! server.
//!
//! *A thread that takes back* takes all units that are left by a compare-and-swap of the word, and
//! leaves the generation.
//!
//! *No word comes back.* Within a generation the units only go down. A generation comes back after
//! 2^31 renewals: a thread would have to be stopped between its load and its compare-and-swap for
//! that long, some days of a renewal every tenth of a millisecond, and then find its very number of units.
//!
//! *The end and terms of another generation are never used.* Say that a thread loads the word of one
//! generation and then part of the terms of a later one. It loads those by Acquire, from a Release store that
//! comes after the word was closed, so it must find the word changed: its compare-and-swap fails. An outcome
//! that takes nothing is told only after the word was loaded again and its generation was the same.
//!
//! Nobody waits: a loop goes round only where another thread has spent, taken back or renewed.

use crate::sync::atomic::{AtomicU64, Ordering};

/// The most units that a lease holds. More of a grant is never spent.
pub(crate) const MOST_UNITS: u64 = UNITS;

/// The highest bit of a note.
pub(crate) const OWN_RATE: u64 = 1 << 63;

/// The bits of the units in the word.
const UNITS: u64 = (1 << 32) - 1;
/// One generation in the word.
const GENERATION: u64 = 1 << 32;

/// On one cache line, since a call that spends reads all of it.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Lease {
    word: AtomicU64,
    end: AtomicU64,
    tick: AtomicU64,
    capacity: AtomicU64,
    free: AtomicU64,
    note: AtomicU64,
}

/// Units from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) units: u64,
    /// The first moment at which they can no longer be spent, by the clock of those who spend.
    pub(crate) end: u64,
    pub(crate) terms: Terms,
}

/// What else is known of a grant. Its units are for calls whose capacity is at least the grant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    /// The server's bucket that its units are counted in.
    pub(crate) tick: u64,
    /// The capacity that it was granted under.
    pub(crate) capacity: u64,
    /// Units that were still free on the server after the grant.
    pub(crate) free: u64,
    /// For those who spend. With [`OWN_RATE`] set, only calls of the grant's very capacity may.
    pub(crate) note: u64,
}

impl Terms {
    #[inline]
    fn suit(&self, capacity: u64) -> bool {
        if self.note & OWN_RATE == 0 {
            capacity >= self.capacity
        } else {
            capacity == self.capacity
        }
    }
}

/// The outcome of a call that wants to spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spend {
    Spent {
        /// Units left after it.
        left: u64,
        terms: Terms,
    },
    /// The caller did not admit itself. That takes no units, so it may be that none are left.
    Declined { left: u64, terms: Terms },
    /// Fewer units are left than the call needs, perhaps none.
    TooFew { left: u64 },
    /// The lease's time is over, or there never was one.
    Ended,
    /// The lease was granted to calls of another rate; see [`Terms`].
    OtherRate,
}

/// Units that were taken back, to be given back to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rest {
    pub(crate) units: u64,
    /// The bucket that they were granted in.
    pub(crate) tick: u64,
}

/// A lease as it is held at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) units: u64,
    pub(crate) end: u64,
}

/// Another thread is renewing the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busy;

impl Lease {
    /// It holds nothing.
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            end: AtomicU64::new(0),
            tick: AtomicU64::new(0),
            capacity: AtomicU64::new(0),
            free: AtomicU64::new(0),
            note: AtomicU64::new(0),
        }
    }

    /// Takes `count` units for a call that read the clock at `now` and is under `capacity`, if `admits`
    /// agrees with the grant's note.
    #[inline]
    pub(crate) fn spend(
        &self,
        now: u64,
        count: u64,
        capacity: u64,
        admits: impl Fn(u64) -> bool,
    ) -> Spend {
        self.decide(now, count, capacity, admits, true)
    }

    /// The outcome of [`Lease::spend`], without taking units.
    #[inline]
    pub(crate) fn look(
        &self,
        now: u64,
        count: u64,
        capacity: u64,
        admits: impl Fn(u64) -> bool,
    ) -> Spend {
        self.decide(now, count, capacity, admits, false)
    }

    #[inline]
    fn decide(
        &self,
        now: u64,
        count: u64,
        capacity: u64,
        admits: impl Fn(u64) -> bool,
        takes: bool,
    ) -> Spend {
        // Acquire: pairs with the store that ends `renew`, so that the loads of end and terms below see
        // this generation's or later ones.
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let left = word & UNITS;
            if word & GENERATION != 0 {
                return Spend::TooFew { left };
            }
            let (end, terms) = (self.end(), self.terms());
            let outcome = if now >= end {
                Spend::Ended
            } else if !terms.suit(capacity) {
                Spend::OtherRate
            } else if !admits(terms.note) {
                Spend::Declined { left, terms }
            } else if left < count {
                Spend::TooFew { left }
            } else if takes {
                // Relaxed on success: end and terms were acquired by the loads above, and a
                // read-modify-write keeps what `renew` has released for the next that acquires. Acquire
                // on failure: as the load above.
                let taken = self.word.compare_exchange(
                    word,
                    word - count,
                    Ordering::Relaxed, // as above
                    Ordering::Acquire, // as above
                );
                match taken {
                    Ok(_) => return Spend::Spent { left: left - count, terms },
                    Err(newer) => {
                        word = newer;
                        continue;
                    }
                }
            } else {
                Spend::Spent { left: left - count, terms }
            };
            match self.still(word) {
                Ok(()) => return outcome,
                Err(newer) => word = newer,
            }
        }
    }

    /// The units, and when they end.
    pub(crate) fn held(&self) -> Held {
        // Acquire: as in `decide`.
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let held = Held { units: word & UNITS, end: self.end() };
            match self.still(word) {
                Ok(()) => return held,
                Err(newer) => word = newer,
            }
        }
    }

    /// Replaces the lease, ended or not, and takes back the rest of it. [`Busy`]: another thread is
    /// doing so, and the grant was not taken.
    pub(crate) fn renew(&self, grant: Grant) -> Result<Option<Rest>, Busy> {
        // Relaxed: only the exchange below acts on it.
        let mut word = self.word.load(Ordering::Relaxed);
        let closed = loop {
            if word & GENERATION != 0 {
                return Err(Busy);
            }
            let closed = (word & !UNITS) + GENERATION;
            // Acquire on success: pairs with the store that ends an earlier `renew`, so that its tick is
            // read below and its stores come before those below. Relaxed on failure: as above.
            let taken = self.word.compare_exchange(
                word,
                closed,
                Ordering::Acquire, // as above
                Ordering::Relaxed, // as above
            );
            match taken {
                Ok(_) => break closed,
                Err(newer) => word = newer,
            }
        };
        // Relaxed: acquired by the exchange above, and nobody else writes it now.
        let rest = Rest::of(word & UNITS, self.tick.load(Ordering::Relaxed));
        let Grant { units, end, terms } = grant;
        // Release, all five: pair with the loads in `end` and `terms`. A thread that reads one of these
        // words finds that the word was closed.
        self.end.store(end, Ordering::Release);
        self.tick.store(terms.tick, Ordering::Release);
        self.capacity.store(terms.capacity, Ordering::Release);
        self.free.store(terms.free, Ordering::Release);
        self.note.store(terms.note, Ordering::Release);
        let opened = closed.wrapping_add(GENERATION) | units.min(MOST_UNITS);
        // Release: publishes end and terms to the Acquire loads of the word.
        self.word.store(opened, Ordering::Release);
        Ok(rest)
    }

    /// Takes back what is left of a lease that ends at `ended_by` or before.
    pub(crate) fn take_back(&self, ended_by: u64) -> Option<Rest> {
        // Acquire: as in `decide`.
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let units = word & UNITS;
            if units == 0 {
                return None;
            }
            // Acquire: as in `terms`.
            let (end, tick) = (self.end(), self.tick.load(Ordering::Acquire));
            let newer = if end > ended_by {
                match self.still(word) {
                    Ok(()) => return None,
                    Err(newer) => newer,
                }
            } else {
                let taken = self.word.compare_exchange(
                    word,
                    word & !UNITS,
                    Ordering::Relaxed, // as in `decide`
                    Ordering::Acquire, // as in `decide`
                );
                match taken {
                    Ok(_) => return Rest::of(units, tick),
                    Err(newer) => newer,
                }
            };
            word = newer;
        }
    }

    /// Whether end and terms, loaded after this word, are of its generation; else the word now.
    #[inline]
    fn still(&self, word: u64) -> Result<(), u64> {
        // Acquire: as in `decide`, if it has changed. That this load comes after those of end and terms
        // is by their Acquire.
        let newer = self.word.load(Ordering::Acquire);
        if newer & !UNITS == word & !UNITS { Ok(()) } else { Err(newer) }
    }

    #[inline]
    fn end(&self) -> u64 {
        // Acquire: pairs with the store in `renew`, as told at the head of this file.
        self.end.load(Ordering::Acquire)
    }

    #[inline]
    fn terms(&self) -> Terms {
        // Acquire, all four: as in `end`.
        Terms {
            tick: self.tick.load(Ordering::Acquire),
            capacity: self.capacity.load(Ordering::Acquire),
            free: self.free.load(Ordering::Acquire),
            note: self.note.load(Ordering::Acquire),
        }
    }
}

impl Rest {
    fn of(units: u64, tick: u64) -> Option<Self> {
        (units > 0).then_some(Self { units, tick })
    }
}
