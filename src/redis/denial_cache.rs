//! Rejections that need not be asked for again.
//!
//! Until a rejection's hint has passed, a call with the same key, capacity and count can only be rejected
//! again, unless units are given back. So the cache repeats the rejection without asking the server, with
//! the hint less the time that has passed. That time counts from before the server was asked: however late
//! the reply came, no rejection is repeated for longer than it holds. Units given back through this limiter
//! end the rejection at once; units given back elsewhere do when the entry is too old, at most the
//! configured time later.
//!
//! A rejection of several limits at once is that of the tightest one, which keeps it, marked with the whole
//! call: so it is repeated to the same call only. How the others were is known then, and the longest wait
//! stays the longest.
//!
//! A lookup takes no lock. The cache holds one entry for each key, its last rejection, up to a bound.

use core::hash::{BuildHasher, Hash, Hasher};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use papaya::HashMap;

use crate::clock::ClockSource;
use crate::local::guard::guard;
use crate::redis::generations::Generations;
use crate::redis::reply::Verdict;
use crate::{DefaultHashBuilder, Key};

/// Keys that share a generation lose each other's entries when units are given back.
const GENERATIONS: usize = 1024;

pub(crate) struct DenialCache {
    entries: HashMap<Key, Denial, DefaultHashBuilder>,
    hasher: DefaultHashBuilder,
    generations: Generations,
    clock: ClockSource,
    longest_us: u64,
    most: usize,
    /// When to sweep out old entries again, if there is no room.
    next_sweep_us: AtomicU64,
}

/// The part of a call that its rejection depends on, besides the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ask {
    pub(crate) window_ms: u64,
    pub(crate) capacity: u64,
    pub(crate) count: u64,
}

struct Denial {
    ask: Ask,
    /// If it was one of several limits, and the tightest: that call.
    of: Option<Several>,
    generation: u64,
    /// When the call would be admitted, as the server said.
    until_us: u64,
    /// When to ask the server again in any case.
    stale_us: u64,
    left: u64,
    usage: u64,
}

/// A call about several limits, by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Several(u64);

/// When the server was asked, in time and in generation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticket {
    generation: u64,
    asked_us: u64,
}

impl DenialCache {
    /// `None`: nothing is to be remembered.
    pub(crate) fn new(longest: Duration, most: usize, clock: ClockSource) -> Option<Self> {
        if longest.is_zero() || most == 0 {
            return None;
        }
        let hasher = DefaultHashBuilder::default();
        Some(Self {
            entries: HashMap::builder().hasher(hasher.clone()).build(),
            hasher,
            generations: Generations::new(GENERATIONS),
            clock,
            longest_us: u64::try_from(longest.as_micros()).unwrap_or(u64::MAX),
            most,
            next_sweep_us: AtomicU64::new(0),
        })
    }

    /// A call about these limits.
    pub(crate) fn several<'a>(&self, limits: impl Iterator<Item = (&'a str, Ask)>) -> Several {
        let mut hasher = self.hasher.build_hasher();
        limits.for_each(|limit| limit.hash(&mut hasher));
        Several(hasher.finish())
    }

    /// The same rejection again, if it still holds. `of`: only one that was the tightest of that call.
    pub(crate) fn repeat(&self, key: &str, ask: Ask, of: Option<Several>) -> Option<Verdict> {
        let guard = guard(&self.entries);
        let denial = self.entries.get(key, &guard)?;
        if denial.ask != ask || of.is_some() && denial.of != of {
            return None;
        }
        let now = self.now_us();
        if now >= denial.stale_us || denial.generation != self.generations.current(self.hash(key)) {
            return None;
        }
        let wait_us = denial.until_us - now;
        Some(Verdict::Later { wait_us, left: denial.left, usage: denial.usage })
    }

    /// To be called before the server is asked.
    pub(crate) fn ticket(&self, key: &str) -> Ticket {
        // The time first: a rejection may end too early, but not too late.
        let asked_us = self.now_us();
        Ticket { generation: self.generations.current(self.hash(key)), asked_us }
    }

    /// Remembers the server's answer to the call that took the ticket. `of`: the call that it was the
    /// tightest limit of.
    pub(crate) fn remember(
        &self,
        key: &str,
        ask: Ask,
        ticket: Ticket,
        verdict: &Verdict,
        of: Option<Several>,
    ) {
        let &Verdict::Later { wait_us, left, usage } = verdict else { return };
        // The server decided after it was asked: it would admit the call at this moment or later.
        let until_us = ticket.asked_us.saturating_add(wait_us);
        let now = self.now_us();
        let stale_us = until_us.min(now.saturating_add(self.longest_us));
        if stale_us <= now {
            return;
        }
        let guard = guard(&self.entries);
        let is_full = self.entries.len() >= self.most;
        if is_full && !self.entries.contains_key(key, &guard) && !self.make_room(now) {
            return;
        }
        let generation = ticket.generation;
        let denial = Denial { ask, of, generation, until_us, stale_us, left, usage };
        self.entries.insert(Key::from(key), denial, &guard);
    }

    /// To be called when units of the key were given back, or the key was forgotten.
    pub(crate) fn forget(&self, key: &str) {
        self.generations.begin(self.hash(key));
        self.entries.remove(key, &guard(&self.entries));
    }

    /// Drops entries that are too old. Not at every call: that would be a look at all of them.
    #[cold]
    fn make_room(&self, now: u64) -> bool {
        // Relaxed, here and below: it only keeps others from sweeping at the same time.
        let due = self.next_sweep_us.load(Ordering::Relaxed);
        let next = now.saturating_add(self.longest_us / 4);
        if now < due
            || self
                .next_sweep_us
                // Relaxed: as above.
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return false;
        }
        self.entries.retain(|_, denial| now < denial.stale_us, &guard(&self.entries));
        self.entries.len() < self.most
    }

    /// The time in the unit of the server's hints.
    fn now_us(&self) -> u64 {
        self.clock.now_nanos() / 1_000
    }

    fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }
}
