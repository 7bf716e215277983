//! Waiting that ends: `close`, and lines that hold only so many.

use std::thread;
use std::time::Duration;

use trypema::{Limiter, LocalRateLimiter, ManualClock, RateLimit, TrypemaError};

use crate::common::until::{FOREVER, until};

fn full() -> (LocalRateLimiter, RateLimit) {
    full_with(usize::MAX)
}

fn full_with(max_waiting: usize) -> (LocalRateLimiter, RateLimit) {
    let builder = LocalRateLimiter::builder().clock(ManualClock::new()).max_waiting(max_waiting);
    let (limiter, rate) = (builder.build().unwrap(), RateLimit::per_second(2).unwrap());
    for key in ["a", "b"] {
        assert!(limiter.absolute().inc(key, &rate, 2).is_allowed());
        assert!(limiter.suppressed().record(key, &rate, 3));
    }
    (limiter, rate)
}

#[test]
fn close_ends_all_waits_and_those_to_come() {
    let (limiter, rate) = full();
    thread::scope(|scope| {
        let both: [&dyn Limiter; 2] = [limiter.absolute(), limiter.suppressed()];
        let waits = both.into_iter().flat_map(|limiter| {
            ["a", "a", "b"].map(|key| scope.spawn(move || limiter.acquire(key, &rate, 1, FOREVER)))
        });
        let waits = waits.collect::<Vec<_>>();
        until("six threads wait", || limiter.stats().waiting == 6);
        limiter.close();
        for wait in waits {
            assert_eq!(wait.join().unwrap(), Err(TrypemaError::Closed));
        }
    });
    assert_eq!((limiter.stats().waiting, limiter.stats().timeouts), (0, 0));
    // A window that is made only now, and a key with room: it makes no difference.
    let hourly = RateLimit::per_hour(5).unwrap();
    let late = limiter.absolute().acquire("new", &hourly, 1, FOREVER);
    assert_eq!(late, Err(TrypemaError::Closed));
    assert!(limiter.absolute().inc("new", &hourly, 1).is_allowed(), "all else goes on");
}

/// A thread that closes beside threads that come: none of them waits on.
#[test]
fn close_beside_threads_that_come() {
    for _ in 0..200 {
        let (limiter, rate) = full();
        thread::scope(|scope| {
            let waits = [(); 3].map(|()| {
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

#[test]
fn a_line_holds_only_so_many() {
    let (limiter, rate) = full_with(2);
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
    let (limiter, rate) = full_with(0);
    for limiter in [limiter.absolute() as &dyn Limiter, limiter.suppressed()] {
        assert!(limiter.acquire("c", &rate, 1, FOREVER).is_ok());
        let refused = limiter.acquire("a", &rate, 1, FOREVER);
        assert!(matches!(refused, Err(TrypemaError::TooManyWaiting { max_waiting: 0, .. })));
    }
}
