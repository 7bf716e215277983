//! The background thread. It renews leases that are in use before they end, gives back what is left of those
//! that have ended, and forgets keys that nobody asks for. Keys are on a list by when they are next due, so
//! that it never looks at all of them.
//!
//! It holds a weak reference, and ends with the last handle. It is started with the first lease; a forked child,
//! which has no such thread, starts one of its own. Where a test sets the time there is none: its
//! work is done by the calls that ask, so that tests are repeatable.

use core::cmp::Reverse;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::collections::{BinaryHeap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError, Weak};
use std::thread::{self, Thread};

use crate::hybrid::claims::Claims;
use crate::hybrid::engine::Engine;
use crate::hybrid::flight::{Asking, usable};
use crate::hybrid::gifts::{Gift, Gifts};
use crate::hybrid::key_state::{KeyState, WindowKey};
use crate::hybrid::lease::Spend;
use crate::hybrid::queue::Queue;
use crate::redis::engine::Strategy;

/// The thread's name, as debuggers and `top -H` show it.
const NAME: &str = "trypema-leases";
/// Keys that one round trip of the thread is about.
const MOST_KEYS: usize = 128;
/// A lease of which less was spent is not renewed before somebody asks.
const LEAST_WISH: u64 = 2;
/// No longer pause, also with nothing to do, in nanoseconds.
const LONGEST_PAUSE: u64 = 1_000_000_000;
/// The pause after a panic.
const RECOVERY: Duration = Duration::from_millis(100);

/// Everything that belongs to one process.
#[derive(Default)]
pub(crate) struct Here {
    pub(crate) queue: Queue,
    /// Units to be given back.
    pub(crate) gifts: Mutex<Gifts>,
    /// Keys, by when they are due.
    list: Mutex<BinaryHeap<Reverse<(u64, WindowKey)>>>,
    keeper: Keeper,
}

#[derive(Default)]
struct Keeper {
    started: AtomicBool,
    thread: Mutex<Option<Thread>>,
    /// When the thread looks at the list again.
    looks_at: AtomicU64,
}

impl<S: Strategy> Engine<S> {
    /// Puts a key on the list, if it is not there.
    pub(crate) fn list(&self, state: &KeyState, key: &WindowKey, due: u64) {
        // Relaxed: the list itself is behind a lock.
        if state.listed.swap(true, Ordering::Relaxed) {
            return;
        }
        let here = self.here.here();
        let mut list = here.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.push(Reverse((due, key.clone())));
        drop(list);
        self.look_by(due);
    }

    /// Has the background thread look by then.
    pub(crate) fn look_by(&self, due: u64) {
        if self.remote.inner.server_time.is_none() {
            self.here.here().keeper.look_by(due, &self.this);
        }
    }

    /// Where a test sets the time, this thread does what is due.
    pub(crate) fn keep_told_time(&self) {
        if self.remote.inner.server_time.is_some() {
            self.keep();
        }
    }

    /// Does all that is due. Returns when to look again.
    fn keep(&self) -> u64 {
        let here = self.here.here();
        let mut given = self.keys_of_gifts();
        // When to look at gifts again whose keys somebody else asks for.
        let mut again = u64::MAX;
        loop {
            let now = self.now();
            let due = {
                let mut list = here.list.lock().unwrap_or_else(PoisonError::into_inner);
                let mut due = Vec::new();
                while due.len() < MOST_KEYS
                    && let Some(Reverse((at, _))) = list.peek()
                    && *at <= now
                    && let Some(Reverse((_, key))) = list.pop()
                {
                    due.push(key);
                }
                if due.is_empty() && given.is_empty() {
                    let mut gifts = self.gifts();
                    // Those of leases that were just renewed, too.
                    if let Some(keys) = gifts.keys_if_new() {
                        given = keys;
                        continue;
                    }
                    let next = list.peek().map_or(u64::MAX, |Reverse((at, _))| *at);
                    let looks_at = next.min(again).min(now.saturating_add(LONGEST_PAUSE));
                    // Relaxed: both locks are held, so that whoever adds to the list or the gifts after this
                    // look sees it.
                    here.keeper.looks_at.store(looks_at, Ordering::Relaxed);
                    return looks_at;
                }
                due
            };
            let mut claims = Claims { engine: self, keys: HashSet::default() };
            let mut asks = Vec::new();
            let mut mine = Vec::new();
            for key in given.drain(given.len().saturating_sub(MOST_KEYS)..) {
                if claims.claim(&key) {
                    mine.extend(self.kept_gifts(&key));
                } else if let Some(window) = self.window_of(&key) {
                    again = again.min(now.saturating_add(usable(window) / 8 + 1));
                }
            }
            for key in due {
                asks.extend(self.attend(key, now, &mut claims, &mut mine));
            }
            if asks.is_empty() && mine.is_empty() {
                continue;
            }
            let results = self.ask_for(&asks, mine, self.remote.deadline());
            for (ask, result) in asks.iter().zip(results) {
                // A lease that was not renewed is looked at again at its end.
                if result.is_err() {
                    self.state(&ask.key, |state| {
                        let end = state.lease.held().end;
                        self.list(state, &ask.key, end.max(now + usable(ask.window) / 8));
                        Some(())
                    });
                }
            }
            drop(claims);
        }
    }

