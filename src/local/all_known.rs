//! Several limits at once, of keys that all have a state: nearly all calls of `inc_all`. Each state is found
//! once, looked at once, and added to. `all` takes the calls that are not decided this way.
//!
//! A state can be read for as long as its map is pinned. So each call is found in a stack frame of its own,
//! which pins its map and calls the next, and the last frame decides.

use core::cell::Cell;
use core::hash::{BuildHasher, Hash};

use crate::key::Lookup;
use crate::local::all::{Added, wait};
use crate::local::call::{Call, Draw};
use crate::local::counters::PerThread;
use crate::local::engine::Engine;
use crate::local::key_state::{KeyState, bucket_of};
use crate::local::windows::Windows;
use crate::thread_exit::{self, Running};
use crate::window::two_steps::{Look, Room};
use crate::window::{Limit, Outcome};
use crate::{Bucket, Buckets, Combined, RateLimit, RateLimitDecision};

/// The most limits that are decided this way.
const MOST: usize = 16;

type Calls<'c, Q> = [(&'c Q, &'c RateLimit, u64)];

/// A call whose state was found and looked at, and the calls before it.
struct Found<'f, 'w, K, V: KeyState, S> {
    before: Option<&'f Found<'f, 'w, K, V, S>>,
    index: usize,
    engine: &'w Engine<K, V, S>,
    per_thread: &'w PerThread,
    state: &'f V,
    count: u64,
    capacity: u64,
    tick: u64,
    room: Room,
    /// What is left after this call: by the look, and then by the addition.
    remaining: Cell<u64>,
    bucket: Cell<Bucket>,
}

/// A refusal, the index of its call, and who counts it.
struct Refused<'w> {
    decision: RateLimitDecision,
    index: usize,
    per_thread: &'w PerThread,
}

/// A list of calls on its way to a decision.
struct Search<'w, 'c, K, V, S, Q>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
    Q: Lookup<K> + ?Sized,
{
    windows: &'w Windows<K, V, S>,
    calls: &'c Calls<'c, Q>,
    running: Running,
    /// The refusal with the longest wait.
    refused: Option<Refused<'w>>,
    /// Additions to be undone when nothing is pinned any more: keys' own code runs there.
    added: Option<Added<'w, 'c, K, V, S, Q>>,
}

