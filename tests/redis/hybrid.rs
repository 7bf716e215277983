//! Leases: that calls spend them without asking, and what becomes of units that nobody spends.

// each proves: G1

use std::thread;
use std::time::Duration;

use trypema::{
    HybridRateLimiter, HybridRateLimiterBuilder, ManualClock, OnUnavailable, RateLimit,
    TrypemaError,
};

use crate::cluster::eventually;
use crate::common::until::FOREVER;
use crate::server::RedisServer;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn per_minute(count: u32) -> RateLimit {
    RateLimit::per_minute(f64::from(count)).unwrap()
}

type Settings = fn(HybridRateLimiterBuilder) -> HybridRateLimiterBuilder;

/// Windows of a minute, leases of a second, and a time that the test tells.
fn told(server: &RedisServer, settings: Settings) -> (HybridRateLimiter, ManualClock) {
    let clock = ManualClock::new();
    clock.set(Duration::from_secs(100));
    let builder = HybridRateLimiter::builder(server.url())
        .lease(ms(1_000))
        .deadline(FOREVER)
        .server_time(clock.clone());
    (settings(builder).build().unwrap(), clock)
}

/// In real time.
fn real(server: &RedisServer, lease: Duration) -> HybridRateLimiter {
    HybridRateLimiter::builder(server.url()).lease(lease).deadline(FOREVER).build().unwrap()
}

/// Calls until a lease is in hand that has this many units at least.
fn warm(limiter: &HybridRateLimiter, key: &str, rate: &RateLimit, calls: u32) {
    for _ in 0..calls {
        assert!(limiter.absolute().inc(key, rate, 1).unwrap().is_allowed());
    }
    assert!(limiter.stats().from_leases > 0, "{:?}", limiter.stats());
}

#[test]
fn a_hot_key_asks_seldom() {
    let server = RedisServer::start();
    let (limiter, _) = told(&server, |builder| builder);
    let rate = per_minute(1_000_000);
    for _ in 0..10_000 {
        assert!(limiter.absolute().inc("key", &rate, 1).unwrap().is_allowed());
    }
    let stats = limiter.stats();
    assert!(stats.asks < 20, "{stats:?}");
    assert_eq!(stats.from_leases + stats.decisions.from_redis, 10_000);
    assert_eq!(stats.decisions.allowed, 10_000);
}

/// By one process alone, and without time passing, every unit is found, and not one more.
#[test]
fn all_of_the_capacity_is_found_and_no_more() {
    let server = RedisServer::start();
    let (limiter, clock) = told(&server, |builder| builder);
    for (key, capacity) in [("small", 7), ("larger", 1_000), ("large", 54_321)] {
        let rate = per_minute(capacity);
        let mut admitted = 0;
        for count in (1..=5).cycle().take(100_000) {
            let decision = limiter.absolute().inc(key, &rate, count).unwrap();
            admitted += if decision.is_allowed() { count } else { 0 };
        }
        assert_eq!(admitted, u64::from(capacity), "{key}: {:?}", limiter.stats());
        clock.advance(ms(1));
    }
}

#[test]
fn what_is_left_of_a_lease_is_given_back_when_it_has_ended() {
    let server = RedisServer::start();
    let (limiter, clock) = told(&server, |builder| builder);
    let rate = per_minute(100_000);
    warm(&limiter, "key", &rate, 20);
    // For another process leased units count as used, but not for this one.
    let (other, _) = told(&server, |builder| builder);
    let leased = other.absolute().usage("key", &rate).unwrap();
    assert!(leased > 20, "{leased} units, of which 20 are spent");
    assert_eq!(limiter.absolute().usage("key", &rate), Ok(20));
    clock.advance(ms(1_000));
    // Another key: whoever asks does what is due.
    assert!(limiter.absolute().inc("other", &rate, 1).unwrap().is_allowed());
    assert_eq!(limiter.absolute().usage("key", &rate), Ok(20));
    assert_eq!(limiter.stats().units_given_back, leased - 20);
}

/// What is left of a lease that was renewed is not idle for as long as the next one lasts.
#[test]
fn the_rest_of_a_renewed_lease_is_given_back_at_once() {
    let server = RedisServer::start();
    let (limiter, clock) = told(&server, |builder| builder);
    let rate = per_minute(100_000);
    warm(&limiter, "key", &rate, 20);
    clock.advance(ms(900));
    // Another key: whoever asks does what is due.
    assert!(limiter.absolute().inc("other", &rate, 1).unwrap().is_allowed());
    let stats = limiter.stats();
    assert_eq!(stats.renewals, 1, "{stats:?}");
    assert!(stats.units_given_back > 0, "{stats:?}");
    assert_eq!(limiter.absolute().usage("key", &rate), Ok(20));
}

