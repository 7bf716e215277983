//! The answers that the denial cache gives without asking, and when it asks again.

// each proves: G3

use std::thread;
use std::time::Duration;

use trypema::{
    ManualClock, RateLimit, RateLimitDecision, RedisRateLimiter, RedisRateLimiterBuilder,
};

use crate::any;
use crate::cluster::eventually;
use crate::common::until::FOREVER;
use crate::proxy::{Fault, Proxy};
use crate::server::RedisServer;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A window of a minute, and a second of memory, in a time that the test tells.
fn limiter(
    server: &RedisServer,
    clock: &ManualClock,
    settings: impl FnOnce(RedisRateLimiterBuilder) -> RedisRateLimiterBuilder,
) -> RedisRateLimiter {
    let builder = RedisRateLimiter::builder(server.url())
        .server_time(clock.clone())
        .denial_cache(ms(1_000))
        .deadline(ms(20_000));
    settings(builder).build().unwrap()
}

fn five() -> RateLimit {
    RateLimit::per_minute(5.0).unwrap()
}

/// How many of the decisions in `act` were repeated, and not asked for.
fn repeated(limiter: &RedisRateLimiter, act: impl FnOnce()) -> u64 {
    let before = limiter.stats();
    act();
    let after = limiter.stats();
    after.from_denial_cache - before.from_denial_cache
}

#[track_caller]
fn is_rejected(limiter: &RedisRateLimiter, key: &str, count: u64) -> Duration {
    let decision = limiter.absolute().inc(key, &five(), count).unwrap();
    assert!(matches!(decision, RateLimitDecision::Rejected { .. }), "{decision:?}");
    decision.retry_after().expect("it is not for ever")
}

#[test]
fn the_same_ask_is_repeated_for_so_long() {
    let (server, clock) = (RedisServer::start(), ManualClock::new());
    let limiter = limiter(&server, &clock, |builder| builder);
    assert!(limiter.absolute().inc("key", &five(), 4).unwrap().is_allowed());
    assert_eq!(repeated(&limiter, || _ = is_rejected(&limiter, "key", 2)), 0);
    let calls = server.calls("evalsha");
    for passed in [0, 1, 500, 498] {
        clock.advance(ms(passed));
        let hint = ms(60_100) - trypema::Clock::now(&clock);
        assert_eq!(repeated(&limiter, || assert_eq!(is_rejected(&limiter, "key", 2), hint)), 1);
    }
    assert_eq!(server.calls("evalsha"), calls, "nobody asked");
    clock.advance(ms(1));
    assert_eq!(repeated(&limiter, || _ = is_rejected(&limiter, "key", 2)), 0, "a second is over");
    assert_eq!(repeated(&limiter, || _ = is_rejected(&limiter, "key", 2)), 1);

    // Another count, another rate, another strategy: another question.
    assert_eq!(repeated(&limiter, || _ = is_rejected(&limiter, "key", 3)), 0);
    assert_eq!(
        repeated(&limiter, || assert!(
            limiter.absolute().inc("key", &five(), 1).unwrap().is_allowed()
        )),
        0
    );
    let more = RateLimit::per_minute(10.0).unwrap();
    assert_eq!(
        repeated(&limiter, || assert!(
            limiter.absolute().inc("key", &more, 3).unwrap().is_allowed()
        )),
        0
    );
    assert_eq!(
        repeated(&limiter, || {
            for _ in 0..3 {
                assert!(!limiter.suppressed().inc("key", &five(), 8).unwrap().is_allowed());
            }
        }),
        0
    );
    assert_eq!(
        limiter.suppressed().usage("key", &any()).unwrap().declined,
        24,
        "declines are counted"
    );
}

/// A hint that is shorter than the memory ends it.
#[test]
fn room_that_comes_sooner_is_seen() {
    let (server, clock) = (RedisServer::start(), ManualClock::new());
    let limiter = limiter(&server, &clock, |builder| builder.window(ms(300)).bucket(ms(100)));
    let rate = RateLimit::per_second(10.0).unwrap();
    assert!(limiter.absolute().inc("key", &rate, 3).unwrap().is_allowed());
    assert!(!limiter.absolute().inc("key", &rate, 1).unwrap().is_allowed());
    clock.advance(ms(399));
    assert!(!limiter.absolute().inc("key", &rate, 1).unwrap().is_allowed());
    clock.advance(ms(1));
    assert!(limiter.absolute().inc("key", &rate, 1).unwrap().is_allowed());
    assert_eq!(limiter.stats().from_denial_cache, 1);
}

