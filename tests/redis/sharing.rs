//! Connections that limiters share, and those that processes must not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use trypema::{
    RateLimit, RedisConnectionSettings, RedisConnections, RedisRateLimiter, TrypemaError,
};

use crate::any;
use crate::common::until::FOREVER;
use crate::proxy::Proxy;
use crate::server::RedisServer;

fn plenty() -> RateLimit {
    RateLimit::per_minute(1e6).unwrap()
}

/// As many clients as one limiter would make, and one breaker.
#[test]
fn limiters_share_connections() {
    const LIMITERS: usize = 40;
    const THREADS: usize = 8;
    let server = RedisServer::start();
    let mut proxy = Proxy::to(server.port());
    let settings = RedisConnectionSettings::new().pool_size(4).breaker(1, FOREVER);
    let connections = RedisConnections::open(proxy.url(), settings).unwrap();
    let limiters = (0..LIMITERS).map(|number| {
        let limiter = connections.limiter().prefix(format!("limiter-{number}"));
        limiter.deadline(FOREVER).denial_cache(Duration::ZERO).build().unwrap()
    });
    let limiters = limiters.collect::<Vec<_>>();
    let rate = plenty();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for limiter in &limiters {
                    assert!(limiter.absolute().inc("key", &rate, 1).unwrap().is_allowed());
                    assert!(limiter.suppressed().inc("key", &rate, 1).unwrap().is_allowed());
                }
            });
        }
    });
    let opened = connections.opened();
    assert!((1..=4).contains(&opened), "{opened} connections");
    assert_eq!(limiters[7].stats().connections_opened, opened);
    for limiter in &limiters {
        assert_eq!(
            limiter.absolute().usage("key", &any()).unwrap(),
            THREADS as u64,
            "each its own keys"
        );
    }
    // One finds out for all.
    proxy.refuse();
    assert!(matches!(limiters[0].absolute().usage("key", &any()), Err(TrypemaError::Redis { .. })));
    for limiter in &limiters {
        let error = limiter.absolute().usage("key", &any()).unwrap_err();
        assert!(matches!(error, TrypemaError::Unavailable { .. }), "{error:?}");
    }
}

#[test]
fn connections_that_make_no_sense_fail_at_once() {
    let url = "redis://me:Passphrase@127.0.0.1:1";
    let settings = RedisConnectionSettings::new;
    let connections = RedisConnections::open(url, settings()).unwrap();
    assert!(
        !format!("{connections:?} {:?}", settings().credentials("me", "Passphrase"))
            .contains("Pass")
    );
    let builder = |url: &str| RedisRateLimiter::builder(url).connections(&connections);
    assert!(builder(url).build().is_ok() && builder("").build().is_ok());
    for (field, built) in [
        ("connections", builder("redis://127.0.0.1:2").build()),
        ("connections", builder(url).pool_size(16).build()),
        ("connections", builder("").tls_roots("").build()),
    ] {
        match built {
            Err(TrypemaError::InvalidConfig { field: its_field, .. }) => {
                assert_eq!(its_field, field)
            }
            other => panic!("{other:?}"),
        }
    }
    for (field, opened) in [
        ("url", RedisConnections::open("", settings())),
        ("pool_size", RedisConnections::open(url, settings().pool_size(0))),
        ("max_idle", RedisConnections::open(url, settings().max_idle(Duration::ZERO))),
        ("max_lifetime", RedisConnections::open(url, settings().max_lifetime(Duration::ZERO))),
        ("breaker", RedisConnections::open(url, settings().breaker(1, Duration::ZERO))),
    ] {
        match opened {
            Err(TrypemaError::InvalidConfig { field: its_field, .. }) => {
                assert_eq!(its_field, field)
            }
            other => panic!("{field}: {other:?}"),
        }
    }
}

unsafe extern "C" {
    fn fork() -> i32;
    fn _exit(status: i32) -> !;
}

/// Forks; the child ends with what `child` returns, and does nothing else.
pub(crate) fn forked(child: impl FnOnce() -> i32) -> Pid {
    // SAFETY: the child runs `child` alone, on a copy of this thread, and then ends. What other threads of this
    // process hold is what the test is about; the allocator's locks are taken care of by the C library.
    match unsafe { fork() } {
        0 => {
            let status = child();
            // SAFETY: ends the process, without running anything that is registered for its end.
            unsafe { _exit(status) }
        }
        pid => Pid::from_raw(pid).expect("there is a child"),
    }
}

/// How the child has ended. One that is stuck is killed.
pub(crate) fn end_of(child: Pid) -> Option<i32> {
    let begun = Instant::now();
    loop {
        match waitpid(Some(child), WaitOptions::NOHANG).unwrap() {
            Some((_, status)) => return status.exit_status(),
            None if begun.elapsed() > FOREVER => _ = kill_process(child, Signal::KILL),
            None => thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// Parent and child have one limiter, whose connections were made before they parted; other threads are in the
/// middle of calls just then. Neither reads an answer that was for the other, and no lock stays closed.
#[test]
fn processes_that_are_forked_off_begin_afresh() {
    let server = RedisServer::start();
    let limiter = RedisRateLimiter::builder(server.url())
        .denial_cache(Duration::ZERO)
        .pool_size(2)
        .deadline(Duration::from_secs(20))
        .build()
        .unwrap();
    let absolute = limiter.absolute();
    let (rate, one) = (plenty(), RateLimit::per_minute(1.0).unwrap());
    assert!(absolute.inc("full", &one, 1).unwrap().is_allowed());
    // Parents count, children are rejected: an answer for the other is the wrong one.
    let counts = || (0..300).all(|_| absolute.inc("key", &rate, 1).is_ok_and(|it| it.is_allowed()));
    let is_turned_away =
        || (0..300).all(|_| absolute.inc("full", &one, 1).is_ok_and(|it| !it.is_allowed()));
    for busy in [0, 3] {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..busy {
                scope.spawn(|| {
                    // Relaxed: it stops sooner or later.
                    while !stop.load(Ordering::Relaxed) {
                        assert!(absolute.inc("busy", &rate, 1).unwrap().is_allowed());
                    }
                });
            }
            for _ in 0..5 {
                let child = forked(|| i32::from(!is_turned_away()));
                let counted = counts();
                let end = end_of(child);
                stop.store(!counted || end != Some(0), Ordering::Relaxed); // As above.
                assert!(
                    counted,
                    "{busy} busy threads: the parent got an answer that was not its own"
                );
                assert_eq!(end, Some(0), "{busy} busy threads: the child did");
            }
            stop.store(true, Ordering::Relaxed); // As above.
        });
    }
    assert_eq!(absolute.usage("key", &any()).unwrap(), 2 * 5 * 300, "counted once each");
}
