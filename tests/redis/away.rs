//! Calls during an outage: the four policies, the breaker, and the recovery.

// each proves: G7

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use trypema::{
    OnUnavailable, Random, RateLimit, RateLimitDecision, RedisRateLimiter, TrypemaError,
};

use crate::any;
use crate::cluster::eventually;
use crate::common::until::FOREVER;
use crate::proxy::{Fault, Proxy};
use crate::server::RedisServer;

const POLICIES: [OnUnavailable; 4] =
    [OnUnavailable::Error, OnUnavailable::Allow, OnUnavailable::Reject, OnUnavailable::Local];

/// A server, a proxy, and a limiter that opens its breaker after three failures, for as long as is
/// said.
fn scene(policy: OnUnavailable, pause: Duration) -> (RedisServer, Proxy, RedisRateLimiter) {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let limiter = RedisRateLimiter::builder(proxy.url())
        .on_unavailable(policy)
        .local_share(0.5)
        .breaker(3, pause)
        .denial_cache(Duration::ZERO)
        .deadline(Duration::from_secs(10))
        .build()
        .unwrap();
    assert!(limiter.absolute().inc("warm", &ten(), 1).unwrap().is_allowed());
    (server, proxy, limiter)
}

fn ten() -> RateLimit {
    RateLimit::per_minute(10.0).unwrap()
}

#[test]
fn every_policy_answers_as_it_says() {
    for policy in POLICIES {
        let (_server, mut proxy, limiter) = scene(policy, FOREVER);
        let (absolute, suppressed) = (limiter.absolute(), limiter.suppressed());
        assert!(absolute.inc("key", &ten(), 4).unwrap().is_allowed());
        proxy.refuse();
        // Before the breaker opens, and after.
        for round in 0..20 {
            let answers = [absolute.inc("key", &ten(), 1), suppressed.inc("key", &ten(), 1)];
            let looked = absolute.is_allowed("key", &ten(), 1);
            match policy {
                OnUnavailable::Error => {
                    for answer in answers.into_iter().chain([looked]) {
                        let error = answer.unwrap_err();
                        let open = matches!(error, TrypemaError::Unavailable { .. });
                        assert_eq!(open, round > 0 || open, "{error:?}");
                        assert!(error.to_string().contains("127.0.0.1"), "{error}");
                    }
                }
                OnUnavailable::Allow => {
                    for answer in answers.into_iter().chain([looked]) {
                        assert!(answer.is_ok_and(|decision| decision.is_allowed()));
                    }
                }
                OnUnavailable::Reject => {
                    for answer in answers.into_iter().chain([looked]) {
                        let decision = answer.unwrap();
                        assert!(matches!(decision, RateLimitDecision::Rejected { .. }));
                        assert!(decision.retry_after().is_some());
                    }
                }
                // Half of ten for this process; what the server knew of is not known here.
                OnUnavailable::Local => {
                    let [answer, _] = answers.map(Result::unwrap);
                    assert_eq!(answer.is_allowed(), round < 5, "{round}: {answer:?}");
                    assert_eq!(looked.unwrap().is_allowed(), round < 4, "{round}");
                }
                other => panic!("{other:?} is new"),
            }
            if policy != OnUnavailable::Local {
                assert!(
                    absolute.usage("key", &any()).is_err()
                        && absolute.record("key", &any(), 1).is_err()
                );
            }
        }
        assert!(absolute.reset("key").is_err(), "Redis has not forgotten it");
        let stats = limiter.stats();
        assert!(stats.outages > 0 && stats.short_circuited > 0, "{stats:?}");
        let expected = |is| if is { 40..=u64::MAX } else { 0..=0 };
        let by_policy = matches!(policy, OnUnavailable::Allow | OnUnavailable::Reject);
        assert!(expected(by_policy).contains(&stats.from_policy), "{policy:?} {stats:?}");
        let by_local = policy == OnUnavailable::Local;
        assert!(expected(by_local).contains(&stats.from_local), "{policy:?} {stats:?}");
    }
}

/// A call for more than an unused key allows is told that it never fits.
// proves: G3
#[test]
fn what_never_fits_gets_no_hope() {
    for policy in [OnUnavailable::Allow, OnUnavailable::Reject, OnUnavailable::Local] {
        let (_server, mut proxy, limiter) = scene(policy, FOREVER);
        proxy.refuse();
        // As of a key that was not used. Who stands in goes by half of the rate.
        let left = if policy == OnUnavailable::Local { 5 } else { 10 };
        for _ in 0..5 {
            let decision = limiter.absolute().inc("key", &ten(), 11).unwrap();
            let expected = RateLimitDecision::rejected(None, 0).with_remaining(left);
            assert_eq!(decision, expected, "{policy:?}");
            let decision = limiter.suppressed().inc("key", &ten(), 16).unwrap();
            assert!(!decision.is_allowed() && decision.is_never(), "{policy:?}: {decision:?}");
            assert_eq!(decision.remaining(), left, "{policy:?}");
        }
    }
}

/// Says the same again and again.
struct Fixed(f64);

impl Random for Fixed {
    fn draw(&self) -> f64 {
        self.0
    }
}

/// Ten calls are below the soft limit, and five more below the hard one.
#[test]
fn who_stands_in_draws_from_the_same_source() {
    let url = "redis://127.0.0.1:1";
    for (draw, expected) in [(0.0, 10), (1.0 - f64::EPSILON, 15)] {
        let builder = RedisRateLimiter::builder(url).random(Fixed(draw));
        let limiter = builder.on_unavailable(OnUnavailable::Local).build().unwrap();
        let inc = |_: &i32| limiter.suppressed().inc("key", &ten(), 1).unwrap().is_allowed();
        assert_eq!((0..20).filter(inc).count(), expected);
    }
}

