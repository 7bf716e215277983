//! An observer is told of every call: what became of it, who decided, and how long it took.

// each proves: stats

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use trypema::{
    DecisionSource, OnUnavailable, RateLimit, RedisEvent, RedisRateLimiter,
    RedisRateLimiterBuilder, Strategy, TrypemaError,
};

use crate::any;
use crate::common::until::FOREVER;
use crate::proxy::Proxy;
use crate::server::RedisServer;

use DecisionSource::{DenialCache, Nobody, Policy, Server, StandIn};

/// An event without its time: strategy, key, count, whether it was allowed (`None`: an error), source.
type Seen = (Strategy, String, u64, Option<bool>, DecisionSource);

#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<(Seen, Duration)>>>);

impl Notes {
    fn taken_by(&self, builder: RedisRateLimiterBuilder) -> RedisRateLimiter {
        let notes = self.clone();
        let builder = builder.observer(move |event: &RedisEvent<'_>| {
            let allowed = event.outcome.ok().map(|decision| decision.is_allowed());
            let RedisEvent { strategy, key, count, source, took, .. } = *event;
            let seen = (strategy, key.to_owned(), count, allowed, source);
            notes.0.lock().unwrap().push((seen, took));
        });
        builder.deadline(FOREVER).build().unwrap()
    }

    /// The events since the last look, none of which may have taken longer than all that was done since
    /// `begun`.
    fn since(&self, begun: Instant) -> Vec<Seen> {
        let (notes, longest) = (std::mem::take(&mut *self.0.lock().unwrap()), begun.elapsed());
        let seen = notes.into_iter().map(|(seen, took)| {
            assert!(took <= longest, "{seen:?} took {took:?} of {longest:?}");
            seen
        });
        seen.collect()
    }
}

fn seen(key: &str, count: u64, allowed: Option<bool>, source: DecisionSource) -> Seen {
    (Strategy::Absolute, key.into(), count, allowed, source)
}

fn ten() -> RateLimit {
    RateLimit::per_minute(10.0).unwrap()
}

#[test]
fn an_observer_is_told_of_every_call_and_of_who_decided() {
    let server = RedisServer::start();
    let notes = Notes::default();
    // It outlasts the test, so that the second rejection is repeated.
    let limiter = notes.taken_by(RedisRateLimiter::builder(server.url()).denial_cache(FOREVER));
    let absolute = limiter.absolute();
    let begun = Instant::now();

    assert!(absolute.inc("key", &ten(), 10).unwrap().is_allowed());
    assert!(!absolute.inc("key", &ten(), 1).unwrap().is_allowed());
    assert!(!absolute.inc("key", &ten(), 1).unwrap().is_allowed());
    assert!(absolute.inc("key", &ten(), 0).unwrap().is_allowed());
    absolute.inc("", &ten(), 3).unwrap_err();
    let expected = [
        seen("key", 10, Some(true), Server),
        seen("key", 1, Some(false), Server),
        seen("key", 1, Some(false), DenialCache),
        seen("key", 0, Some(true), Server),
        seen("", 3, None, Nobody),
    ];
    assert_eq!(notes.since(begun), expected);
    assert!(absolute.inc("key", &any(), 0).unwrap().is_allowed());
    assert_eq!(notes.since(begun), [seen("key", 0, Some(true), Nobody)]);

    let begun = Instant::now();
    let rate = ten();
    let calls = [("many", &rate, 4), ("key", &rate, 1), ("", &rate, 1), ("many", &rate, 7)];
    absolute.inc_many(&calls);
    let expected = [
        seen("many", 4, Some(true), Server),
        seen("key", 1, Some(false), DenialCache),
        seen("", 1, None, Nobody),
        seen("many", 7, Some(false), Server),
    ];
    assert_eq!(notes.since(begun), expected);

    let begun = Instant::now();
    let calls = [("free", &rate, 1), ("many", &rate, 2), ("many", &rate, 3)];
    assert!(absolute.inc_all(&calls).unwrap().is_allowed());
    assert!(!absolute.inc_all(&calls).unwrap().is_allowed());
    absolute.inc_all(&[("free", &rate, 1), ("", &rate, 1)]).unwrap_err();
    absolute.inc_all(&[]).unwrap();
    let expected = [
        seen("many", 5, Some(true), Server),
        seen("many", 5, Some(false), Server),
        seen("free", 1, None, Nobody),
    ];
    assert_eq!(notes.since(begun), expected);

    let begun = Instant::now();
    absolute.acquire("line", &rate, 10, FOREVER).unwrap();
    absolute.acquire("line", &rate, 1, Duration::ZERO).unwrap_err();
    let _ = limiter.suppressed().inc("line", &rate, 1).unwrap();
    let expected = [
        seen("line", 10, Some(true), Server),
        (Strategy::Suppressed, "line".into(), 1, Some(true), Server),
    ];
    assert_eq!(notes.since(begun), expected, "a wait in vain admits nothing");

    let _ = (absolute.is_allowed("key", &rate, 1), absolute.usage("key", &rate));
    let _ = (absolute.record("key", &rate, 1), absolute.refund("key", &rate, 1));
    assert_eq!(notes.since(begun), [], "only of calls that ask to count");
}

