//! The ways to a server: TCP, a unix socket, TLS with a client's certificate, users, Sentinel and
//! Cluster. Each is there for real.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use trypema::{RateLimit, RedisRateLimiter, RedisRateLimiterBuilder, TrypemaError};

use crate::any;
use crate::certificates::Certificates;
use crate::cluster::{Cluster, eventually};
use crate::common::until::FOREVER;
use crate::sentinel::Watched;
use crate::server::{RedisServer, Setup};

/// A deadline that no healthy server misses.
fn builder(url: impl Into<String>) -> RedisRateLimiterBuilder {
    RedisRateLimiter::builder(url).deadline(Duration::from_secs(20)).denial_cache(Duration::ZERO)
}

fn five() -> RateLimit {
    RateLimit::per_minute(5.0).unwrap()
}

/// All that a limiter can do, once, on a server where none of this has been done before.
fn works(limiter: &RedisRateLimiter) {
    let (absolute, suppressed, rate) = (limiter.absolute(), limiter.suppressed(), five());
    for name in ["alice", "bob", "carol", "dave", "\u{e9}{tagged} with spaces"] {
        assert!(absolute.inc(name, &rate, 2).unwrap().is_allowed());
        assert!(absolute.record(name, &any(), 2).unwrap());
        assert!(!absolute.inc(name, &rate, 2).unwrap().is_allowed());
        assert!(absolute.is_allowed(name, &rate, 1).unwrap().is_allowed());
        assert_eq!(absolute.usage(name, &any()).unwrap(), 4);
        assert_eq!(absolute.refund(name, &any(), 1).unwrap(), 1);
        assert!(absolute.acquire(name, &rate, 2, FOREVER).is_ok());
        assert!(suppressed.inc(name, &rate, 5).unwrap().is_allowed());
        assert!(!suppressed.inc(name, &rate, 3).unwrap().is_allowed());
        assert!(suppressed.suppression_factor(name, &rate).unwrap() > 0.0);
        let usage = suppressed.usage(name, &any()).unwrap();
        assert_eq!((usage.admitted, usage.declined), (5, 3));
        assert!(suppressed.reset(name).unwrap());
        assert!(!suppressed.reset(name).unwrap());
    }
    let names = (0..60).map(|number| format!("user {number}")).collect::<Vec<_>>();
    let calls = names.iter().chain(&names).map(|name| (name.as_str(), &rate, 3));
    let answers = absolute.inc_many(&calls.collect::<Vec<_>>());
    assert_eq!(answers.len(), 120);
    // Room for three, and then for two.
    for (index, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap().is_allowed(), index < 60, "{index}");
    }
}

