//! A call that waits for units, or for a key to be free: what it wants, and how it is doing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::Instant;

use crate::RateLimit;
use crate::redis::net::{Deadline, Failure};
use crate::redis::reply::Verdict;

/// A call that waits for units, or for a key to be free.
pub(crate) struct Caller {
    pub(crate) want: Want,
    status: Mutex<Status>,
    thread: Thread,
}

/// The purpose of a caller.
pub(crate) enum Want {
    /// So many units under this rate. The draw is Suppressed's.
    Units { rate: RateLimit, count: u64, draw: f64 },
    /// The key, for a request of its own.
    Key,
}

pub(crate) struct Status {
    pub(crate) progress: Progress,
    /// Since it joined.
    pub(crate) deadline: Option<Deadline>,
    /// It is to lead the next flight, whatever becomes of it meanwhile.
    pub(crate) leads: bool,
}

pub(crate) enum Progress {
    Waiting,
    /// The server has been asked.
    Asked,
    /// It has its units, or not; or the key.
    Done(Result<Verdict, Failure>),
    Claimed,
    /// Its thread has gone.
    Gone,
}

/// How a caller is doing.
pub(crate) enum Turn {
    Waits,
    Leads,
    Done(Result<Verdict, Failure>),
    Claimed,
}

impl Caller {
    pub(crate) fn new(want: Want) -> Arc<Self> {
        let status =
            Mutex::new(Status { progress: Progress::Waiting, deadline: None, leads: false });
        Arc::new(Self { want, status, thread: thread::current() })
    }

    /// What has become of it. A result is told once.
    pub(crate) fn turn(&self) -> Turn {
        let mut status = self.status();
        if std::mem::take(&mut status.leads) {
            return Turn::Leads;
        }
        match std::mem::replace(&mut status.progress, Progress::Gone) {
            Progress::Done(result) => Turn::Done(result),
            other => {
                let is_claimed = matches!(other, Progress::Claimed);
                status.progress = other;
                if is_claimed { Turn::Claimed } else { Turn::Waits }
            }
        }
    }

    /// Tells its thread the result. `false`: nobody waits for it any more.
    pub(crate) fn tell(&self, result: Result<Verdict, Failure>) -> bool {
        self.set(Progress::Done(result))
    }

    pub(crate) fn set(&self, new: Progress) -> bool {
        let mut status = self.status();
        if matches!(status.progress, Progress::Gone) {
            return false;
        }
        let goes_on = !matches!(new, Progress::Asked);
        status.progress = new;
        drop(status);
        if goes_on {
            self.thread.unpark();
        }
        true
    }

    /// Makes it the leader of the next flight. `false`: it is one already, or its thread has gone.
    pub(crate) fn make_leader(&self) -> bool {
        let mut status = self.status();
        if status.leads || matches!(status.progress, Progress::Gone) {
            return false;
        }
        status.leads = true;
        drop(status);
        self.thread.unpark();
        true
    }

    /// When its time is over, if it could be made a leader.
    pub(crate) fn could_lead_until(&self) -> Option<Instant> {
        let status = self.status();
        if status.leads || matches!(status.progress, Progress::Gone) {
            return None;
        }
        status.deadline.map(|deadline| deadline.ends())
    }

    /// Whether it can be served by the same ask as another.
    pub(crate) fn goes_with(&self, first: Option<&Arc<Self>>) -> bool {
        match (&self.want, first.map(|first| &first.want)) {
            (Want::Units { .. }, None) => true,
            (Want::Units { rate, .. }, Some(Want::Units { rate: other, .. })) => rate == other,
            _ => false,
        }
    }

    pub(crate) fn wants_key(&self) -> bool {
        matches!(self.want, Want::Key)
    }

    pub(crate) fn status(&self) -> MutexGuard<'_, Status> {
        // Nothing that could panic runs while it is held.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
