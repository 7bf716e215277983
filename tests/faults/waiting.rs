//! `acquire` of one key while others wait for other keys; and how long it sleeps.

// each proves: acquire

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use trypema::{Clock, LocalRateLimiter, ManualClock, Random, RateLimit, Watch};

const MINUTE: Duration = Duration::from_secs(60);

/// A manual clock that counts who watches it: the first of each line does.
#[derive(Clone, Default)]
struct Watched(ManualClock, Arc<AtomicUsize>);

impl Clock for Watched {
    fn now(&self) -> Duration {
        self.0.now()
    }

    fn watch(&self, thread: &thread::Thread) -> Option<Watch> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.watch(thread)
    }
}

/// With somebody waiting for another key, calls that have no time are admitted all the same.
#[test]
fn nobody_is_turned_away_because_others_wait_for_another_key() {
    let clock = Watched::default();
    let limiter = LocalRateLimiter::builder().clock(clock.clone()).build().unwrap();
    let one = RateLimit::per_minute(1.0).unwrap();
    let much = RateLimit::unlimited();
    let (absolute, suppressed) = (limiter.absolute(), limiter.suppressed());
    assert!(absolute.inc("busy", &one, 1).is_allowed());
    assert!(suppressed.inc("busy", &one, 1).is_allowed());
    thread::scope(|scope| {
        let waiting = [
            scope.spawn(|| absolute.acquire("busy", &one, 1, MINUTE).is_ok()),
            scope.spawn(|| suppressed.acquire("busy", &one, 1, MINUTE).is_ok()),
        ];
        while clock.1.load(Ordering::SeqCst) < 2 {
            thread::yield_now();
        }
        let asking = [(); 2].map(|()| {
            scope.spawn(|| {
                let calls = 0..10_000;
                let fail = |_: &u32| absolute.acquire("free", &much, 1, Duration::ZERO).is_err();
                let absolute = calls.clone().filter(fail).count();
                let fail = |_: &u32| suppressed.acquire("free", &much, 1, Duration::ZERO).is_err();
                absolute + calls.filter(fail).count()
            })
        });
        let failed = asking.map(|thread| thread.join().unwrap()).iter().sum::<usize>();
        clock.0.advance(10 * MINUTE);
        for thread in waiting {
            assert!(thread.join().unwrap());
        }
        println!("{failed} of 40000 calls for a key that is free failed");
        assert_eq!(failed, 0);
    });
}

/// A clock that a test moves and nobody is told of: a waiting thread looks again when it expects room.
#[derive(Debug)]
struct Unwatched(ManualClock);

impl Clock for Unwatched {
    fn now(&self) -> Duration {
        self.0.now()
    }
}

#[test]
fn between_the_limits_a_wait_ends_when_units_expire() {
    let clock = ManualClock::new();
    clock.set(Duration::from_secs(1_000));
    let limiter = LocalRateLimiter::builder()
        .clock(Unwatched(clock.clone()))
        .suppression_refresh(Duration::from_secs(3_600))
        .hard_limit_factor(2.0)
        // The least draw declines whatever is not admitted for sure.
        .random(Least)
        .build()
        .unwrap();
    let rate = RateLimit::per_second(10.0).unwrap();
    let suppressed = limiter.suppressed();
    assert!(suppressed.record("key", &rate, 15));
    clock.advance(Duration::from_millis(995));
    thread::scope(|scope| {
        let waits = scope.spawn(|| suppressed.acquire("key", &rate, 1, MINUTE / 3));
        while limiter.stats().waiting == 0 {
            thread::yield_now();
        }
        clock.advance(Duration::from_millis(10));
        let admitted = waits.join().unwrap().unwrap();
        // One that sleeps to the end looks once more, and is admitted then.
        assert!(admitted.waited < MINUTE / 3, "no draw is needed where units have expired");
    });
}

struct Least;

impl Random for Least {
    fn draw(&self) -> f64 {
        0.0
    }
}
