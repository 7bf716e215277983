//! Several limits at once: all or nothing.
//!
//! Under Absolute a call first looks whether all of it fits, and only then adds to one key after the
//! other. Under Suppressed each key draws for itself, in order. If a key turns the call away after
//! others were added to, these are undone: exactly those units, in their very buckets. So no limit is
//! ever overshot, and a call that is turned away leaves no units behind, whoever else adds meanwhile.
//!
//! Two calls that meet on the same keys may turn each other away; each then looks again, a few times, and
//! answers by what stood in its way.
//!
//! Most calls are decided by a quicker way, told in `all_known`. What is here decides all of them.

use core::cell::OnceCell;
use core::cmp::Reverse;
use core::hash::{BuildHasher, Hash};
use core::time::Duration;
use std::panic::{self, AssertUnwindSafe};

use crate::key::Lookup;
use crate::local::engine::Engine;
use crate::local::key_state::KeyState;
use crate::local::windows::Windows;
use crate::{Bucket, Combined, RateLimit, RateLimitDecision};

/// How often a call whose look says that it fits tries to add, while other threads keep coming first.
const ROUNDS: usize = 8;

/// The calls of one key in one window: judged together.
struct Group<'c, K, V: KeyState, S, Q: ?Sized> {
    engine: &'c Engine<K, V, S>,
    key: &'c Q,
    /// The key, owned, once it was compared with another.
    owned: OnceCell<K>,
    /// The sum of the counts.
    total: u64,
    /// The rate that allows the least, and the index of its call.
    rate: &'c RateLimit,
    capacity: u64,
    index: usize,
}

/// The decision of a group that turns the call away.
struct Refusal {
    decision: RateLimitDecision,
    /// The index of the group.
    at: usize,
}

/// Additions that are undone when this is dropped, so that a panic undoes them, too.
pub(in crate::local) struct Added<'w, 'c, K, V, S, Q>(Vec<Addition<'w, 'c, K, V, S, Q>>)
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
    Q: Lookup<K> + ?Sized;

struct Addition<'w, 'c, K, V: KeyState, S, Q: ?Sized> {
    engine: &'w Engine<K, V, S>,
    key: &'c Q,
    count: u64,
    bucket: Bucket,
}

impl<'w, 'c, K, V, S, Q> Added<'w, 'c, K, V, S, Q>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
    Q: Lookup<K> + ?Sized,
{
    pub(in crate::local) fn new() -> Self {
        Self(Vec::new())
    }

    pub(in crate::local) fn push(
        &mut self,
        engine: &'w Engine<K, V, S>,
        key: &'c Q,
        count: u64,
        bucket: Bucket,
    ) {
        self.0.push(Addition { engine, key, count, bucket });
    }

    /// All were admitted: nothing is undone.
    fn keep(&mut self) {
        self.0.clear();
    }
}

impl<K, V, S, Q> Drop for Added<'_, '_, K, V, S, Q>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
    Q: Lookup<K> + ?Sized,
{
    fn drop(&mut self) {
        for &Addition { engine, key, count, bucket } in &self.0 {
            // A key's own code may panic here: that costs neither the other additions nor the process.
            let undo = || engine.undo(key, bucket, count);
            let _ = panic::catch_unwind(AssertUnwindSafe(undo));
        }
    }
}

/// Groups, and for each call which of them it is in.
type Grouped<'c, K, V, S, Q> = (Vec<Group<'c, K, V, S, Q>>, Vec<Option<usize>>);

impl<K, V, S> Windows<K, V, S>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher + Clone,
{
    /// All of the calls, or nothing.
    pub(crate) fn inc_all<Q>(&self, calls: &[(&Q, &RateLimit, u64)]) -> Combined
    where
        Q: Lookup<K> + ?Sized,
    {
        if let Some(combined) = self.inc_all_known(calls) {
            return combined;
        }
        let (groups, group_of) = self.groups(calls);
        let mut combined = add_all(&groups);
        if let Some(tightest) = groups.get(combined.tightest) {
            combined.tightest = tightest.index;
        }
        if combined.is_allowed() {
            // Each call is told the bucket of its group.
            let bucket_of = |at: &Option<usize>| at.map_or(Bucket::NONE, |at| combined.buckets[at]);
            combined.buckets = group_of.iter().map(bucket_of).collect();
        }
        combined
    }

    /// The calls by key and window, in the order that these first appear, and the group of each call;
    /// those for nothing have none.
    fn groups<'c, Q>(&'c self, calls: &[(&'c Q, &'c RateLimit, u64)]) -> Grouped<'c, K, V, S, Q>
    where
        Q: Lookup<K> + ?Sized,
    {
        let mut groups: Vec<Group<'c, K, V, S, Q>> = Vec::with_capacity(calls.len());
        let mut group_of = Vec::with_capacity(calls.len());
        for (index, &(key, rate, count)) in calls.iter().enumerate() {
            if count == 0 {
                group_of.push(None);
                continue;
            }
            let engine = self.of(rate);
            let capacity = engine.capacity(rate);
            let known = groups.iter().position(|group| group.is_of(engine, key));
            group_of.push(Some(known.unwrap_or(groups.len())));
            match known.map(|at| &mut groups[at]) {
                None => {
                    let owned = OnceCell::new();
                    groups.push(Group { engine, key, owned, total: count, rate, capacity, index });
                }
                Some(group) => {
                    group.total = group.total.saturating_add(count);
                    if capacity < group.capacity {
                        (group.rate, group.capacity, group.index) = (rate, capacity, index);
                    }
                }
            }
        }
        (groups, group_of)
    }
}

