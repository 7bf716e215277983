//! Parking a thread until it is admitted or has waited long enough.

use core::hash::Hash;
use core::time::Duration;
use std::thread;
use std::time::Instant;

use crate::TrypemaError;
use crate::clock::Source;
use crate::wait::Line;

/// What came of asking once.
pub(crate) enum Attempt {
    Admitted,
    /// No waiting will help.
    Never(TrypemaError),
    /// Not before this has passed on the limiter's clock, unless units are given back.
    Later(Duration),
    /// No key could be stored; `TrypemaError` if that lasts.
    NoRoom(Duration, TrypemaError),
}

/// A wait for one key.
pub(crate) struct Wait<'a, K> {
    pub(crate) line: &'a Line<K>,
    pub(crate) clock: &'a Source,
    pub(crate) timeout: Duration,
}

impl<K: Hash + Eq + Clone> Wait<'_, K> {
    /// Asks until admitted, and returns how long that took. `key` is made only to wait.
    pub(crate) fn run(
        &self,
        key: impl FnOnce() -> K,
        mut attempt: impl FnMut() -> Attempt,
    ) -> Result<Duration, TrypemaError> {
        // Who comes while others wait does not overtake them.
        if self.line.is_empty() {
            match attempt() {
                Attempt::Admitted => return Ok(Duration::ZERO),
                Attempt::Never(error) => return Err(error),
                Attempt::Later(_) | Attempt::NoRoom(..) => {}
            }
        }
        let started = Instant::now();
        let this = thread::current();
        let place = self.line.join(key(), this.clone());
        while !place.is_first() {
            let left = self.left(started).ok_or_else(|| self.timed_out())?;
            thread::park_timeout(left);
        }
        // Watches the clock from before the first attempt, so that no step of it is missed.
        let watch = self.clock.watch(&this);
        loop {
            let (wait, failure) = match attempt() {
                Attempt::Admitted => return Ok(started.elapsed()),
                Attempt::Never(error) => return Err(error),
                Attempt::Later(wait) => (wait, None),
                Attempt::NoRoom(wait, error) => (wait, Some(error)),
            };
            let Some(left) = self.left(started) else {
                return Err(failure.unwrap_or_else(|| self.timed_out()));
            };
            // A clock that is moved by hand says when to look again; others run with real time.
            thread::park_timeout(if watch.is_some() { left } else { left.min(wait) });
        }
    }

    /// Real time that is left, if any.
    fn left(&self, started: Instant) -> Option<Duration> {
        self.timeout.checked_sub(started.elapsed()).filter(|left| !left.is_zero())
    }

    fn timed_out(&self) -> TrypemaError {
        TrypemaError::Timeout { waited: self.timeout }
    }
}
