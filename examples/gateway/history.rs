//! The record of every decision, and what it must satisfy.
//!
//! From outside, a decision is known to an interval: it was made at some moment
//! between the clock readings right before and right after the call, both from the limiter's own
//! clock. All checks reason from that alone. They assume nothing about where inside its interval
//! a decision fell, hence never raise a false alarm, however late or often a thread was
//! interrupted; and since an interval is a few microseconds wide as a rule, they rarely miss a
//! promise that was broken.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use trypema::RateLimitDecision;

/// One decision on one unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// The clock before the call: the decision is not older than that.
    pub(crate) before: Duration,
    /// The clock after the call: the decision is not newer than that.
    pub(crate) after: Duration,
    pub(crate) verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Admitted,
    /// With the time after which the client may come back, if it ever may.
    Rejected {
        retry_after: Option<Duration>,
    },
}

impl Call {
    pub(crate) fn new(before: Duration, after: Duration, decision: &RateLimitDecision) -> Self {
        let verdict = if decision.is_allowed() {
            Verdict::Admitted
        } else {
            Verdict::Rejected { retry_after: decision.retry_after() }
        };
        Self { before, after, verdict }
    }

    pub(crate) fn is_admitted(&self) -> bool {
        self.verdict == Verdict::Admitted
    }
}

/// Where the server's threads write their decisions down, by client.
///
/// Its lock is taken after the decision, outside of the interval that is recorded.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    calls: Mutex<HashMap<String, Vec<Call>>>,
}

impl Ledger {
    pub(crate) fn note(&self, client: &str, call: Call) {
        // A thread that panicked while holding the lock left at worst one call unrecorded.
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        match calls.get_mut(client) {
            Some(calls) => calls.push(call),
            None => {
                calls.insert(client.to_owned(), vec![call]);
            }
        }
    }

    /// The record of a client.
    pub(crate) fn history(&self, client: &str) -> History {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        History::new(calls.get(client).cloned().unwrap_or_default())
    }
}

/// All decisions on one client.
#[derive(Debug)]
pub(crate) struct History {
    /// By the reading before the call.
    calls: Vec<Call>,
    /// Those of them that were admitted, in the same order.
    admissions: Vec<Call>,
    /// When the admissions were over, in the order of that.
    ends: Vec<Duration>,
}

impl History {
    pub(crate) fn new(mut calls: Vec<Call>) -> Self {
        calls.sort_by_key(|call| call.before);
        let admissions: Vec<Call> = calls.iter().copied().filter(Call::is_admitted).collect();
        let mut ends: Vec<Duration> = admissions.iter().map(|call| call.after).collect();
        ends.sort_unstable();
        Self { calls, admissions, ends }
    }

    pub(crate) fn calls(&self) -> &[Call] {
        &self.calls
    }

    pub(crate) fn admitted(&self) -> usize {
        self.admissions.len()
    }

    pub(crate) fn rejected(&self) -> usize {
        self.calls.len() - self.admissions.len()
    }

    /// The most units that were admitted within any half-open interval of the window's length.
    /// The limiter promises: never more than the capacity.
    ///
    /// Only admissions whose interval lies inside as a whole are counted, since of any other the
    /// decision may have fallen outside. It is enough to look at the windows that begin where
    /// such an interval begins: a window that begins elsewhere can be moved on to the first
    /// interval inside it, and loses none.
    pub(crate) fn most_in_any_window(&self, window: Duration) -> usize {
        let inside = |first: usize| {
            let end = self.admissions[first].before + window;
            let begun = self.admissions[first..].iter().take_while(|call| call.before < end);
            begun.filter(|call| call.after < end).count()
        };
        (0..self.admissions.len()).map(inside).max().unwrap_or(0)
    }

    /// Rejections while there was room. The limiter promises: none.
    ///
    /// A unit counts for at most a window and a bucket. So when fewer units than the capacity can
    /// have been admitted since then, there was room whatever the exact moments were.
    pub(crate) fn rejected_with_room(
        &self,
        capacity: u64,
        window: Duration,
        bucket: Duration,
    ) -> usize {
        let had_room = |call: &&Call| {
            let oldest = call.before.saturating_sub(window + bucket);
            !call.is_admitted() && (self.admissions_touching(oldest, call.after) as u64) < capacity
        };
        self.calls.iter().filter(had_room).count()
    }

    /// Rejections that named a time after which the client, having used nothing since, was
    /// rejected again. The limiter promises: none.
    pub(crate) fn told_too_little(&self) -> usize {
        let in_vain = |call: &&Call| {
            let Verdict::Rejected { retry_after: Some(wait) } = call.verdict else { return false };
            // The first call that surely came late enough. If something was admitted in between,
            // perhaps even between the rejection's decision and its answer, the time that was
            // named no longer holds, and nothing can be said.
            let due = call.after + wait;
            let next = self.calls.partition_point(|later| later.before < due);
            self.calls.get(next).is_some_and(|back| {
                !back.is_admitted() && self.admissions_touching(call.before, back.after) == 0
            })
        };
        self.calls.iter().filter(in_vain).count()
    }

    /// Rejections that named a time, or none at all, although the client was admitted more than
    /// a millisecond sooner. The limiter promises: none, since it names the least number of whole
    /// milliseconds.
    pub(crate) fn told_too_much(&self) -> usize {
        let needless = |call: &&Call| {
            let Verdict::Rejected { retry_after } = call.verdict else { return false };
            let next = self.admissions.partition_point(|later| later.before <= call.after);
            self.admissions.get(next).is_some_and(|admitted| {
                retry_after.is_none_or(|wait| {
                    admitted.after + Duration::from_millis(1) < call.before + wait
                })
            })
        };
        self.calls.iter().filter(needless).count()
    }

    /// Admissions whose interval has a moment in common with `from..=to`: those that began by
    /// `to`, without those that ended before `from`.
    fn admissions_touching(&self, from: Duration, to: Duration) -> usize {
        let begun = self.admissions.partition_point(|call| call.before <= to);
        let over = self.ends.partition_point(|&end| end < from);
        begun - over
    }
}