/// That a limiter cannot ask anything, and what it says of that.
#[track_caller]
fn fails(limiter: &RedisRateLimiter) -> String {
    match limiter.absolute().inc("key", &five(), 1) {
        Err(error @ TrypemaError::Redis { outcome_unknown: false, .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn tcp() {
    let server = RedisServer::start();
    works(&builder(server.url()).build().unwrap());
    works(&builder(format!("{}/3", server.url())).build().unwrap());
    assert!(server.ask::<String>("INFO keyspace").contains("db3:keys="));
    works(&builder(server.url()).prefix("another").build().unwrap());
    let named = server.url().replace("127.0.0.1", "localhost");
    works(&builder(named).prefix("by-name").build().unwrap());
}

#[test]
fn unix_socket() {
    let server = RedisServer::start();
    let url = format!("redis+unix://{}", server.socket().display());
    works(&builder(url).build().unwrap());
    let error = fails(&builder("redis+unix:///nowhere/at/all").build().unwrap());
    assert!(error.contains("/nowhere/at/all") && error.contains("No such file"), "{error}");
}

#[test]
fn tls_with_a_clients_certificate() {
    let certificates = Certificates::make();
    let server = Setup::new().tls(&certificates).start();
    let read = |path| fs::read(path).unwrap();
    let roots = || read(certificates.authority());
    let with_certificate = |builder: RedisRateLimiterBuilder| {
        builder.tls_client(read(certificates.client_certificate()), read(certificates.client_key()))
    };
    works(&with_certificate(builder(server.url())).tls_roots(roots()).build().unwrap());

    let error = fails(&builder(server.url()).tls_roots(roots()).build().unwrap());
    eprintln!("without a certificate: {error}");
    let error = fails(&with_certificate(builder(server.url())).build().unwrap());
    eprintln!("without the authority: {error}");
    assert!(error.contains("certificate"), "{error}");
    let others = read(Certificates::make().authority());
    let error = fails(&with_certificate(builder(server.url())).tls_roots(others).build().unwrap());
    assert!(error.contains("certificate"), "{error}");
    let plain = server.url().replace("rediss", "redis");
    eprintln!("without TLS: {}", fails(&builder(plain).build().unwrap()));
}

/// With no more rights than it needs.
#[test]
fn user_of_the_acl() {
    let rules = "~trypema:* +evalsha +eval +script|load +time +get +set +getrange +setrange +append \
                 +strlen +pexpire +del +select";
    let server = Setup::new().user("limits", "p@ss:word", rules).start();
    let url = server.url().replace("//", "//limits:p%40ss%3Aword@");
    works(&builder(url).build().unwrap());
    let by_setting = builder(server.url()).credentials("limits", "p@ss:word").build().unwrap();
    assert_eq!(by_setting.absolute().usage("alice", &any()).unwrap(), 5);
    let error = fails(&builder(server.url()).build().unwrap());
    assert!(error.contains("NOAUTH"), "{error}");
    let limiter = builder(server.url()).credentials("limits", "p@ss:word").prefix("other");
    let error = fails(&limiter.build().unwrap());
    assert!(error.contains("NOPERM"), "{error}");
}

#[test]
fn a_failover_is_followed() {
    let mut watched = Watched::start();
    let limiter = builder(watched.url()).deadline(Duration::from_secs(2)).build().unwrap();
    works(&limiter);
    eventually("the replica has all of it", || {
        watched.servers[0].ask::<u64>("DBSIZE") == watched.servers[1].ask::<u64>("DBSIZE")
    });
    let usage = limiter.absolute().usage("alice", &any()).unwrap();
    assert_eq!(usage, 5);

    watched.servers[0].kill();
    let error = limiter.absolute().usage("alice", &any()).unwrap_err();
    eprintln!("before the failover: {error}");
    watched.until_failed_over();
    eventually("the new primary is asked", || {
        limiter.absolute().usage("alice", &any()) == Ok(usage)
    });
    assert!(!limiter.absolute().inc("alice", &five(), 1).unwrap().is_allowed());
    assert!(limiter.absolute().inc("erin", &five(), 1).unwrap().is_allowed());
}

/// The old primary is still there, and still answers: that it may not write.
#[test]
fn a_demoted_primary_is_left() {
    let watched = Watched::start();
    let limiter = builder(watched.url()).deadline(Duration::from_secs(2)).build().unwrap();
    assert!(limiter.absolute().inc("alice", &five(), 5).unwrap().is_allowed());
    eventually("the replica has it", || watched.servers[1].ask::<u64>("DBSIZE") == 1);
    eventually("the sentinel begins", || {
        watched.sentinel.try_ask::<()>("SENTINEL FAILOVER limits").is_some()
    });
    watched.until_failed_over();
    eventually("the old primary knows", || {
        let info = watched.servers[0].try_ask::<String>("INFO replication");
        info.is_some_and(|info| info.contains("role:slave"))
    });
    // Counted at the new primary, not lost at the old one.
    let mut counted = 0;
    eventually("the new primary is asked", || {
        counted = u64::from(limiter.absolute().inc("erin", &five(), 1).is_ok());
        counted == 1
    });
    assert_eq!(limiter.absolute().usage("erin", &any()).unwrap(), 1);
    assert_eq!(watched.servers[1].ask::<u64>("EXISTS trypema:a:60000.100:erin"), 1);
    assert!(!limiter.absolute().inc("alice", &five(), 1).unwrap().is_allowed());
}

#[test]
fn a_cluster() {
    let cluster = Cluster::start();
    works(&builder(cluster.url()).build().unwrap());
    let keys = cluster.nodes.iter().map(|node| node.ask::<u64>("DBSIZE")).collect::<Vec<_>>();
    assert!(keys.iter().all(|count| *count > 10), "spread over the nodes: {keys:?}");
    // One address is enough.
    let url = format!("redis-cluster://{}", cluster.nodes[2].address());
    works(&builder(url).prefix("other").build().unwrap());
}

/// The key's slot moves to another node while it is asked for: what is counted stays counted, and
/// nothing is counted twice.
#[test]
fn a_slot_that_moves_is_followed() {
    let cluster = Cluster::start();
    let limiter = builder(cluster.url()).build().unwrap();
    let slot = cluster.slot_of("trypema:a:60000.100:key");
    let plenty = RateLimit::per_minute(1e9).unwrap();
    let (admitted, done) = (AtomicU64::new(0), AtomicBool::new(false));
    // Relaxed, all of them: a count that is read when the threads have been joined, and a flag.
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let decision = limiter.absolute().inc("key", &plenty, 1).unwrap();
                    admitted.fetch_add(u64::from(decision.is_allowed()), Ordering::Relaxed);
                }
            });
        }
        let more = |than: u64| {
            eventually("they go on", || admitted.load(Ordering::Relaxed) > than + 100);
            admitted.load(Ordering::Relaxed)
        };
        let mut count = more(0);
        for _ in 0..3 {
            let from = cluster.owner_of(slot);
            let to = (from + 1) % 3;
            cluster.begin_move(slot, from, to);
            count = more(count);
            assert_eq!(cluster.move_keys(slot, from, to), 1);
            // The source sends everybody to the target, for this one question.
            count = more(count);
            cluster.end_move(slot, to);
            // And now for good.
            count = more(count);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(limiter.absolute().usage("key", &any()).unwrap(), admitted.into_inner());
    // The same for many in one round trip, after yet another move.
    let from = cluster.owner_of(slot);
    let to = (from + 1) % 3;
    cluster.begin_move(slot, from, to);
    cluster.move_keys(slot, from, to);
    let before = limiter.absolute().usage("key", &any()).unwrap();
    let calls = [("key", &plenty, 1), ("bob", &plenty, 1), ("key", &plenty, 1)];
    for answer in limiter.absolute().inc_many(&calls) {
        assert!(answer.unwrap().is_allowed());
    }
    cluster.end_move(slot, to);
    for answer in limiter.absolute().inc_many(&calls) {
        assert!(answer.unwrap().is_allowed());
    }
    assert_eq!(limiter.absolute().usage("key", &any()).unwrap(), before + 4);
}

/// Calls for keys of the lost node fail as unknown; once the node is back, they go on.
#[test]
fn a_lost_node_of_a_cluster_is_an_outage() {
    let mut cluster = Cluster::start();
    let limiter = builder(cluster.url())
        .deadline(Duration::from_secs(2))
        .breaker(u32::MAX, FOREVER)
        .build()
        .unwrap();
    let names = (0..50).map(|number| format!("user {number}")).collect::<Vec<_>>();
    let rate = five();
    let calls = names.iter().map(|name| (name.as_str(), &rate, 1)).collect::<Vec<_>>();
    assert!(limiter.absolute().inc_many(&calls).iter().all(Result::is_ok));
    let lost = cluster.owner_of(cluster.slot_of("trypema:a:60000.100:lost"));
    cluster.nodes[lost].kill();
    let error = limiter.absolute().inc("lost", &rate, 1).unwrap_err();
    eprintln!("a node is lost: {error}");
    assert!(matches!(error, TrypemaError::Redis { outcome_unknown: false, .. }), "{error:?}");
    // Each part of a batch for itself: what a living node has decided is not hidden by a dead one,
    // unless the cluster has found out by now, and answers nobody.
    let answers = limiter.absolute().inc_many(&calls);
    eprintln!("of {} calls {} went well", answers.len(), answers.iter().flatten().count());
    assert!(answers.iter().any(Result::is_err));
    cluster.nodes[lost].restart();
    eventually("all is well again", || {
        limiter.absolute().inc_many(&calls).iter().all(Result::is_ok)
    });
}

/// A node that hangs takes its own part of a batch with it, and no other.
#[test]
fn a_stopped_node_of_a_cluster_hides_nothing_of_the_others() {
    let cluster = Cluster::start();
    let limiter = builder(cluster.url())
        .deadline(Duration::from_millis(600))
        .breaker(u32::MAX, FOREVER)
        .build()
        .unwrap();
    let names = (0..30).map(|number| format!("user {number}")).collect::<Vec<_>>();
    let rate = five();
    let calls = names.iter().map(|name| (name.as_str(), &rate, 1)).collect::<Vec<_>>();
    assert!(limiter.absolute().inc_many(&calls).iter().all(Result::is_ok));
    for (stopped, node) in cluster.nodes.iter().enumerate() {
        // Known by what the node itself holds, before it is stopped.
        let theirs: Vec<String> = node.ask("KEYS *");
        node.pause();
        let answers = limiter.absolute().inc_many(&calls);
        node.resume();
        for (name, answer) in names.iter().zip(answers) {
            let lost = theirs.contains(&format!("trypema:a:60000.100:{name}"));
            assert_eq!(answer.is_err(), lost, "{name}, node {stopped} stopped: {answer:?}");
        }
        eventually("all is well", || limiter.absolute().inc_many(&calls).iter().all(Result::is_ok));
    }
}

#[test]
fn settings_that_make_no_sense_fail_at_once() {
    let url = "redis://127.0.0.1:1";
    let (ms, zero) = (Duration::from_millis, Duration::ZERO);
    for (field, bad) in [
        ("window", builder(url).window(zero)),
        ("window", builder(url).window(Duration::MAX)),
        ("bucket", builder(url).bucket(Duration::from_micros(1_500))),
        ("bucket", builder(url).window(ms(10)).bucket(ms(11))),
        ("hard_limit_factor", builder(url).hard_limit_factor(0.5)),
        ("hard_limit_factor", builder(url).hard_limit_factor(f64::NAN)),
        ("prefix", builder(url).prefix("a:b")),
        ("prefix", builder(url).prefix("{a}")),
        ("pool_size", builder(url).pool_size(0)),
        ("deadline", builder(url).deadline(zero)),
        ("deadline", builder(url).deadline(Duration::MAX)),
        ("breaker", builder(url).breaker(0, ms(1))),
        ("breaker", builder(url).breaker(1, Duration::MAX)),
        ("local_share", builder(url).local_share(0.0)),
        ("local_share", builder(url).local_share(1.5)),
        ("tls_roots", builder("rediss://127.0.0.1:1").tls_roots("no certificate")),
    ] {
        match bad.build() {
            Err(TrypemaError::InvalidConfig { field: its_field, .. }) => {
                assert_eq!(its_field, field);
            }
            other => panic!("{field}: {other:?}"),
        }
    }
    // As long as can be.
    builder(url)
        .denial_cache(Duration::MAX)
        .suppression_refresh(Duration::MAX)
        .hard_limit_factor(f64::MAX)
        .build()
        .unwrap();
    let limiter = builder(url).build().unwrap();
    for key in ["", &"k".repeat(256)] {
        let error = limiter.absolute().inc(key, &five(), 1).unwrap_err();
        assert!(matches!(error, TrypemaError::InvalidKey { .. }), "{error:?}");
        assert_eq!(limiter.suppressed().inc(key, &five(), 0).unwrap_err(), error);
    }
}
