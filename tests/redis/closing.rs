//! Waiting that ends: `close`, lines that hold only so many, and what the statistics say of waiting.

use std::thread;
use std::time::Duration;

use trypema::{Limiter, RateLimit, RedisRateLimiter, TrypemaError};

use crate::common::until::{FOREVER, until};
use crate::server::RedisServer;

/// A limiter on whose keys `a` and `b` there is no room for hours.
fn full(server: &RedisServer, max_waiting: usize) -> (RedisRateLimiter, RateLimit) {
    let _: () = server.ask("FLUSHALL");
    let builder = RedisRateLimiter::builder(server.url()).deadline(FOREVER);
    let (limiter, rate) = (builder.max_waiting(max_waiting).build().unwrap(), per_day(2));
    for key in ["a", "b"] {
        assert!(limiter.absolute().inc(key, &rate, 2).unwrap().is_allowed());
        assert!(limiter.suppressed().record(key, &rate, 3).unwrap());
    }
    (limiter, rate)
}

fn per_day(count: u32) -> RateLimit {
    RateLimit::per_day(count).unwrap()
}

// proves: acquire
#[test]
fn close_ends_all_waits_and_those_to_come() {
    let server = RedisServer::start();
    let (limiter, rate) = full(&server, usize::MAX);
    thread::scope(|scope| {
        let both: [&dyn Limiter; 2] = [limiter.absolute(), limiter.suppressed()];
        let waits = both.into_iter().flat_map(|limiter| {
            ["a", "a", "b"].map(|key| scope.spawn(move || limiter.acquire(key, &rate, 1, FOREVER)))
        });
        let waits = waits.collect::<Vec<_>>();
        until("six threads wait", || limiter.stats().waiting == 6);
        assert_eq!(limiter.absolute().stats().waiting, 3);
        limiter.clone().close();
        for wait in waits {
            assert_eq!(wait.join().unwrap(), Err(TrypemaError::Closed));
        }
    });
    let stats = limiter.stats();
    assert_eq!((stats.waiting, stats.timeouts, stats.errors), (0, 0, 6));
    // A window that is made only now, and a key with room: it makes no difference.
    let hourly = RateLimit::per_hour(5).unwrap();
    let late = limiter.absolute().acquire("new", &hourly, 1, FOREVER);
    assert_eq!(late, Err(TrypemaError::Closed));
    assert_eq!(limiter.absolute().usage("new", &hourly), Ok(0), "nothing was counted");
    assert!(limiter.absolute().inc("new", &hourly, 1).unwrap().is_allowed(), "all else goes on");
    let (other, rate) = full(&server, usize::MAX);
    assert!(other.absolute().acquire("c", &rate, 1, FOREVER).is_ok(), "another is not closed");
}

/// A thread that closes beside threads that come, each in a window of its own: none of them waits on.
#[test]
fn close_beside_threads_that_come() {
    let server = RedisServer::start();
    for _ in 0..50 {
        let (limiter, _) = full(&server, usize::MAX);
        thread::scope(|scope| {
            let waits = [1, 2, 3].map(|hours| {
                let rate = RateLimit::per(1, Duration::from_secs(hours * 3_600)).unwrap();
                assert!(limiter.absolute().record("a", &rate, 1).unwrap());
                let limiter = &limiter;
                scope.spawn(move || limiter.absolute().acquire("a", &rate, 1, FOREVER))
            });
            limiter.close();
            for wait in waits {
                assert_eq!(wait.join().unwrap(), Err(TrypemaError::Closed));
            }
        });
    }
}

// proves: acquire
#[test]
fn a_line_holds_only_so_many() {
    let server = RedisServer::start();
    let (limiter, rate) = full(&server, 2);
    let absolute = limiter.absolute();
    thread::scope(|scope| {
        let waits = [(); 2].map(|()| scope.spawn(|| absolute.acquire("a", &rate, 1, FOREVER)));
        until("two threads wait", || limiter.stats().waiting == 2);
        let third = absolute.acquire("a", &rate, 1, FOREVER);
        assert!(matches!(third, Err(TrypemaError::TooManyWaiting { max_waiting: 2, .. })));
        // A call with no time does not join, and another key has a line of its own.
        let hasty = absolute.acquire("a", &rate, 1, Duration::ZERO);
        assert!(matches!(hasty, Err(TrypemaError::Timeout { .. })));
        assert!(absolute.acquire("c", &rate, 1, FOREVER).is_ok());
        limiter.close();
        for wait in waits {
            assert_eq!(wait.join().unwrap(), Err(TrypemaError::Closed));
        }
    });
    assert_eq!(limiter.stats().timeouts, 1);
}

#[test]
fn where_nobody_may_wait_calls_are_still_admitted() {
    let server = RedisServer::start();
    let (limiter, rate) = full(&server, 0);
    for limiter in [limiter.absolute() as &dyn Limiter, limiter.suppressed()] {
        assert!(limiter.acquire("c", &rate, 1, FOREVER).is_ok());
        let refused = limiter.acquire("a", &rate, 1, FOREVER);
        assert!(matches!(refused, Err(TrypemaError::TooManyWaiting { max_waiting: 0, .. })));
    }
}

// proves: stats
#[test]
fn the_longest_wait_is_told() {
    let server = RedisServer::start();
    let (limiter, rate) = full(&server, usize::MAX);
    let absolute = limiter.absolute();
    assert!(absolute.acquire("c", &rate, 2, FOREVER).is_ok());
    assert_eq!(limiter.stats().longest_wait, Duration::ZERO, "it was admitted at once");
    let waited = thread::scope(|scope| {
        let wait = scope.spawn(|| absolute.acquire("a", &rate, 1, FOREVER).unwrap());
        until("a thread waits", || limiter.stats().waiting == 1);
        assert_eq!(absolute.refund("a", &rate, 1), Ok(1));
        wait.join().unwrap().waited
    });
    let stats = limiter.stats();
    assert_eq!((stats.longest_wait, stats.waiting), (waited, 0));
    assert!(!waited.is_zero());
    let told = stats.iter().find(|(name, _)| *name == "longest_wait_ms");
    assert_eq!(told.map(|(_, ms)| u128::from(ms)), Some(waited.as_millis()));
}
