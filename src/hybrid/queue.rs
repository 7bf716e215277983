//! Who asks the server for which key, so that a key is asked for once.
//!
//! A call that finds no units becomes a [`Caller`], and joins the line of its key. A thread that leads a *flight*
//! takes the callers of all keys that are ready, up to a bound, and asks for all of them in one round trip;
//! their threads wait meanwhile. As few flights as possible would keep a caller waiting for a round trip before
//! its own begins; as many as there are callers would share none. So there are up to [`MOST_FLIGHTS`] at a time, and
//! when one has landed, a caller leads the next: that with the most time left, since its deadline is that of all
//! aboard.
//!
//! A key that is asked for is *claimed*: callers who come meanwhile wait for the answer, which may serve them too.
//! Whatever else goes to the server and must not meet an ask of the same key claims it as well: a renewal, units
//! that are given back, a reset.
//!
//! The locks here are held for a few moves of pointers, never while the server is asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::DefaultHashBuilder;
use crate::hybrid::caller::{Caller, Progress, Want};
use crate::hybrid::key_state::WindowKey;
use crate::redis::net::{Deadline, Failure};
use crate::redis::reply::Verdict;

/// Round trips at a time.
pub(crate) const MOST_FLIGHTS: usize = 8;
/// Keys that one round trip asks for.
const MOST_KEYS: usize = 128;
/// Callers that one ask of a key serves.
const MOST_NEEDS: usize = 64;

/// The callers that one ask of a key serves, all of one rate.
pub(crate) struct Together {
    pub(crate) key: WindowKey,
    pub(crate) callers: Vec<Arc<Caller>>,
}

#[derive(Default)]
pub(crate) struct Queue {
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    /// Of keys that are claimed or waited for.
    of: HashMap<WindowKey, Line, DefaultHashBuilder>,
    /// Keys that are waited for and not claimed.
    ready: VecDeque<WindowKey>,
    flights: usize,
}

#[derive(Default)]
struct Line {
    claimed: bool,
    callers: VecDeque<Arc<Caller>>,
}

impl Queue {
    /// Puts callers in the lines of their keys.
    pub(crate) fn join(
        &self,
        callers: impl IntoIterator<Item = (WindowKey, Arc<Caller>)>,
        deadline: Deadline,
    ) {
        let mut lines = self.lock();
        for (key, caller) in callers {
            caller.status().deadline = Some(deadline);
            let line = lines.of.entry(key.clone()).or_default();
            let is_first = line.callers.is_empty() && !line.claimed;
            match caller.want {
                Want::Key if is_first => {
                    line.claimed = true;
                    caller.set(Progress::Claimed);
                }
                _ => {
                    line.callers.push_back(caller);
                    if is_first {
                        lines.ready.push_back(key);
                    }
                }
            }
        }
    }

    /// Begins a flight, if one may begin and callers are ready.
    pub(crate) fn take_off(&self) -> Option<Vec<Together>> {
        let mut lines = self.lock();
        if lines.flights >= MOST_FLIGHTS || lines.ready.is_empty() {
            return None;
        }
        lines.flights += 1;
        Some(lines.board())
    }

    /// The flight that this caller was made the leader of. There may be nobody on it. `None`: it has little time
    /// left, and another leads.
    pub(crate) fn board(&self, leader: &Caller, deadline: Deadline) -> Option<Vec<Together>> {
        let mut lines = self.lock();
        let left = deadline.left();
        if left.is_none_or(|left| left < deadline.whole() / 2) {
            let least = left.map(|_| deadline.ends());
            if lines.best_leader(least, Some(leader)).is_some_and(|other| other.make_leader()) {
                return None;
            }
            if left.is_none() {
                lines.flights -= 1;
                return None;
            }
        }
        Some(lines.board())
    }

    /// Ends a flight. Another caller leads the next, if one is ready.
    pub(crate) fn land(&self) {
        let mut lines = self.lock();
        lines.flights -= 1;
        lines.next_leader();
    }

    /// Claims a key that nobody has claimed or waits for.
    pub(crate) fn claim(&self, key: &WindowKey) -> bool {
        let mut lines = self.lock();
        if lines.of.contains_key(key) {
            return false;
        }
        lines.of.insert(key.clone(), Line { claimed: true, callers: VecDeque::new() });
        true
    }

