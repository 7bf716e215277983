//! A breaker with real time, which remembers why it opened.

use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::redis::net::breaker::{Breaker, Pass};
use crate::redis::net::failure::Kind;
use crate::redis::net::node::Limits;

/// A call's evidence on a server's health.
pub(crate) enum Health {
    Up,
    Down {
        cause: String,
        /// Whether the failure took all the time that the caller had.
        is_slow: bool,
    },
    /// Nothing new.
    Unknown,
}

/// A breaker with real time, which remembers why it opened.
pub(crate) struct Guard {
    breaker: Breaker,
    origin: Instant,
    last: Mutex<Last>,
    /// How many failures a slow one counts for.
    slow_failures: u32,
    pub(crate) pause: Duration,
}

/// Why it opened.
#[derive(Clone, Default)]
struct Last {
    cause: String,
    is_slow: bool,
}

impl Guard {
    pub(crate) fn new(limits: &Limits) -> Self {
        let pause = u64::try_from(limits.pause.as_nanos()).unwrap_or(u64::MAX);
        Self {
            breaker: Breaker::new(limits.failures, pause),
            origin: Instant::now(),
            last: Mutex::default(),
            slow_failures: if limits.is_impatient { limits.failures } else { 1 },
            pause: limits.pause,
        }
    }

    /// Calls the server, unless it has failed too often. `health` judges the server by the result.
    pub(crate) fn run<T>(
        &self,
        act: impl FnOnce() -> T,
        health: impl FnOnce(&T) -> Health,
    ) -> Result<T, Kind> {
        let pass = self.enter()?;
        let done = act();
        self.leave(pass, health(&done));
        Ok(done)
    }

    pub(crate) fn enter(&self) -> Result<Pass, Kind> {
        match self.breaker.ask(self.now()) {
            Pass::Wait(nanos) => Err(self.open(Duration::from_nanos(nanos))),
            pass => Ok(pass),
        }
    }

    pub(crate) fn leave(&self, pass: Pass, health: Health) {
        match health {
            Health::Up => self.breaker.succeeded(),
            Health::Down { cause, is_slow } => {
                *self.lock_last() = Last { cause, is_slow };
                for _ in 0..if is_slow { self.slow_failures } else { 1 } {
                    self.breaker.failed(pass, self.now());
                }
            }
            Health::Unknown => {}
        }
    }

    pub(crate) fn open(&self, retry_after: Duration) -> Kind {
        Kind::BreakerOpen { cause: self.lock_last().cause.clone(), retry_after }
    }

    /// Whether the last failure took all the time there was.
    pub(crate) fn was_slow(&self) -> bool {
        self.lock_last().is_slow
    }

    fn lock_last(&self) -> MutexGuard<'_, Last> {
        // Nothing that could panic runs while it is held.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