#[test]
fn the_background_thread_gives_back_and_forgets() {
    let server = RedisServer::start();
    let limiter = real(&server, ms(20));
    let rate = per_minute(100_000);
    warm(&limiter, "key", &rate, 50);
    eventually("the rest is given back", || limiter.absolute().usage("key", &rate).unwrap() == 50);
    eventually("the key is forgotten", || limiter.stats().keys == 0);
    assert_eq!(limiter.stats().units_lost, 0);
}

#[test]
fn the_background_thread_renews_what_is_in_use() {
    let server = RedisServer::start();
    let limiter = real(&server, ms(20));
    let rate = per_minute(100_000_000);
    eventually("a lease is renewed", || {
        for _ in 0..100 {
            assert!(limiter.absolute().inc("key", &rate, 1).unwrap().is_allowed());
        }
        limiter.stats().renewals > 3
    });
}

#[test]
fn the_thread_ends_with_the_last_handle() {
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names =
            tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name.trim_end() == "trypema-leases").count()
    };
    let _alone = crate::alone();
    let server = RedisServer::start();
    let limiter = real(&server, ms(20));
    warm(&limiter, "key", &per_minute(100_000), 50);
    let handle = limiter.absolute().clone();
    drop(limiter);
    assert!(handle.inc("key", &per_minute(100_000), 1).unwrap().is_allowed());
    let mut before = 0;
    // It takes its name when it first runs.
    eventually("the thread runs", || {
        before = threads();
        before > 0
    });
    drop(handle);
    eventually("the thread is gone", || threads() < before);
}

#[test]
fn leases_in_hand_are_spent_while_redis_is_away() {
    let mut server = RedisServer::start();
    let (limiter, clock) = told(&server, |builder| builder.deadline(ms(2_000)));
    let rate = per_minute(100_000);
    warm(&limiter, "key", &rate, 20);
    server.kill();
    let before = limiter.stats().from_leases;
    assert!(limiter.absolute().inc("key", &rate, 1).unwrap().is_allowed());
    assert_eq!(limiter.stats().from_leases, before + 1);
    // At the end of the lease, and not before.
    clock.advance(ms(1_000));
    let error = limiter.absolute().inc("key", &rate, 1).unwrap_err();
    assert!(
        matches!(error, TrypemaError::Redis { .. } | TrypemaError::Unavailable { .. }),
        "{error:?}"
    );
    server.restart();
    eventually("it works again", || limiter.absolute().inc("key", &rate, 1).is_ok());
}

#[test]
fn the_policy_answers_when_leases_have_run_out() {
    let mut server = RedisServer::start();
    let (limiter, _) =
        told(&server, |builder| builder.deadline(ms(2_000)).on_unavailable(OnUnavailable::Reject));
    let rate = per_minute(100_000);
    warm(&limiter, "key", &rate, 20);
    server.kill();
    let mut spent = 0;
    while limiter.absolute().inc("key", &rate, 1).unwrap().is_allowed() {
        spent += 1;
        assert!(spent < 100_000);
    }
    assert!(spent > 0);
    assert!(limiter.stats().decisions.from_policy > 0);
}

#[test]
fn callers_of_a_key_share_an_ask() {
    let server = RedisServer::start();
    let limiter = real(&server, ms(1_000));
    let rate = per_minute(1_000);
    server.pause();
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                assert!(limiter.absolute().inc("key", &rate, 1).unwrap().is_allowed());
            });
        }
        // All but the first wait for its answer, and then share one ask.
        thread::sleep(ms(100));
        server.resume();
    });
    assert!(limiter.stats().asks <= 10, "{:?}", limiter.stats());
    let spent = limiter.stats().decisions.allowed;
    assert_eq!(spent, 20);
}

#[test]
fn a_caller_whose_time_is_up_leaves_and_its_units_come_back() {
    let server = RedisServer::start();
    let limiter =
        HybridRateLimiter::builder(server.url()).lease(ms(20)).deadline(ms(100)).build().unwrap();
    let rate = per_minute(1_000);
    assert!(limiter.absolute().inc("key", &rate, 1).unwrap().is_allowed());
    server.pause();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| limiter.absolute().inc("key", &rate, 1).unwrap_err());
        }
    });
    server.resume();
    eventually("it works again", || limiter.absolute().inc("key", &rate, 1).is_ok());
    let usage = limiter.absolute().usage("key", &rate).unwrap();
    assert!(usage <= 1_000, "{usage}");
}