/// A reply may come late. Its hint is of the moment at which the server decided, and the call that comes back when
/// that has passed is admitted, not rejected by the cache.
#[test]
fn a_late_reply_is_not_remembered_for_longer() {
    let (server, clock) = (RedisServer::start(), ManualClock::new());
    let proxy = Proxy::to(server.port());
    let limiter = RedisRateLimiter::builder(proxy.url())
        .server_time(clock.clone())
        .window(ms(1_000))
        .bucket(ms(100))
        .denial_cache(ms(20_000))
        .deadline(FOREVER)
        .build()
        .unwrap();
    let rate = RateLimit::per_second(5.0).unwrap();
    let inc = |count| limiter.absolute().inc("key", &rate, count).unwrap();
    assert!(inc(5).is_allowed());
    proxy.set(Fault::Late(FOREVER));
    let calls = server.calls("evalsha");
    let rejected = thread::scope(|scope| {
        let asking = scope.spawn(|| inc(1));
        eventually("the server has decided", || server.calls("evalsha") > calls);
        clock.advance(ms(400));
        proxy.set(Fault::None);
        asking.join().unwrap()
    });
    assert_eq!(rejected.retry_after(), Some(ms(1_100)), "as the server saw it");
    // Meanwhile 400 ms have passed.
    assert_eq!(inc(1).retry_after(), Some(ms(700)));
    assert_eq!(limiter.stats().from_denial_cache, 1);
    clock.advance(ms(699));
    assert_eq!(inc(1).retry_after(), Some(ms(1)));
    clock.advance(ms(1));
    assert!(inc(1).is_allowed(), "at the hint, it is admitted");

    // So late that it says nothing any more.
    clock.advance(ms(1_100));
    assert!(inc(5).is_allowed());
    proxy.set(Fault::Late(FOREVER));
    let calls = server.calls("evalsha");
    thread::scope(|scope| {
        let asking = scope.spawn(|| assert!(!inc(1).is_allowed()));
        eventually("the server has decided", || server.calls("evalsha") > calls);
        clock.advance(ms(2_000));
        proxy.set(Fault::None);
        asking.join().unwrap();
    });
    assert!(inc(1).is_allowed());
}

#[test]
fn what_is_given_back_is_seen() {
    let (server, clock) = (RedisServer::start(), ManualClock::new());
    let [ours, other] = [(); 2].map(|()| limiter(&server, &clock, |builder| builder));
    let fill = || {
        ours.absolute().reset("key").unwrap();
        assert!(ours.absolute().inc("key", &five(), 5).unwrap().is_allowed());
        is_rejected(&ours, "key", 1);
        assert_eq!(repeated(&ours, || _ = is_rejected(&ours, "key", 1)), 1);
    };
    let is_admitted = || ours.absolute().inc("key", &five(), 1).unwrap().is_allowed();
    fill();
    assert_eq!(ours.absolute().refund("key", &any(), 1), Ok(1));
    assert!(is_admitted());
    fill();
    assert_eq!(ours.absolute().reset("key"), Ok(true));
    assert!(is_admitted());
    // Elsewhere: at the latest when the memory ends.
    fill();
    assert_eq!(other.absolute().refund("key", &any(), 1), Ok(1));
    assert!(!is_admitted());
    clock.advance(ms(1_000));
    assert!(is_admitted());
}

#[test]
fn it_is_bounded_and_can_be_off() {
    let (server, clock) = (RedisServer::start(), ManualClock::new());
    let bounded = limiter(&server, &clock, |builder| builder.denial_cache_keys(100));
    let off = limiter(&server, &clock, |builder| builder.denial_cache(Duration::ZERO));
    let names = (0..1_000).map(|number| format!("user {number}")).collect::<Vec<_>>();
    for name in &names {
        assert!(off.absolute().record(name, &any(), 5).unwrap());
        is_rejected(&bounded, name, 1);
    }
    let all = |limiter: &RedisRateLimiter| {
        repeated(limiter, || names.iter().for_each(|name| _ = is_rejected(limiter, name, 1)))
    };
    let kept = all(&bounded);
    assert!((1..=100).contains(&kept), "{kept} kept");
    assert_eq!(all(&off) + all(&off), 0);
    // Old entries make room for new ones.
    clock.advance(ms(1_000));
    let last = &names[950..];
    for _ in 0..2 {
        last.iter().for_each(|name| _ = is_rejected(&bounded, name, 1));
    }
    let kept =
        repeated(&bounded, || last.iter().for_each(|name| _ = is_rejected(&bounded, name, 1)));
    assert_eq!(kept, 50);
}