#[test]
fn an_observer_is_told_what_an_outage_was_answered_with() {
    let policies = [
        (OnUnavailable::Error, None, Nobody),
        (OnUnavailable::Allow, Some(true), Policy),
        (OnUnavailable::Reject, Some(false), Policy),
        (OnUnavailable::Local, Some(true), StandIn),
    ];
    for (policy, allowed, source) in policies {
        let server = RedisServer::start();
        let (notes, mut proxy) = (Notes::default(), Proxy::to(server.port()));
        proxy.refuse();
        let builder = RedisRateLimiter::builder(proxy.url()).on_unavailable(policy);
        let limiter = notes.taken_by(builder.breaker(2, FOREVER));
        let (absolute, rate, begun) = (limiter.absolute(), ten(), Instant::now());
        // Before the breaker opens, and after.
        for _ in 0..3 {
            assert_eq!(absolute.inc("key", &rate, 1).is_ok(), allowed.is_some(), "{policy:?}");
        }
        absolute.inc_many(&[("key", &rate, 1), ("other", &rate, 2)]);
        let _ = absolute.inc_all(&[("other", &rate, 1), ("other", &rate, 2)]);
        let expected = [("key", 1), ("key", 1), ("key", 1), ("key", 1), ("other", 2), ("other", 3)];
        let expected = expected.map(|(key, count)| seen(key, count, allowed, source));
        assert_eq!(notes.since(begun), expected, "{policy:?}");

        let admitted = match policy {
            OnUnavailable::Allow | OnUnavailable::Local => {
                absolute.acquire("key", &rate, 1, FOREVER).unwrap();
                vec![seen("key", 1, Some(true), source)]
            }
            _ => {
                absolute.acquire("key", &rate, 1, Duration::ZERO).unwrap_err();
                Vec::new()
            }
        };
        assert_eq!(notes.since(begun), admitted, "{policy:?}");
    }
}

/// It holds up nobody: the one connection is back, the place in the queue is left.
#[test]
fn an_observer_may_call_the_limiter_that_it_observes() {
    let server = RedisServer::start();
    let limiter = Arc::new(std::sync::OnceLock::<RedisRateLimiter>::new());
    let (inside, failed) = (Arc::clone(&limiter), Arc::new(Mutex::new(None::<TrypemaError>)));
    let failure = Arc::clone(&failed);
    let builder = RedisRateLimiter::builder(server.url()).pool_size(1).deadline(FOREVER);
    let builder = builder.observer(move |event: &RedisEvent<'_>| {
        let absolute = inside.get().unwrap().absolute();
        if event.key == "key" {
            let asked = absolute.acquire("key of the observer", &ten(), 1, FOREVER);
            *failure.lock().unwrap() = asked.err();
        } else if event.count == 1 {
            // Of the same key, by another count, so that it ends.
            let asked = absolute.acquire(event.key, &ten(), 2, FOREVER);
            *failure.lock().unwrap() = asked.err();
        }
    });
    limiter.set(builder.build().unwrap()).unwrap();
    let absolute = limiter.get().unwrap().absolute();
    let _ = absolute.inc("key", &ten(), 1).unwrap();
    absolute.acquire("line", &ten(), 1, FOREVER).unwrap();
    assert!(failed.lock().unwrap().is_none(), "{failed:?}");
    assert_eq!(absolute.usage("line", &any()).unwrap(), 3);
    assert_eq!(absolute.usage("key of the observer", &any()).unwrap(), 3);
}
