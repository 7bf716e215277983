//! What both strategies share: how the server is asked, and what is made of its silence.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::redis::Value;

use crate::clock::{Clock, ClockSource, MonotonicClock};
use crate::key::Key;
use crate::policy::Grid;
use crate::policy::suppressed::Suppression;
use crate::random::{Random, ThreadRandom};
use crate::redis::counters::{Counters, DecisionSource};
use crate::redis::net::failure::Kind;
use crate::redis::net::{Deadline, Failure};
use crate::redis::reply::{Misread, Read};
use crate::redis::request::{Argument, Arguments, Request};
use crate::redis::router::Router;
use crate::redis::script::{Script, Scripts};
use crate::redis::{OnUnavailable, RedisStats};
use crate::wait::WaitQueue;
use crate::{LocalRateLimiter, RateLimit, RateLimitDecision, TrypemaError};

/// The most that a count can be: whole numbers are exact in the server's scripts up to here.
pub(crate) const MAX_COUNT: u64 = (1 << 53) - 1;
/// The longest key, in bytes.
const LONGEST_KEY: usize = 255;
/// How long to believe that nothing has changed while waiting for room: units that another process
/// gives back wake nobody here.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Shared by all handles.
pub(crate) struct Inner {
    pub(crate) grid: Grid,
    pub(crate) suppression: Suppression,
    pub(crate) prefix: String,
    pub(crate) router: Router,
    pub(crate) deadline: Duration,
    pub(crate) outage_policy: OutagePolicy,
    pub(crate) random: Option<Arc<dyn Random>>,
    /// Tests only.
    pub(crate) server_time: Option<Arc<dyn Clock>>,
    pub(crate) opened: Arc<AtomicU64>,
}

/// What the user wants while Redis is away.
pub(crate) struct OutagePolicy {
    pub(crate) policy: OnUnavailable,
    /// With `Local`.
    pub(crate) local: Option<LocalRateLimiter>,
    pub(crate) share: f64,
    /// When to ask again, where nothing better is known.
    pub(crate) pause: Duration,
}

/// One strategy of a limiter.
pub(crate) struct Engine {
    pub(crate) inner: Arc<Inner>,
    pub(crate) scripts: Scripts,
    /// In the names of keys.
    pub(crate) letter: char,
    pub(crate) line: WaitQueue<Key>,
    /// What those that wait go by.
    pub(crate) real_time: ClockSource,
    pub(crate) counters: Counters,
}

impl Engine {
    pub(crate) fn new(inner: Arc<Inner>, scripts: Scripts, letter: char) -> Self {
        Self {
            inner,
            scripts,
            letter,
            line: WaitQueue::new(),
            real_time: ClockSource::Monotonic(MonotonicClock::new()),
            counters: Counters::default(),
        }
    }