    /// Ends a claim. `serve` is offered the callers in line, in their order, and says which it has served.
    pub(crate) fn release(&self, key: &WindowKey, mut serve: impl FnMut(&Caller) -> bool) {
        let mut lines = self.lock();
        let Some(line) = lines.of.get_mut(key) else { return };
        // Nobody is served before one who wants the key and came first.
        let upto = line.callers.iter().position(|caller| caller.wants_key());
        let behind = line.callers.split_off(upto.unwrap_or(line.callers.len()));
        line.callers.retain(|caller| !serve(caller));
        line.callers.extend(behind);
        lines.go_on(key);
    }

    /// Leaves the line: its thread waits no longer. The result, if there is one by now; and whether the server
    /// may have been asked.
    pub(crate) fn leave(
        &self,
        key: &WindowKey,
        caller: &Arc<Caller>,
    ) -> (Option<Result<Verdict, Failure>>, bool) {
        let mut lines = self.lock();
        let mut status = caller.status();
        let was = std::mem::replace(&mut status.progress, Progress::Gone);
        let led = std::mem::take(&mut status.leads);
        drop(status);
        if let Some(line) = lines.of.get_mut(key) {
            let before = line.callers.len();
            line.callers.retain(|other| !Arc::ptr_eq(other, caller));
            let was_in_line = line.callers.len() < before;
            if matches!(was, Progress::Claimed) {
                lines.go_on(key);
            } else if was_in_line && !line.claimed {
                lines.ready.retain(|other| other != key);
                lines.go_on(key);
            }
        }
        if led {
            lines.flights -= 1;
            lines.next_leader();
        }
        match was {
            Progress::Done(result) => (Some(result), true),
            was => (None, matches!(was, Progress::Asked)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        // A panic of a user's hash function is not possible: keys are ours.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// Takes the callers of the next keys, and claims these.
    fn board(&mut self) -> Vec<Together> {
        let mut aboard = Vec::new();
        while aboard.len() < MOST_KEYS
            && let Some(key) = self.ready.pop_front()
        {
            let Some(line) = self.of.get_mut(&key) else { continue };
            let mut callers: Vec<Arc<Caller>> = Vec::new();
            while callers.len() < MOST_NEEDS
                && let Some(next) = line.callers.front()
                && next.goes_with(callers.first())
                && let Some(next) = line.callers.pop_front()
            {
                next.set(Progress::Asked);
                callers.push(next);
            }
            line.claimed = true;
            aboard.push(Together { key, callers });
        }
        if !self.ready.is_empty() {
            self.next_leader();
        }
        aboard
    }

    /// After a claim, or with a new first in line: the key goes to the one who wants it, or is ready for the next
    /// flight.
    fn go_on(&mut self, key: &WindowKey) {
        let Some(line) = self.of.get_mut(key) else { return };
        line.claimed = false;
        match line.callers.front() {
            None => {
                self.of.remove(key);
            }
            Some(first) if first.wants_key() => {
                // Callers whose thread has gone are in no line.
                first.set(Progress::Claimed);
                line.claimed = true;
                line.callers.pop_front();
            }
            Some(_) => {
                self.ready.push_back(key.clone());
                self.next_leader();
            }
        }
    }

    /// Makes a caller that is ready lead a flight, if one may begin.
    fn next_leader(&mut self) {
        if self.flights >= MOST_FLIGHTS {
            return;
        }
        if self.best_leader(None, None).is_some_and(|best| best.make_leader()) {
            self.flights += 1;
        }
    }

    /// The caller with the most time left among the last of each line, if it is more than `than`.
    fn best_leader(&self, than: Option<Instant>, except: Option<&Caller>) -> Option<&Arc<Caller>> {
        let last = self.ready.iter().rev().take(MOST_KEYS).filter_map(|key| {
            let last = self.of.get(key)?.callers.back()?;
            Some((last.could_lead_until()?, last))
        });
        let others = last.filter(|(until, last)| {
            than.is_none_or(|than| *until > than)
                && except.is_none_or(|except| !core::ptr::eq(except, Arc::as_ptr(last)))
        });
        others.max_by_key(|(until, _)| *until).map(|(_, best)| best)
    }
}
