//! Connections that are no good any more, pools that are too small, and servers that cannot serve one key:
//! none of it is an outage for longer than it has to be.

// each proves: G7

use std::fs;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use trypema::{
    OnUnavailable, RateLimit, RateLimitDecision, RedisRateLimiter, RedisRateLimiterBuilder,
    TrypemaError,
};

use crate::any;
use crate::cluster::eventually;
use crate::common::until::FOREVER;
use crate::proxy::{Fault, Proxy, Spoiled};
use crate::server::RedisServer;

const CALLERS: usize = 16;

fn builder(url: String) -> RedisRateLimiterBuilder {
    RedisRateLimiter::builder(url).denial_cache(Duration::ZERO)
}

fn plenty() -> RateLimit {
    RateLimit::per_minute(1e6).unwrap()
}

/// As many connections as there are callers, all of them idle afterwards.
fn fill_pool(limiter: &RedisRateLimiter, proxy: &Proxy) {
    let before = proxy.seen().connections;
    let barrier = Barrier::new(CALLERS);
    // Each is in use while the others are made.
    proxy.set(Fault::Late(Duration::from_millis(50)));
    eventually("there are as many connections as callers", || {
        thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    barrier.wait();
                    _ = limiter.absolute().inc("warm", &plenty(), 1).unwrap();
                });
            }
        });
        proxy.seen().connections - before == CALLERS as u64
    });
    proxy.set(Fault::None);
}

/// How many calls fail until one does not.
fn failures(limiter: &RedisRateLimiter) -> usize {
    let mut failures = 0;
    while limiter.absolute().inc("key", &plenty(), 1).is_err() {
        failures += 1;
        assert!(failures < 1_000, "it never works again");
    }
    failures
}

/// The most calls of one caller that fail until one works.
fn most_failures(limiter: &RedisRateLimiter) -> usize {
    let barrier = Barrier::new(CALLERS);
    thread::scope(|scope| {
        let callers = (0..CALLERS).map(|_| {
            scope.spawn(|| {
                barrier.wait();
                failures(limiter)
            })
        });
        let callers = callers.collect::<Vec<_>>();
        callers.into_iter().map(|caller| caller.join().unwrap()).max().unwrap()
    })
}

/// Behind one name, the old master stays, read-only, with all connections that were made to it.
#[test]
fn a_demoted_server_behind_a_name_is_left() {
    let (old, new) = (RedisServer::start(), RedisServer::start());
    for callers in [1, CALLERS] {
        let proxy = Proxy::to(old.port());
        let limiter = builder(proxy.url()).deadline(FOREVER).build().unwrap();
        fill_pool(&limiter, &proxy);
        let _: () = old.ask(&format!("REPLICAOF 127.0.0.1 {}", new.port()));
        proxy.lead_to(new.port());
        let failed = if callers == 1 { failures(&limiter) } else { most_failures(&limiter) };
        assert!(failed <= 3, "{callers} callers: {failed} calls failed");
        assert_eq!(limiter.stats().short_circuited, 0, "the breaker was not needed");
        assert_eq!(failures(&limiter), 0, "nothing old is left");
        let _: () = old.ask("REPLICAOF NO ONE");
    }
}

/// The same for all that says that this is not the server, or not the connection.
#[test]
fn connections_to_the_wrong_server_are_closed() {
    let server = RedisServer::start();
    for error in [
        "-READONLY You can't write against a read only replica.\r\n",
        "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
        "-LOADING Redis is loading the dataset in memory\r\n",
        "-CLUSTERDOWN The cluster is down\r\n",
        "-NOAUTH Authentication required.\r\n",
        "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
    ] {
        let proxy = Proxy::to(server.port());
        let limiter = builder(proxy.url()).deadline(FOREVER).build().unwrap();
        fill_pool(&limiter, &proxy);
        proxy.spoil_old(Spoiled::Saying(error));
        assert_eq!(failures(&limiter), 1, "{error}");
        assert_eq!(failures(&limiter), 0, "{error}");
    }
}

/// A router has forgotten all that was idle. One call waits for its deadline in vain; its next one works.
#[test]
fn connections_that_died_in_silence_cost_one_deadline() {
    let server = RedisServer::start();
    for callers in [1, CALLERS] {
        let proxy = Proxy::to(server.port());
        let limiter = builder(proxy.url()).deadline(Duration::from_secs(2)).build().unwrap();
        fill_pool(&limiter, &proxy);
        proxy.spoil_old(Spoiled::Swallowed);
        let failed = if callers == 1 { failures(&limiter) } else { most_failures(&limiter) };
        assert_eq!(failed, 1, "{callers} callers");
        assert_eq!(limiter.stats().short_circuited, 0, "the breaker was not needed");
    }
}

#[test]
fn idle_connections_say_that_they_are_alive() {
    let server = RedisServer::start();
    let limiter = builder(server.url()).build().unwrap();
    _ = limiter.absolute().inc("key", &plenty(), 1).unwrap();
    // Of the client's end: the other end's port, and which timer runs (02: keepalive).
    let port = format!("0100007F:{:04X}", server.port());
    let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
    let mut ours = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours = ours.find(|fields| fields[2] == port && fields[3] == "01").expect("it is open");
    assert!(ours[5].starts_with("02:"), "{ours:?}");
}

