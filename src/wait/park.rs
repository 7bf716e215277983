//! Parking a thread until it is admitted or has waited long enough.

use core::time::Duration;
use std::thread;
use std::time::Instant;

use crate::clock::ClockSource;
use crate::wait::queue::NotJoined;
use crate::wait::{Closed, WaitQueue};

/// The result of asking once.
pub(crate) enum Attempt<T> {
    Admitted(T),
    /// Not before this has passed on the limiter's clock, unless units are given back.
    Later(Duration),
}

/// A wait for one key.
pub(crate) struct Wait<'a, K> {
    pub(crate) queue: &'a WaitQueue<K>,
    /// The key's hash.
    pub(crate) hash: u64,
    pub(crate) clock: &'a ClockSource,
    pub(crate) timeout: Duration,
    pub(crate) closed: &'a Closed,
    pub(crate) max_waiting: usize,
}

/// Why a wait has ended without admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unadmitted {
    /// It has taken as long as it may.
    TimedOut,
    /// The limiter was closed.
    Closed,
    /// The key's line is full.
    TooManyWaiting,
}

impl<K: Eq> Wait<'_, K> {
    /// Asks until admitted, and returns how long that took and the result of `attempt`. The thread has left
    /// the line by then. `key` is called only to wait, or to see whether others wait. Calls that can never
    /// be admitted must not come here.
    pub(crate) fn run<T>(
        &self,
        key: impl Fn() -> K,
        mut attempt: impl FnMut() -> Attempt<T>,
    ) -> Result<(Duration, T), Unadmitted> {
        let Self { queue, hash, max_waiting, .. } = *self;
        self.still_open()?;
        let has_time = !self.timeout.is_zero();
        // If no thread waits for this key, a call asks at once; else it does not overtake those that
        // wait.
        let entry = match queue.is_surely_empty(hash) {
            true => None,
            false if has_time => {
                match queue.join_others(hash, key(), thread::current(), max_waiting) {
                    Ok(entry) => Some(entry),
                    Err(NotJoined::NoLine(_)) => None,
                    Err(NotJoined::Full) => return Err(Unadmitted::TooManyWaiting),
                }
            }
            false if queue.is_waited_for(hash, &key) => return Err(Unadmitted::TimedOut),
            false => None,
        };
        let started = Instant::now();
        let entry = match entry {
            Some(entry) => entry,
            None => {
                if let Attempt::Admitted(admitted) = attempt() {
                    return Ok((Duration::ZERO, admitted));
                }
                if !has_time {
                    return Err(Unadmitted::TimedOut);
                }
                let joined = queue.join(hash, key(), thread::current(), max_waiting);
                joined.ok_or(Unadmitted::TooManyWaiting)?
            }
        };
        // Only once in the line: a thread that closes the limiter then either sees this one waiting, or is
        // seen here.
        self.still_open()?;
        while !entry.is_first() {
            // Looked at again after the time has passed: a turn that has come is not missed.
            let left = self.left(started)?;
            thread::park_timeout(left);
            self.still_open()?;
        }
        // Watches the clock from before the first attempt, so that no step of it is missed.
        let watch = self.clock.watch(&thread::current());
        loop {
            let wait = match attempt() {
                Attempt::Admitted(admitted) => return Ok((started.elapsed(), admitted)),
                Attempt::Later(wait) => wait,
            };
            let left = self.left(started)?;
            // A clock that is moved by hand says when to look again; others run with real time.
            thread::park_timeout(if watch.is_some() { left } else { left.min(wait) });
            self.still_open()?;
        }
    }

    fn still_open(&self) -> Result<(), Unadmitted> {
        if self.closed.is_closed() { Err(Unadmitted::Closed) } else { Ok(()) }
    }

    /// Real time that is left, if any.
    fn left(&self, started: Instant) -> Result<Duration, Unadmitted> {
        let left = self.timeout.checked_sub(started.elapsed());
        left.filter(|left| !left.is_zero()).ok_or(Unadmitted::TimedOut)
    }
}