impl<K, V, S> Windows<K, V, S>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher + Clone,
{
    /// All of the calls, or nothing. `None`, with nothing counted, of rare calls: one of them is for a new
    /// key, say, or two are for the same, or another thread came first.
    #[inline]
    pub(in crate::local) fn inc_all_known<Q>(&self, calls: &Calls<'_, Q>) -> Option<Combined>
    where
        Q: Lookup<K> + ?Sized,
    {
        if calls.len() > MOST {
            return None;
        }
        let running = thread_exit::running()?;
        Search { windows: self, calls, running, refused: None, added: None }.find(None, 0)
    }
}

impl<'w, K, V, S, Q> Search<'w, '_, K, V, S, Q>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher + Clone,
    Q: Lookup<K> + ?Sized,
{
    /// Finds the call at `index` and all that follow, and decides on them.
    fn find(&mut self, before: Option<&Found<'_, 'w, K, V, S>>, index: usize) -> Option<Combined> {
        let Some(&(key, rate, count)) = self.calls.get(index) else {
            return self.decide(before?);
        };
        let engine = self.windows.of(rate);
        let capacity = engine.usual(rate, count)?;
        let per_thread = engine.counters.known_thread(self.running)?;
        let map = engine.map.pinned(self.running)?;
        let state = map.get(key)?;
        // A key's state is the same one for as long as the map is pinned, unless it dies.
        if chain(before).any(|found| core::ptr::eq(found.state, state)) {
            return None;
        }
        let now = engine.config.read(&per_thread.clock_cache);
        let looked = state.admitted().look_for_room(&engine.timeline, now.tick, count, capacity);
        let (remaining, room) = match looked {
            Look::Fits { usage, room } => (capacity - usage - count, room),
            Look::Full { usage, retry_hint } => {
                let (thread, draw) = (per_thread.number, Draw::lazy());
                let call = Call { rate, count, capacity, now, thread, draw };
                let decision = V::refusal(&engine.context(), &call, usage, retry_hint)?;
                self.refuse(Refused { decision, index, per_thread });
                // The calls that follow are looked at, too, and nothing is added.
                (0, Room::BY_MARKS)
            }
            Look::Dead => return None,
        };
        let found = Found {
            before,
            index,
            engine,
            per_thread,
            state,
            count,
            capacity,
            tick: now.tick,
            room,
            remaining: Cell::new(remaining),
            bucket: Cell::new(Bucket::NONE),
        };
        self.find(Some(&found), index + 1)
    }

    #[cold]
    fn refuse(&mut self, refused: Refused<'w>) {
        // Ties go to the call that comes first.
        if self
            .refused
            .as_ref()
            .is_none_or(|longest| wait(&longest.decision) < wait(&refused.decision))
        {
            self.refused = Some(refused);
        }
    }

    /// Decides on all calls, of which this is the last. `None` if another thread has taken room since the
    /// look.
    fn decide(&mut self, last: &Found<'_, 'w, K, V, S>) -> Option<Combined> {
        if let Some(Refused { decision, index, per_thread }) = &self.refused {
            per_thread.count(decision);
            return Some(Combined::new(*decision, *index));
        }
        if !chain(Some(last)).all(Found::add) {
            self.give_up(last);
            return None;
        }
        let mut tightest = last;
        let mut buckets = Buckets::none(self.calls.len());
        for found in chain(Some(last)) {
            let decision = found.decision();
            found.per_thread.count(&decision);
            buckets.set(found.index, found.bucket.get());
            if decision.remaining() <= tightest.remaining.get() {
                tightest = found;
            }
        }
        Some(Combined { decision: tightest.decision(), tightest: tightest.index, buckets })
    }

    /// Another thread was first: what was added is to be undone.
    #[cold]
    fn give_up(&mut self, last: &Found<'_, 'w, K, V, S>) {
        let mut added = Added::new();
        for found in chain(Some(last)).take_while(|found| found.bucket.get() != Bucket::NONE) {
            let (key, _, count) = self.calls[found.index];
            added.push(found.engine, key, count, found.bucket.get());
        }
        self.added = Some(added);
    }
}

/// This call and those before it, the last first.
fn chain<'f, 'w, K, V: KeyState, S>(
    last: Option<&'f Found<'f, 'w, K, V, S>>,
) -> impl Iterator<Item = &'f Found<'f, 'w, K, V, S>> {
    core::iter::successors(last, |found| found.before)
}

impl<K, V, S> Found<'_, '_, K, V, S>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
{
    /// Adds the units. `false` if they do not fit any more.
    fn add(&self) -> bool {
        match self.state.admitted().take_room(self.tick, self.room) {
            Some(mark) => {
                self.bucket.set(Bucket::new(mark.tick, mark.at));
                true
            }
            None => self.add_slow(),
        }
    }

    #[inline(never)]
    fn add_slow(&self) -> bool {
        let Self { count, capacity, tick, .. } = *self;
        let within = Limit::Within(capacity);
        match self.engine.context().add_slow(self.state.admitted(), tick, count, within) {
            outcome @ Outcome::Admitted { usage, .. } => {
                self.remaining.set(capacity - usage - count);
                self.bucket.set(bucket_of(outcome));
                true
            }
            Outcome::Rejected { .. } | Outcome::Dead => false,
        }
    }

    /// The decision on a call whose units were added.
    fn decision(&self) -> RateLimitDecision {
        RateLimitDecision::allowed(self.remaining.get()).with_bucket(self.bucket.get())
    }
}