/// The server sees none of it: no call is lost on a connection that is too old.
#[test]
fn connections_are_not_kept_for_longer_than_they_may_be() {
    let server = RedisServer::start();
    let short = Duration::from_millis(1);
    for limiter in [
        builder(server.url()).max_idle(short).deadline(FOREVER).build().unwrap(),
        builder(server.url()).max_lifetime(short).deadline(FOREVER).build().unwrap(),
    ] {
        eventually("it has opened another", || {
            _ = limiter.absolute().inc("key", &plenty(), 1).unwrap();
            limiter.stats().connections_opened > 3
        });
        assert_eq!(limiter.stats().errors, 0);
    }
    let kept = builder(server.url()).deadline(FOREVER).build().unwrap();
    let longest = builder(server.url()).max_idle(Duration::MAX).max_lifetime(Duration::MAX);
    for limiter in [kept, longest.build().unwrap()] {
        (0..50).for_each(|_| _ = limiter.absolute().inc("key", &plenty(), 1).unwrap());
        assert_eq!(limiter.stats().connections_opened, 1);
    }
}

/// Callers that get no connection in time say nothing of the server, which answers all others.
#[test]
fn a_full_pool_is_no_outage_of_the_server() {
    let _alone = crate::alone();
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let limiter = builder(proxy.url()).pool_size(4).deadline(Duration::from_millis(60));
    let limiter = limiter.build().unwrap();
    proxy.set(Fault::Late(Duration::from_millis(6)));
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                for _ in 0..15 {
                    let answer = limiter.absolute().inc("key", &plenty(), 1);
                    let open = matches!(answer, Err(TrypemaError::Unavailable { .. }));
                    assert!(!open, "{answer:?}");
                }
            });
        }
    });
    let stats = limiter.stats();
    assert!(stats.pool_timeouts > 0 && stats.from_redis > 0, "{stats:?}");
    assert_eq!(stats.short_circuited, 0, "{stats:?}");
}

/// Where the server takes fewer clients than the pool may hold, calls wait for those that there are.
#[test]
fn fewer_connections_than_the_pool_may_hold_are_enough() {
    let server = RedisServer::start();
    // The test's own is one of them now and then.
    let _: () = server.ask("CONFIG SET maxclients 6");
    let limiter = builder(server.url()).deadline(FOREVER).build().unwrap();
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                for _ in 0..200 {
                    _ = limiter.absolute().inc("key", &plenty(), 1).unwrap();
                }
            });
        }
    });
    assert_eq!(limiter.absolute().usage("key", &any()).unwrap(), CALLERS as u64 * 200);
    // Nobody to wait for: the server's word.
    let other = builder(server.url()).build().unwrap();
    let mut held = Vec::new();
    while let Ok(connection) = redis::Client::open(server.url()).unwrap().get_connection() {
        held.push(connection);
    }
    let error = other.absolute().inc("key", &plenty(), 1).unwrap_err();
    assert!(error.to_string().contains("max number of clients"), "{error}");
}

/// A server without memory still rejects what is over its limit, and one key's failure is not another's.
#[test]
fn a_key_that_cannot_be_written_is_no_outage_of_the_server() {
    let server = RedisServer::start();
    let five = RateLimit::per_minute(5.0).unwrap();
    for (policy, prefix) in [(OnUnavailable::Error, "error"), (OnUnavailable::Allow, "allow")] {
        let limiter = builder(server.url()).prefix(prefix).on_unavailable(policy);
        let limiter = limiter.breaker(1, FOREVER).build().unwrap();
        let inc = |key| limiter.absolute().inc(key, &five, 1);
        let is_rejected = |answer: &Result<RateLimitDecision, TrypemaError>| {
            matches!(answer, Ok(RateLimitDecision::Rejected { .. }))
        };
        assert!(limiter.absolute().inc("full", &five, 5).unwrap().is_allowed());
        let _: () = server.ask("CONFIG SET maxmemory 1");
        for _ in 0..3 {
            match (policy, inc("new")) {
                (OnUnavailable::Error, Err(error)) => {
                    assert!(error.to_string().contains("OOM"), "{error}");
                }
                (OnUnavailable::Allow, Ok(decision)) => assert!(decision.is_allowed()),
                other => panic!("{other:?}"),
            }
            let answer = inc("full");
            assert!(is_rejected(&answer), "{policy:?}: {answer:?}");
            // One bad answer among good ones.
            let calls = [("full", &five, 1), ("new", &five, 1), ("full", &five, 1)];
            let answers = limiter.absolute().inc_many(&calls);
            assert!(is_rejected(&answers[0]) && is_rejected(&answers[2]), "{answers:?}");
        }
        let _: () = server.ask("CONFIG SET maxmemory 0");
        assert!(inc("new").unwrap().is_allowed());
    }
}

/// A server that knows no script learns each of those in a batch.
#[test]
fn a_batch_may_need_several_scripts() {
    let server = RedisServer::start();
    let limiter = builder(server.url()).deadline(FOREVER).build().unwrap();
    let (limited, unlimited) = (plenty(), RateLimit::unlimited());
    let calls =
        [("a", &unlimited, 1), ("b", &limited, 1), ("a", &unlimited, 1), ("b", &limited, 1)];
    for _ in 0..2 {
        let answers = limiter.absolute().inc_many(&calls);
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        let _: () = server.ask("SCRIPT FLUSH");
    }
    assert_eq!(limiter.absolute().usage("a", &any()).unwrap(), 4);
}