#[test]
fn a_reset_drops_the_lease() {
    let server = RedisServer::start();
    let (limiter, _) = told(&server, |builder| builder);
    let rate = per_minute(1_000);
    warm(&limiter, "key", &rate, 50);
    assert_eq!(limiter.absolute().reset("key"), Ok(true));
    let mut admitted = 0;
    while limiter.absolute().inc("key", &rate, 1).unwrap().is_allowed() {
        admitted += 1;
    }
    assert_eq!(admitted, 1_000);
}

/// Refunds and undos of more than was admitted do not find units that are leased and not spent.
#[test]
fn leased_units_are_not_refunded() {
    let server = RedisServer::start();
    for undoes in [false, true] {
        let (limiter, clock) = told(&server, |builder| builder);
        clock.set(Duration::from_secs(if undoes { 10_000 } else { 100 }));
        let rate = per_minute(1_000);
        let mut bucket = None;
        for _ in 0..50 {
            bucket = limiter.absolute().inc("key", &rate, 1).unwrap().bucket();
        }
        assert!(limiter.stats().from_leases > 0);
        let taken = if undoes {
            limiter.absolute().undo("key", &rate, bucket.unwrap(), 1_000)
        } else {
            limiter.absolute().refund("key", &rate, 1_000)
        };
        assert_eq!(taken, Ok(50));
        let mut admitted = 0;
        while limiter.absolute().inc("key", &rate, 1).unwrap().is_allowed() {
            admitted += 1;
        }
        assert_eq!(admitted, 1_000);
    }
}

/// A lease granted under one rate is not spent by calls of a smaller one.
#[test]
fn rates_are_not_sticky() {
    let server = RedisServer::start();
    let (limiter, _) = told(&server, |builder| builder.window(Duration::from_secs(60)));
    warm(&limiter, "key", &per_minute(1_000), 50);
    let decision = limiter.absolute().inc("key", &per_minute(50), 1).unwrap();
    assert!(!decision.is_allowed(), "{decision:?}");
    assert!(limiter.absolute().inc("key", &per_minute(51), 1).unwrap().is_allowed());
}

#[test]
fn many_at_once_share_a_round_trip() {
    let server = RedisServer::start();
    let limiter = real(&server, ms(1_000));
    let rate = per_minute(1_000);
    let names = (0..300).map(|number| format!("key {number}")).collect::<Vec<_>>();
    let calls = names.iter().map(|name| (name.as_str(), &rate, 2)).collect::<Vec<_>>();
    let decisions = limiter.absolute().inc_many(&calls);
    assert_eq!(decisions.len(), 300);
    assert!(decisions.iter().all(|decision| decision.as_ref().unwrap().is_allowed()));
    let twice =
        limiter.absolute().inc_many(&[("a", &rate, 600), ("a", &rate, 600), ("a", &rate, 1)]);
    let twice = twice.into_iter().map(|decision| decision.unwrap().is_allowed());
    assert_eq!(twice.collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn suppressed_keeps_to_the_hard_limit() {
    let server = RedisServer::start();
    let (limiter, clock) = told(&server, |builder| builder.hard_limit_factor(1.2));
    let rate = per_minute(1_000);
    let (mut admitted, mut declined) = (0, 0);
    for step in 0..50_000 {
        let decision = limiter.suppressed().inc("key", &rate, 1).unwrap();
        if decision.is_allowed() {
            admitted += 1
        } else {
            declined += 1
        }
        if step % 100 == 0 {
            clock.advance(ms(10));
        }
    }
    assert!((1_000..=1_200).contains(&admitted), "{admitted} admitted, {declined} declined");
    let stats = limiter.suppressed().stats();
    assert!(stats.from_leases > 0, "{stats:?}");
    let usage = limiter.suppressed().usage("key", &rate).unwrap();
    assert!(usage.declined <= declined, "{usage:?}");
}

#[test]
fn settings_are_checked() {
    let lease = |lease| HybridRateLimiter::builder("redis://127.0.0.1:1").lease(lease);
    let window = Duration::from_secs(1);
    for wrong in [Duration::ZERO, Duration::from_micros(1_500), ms(1_001)] {
        let error = lease(wrong).window(window).build().unwrap_err();
        assert!(matches!(error, TrypemaError::InvalidConfig { field: "lease", .. }), "{error}");
    }
    let limiter = lease(ms(1_000)).window(window).build().unwrap();
    assert_eq!(limiter.lease(&per_minute(1)), window);
    let limiter = HybridRateLimiter::builder("redis://127.0.0.1:1").build().unwrap();
    for (rate, expected) in [("1/s", 10), ("1/minute", 600), ("1/hour", 1_000), ("1/5ms", 5)] {
        assert_eq!(limiter.lease(&rate.parse().unwrap()), ms(expected), "{rate}");
    }
}
