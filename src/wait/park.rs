//! Parking a thread until it is admitted or has waited long enough.

use core::hash::Hash;
use core::time::Duration;
use std::thread;
use std::time::Instant;

use crate::clock::ClockSource;
use crate::wait::WaitQueue;

/// What came of asking once.
pub(crate) enum Attempt {
    Admitted,
    /// Not before this has passed on the limiter's clock, unless units are given back.
    Later(Duration),
}

/// A wait for one key.
pub(crate) struct Wait<'a, K> {
    pub(crate) queue: &'a WaitQueue<K>,
    pub(crate) clock: &'a ClockSource,
    pub(crate) timeout: Duration,
}

/// The wait has taken as long as it may.
pub(crate) struct TimedOut;

impl<K: Hash + Eq + Clone> Wait<'_, K> {
    /// Asks until admitted, and returns how long that took. `key` is made only to wait. What can
    /// never be admitted must not come here.
    pub(crate) fn run(
        &self,
        key: impl FnOnce() -> K,
        mut attempt: impl FnMut() -> Attempt,
    ) -> Result<Duration, TimedOut> {
        // Who comes while others wait does not overtake them.
        if self.queue.is_empty()
            && let Attempt::Admitted = attempt()
        {
            return Ok(Duration::ZERO);
        }
        let started = Instant::now();
        let this = thread::current();
        let place = self.queue.join(key(), this.clone());
        while !place.is_first() {
            thread::park_timeout(self.left(started).ok_or(TimedOut)?);
        }
        // Watches the clock from before the first attempt, so that no step of it is missed.
        let watch = self.clock.watch(&this);
        loop {
            let wait = match attempt() {
                Attempt::Admitted => return Ok(started.elapsed()),
                Attempt::Later(wait) => wait,
            };
            let left = self.left(started).ok_or(TimedOut)?;
            // A clock that is moved by hand says when to look again; others run with real time.
            thread::park_timeout(if watch.is_some() { left } else { left.min(wait) });
        }
    }

    /// Real time that is left, if any.
    fn left(&self, started: Instant) -> Option<Duration> {
        self.timeout.checked_sub(started.elapsed()).filter(|left| !left.is_zero())
    }
}
