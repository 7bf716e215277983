//! The deadline of a call, whatever it waits for.

use core::time::Duration;
use std::io;
use std::time::Instant;

/// The time by which a call has to be over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    prepared: Instant,
    at: Instant,
}

impl Deadline {
    pub(crate) fn after(time: Duration) -> Self {
        let prepared = Instant::now();
        Self { prepared, at: prepared + time }
    }

    /// The time left, if any.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.at.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// The time left, or a timeout error.
    pub(crate) fn left_or_timed_out(&self) -> io::Result<Duration> {
        self.left().ok_or_else(|| io::Error::from(io::ErrorKind::TimedOut))
    }

    /// An earlier moment: when half of what is left has passed.
    pub(crate) fn halfway(&self) -> Self {
        let now = Instant::now();
        Self { prepared: now, at: now + self.at.saturating_duration_since(now) / 2 }
    }

    /// An earlier moment: when a tenth of what is left is still left.
    pub(crate) fn nearly(&self) -> Self {
        let now = Instant::now();
        Self { prepared: now, at: now + self.at.saturating_duration_since(now) * 9 / 10 }
    }

    /// The same deadline, counted from now: the next server is given all the time that is left.
    pub(crate) fn rest(&self) -> Self {
        Self { prepared: Instant::now(), at: self.at }
    }

    /// Whether a server asked at `asked` has had a fair time to answer: at least half of the whole time.
    pub(crate) fn was_fair_since(&self, asked: Instant) -> bool {
        asked.elapsed() >= self.whole() / 2
    }

    /// When it is over.
    pub(crate) fn ends(&self) -> Instant {
        self.at
    }

    /// The whole time that was given.
    pub(crate) fn whole(&self) -> Duration {
        self.at.saturating_duration_since(self.prepared)
    }
}
