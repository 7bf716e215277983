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
use crate::hybrid::gifts::Gift;
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
/// No longer pause, also with nothing to do.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The pause after a panic.
const RECOVERY: Duration = Duration::from_millis(100);

/// Everything that belongs to one process.
#[derive(Default)]
pub(crate) struct Here {
    pub(crate) queue: Queue,
    /// Units to be given back.
    pub(crate) gifts: Mutex<Vec<Gift>>,
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
        if self.remote.inner.server_time.is_none() {
            here.keeper.look_by(due, &self.this);
        }
    }

    /// Where a test sets the time, this thread does what is due.
    pub(crate) fn keep_told_time(&self) {
        if self.remote.inner.server_time.is_some() {
            self.keep();
        }
    }

    /// Does all that is due. Returns when the next is.
    fn keep(&self) -> Option<u64> {
        let here = self.here.here();
        let mut gifts = self.kept_gifts(None);
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
                if due.is_empty() && gifts.is_empty() {
                    return list.peek().map(|Reverse((at, _))| *at);
                }
                due
            };
            let mut claims = Claims { engine: self, keys: HashSet::default() };
            let mut asks = Vec::new();
            // Those of keys that somebody asks for at present come with the next look.
            let mut mine = Vec::new();
            for gift in gifts.drain(gifts.len().saturating_sub(MOST_KEYS)..) {
                if claims.claim(&gift.key) {
                    mine.push(gift);
                } else {
                    self.keep_gift(gift);
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
        // Relaxed, here and below: a thread that is told twice, or not, looks again within its longest pause.
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
            let next = engine.keep();
            let now = engine.now();
            let pause = next.map(|next| Duration::from_nanos(next.saturating_sub(now)));
            let pause = pause.map_or(LONGEST_PAUSE, |pause| pause.min(LONGEST_PAUSE));
            let looks_at = now.saturating_add(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
            // Relaxed: see `look_by`.
            engine.here.here().keeper.looks_at.store(looks_at, Ordering::Relaxed);
            pause
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