impl<K, V, S, Q> Group<'_, K, V, S, Q>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
    Q: Lookup<K> + ?Sized,
{
    fn is_of(&self, engine: &Engine<K, V, S>, key: &Q) -> bool {
        core::ptr::eq(self.engine, engine) && key.is(self.owned.get_or_init(|| self.key.to_key()))
    }
}

/// `tightest` of the answer is the index of a group, and `buckets` those of the groups.
fn add_all<K, V, S, Q>(groups: &[Group<'_, K, V, S, Q>]) -> Combined
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
    Q: Lookup<K> + ?Sized,
{
    let mut refused = None;
    for round in 0..ROUNDS {
        // The first group is looked at by adding to it: if it does not fit, there is nothing to undo.
        let others = if round == 0 { groups.get(1..).unwrap_or_default() } else { groups };
        if !V::RECORDS_DECLINES
            && look(others).is_some()
            && let Some(refusal) = look(groups)
        {
            return told(groups, refusal);
        }
        match try_add(groups) {
            Ok(combined) => return combined,
            Err(refusal) => refused = Some(refusal),
        }
        // Nor does another look help a key that has found no room.
        let has_no_room = |refusal: &Refusal| {
            let group = &groups[refusal.at];
            !refusal.decision.is_never() && group.engine.has_no_room_for(group.key)
        };
        if V::RECORDS_DECLINES || refused.as_ref().is_some_and(has_no_room) {
            break;
        }
    }
    // Without groups nothing was asked for, so nothing refuses.
    refused.map_or_else(
        || Combined::new(RateLimitDecision::allowed(u64::MAX), 0),
        |refusal| told(groups, refusal),
    )
}

/// Of the groups that do not fit, the one with the longest wait; if one never fits, that one.
fn look<K, V, S, Q>(groups: &[Group<'_, K, V, S, Q>]) -> Option<Refusal>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
    Q: Lookup<K> + ?Sized,
{
    let looks = groups.iter().enumerate().map(|(at, group)| {
        let decision = group.engine.is_allowed(group.key, group.rate, group.total);
        Refusal { decision, at }
    });
    // Ties go to the call that comes first.
    let wait = |look: &Refusal| (wait(&look.decision), Reverse(groups[look.at].index));
    looks.filter(|look| !look.decision.is_allowed()).max_by_key(wait)
}

/// How long a refusal says to wait, to compare it with others: `None`, that is never, is the longest.
pub(in crate::local) fn wait(refused: &RateLimitDecision) -> (bool, Option<Duration>) {
    let wait = refused.retry_after();
    (wait.is_none(), wait)
}

/// Adds to all groups, or to none.
fn try_add<K, V, S, Q>(groups: &[Group<'_, K, V, S, Q>]) -> Result<Combined, Refusal>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
    Q: Lookup<K> + ?Sized,
{
    let mut decisions = Vec::with_capacity(groups.len());
    let mut added = Added(Vec::with_capacity(groups.len()));
    for (at, group) in groups.iter().enumerate() {
        let decision = group.engine.try_inc(group.key, group.rate, group.total);
        if !decision.is_allowed() {
            return Err(Refusal { decision, at });
        }
        if let Some(bucket) = decision.bucket() {
            added.push(group.engine, group.key, group.total, bucket);
        }
        decisions.push(decision);
    }
    let least = |at: &usize| (decisions[*at].remaining(), groups[*at].index);
    let Some(tightest) = (0..groups.len()).min_by_key(least) else {
        return Ok(Combined::new(RateLimitDecision::allowed(u64::MAX), 0));
    };
    let mut combined = Combined::new(decisions[tightest], tightest);
    for (group, decision) in groups.iter().zip(&decisions) {
        let _ = group.engine.decided(group.key, group.total, *decision);
        combined.buckets.push(decision.bucket().unwrap_or(Bucket::NONE));
    }
    // Only now that all observers were told: where one of them panics, nothing stays counted.
    added.keep();
    Ok(combined)
}

/// The refusal, counted, and told to the observer of the key that refused.
fn told<K, V, S, Q>(groups: &[Group<'_, K, V, S, Q>], refusal: Refusal) -> Combined
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
    Q: Lookup<K> + ?Sized,
{
    let Refusal { decision, at } = refusal;
    let group = &groups[at];
    Combined::new(group.engine.decided(group.key, group.total, decision), at)
}
