//! Several limits at once: all or nothing, in one script.
//!
//! Calls of one key in one window are judged together: the sum of their counts has to fit under each of
//! their rates, hence under the one that allows the least.

use core::cmp::Reverse;

use crate::redis::denial_cache::Several;
use crate::redis::engine::{Engine, Mode, Strategy};
use crate::redis::execute::Cacheable;
use crate::redis::net::Failure;
use crate::redis::net::failure::Kind;
use crate::redis::observer::Observed;
use crate::redis::reply::{self, Verdict};
use crate::redis::request::{Arguments, Call, MAX_COUNT, Request};
use crate::redis::{DecisionSource, OnUnavailable};
use crate::{Bucket, Buckets, Combined, RateLimit, RateLimitDecision, TrypemaError};

/// The calls of one key in one window.
struct Group<'c> {
    /// The sum of the counts, under the rate that allows the least.
    call: Call<'c>,
    capacity: u64,
    /// The index of the call with that rate.
    index: usize,
}

/// Everything that the denial cache has to know of a call before the server is asked.
struct Asked {
    several: Several,
    /// Of each group.
    asks: Vec<Cacheable>,
}

/// A decision on all of it, by the index of a group; and that of each group, if all are admitted.
type Decided = (usize, Vec<RateLimitDecision>);

impl<S: Strategy> Engine<S> {
    /// All of the calls, or nothing.
    pub(crate) fn inc_all(
        &self,
        calls: &[(&str, &RateLimit, u64)],
    ) -> Result<Combined, TrypemaError> {
        let observed = self.observed();
        let combined = self.groups(calls).and_then(|(groups, group_of)| {
            if groups.is_empty() {
                let buckets = calls.iter().map(|_| Bucket::NONE).collect();
                let decision = RateLimitDecision::allowed(u64::MAX);
                return Ok((combined(decision, 0, buckets), DecisionSource::Nobody));
            }
            let asked = match self.repeat_all(&groups) {
                Ok(asked) => asked,
                Err((decision, index)) => {
                    let source = DecisionSource::DenialCache;
                    self.counters.came_from(source);
                    self.counters.decided(&decision);
                    return Ok((combined(decision, index, Buckets::new()), source));
                }
            };
            let reply = self.inner.router.ask(&self.request_all(&groups), self.deadline());
            let verdicts = match reply {
                Ok(verdicts) => verdicts,
                Err(failure) => return self.all_without_redis(calls, &groups, failure),
            };
            let (at, decisions) = self.decide_all(&groups, &verdicts)?;
            if let Some(asked) = asked {
                self.remember_all(&asked, &groups, &verdicts, at);
            }
            let (decision, index) = (decisions[at], groups[at].index);
            let source = DecisionSource::Server;
            self.counters.came_from(source);
            if !decision.is_allowed() {
                self.counters.decided(&decision);
                return Ok((combined(decision, index, Buckets::new()), source));
            }
            decisions.iter().for_each(|decision| self.counters.decided(decision));
            // Each call is told the bucket of its group.
            let bucket = |at: &Option<usize>| at.and_then(|at| decisions[at].bucket());
            let buckets = group_of.iter().map(|at| bucket(at).unwrap_or(Bucket::NONE)).collect();
            Ok((combined(decision, index, buckets), source))
        });
        let combined = self.counters.checked(combined);
        if let Some(observed) = observed {
            self.tell_of_all(&observed, calls, &combined);
        }
        combined.map(|(combined, _)| combined)
    }

    /// Tells the observer of the tightest limit, with the sum of its key's counts; of the first after a
    /// failure.
    #[cold]
    fn tell_of_all(
        &self,
        observed: &Observed<'_>,
        calls: &[(&str, &RateLimit, u64)],
        combined: &Result<(Combined, DecisionSource), TrypemaError>,
    ) {
        let took = observed.took();
        let tightest = combined.as_ref().map_or(0, |(combined, _)| combined.tightest);
        let Some(&(key, rate, _)) = calls.get(tightest) else {
            return;
        };
        let window = self.windows.of(rate);
        let same = calls.iter().filter(|(other, rate, _)| {
            *other == key && core::ptr::eq(self.windows.of(rate), window)
        });
        let count = same.fold(0, |sum: u64, (_, _, count)| sum.saturating_add(*count));
        let outcome = combined.as_ref().map(|(combined, source)| (&combined.decision, *source));
        self.tell(observed, took, (key, count), outcome);
    }