    /// Sees to a key that is due: what to ask for it, if anything.
    fn attend(
        &self,
        key: WindowKey,
        now: u64,
        claims: &mut Claims<'_, S>,
        gifts: &mut Vec<Gift>,
    ) -> Option<Asking<'_>> {
        let window = self.window_of(&key)?;
        let usable = usable(window);
        let mut ask = None;
        let is_idle = self.state(&key, |state| {
            // Relaxed: as in `list`.
            state.listed.store(false, Ordering::Relaxed);
            let held = state.lease.held();
            let renew_at = held.end.saturating_sub(usable / 8);
            if now < renew_at {
                self.list(state, &key, renew_at);
            } else if now < held.end {
                let is_good = matches!(
                    state.lease.look(now, 0, u64::MAX, |_| true),
                    Spend::Spent { terms, .. } if terms.capacity == window.capacity(&state.rate())
                );
                if is_good
                    && state.wish(now, held.units, usable) >= LEAST_WISH
                    && claims.claim(&key)
                {
                    let (key, rate) = (key.clone(), state.rate());
                    ask = Some(Asking { window, key, rate, needs: Vec::new() });
                } else {
                    self.list(state, &key, held.end);
                }
            } else if !claims.claim(&key) {
                // Somebody asks for it just now.
                self.list(state, &key, now + usable / 8 + 1);
            } else {
                let rest = state.lease.take_back(now);
                gifts.extend(rest.map(|rest| self.gift(window, &key, rest, now)));
                let forget_at = state.asked_at().saturating_add(2 * usable);
                if now > forget_at {
                    // While it is claimed nobody renews its lease.
                    state.give_up();
                    return Some(true);
                }
                self.list(state, &key, forget_at + 1);
            }
            Some(false)
        });
        if is_idle == Some(true) {
            self.states.unlink(&key);
        }
        ask
    }
}

impl Keeper {
    /// Has the thread look at the list by then.
    fn look_by<S: Strategy>(&self, due: u64, engine: &Weak<Engine<S>>) {
        // Relaxed, here and below: a thread that is told twice looks once more. While it works the time is past, and
        // it finds what was added when it looks the last time.
        if due < self.looks_at.load(Ordering::Relaxed) {
            let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
            thread.as_ref().inspect(|thread| thread.unpark());
        }
        if !self.started.swap(true, Ordering::Relaxed) {
            let engine = engine.clone();
            let started = thread::Builder::new().name(NAME.to_owned()).spawn(move || work(&engine));
            match started {
                Ok(started) => {
                    let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
                    *thread = Some(started.thread().clone());
                }
                // Leases are renewed by the calls that find them ended, then; and the next one tries again.
                Err(_) => self.started.store(false, Ordering::Relaxed),
            }
        }
    }
}

fn work<S: Strategy>(engine: &Weak<Engine<S>>) {
    while let Some(engine) = engine.upgrade() {
        let kept = catch_unwind(AssertUnwindSafe(|| {
            let looks_at = engine.keep();
            Duration::from_nanos(looks_at.saturating_sub(engine.now()))
        }));
        drop(engine);
        thread::park_timeout(kept.unwrap_or(RECOVERY));
    }
}

impl<S> Drop for Engine<S> {
    fn drop(&mut self) {
        let keeper = &self.here.here().keeper;
        // In a forked child this is another thread's, or nobody's; and a lock that is held there is not waited for.
        if let Ok(thread) = keeper.thread.try_lock() {
            thread.as_ref().inspect(|thread| thread.unpark());
        }
    }
}
