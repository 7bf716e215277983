//! Stops asking a server that fails. Imports only [`crate::sync`]; time is an argument.
//!
//! One word holds its state. *Closed*, it counts the failures in a row; `failures` of them open it.
//! *Open*, it holds the time of the next probe: until then no caller goes, and the caller that then moves
//! this time on by a compare-and-swap is the one that probes. A probe that succeeds closes the breaker; one
//! that fails moves the time on again. If a probe never comes back, the time passes, and the next caller
//! probes.
//!
//! A caller that went before the breaker opened may come back after: its success closes the
//! breaker, since the server has answered; its failure says nothing new.

use crate::sync::atomic::{AtomicU64, Ordering};

/// Set: open, the other bits are the time of the next probe. Else: failures in a row.
const OPEN: u64 = 1 << 63;

pub(crate) struct Breaker {
    word: AtomicU64,
    /// Failures in a row that open it; at least 1.
    failures: u64,
    /// Time between probes, in the unit of the `now` that callers pass.
    pause: u64,
}

/// The breaker's word to a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Go, and say how it went.
    Go,
    /// Go, as the only one: all other callers depend on the result.
    Probe,
    /// Do not go; the next probe is after so long.
    Wait(u64),
}

impl Breaker {
    pub(crate) fn new(failures: u32, pause: u64) -> Self {
        Self { word: AtomicU64::new(0), failures: u64::from(failures).max(1), pause }
    }

    /// Whether to go at this moment.
    pub(crate) fn ask(&self, now: u64) -> Pass {
        // Acquire: pairs with the stores below, so that a caller that goes after the breaker closed
        // sees everything that the probe has done.
        let word = self.word.load(Ordering::Acquire);
        if word & OPEN == 0 {
            return Pass::Go;
        }
        let next = word & !OPEN;
        if now < next {
            return Pass::Wait(next - now);
        }
        // AcqRel: as the load above and the stores below. One caller wins a moment.
        let moved = self.word.compare_exchange(
            word,
            self.open_from(now),
            Ordering::AcqRel,  // as above
            Ordering::Relaxed, // what is there instead is not looked at
        );
        // Relaxed on failure: another caller probes, or has closed it; the next call sees which.
        if moved.is_ok() { Pass::Probe } else { Pass::Wait(self.pause) }
    }

    /// The server has answered.
    pub(crate) fn succeeded(&self) {
        // Relaxed: almost always 0 already, and then there is nothing to say.
        if self.word.load(Ordering::Relaxed) != 0 {
            // Release: pairs with the load in `ask`.
            self.word.store(0, Ordering::Release);
        }
    }

    /// The server has failed the caller that was let through as `pass`. Returns whether that opened
    /// the breaker.
    pub(crate) fn failed(&self, pass: Pass, now: u64) -> bool {
        // Relaxed: the exchange below says whether it still holds.
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let next = match (word & OPEN == 0, pass) {
                (true, _) if word + 1 >= self.failures => self.open_from(now),
                (true, _) => word + 1,
                (false, Pass::Probe) => self.open_from(now),
                (false, _) => return false,
            };
            // Release: pairs with the load in `ask`. Relaxed: read again, as above.
            match self.word.compare_exchange(word, next, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return word & OPEN == 0 && next & OPEN != 0,
                Err(newer) => word = newer,
            }
        }
    }

    fn open_from(&self, now: u64) -> u64 {
        OPEN | now.saturating_add(self.pause).min(!OPEN)
    }
}
