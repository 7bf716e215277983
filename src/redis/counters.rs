//! Counting decisions and their sources, without sharing a line: each thread has counters of its
//! own, summed when somebody asks.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use thread_local::ThreadLocal;

use crate::redis::engine::Mode;
use crate::redis::net::failure::Kind;
use crate::redis::{DecisionSource, RedisStats};
use crate::thread_exit::Running;
use crate::{RateLimitDecision, TrypemaError, thread_exit};

#[derive(Debug, Default)]
pub(crate) struct Counters {
    threads: ThreadLocal<PerThread>,
    /// Shared by all threads that are ending.
    ending: PerThread,
    /// The longest wait, in nanoseconds.
    longest_wait: AtomicU64,
}

type PerThread = [AtomicU64; COUNTERS];

#[derive(Clone, Copy)]
enum Counter {
    Allowed,
    Rejected,
    SuppressedAdmitted,
    SuppressedDeclined,
    FromRedis,
    FromDenialCache,
    FromLocal,
    FromPolicy,
    Errors,
    Outages,
    ShortCircuited,
    PoolTimeouts,
    Timeouts,
    FromLeases,
}

impl Counter {
    #[inline]
    fn of(decision: &RateLimitDecision) -> Self {
        match decision {
            RateLimitDecision::Allowed { .. } => Self::Allowed,
            RateLimitDecision::Rejected { .. } => Self::Rejected,
            RateLimitDecision::Suppressed { is_allowed: true, .. } => Self::SuppressedAdmitted,
            RateLimitDecision::Suppressed { is_allowed: false, .. } => Self::SuppressedDeclined,
        }
    }
}

#[inline]
fn add_one(counter: &AtomicU64) {
    // Relaxed, and no read-modify-write: only this thread writes. A thread that is given the
    // counters of one that has ended is ordered after it by `ThreadLocal`.
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

const COUNTERS: usize = Counter::FromLeases as usize + 1;

impl Counters {
    /// Counts the result of a call that asks for a decision.
    pub(crate) fn settled(
        &self,
        mode: Mode,
        settled: Result<(RateLimitDecision, DecisionSource), TrypemaError>,
    ) -> Result<(RateLimitDecision, DecisionSource), TrypemaError> {
        let (decision, source) = self.checked(settled)?;
        self.came_from(source);
        if mode != Mode::Look {
            self.decided(&decision);
        }
        Ok((decision, source))
    }

    /// Counts the source of an answer to a call that asks for a decision.
    #[inline]
    pub(crate) fn came_from(&self, source: DecisionSource) {
        self.count(match source {
            DecisionSource::Nobody => return,
            DecisionSource::Lease => Counter::FromLeases,
            DecisionSource::Server => Counter::FromRedis,
            DecisionSource::DenialCache => Counter::FromDenialCache,
            DecisionSource::StandIn => Counter::FromLocal,
            DecisionSource::Policy => Counter::FromPolicy,
        });
    }

    /// Counts the decision on a call that counts units.
    #[inline]
    pub(crate) fn decided(&self, decision: &RateLimitDecision) {
        self.count(Counter::of(decision));
    }

    /// Counts a decision by a lease, for a thread that is not ending.
    #[inline]
    pub(crate) fn spent(&self, _: Running, decision: &RateLimitDecision) {
        let counters = self.threads.get_or_default();
        add_one(&counters[Counter::FromLeases as usize]);
        add_one(&counters[Counter::of(decision) as usize]);
    }

    /// Counts a call that met an outage of Redis.
    pub(crate) fn outage(&self, kind: &Kind) {
        self.count(Counter::Outages);
        match kind {
            Kind::BreakerOpen { .. } => self.count(Counter::ShortCircuited),
            Kind::PoolTimeout { .. } => self.count(Counter::PoolTimeouts),
            _ => {}
        }
    }

    /// Counts an `acquire` that was not admitted in time.
    pub(crate) fn timed_out(&self) {
        self.count(Counter::Timeouts);
    }

    /// Notes how long an `acquire` has waited.
    pub(crate) fn note_wait(&self, waited: Duration) {
        if !waited.is_zero() {
            let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
            // Relaxed: a number that carries nothing.
            self.longest_wait.fetch_max(nanos, Ordering::Relaxed);
        }
    }

    pub(crate) fn checked<T>(&self, result: Result<T, TrypemaError>) -> Result<T, TrypemaError> {
        if result.is_err() {
            self.count(Counter::Errors);
        }
        result
    }

    /// Decisions by leases.
    pub(crate) fn leases(&self) -> u64 {
        // Relaxed: a sum over threads is a moment's guess in any case.
        let read = |counters: &[AtomicU64; COUNTERS]| {
            counters[Counter::FromLeases as usize].load(Ordering::Relaxed)
        };
        self.threads.iter().map(read).sum()
    }

    #[inline]
    fn count(&self, counter: Counter) {
        if thread_exit::running().is_none() {
            // Relaxed: a plain counter.
            self.ending[counter as usize].fetch_add(1, Ordering::Relaxed);
            return;
        }
        add_one(&self.threads.get_or_default()[counter as usize]);
    }

    pub(crate) fn add_to(&self, stats: &mut RedisStats) {
        for counters in self.threads.iter().chain([&self.ending]) {
            // Relaxed: a sum over threads is a moment's guess in any case.
            let read = |counter: Counter| counters[counter as usize].load(Ordering::Relaxed);
            stats.allowed += read(Counter::Allowed);
            stats.rejected += read(Counter::Rejected);
            stats.suppressed_admitted += read(Counter::SuppressedAdmitted);
            stats.suppressed_declined += read(Counter::SuppressedDeclined);
            stats.from_redis += read(Counter::FromRedis);
            stats.from_denial_cache += read(Counter::FromDenialCache);
            stats.from_local += read(Counter::FromLocal);
            stats.from_policy += read(Counter::FromPolicy);
            stats.errors += read(Counter::Errors);
            stats.outages += read(Counter::Outages);
            stats.short_circuited += read(Counter::ShortCircuited);
            stats.pool_timeouts += read(Counter::PoolTimeouts);
            stats.timeouts += read(Counter::Timeouts);
        }
        // Relaxed: as for the others.
        let longest = Duration::from_nanos(self.longest_wait.load(Ordering::Relaxed));
        stats.longest_wait = stats.longest_wait.max(longest);
    }
}
