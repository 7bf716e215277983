//! Several limits at once: all or nothing.
//!
//! Under Absolute a call first looks whether all of it fits, and only then adds to one key after the
//! other. Under Suppressed each key draws for itself, in order. If a key turns the call away after
//! others were added to, these are undone: exactly those units, in their very buckets. So no limit is
//! ever overshot, and a call that is turned away leaves no units behind, whoever else adds meanwhile.
//!
//! Keys are added to in the order given. Two calls that meet on the same keys may turn each other away;
//! each then looks again, a few times, and answers by what stood in its way.

use core::hash::{BuildHasher, Hash};
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
    /// The key, owned, to compare others with.
    owned: K,
    /// The sum of the counts.
    total: u64,
    /// The rate that allows the least, and the index of its call.
    rate: &'c RateLimit,
    capacity: u64,
    index: usize,
}

/// Groups that were added to, and are undone unless the call is admitted; also where a panic ends it.
struct Added<'g, 'c, K, V, S, Q>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
    Q: Lookup<K> + ?Sized,
{
    groups: &'g [Group<'c, K, V, S, Q>],
    decisions: Vec<RateLimitDecision>,
    is_admitted: bool,
}

impl<K, V, S, Q> Drop for Added<'_, '_, K, V, S, Q>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
    Q: Lookup<K> + ?Sized,
{
    fn drop(&mut self) {
        if self.is_admitted {
            return;
        }
        for (group, decision) in self.groups.iter().zip(&self.decisions) {
            if let Some(bucket) = decision.bucket() {
                // A key's own code may panic here: that costs neither the other groups nor the process.
                let undo = || group.engine.undo(group.key, bucket, group.total);
                let _ = panic::catch_unwind(AssertUnwindSafe(undo));
            }
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
                    let owned = key.to_key();
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
        core::ptr::eq(self.engine, engine) && key.is(&self.owned)
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
            && let Some(refused) = look(groups)
        {
            return told(groups, refused);
        }
        match try_add(groups) {
            Ok(combined) => return combined,
            Err(by) => refused = Some(by),
        }
        // Nor does another look help a key that has found no room.
        let has_no_room = |by: &Combined| {
            by.retry_after().is_some() && {
                let group = &groups[by.tightest];
                group.engine.has_no_room_for(group.key)
            }
        };
        if V::RECORDS_DECLINES || refused.as_ref().is_some_and(has_no_room) {
            break;
        }
    }
    // Without groups nothing was asked for, so nothing refuses.
    refused.map_or_else(
        || Combined::new(RateLimitDecision::allowed(u64::MAX), 0),
        |refused| told(groups, refused),
    )
}

/// Of the groups that do not fit, the one with the longest wait; if one never fits, that one.
fn look<K, V, S, Q>(groups: &[Group<'_, K, V, S, Q>]) -> Option<Combined>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
    Q: Lookup<K> + ?Sized,
{
    let looks = groups.iter().enumerate().map(|(at, group)| {
        let decision = group.engine.is_allowed(group.key, group.rate, group.total);
        Combined::new(decision, at)
    });
    // `None`, that is never, is the longest wait. Ties go to the call that comes first.
    let wait = |refused: &Combined| {
        let wait = refused.retry_after().map_or((1, None), |wait| (0, Some(wait)));
        (wait, core::cmp::Reverse(groups[refused.tightest].index))
    };
    looks.filter(|look| !look.is_allowed()).max_by_key(wait)
}

/// Adds to all groups, or to none.
fn try_add<K, V, S, Q>(groups: &[Group<'_, K, V, S, Q>]) -> Result<Combined, Combined>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
    Q: Lookup<K> + ?Sized,
{
    let decisions = Vec::with_capacity(groups.len());
    let mut added = Added { groups, decisions, is_admitted: false };
    for (at, group) in groups.iter().enumerate() {
        let decision = group.engine.try_inc(group.key, group.rate, group.total);
        if !decision.is_allowed() {
            return Err(Combined::new(decision, at));
        }
        added.decisions.push(decision);
    }
    added.is_admitted = true;
    let least = |at: &usize| (added.decisions[*at].remaining(), groups[*at].index);
    let Some(tightest) = (0..groups.len()).min_by_key(least) else {
        return Ok(Combined::new(RateLimitDecision::allowed(u64::MAX), 0));
    };
    let mut combined = Combined::new(added.decisions[tightest], tightest);
    for (group, decision) in groups.iter().zip(&added.decisions) {
        let _ = group.engine.decided(group.key, group.total, *decision);
        combined.buckets.push(decision.bucket().unwrap_or(Bucket::NONE));
    }
    Ok(combined)
}

/// The refusal, counted, and told to the observer of the key that refused.
fn told<K, V, S, Q>(groups: &[Group<'_, K, V, S, Q>], refused: Combined) -> Combined
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
    Q: Lookup<K> + ?Sized,
{
    let group = &groups[refused.tightest];
    let _ = group.engine.decided(group.key, group.total, refused.decision);
    refused
}