    /// The calls by key and window, and the group of each; those that ask for nothing have none.
    fn groups<'c>(
        &'c self,
        calls: &[(&'c str, &'c RateLimit, u64)],
    ) -> Result<(Vec<Group<'c>>, Vec<Option<usize>>), TrypemaError> {
        let mut groups: Vec<Group<'c>> = Vec::with_capacity(calls.len());
        let mut group_of = Vec::with_capacity(calls.len());
        for (index, &(key, rate, count)) in calls.iter().enumerate() {
            let call = Call::new(&self.windows, key, rate, count)?;
            if count == 0 {
                group_of.push(None);
                continue;
            }
            let capacity = if rate.is_unlimited() { u64::MAX } else { call.window.capacity(rate) };
            let is_known = |group: &Group<'_>| {
                core::ptr::eq(group.call.window, call.window) && group.call.key == key
            };
            let known = groups.iter().position(is_known);
            group_of.push(Some(known.unwrap_or(groups.len())));
            match known.map(|at| &mut groups[at]) {
                None => groups.push(Group { call, capacity, index }),
                Some(group) => {
                    // Both are at most 2^53 - 1, so that the sum does not wrap.
                    let count = group.call.count + count;
                    if count > MAX_COUNT {
                        return Err(TrypemaError::count_too_large(count, MAX_COUNT));
                    }
                    group.call.count = count;
                    if capacity < group.capacity {
                        (group.call.rate, group.capacity, group.index) = (rate, capacity, index);
                    }
                }
            }
        }
        Ok((groups, group_of))
    }

    /// For a call that has to be asked for, if the denial cache does not repeat the rejection of its tightest
    /// limit.
    fn repeat_all(
        &self,
        groups: &[Group<'_>],
    ) -> Result<Option<Asked>, (RateLimitDecision, usize)> {
        let Some(denial_cache) = &self.denial_cache else {
            return Ok(None);
        };
        let asks = groups.iter().map(|group| Self::asks(&group.call)).collect::<Vec<_>>();
        let keys = groups.iter().map(|group| group.call.key);
        let several = denial_cache.several(keys.clone().zip(asks.iter().copied()));
        for (group, ask) in groups.iter().zip(&asks) {
            if let Some(verdict) = denial_cache.repeat(group.call.key, *ask, Some(several)) {
                let decision = self.decision(Mode::Inc, &group.call, verdict);
                return Err((decision, group.index));
            }
        }
        let tickets = keys.map(|key| denial_cache.ticket(key));
        Ok(Some(Asked { several, asks: asks.into_iter().zip(tickets).collect() }))
    }

    /// Remembers the rejections among the verdicts, of which that at `tightest` stands for all.
    fn remember_all(
        &self,
        asked: &Asked,
        groups: &[Group<'_>],
        verdicts: &[Verdict],
        tightest: usize,
    ) {
        let Some(denial_cache) = &self.denial_cache else {
            return;
        };
        let remember = |at: usize, of| {
            let (ask, ticket) = asked.asks[at];
            denial_cache.remember(groups[at].call.key, ask, ticket, &verdicts[at], of);
        };
        // The tightest last: a key keeps its last rejection, of whatever window.
        let others = (0..verdicts.len().min(groups.len())).filter(|at| *at != tightest);
        others.for_each(|at| remember(at, None));
        remember(tightest, Some(asked.several));
    }

    fn request_all(&self, groups: &[Group<'_>]) -> Request<'_, Vec<Verdict>> {
        let mut packed = Vec::new();
        for Group { call, .. } in groups {
            S::pack(&self.inner, call, &mut packed);
        }
        let mut names = groups.iter().map(|group| group.call.window.name_of(group.call.key));
        let key = names.next().unwrap_or_default();
        let arguments = self.with_time(Arguments::new([]));
        let script = self.inc_all.get(groups.len());
        let more_keys = names.collect();
        let parse = |value| reply::each(value, S::parse(Mode::Inc));
        Request { script: Some(script), key, more_keys, packed, arguments, parse }
    }

    /// The group that decides it, and the decisions.
    fn decide_all(
        &self,
        groups: &[Group<'_>],
        verdicts: &[Verdict],
    ) -> Result<Decided, TrypemaError> {
        // A call that is declined under Suppressed ends it: the calls behind it come back undecided.
        let decisions = groups.iter().zip(verdicts);
        let decisions =
            decisions.map(|(group, verdict)| self.decision(Mode::Inc, &group.call, *verdict));
        let decisions = decisions.collect::<Vec<_>>();
        let all = || decisions.iter().zip(groups).enumerate();
        let refused = all().filter(|(_, (decision, _))| !decision.is_allowed());
        // Never is the longest wait. Ties go to the call that comes first.
        let longest = refused.max_by_key(|(_, (decision, group))| {
            let wait = decision.retry_after().map_or((1, None), |wait| (0, Some(wait)));
            (wait, Reverse(group.index))
        });
        if let Some((at, (_, group))) = longest {
            if group.call.rate.is_unlimited() {
                // An unlimited rate refuses nothing, but cannot count everything.
                return Err(TrypemaError::count_too_large(group.call.count, MAX_COUNT));
            }
            return Ok((at, decisions));
        }
        if verdicts.len() != groups.len() {
            let cause = format!("{} verdicts on {} limits", verdicts.len(), groups.len());
            return Err(Kind::Protocol { cause }.at("a server").into_error(0));
        }
        let least = all().min_by_key(|(_, (decision, group))| (decision.remaining(), group.index));
        let at = least.map_or(0, |(at, _)| at);
        Ok((at, decisions))
    }

    /// The answer by the outage policy.
    #[cold]
    fn all_without_redis(
        &self,
        calls: &[(&str, &RateLimit, u64)],
        groups: &[Group<'_>],
        failure: Failure,
    ) -> Result<(Combined, DecisionSource), TrypemaError> {
        if let Kind::Server { code, .. } = &failure.kind
            && code == "CROSSSLOT"
        {
            let given = groups.iter().map(|group| group.call.key).collect::<Vec<_>>().join(", ");
            let allowed =
                "on a cluster, all keys of a call must be in one slot: give them the same `{tag}`";
            return Err(TrypemaError::invalid_key(given, allowed));
        }
        let policy = &self.inner.outage_policy;
        if let (OnUnavailable::Local, Some(limiter)) = (policy.policy, &policy.local) {
            self.outage(0, failure)?;
            let rates =
                calls.iter().map(|(_, rate, _)| self.inner.local_rate(self.windows.of(rate), rate));
            let rates = rates.collect::<Vec<_>>();
            let calls =
                calls.iter().zip(&rates).map(|((key, _, count), rate)| (*key, rate, *count));
            let answer = S::stand_in(limiter).inc_all(&calls.collect::<Vec<_>>())?;
            self.counters.came_from(DecisionSource::StandIn);
            self.counters.decided(&answer.decision);
            return Ok((answer, DecisionSource::StandIn));
        }
        // Judged as if all keys were unused: a group that never fits, else the one with the least left.
        let tightest = groups.iter().min_by_key(|Group { call, capacity, index }| {
            let fits = call.rate.is_unlimited() || call.count <= S::limit(call.window, call.rate);
            (fits, capacity.saturating_sub(call.count), *index)
        });
        let Some(Group { call, index, .. }) = tightest else {
            return Err(failure.into_error(0));
        };
        let (decision, source) = self.without_redis(Mode::Inc, call, failure)?;
        self.counters.came_from(source);
        self.counters.decided(&decision);
        let count = if decision.is_allowed() { calls.len() } else { 0 };
        let buckets = Buckets::none(count);
        Ok((combined(decision, *index, buckets), source))
    }
}

fn combined(decision: RateLimitDecision, tightest: usize, buckets: Buckets) -> Combined {
    let mut combined = Combined::new(decision, tightest);
    combined.buckets = buckets;
    combined
}