/// Redis counts on from where it was, and what was counted here meanwhile is this process' affair.
#[test]
fn every_policy_hands_back() {
    for policy in POLICIES {
        let (server, mut proxy, limiter) = scene(policy, Duration::from_millis(50));
        let absolute = limiter.absolute();
        assert!(absolute.inc("key", &ten(), 4).unwrap().is_allowed());
        proxy.refuse();
        for _ in 0..10 {
            // An error, or what the policy says.
            _ = absolute.inc("key", &ten(), 1);
        }
        proxy.accept();
        eventually("Redis decides again", || {
            let before = limiter.stats().from_redis;
            _ = absolute.inc("probe", &ten(), 0).and(absolute.inc("probe", &ten(), 1));
            limiter.stats().from_redis > before
        });
        assert_eq!(absolute.usage("key", &any()).unwrap(), 4, "{policy:?}");
        assert!(absolute.inc("key", &ten(), 6).unwrap().is_allowed());
        assert!(!absolute.inc("key", &ten(), 1).unwrap().is_allowed());
        assert_eq!(server.ask::<u64>("EXISTS trypema:a:60000.100:key"), 1);
    }
}

/// After three failures nobody asks for as long as the pause lasts; then one does, for all.
#[test]
fn an_open_breaker_asks_nothing_and_one_call_probes() {
    let pause = Duration::from_millis(400);
    let (server, proxy, limiter) = scene(OnUnavailable::Error, pause);
    let absolute = limiter.absolute();
    // Connections are accepted, and end at once, so that the proxy sees every attempt.
    proxy.set(Fault::Close);
    let mut failures = 0;
    while !matches!(absolute.usage("key", &any()), Err(TrypemaError::Unavailable { .. })) {
        failures += 1;
        assert!(failures < 100, "the breaker stays closed");
    }
    assert_eq!(failures, 3);
    let opened = Instant::now();
    let before = proxy.seen();
    let mut refused = 0;
    while opened.elapsed() < pause / 2 {
        let begun = Instant::now();
        match absolute.inc("key", &ten(), 1) {
            Err(TrypemaError::Unavailable { retry_after, .. }) => {
                assert!(retry_after <= pause);
                refused += 1;
            }
            // Stopped for so long that the pause is over, this thread is a probe.
            other => assert!(begun.duration_since(opened) > pause / 2, "{other:?}"),
        }
    }
    assert!(refused > 0);
    assert_eq!(proxy.seen(), before, "nobody asked");
    eventually("the pause is over", || opened.elapsed() > pause * 2);

    // Eight at once: one of them asks, in vain, and takes as long as it takes.
    let barrier = Barrier::new(8);
    proxy.set(Fault::Late(Duration::from_millis(300)));
    let calls = server.calls("evalsha");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                _ = absolute.usage("key", &any());
            });
        }
        eventually("one has asked", || server.calls("evalsha") > calls);
    });
    assert_eq!(server.calls("evalsha"), calls + 1, "one of them asked");
    proxy.set(Fault::None);
    eventually("it is closed again", || absolute.usage("key", &any()).is_ok());
    for _ in 0..20 {
        absolute.usage("key", &any()).unwrap();
    }
}

/// Answers that will not be otherwise tomorrow are no outage.
#[test]
fn errors_that_are_no_outage_leave_the_breaker_closed() {
    for policy in POLICIES {
        let (server, _proxy, limiter) = scene(policy, FOREVER);
        let _: () = server.ask("LPUSH trypema:a:60000.100:key value");
        for _ in 0..10 {
            let error = limiter.absolute().inc("key", &ten(), 1).unwrap_err();
            assert!(error.to_string().contains("WRONGTYPE"), "{policy:?}: {error}");
        }
        assert_eq!(limiter.stats().outages, 0);
        assert!(limiter.absolute().inc("another", &ten(), 1).unwrap().is_allowed());
        let stats = limiter.stats();
        assert_eq!((stats.from_policy, stats.from_local), (0, 0), "{stats:?}");
    }
}

/// A wait that cannot be served says so, and does not wait for its whole timeout.
#[test]
fn acquire_waits_for_room_and_not_for_redis() {
    let (server, mut proxy, limiter) = scene(OnUnavailable::Error, FOREVER);
    let rate = RateLimit::per_second(2.0).unwrap();
    let quick = RedisRateLimiter::builder(server.url())
        .window(Duration::from_secs(1))
        .bucket(Duration::from_millis(50))
        .build()
        .unwrap();
    let absolute = quick.absolute();
    assert!(absolute.inc("line", &rate, 2).unwrap().is_allowed());
    let waited = absolute.acquire("line", &rate, 1, FOREVER).unwrap();
    assert!(waited.waited > Duration::ZERO && waited.waited < FOREVER, "{waited:?}");
    let timeout = Duration::from_millis(100);
    let error = absolute.acquire("line", &rate, 2, timeout).unwrap_err();
    assert!(matches!(error, TrypemaError::Timeout { .. }), "{error:?}");
    assert_eq!(absolute.usage("line", &any()).unwrap(), 1, "a wait in vain counts nothing");
    let error = absolute.acquire("line", &rate, 3, FOREVER).unwrap_err();
    assert!(matches!(error, TrypemaError::ExceedsCapacity { .. }), "{error:?}");

    proxy.refuse();
    let begun = Instant::now();
    let error = limiter.absolute().acquire("line", &rate, 1, FOREVER).unwrap_err();
    assert!(matches!(error, TrypemaError::Redis { .. }), "{error:?}");
    assert!(begun.elapsed() < FOREVER / 2);
}