    /// A request; after a look at the key.
    pub(crate) fn request<'a, const N: usize>(
        &self,
        script: Option<&'a Script>,
        key: &str,
        arguments: [Argument; N],
        is_answer: fn(&Value) -> bool,
    ) -> Result<Request<'a>, TrypemaError> {
        check_key(key)?;
        let now = self.inner.server_time.as_ref().map(|clock| clock.now_nanos() / 1_000);
        let mut name = String::with_capacity(self.inner.prefix.len() + 3 + key.len());
        name.push_str(&self.inner.prefix);
        name.push(':');
        name.push(self.letter);
        name.push(':');
        name.push_str(key);
        let arguments = Arguments::new(arguments, now);
        Ok(Request { script, key: name, arguments, is_answer })
    }

    /// Asks, and reads the reply.
    pub(crate) fn ask<T>(
        &self,
        request: &Request<'_>,
        read: impl FnOnce(&Value) -> Read<T>,
    ) -> Result<T, Refusal> {
        let deadline = Deadline::after(self.inner.deadline);
        parse(self.inner.router.ask(request, deadline), read)
    }

    /// The decision, if there is one; else what the user wants to be made of that. `at_best` is what
    /// could be said if the key had not been used at all.
    pub(crate) fn settle(
        &self,
        count: u64,
        at_best: RateLimitDecision,
        asked: Result<RateLimitDecision, Refusal>,
        local: impl FnOnce(&LocalRateLimiter) -> RateLimitDecision,
    ) -> Result<(RateLimitDecision, DecisionSource), TrypemaError> {
        let failure = match asked {
            Ok(decision) => return Ok((decision, DecisionSource::Redis)),
            Err(refusal) => self.outage(count, refusal)?,
        };
        let outage_policy = &self.inner.outage_policy;
        match (outage_policy.policy, &outage_policy.local) {
            (OnUnavailable::Error, _) | (OnUnavailable::Local, None) => Err(failure.into()),
            (OnUnavailable::Allow, _) => Ok((at_best, DecisionSource::Policy)),
            // No Redis would ever allow it.
            (OnUnavailable::Reject, _) if !at_best.is_allowed() => {
                Ok((at_best, DecisionSource::Policy))
            }
            (OnUnavailable::Reject, _) => {
                let again = match &failure.kind {
                    Kind::BreakerOpen { retry_after, .. } => *retry_after,
                    _ => outage_policy.pause,
                };
                let millis = again.as_nanos().div_ceil(1_000_000).max(1);
                let millis = u64::try_from(millis).unwrap_or(u64::MAX);
                Ok((RateLimitDecision::rejected(Some(millis), 0), DecisionSource::Policy))
            }
            (OnUnavailable::Local, Some(limiter)) => Ok((local(limiter), DecisionSource::Local)),
        }
    }

    /// The answer, or that of the local limiter if there is one and Redis is away.
    pub(crate) fn settle_locally<T>(
        &self,
        count: u64,
        asked: Result<T, Refusal>,
        local: impl FnOnce(&LocalRateLimiter) -> T,
    ) -> Result<T, TrypemaError> {
        let failure = match asked {
            Ok(answer) => return Ok(answer),
            Err(refusal) => self.outage(count, refusal)?,
        };
        match &self.inner.outage_policy.local {
            Some(limiter) => Ok(local(limiter)),
            None => Err(failure.into()),
        }
    }

    /// What speaks for an outage; other refusals are errors.
    pub(crate) fn outage(&self, count: u64, refusal: Refusal) -> Result<Failure, TrypemaError> {
        match refusal {
            Refusal::TooMany => Err(TrypemaError::CountTooLarge { given: count, most: MAX_COUNT }),
            Refusal::Failed(failure) if failure.kind.is_outage() => {
                self.counters.outage(&failure.kind);
                Ok(failure)
            }
            Refusal::Failed(failure) => Err(failure.into()),
        }
    }

    /// Tells who has decided, and passes it on.
    pub(crate) fn sourced(
        &self,
        settled: Result<(RateLimitDecision, DecisionSource), TrypemaError>,
    ) -> Result<RateLimitDecision, TrypemaError> {
        let (decision, source) = self.counters.checked(settled)?;
        self.counters.came_from(source);
        Ok(decision)
    }

    /// The same, of a call that counts.
    pub(crate) fn decided(
        &self,
        settled: Result<(RateLimitDecision, DecisionSource), TrypemaError>,
    ) -> Result<RateLimitDecision, TrypemaError> {
        let decision = self.sourced(settled);
        if let Ok(decision) = &decision {
            self.counters.decided(decision);
        }
        decision
    }

    pub(crate) fn add_to(&self, stats: &mut RedisStats) {
        self.counters.add_to(stats);
        // Relaxed: a statistic.
        stats.connections_opened = self.inner.opened.load(Ordering::Relaxed);
    }
}

/// Why there is no answer.
pub(crate) enum Refusal {
    TooMany,
    Failed(Failure),
}

pub(crate) fn parse<T>(
    answer: Result<Value, Failure>,
    read: impl FnOnce(&Value) -> Read<T>,
) -> Result<T, Refusal> {
    let value = answer.map_err(Refusal::Failed)?;
    read(&value).map_err(|misread| match misread {
        Misread::TooMany => Refusal::TooMany,
        // The request has said that it is one.
        Misread::Nonsense => {
            let cause = format!("{value:?} is no answer to this");
            Refusal::Failed(Kind::Protocol { cause }.at("an unknown address"))
        }
    })
}

impl Inner {
    /// What a finite rate allows, of what can be counted.
    pub(crate) fn capacity(&self, rate: &RateLimit) -> u64 {
        rate.capacity_of_millis(self.grid.window_ms()).min(MAX_COUNT)
    }

    pub(crate) fn draw(&self) -> f64 {
        match &self.random {
            None => ThreadRandom.draw(),
            Some(random) => random.draw(),
        }
    }

    /// The share of a rate that the local limiter goes by.
    pub(crate) fn local_rate(&self, rate: &RateLimit) -> RateLimit {
        rate.share(self.outage_policy.share)
    }
}

pub(crate) fn check_count(count: u64) -> Result<(), TrypemaError> {
    if count > MAX_COUNT {
        return Err(TrypemaError::CountTooLarge { given: count, most: MAX_COUNT });
    }
    Ok(())
}

pub(crate) fn check_key(key: &str) -> Result<(), TrypemaError> {
    if (1..=LONGEST_KEY).contains(&key.len()) {
        return Ok(());
    }
    // Of a long one, enough to know it by.
    let given = key.chars().take(64).collect();
    Err(TrypemaError::InvalidKey { given, allowed: "a key is 1 to 255 bytes long" })
}
