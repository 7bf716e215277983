//! `max_keys` under threads: the bound is never passed, whatever races with what.
//!
//! Threads keep notes of the keys in use. A thread that was admitted with a new key notes it
//! *afterwards*, and takes the note back *before* it gives the key up; so there are never more
//! notes than keys, and notes past the bound prove too many keys.

// each proves: G6

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use trypema::{Limiter, LocalRateLimiter, ManualClock, RateLimit};

const EXPIRED: Duration = Duration::from_millis(1_100);

fn limiter(max_keys: usize) -> (LocalRateLimiter, ManualClock, RateLimit) {
    let clock = ManualClock::new();
    let builder = LocalRateLimiter::builder().window(Duration::from_secs(1)).clock(clock.clone());
    let limiter = builder.max_keys(max_keys).build().unwrap();
    (limiter, clock, RateLimit::per_second(1_000.0).unwrap())
}

fn both(limiter: &LocalRateLimiter) -> [&dyn Limiter; 2] {
    [limiter.absolute(), limiter.suppressed()]
}

/// Runs `work` on some threads that begin together, with a number each.
fn together<T: Send>(threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (begin, work) = (&Barrier::new(threads), &work);
    thread::scope(|scope| {
        let start = |number| {
            scope.spawn(move || {
                begin.wait();
                work(number)
            })
        };
        let running = (0..threads).map(start).collect::<Vec<_>>();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Nothing expires while the clock stands, so of all the new keys exactly the bound is let in.
#[test]
fn as_many_are_let_in_as_there_is_room_for() {
    for max_keys in [1, 2, 7, 100] {
        let (limiter, clock, rate) = limiter(max_keys);
        for round in 0..10 {
            for limiter in both(&limiter) {
                let let_in = together(8, |thread| {
                    let key = |number: &u32| format!("{round} {thread} {number}");
                    (0..100)
                        .filter(|n| limiter.inc(&key(n), &rate, 1).unwrap().is_allowed())
                        .count()
                });
                assert_eq!(let_in.iter().sum::<usize>(), max_keys, "in round {round}");
            }
            assert_eq!(limiter.len(), 2 * max_keys);
            clock.advance(EXPIRED);
        }
        let stats = limiter.stats();
        assert_eq!(stats.allowed + stats.turned_away, 2 * 10 * 800);
        // Each key of the round before was displaced; and maybe a new one too, in the moment
        // before anything counted on it, in which case its thread has begun again.
        assert!(stats.evictions as usize >= 2 * 9 * max_keys);
    }
}

/// `len` never tells of more keys than there may be, whenever it is asked.
#[test]
fn len_never_shows_more_than_the_bound() {
    const MOST: usize = 1;
    let (limiter, _, rate) = limiter(MOST);
    let done = AtomicBool::new(false);
    let most_seen = thread::scope(|scope| {
        let look = || {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(limiter.len()).max(limiter.stats().keys);
            }
            most
        };
        let looking = scope.spawn(look);
        together(4, |thread| {
            for number in 0..20_000 {
                let key = format!("{thread} {number}");
                if limiter.absolute().inc(&key, &rate, 1).is_allowed() {
                    limiter.absolute().reset(&key);
                }
            }
        });
        done.store(true, Ordering::Relaxed);
        looking.join().unwrap()
    });
    assert!(most_seen <= MOST, "{most_seen} keys of at most {MOST}");
}

/// Few slots, and everything that takes or gives one at the same time. Each thread has keys of
/// its own, so it knows what must be in the map; all share some more, for the mess.
///
/// As long as the clock stands, a key that is noted is in use and has its exact usage. Where it
/// moves, keys come and go unseen, and what is left to check is that no room was lost.
fn race(max_keys: usize, clock_moves: bool) {
    let (whole, clock, rate) = limiter(max_keys);
    for limiter in both(&whole) {
        let noted = AtomicUsize::new(0);
        together(6, |thread| {
            for number in 0..2_000_usize {
                let own = format!("{thread} {}", number % 5);
                if limiter.inc(&own, &rate, 2).unwrap().is_allowed() {
                    let now = noted.fetch_add(1, Ordering::SeqCst) + 1;
                    if !clock_moves {
                        assert!(now <= max_keys, "{now} keys are in use");
                        assert_eq!(limiter.usage(&own, &RateLimit::unlimited()).unwrap(), 2);
                    }
                    noted.fetch_sub(1, Ordering::SeqCst);
                    limiter.reset(&own).unwrap();
                }
                let shared = format!("shared {}", number % 3);
                match (number + thread) % 8 {
                    0 => drop(limiter.inc(&shared, &rate, 1)),
                    1 => drop(limiter.reset(&shared)),
                    2 => drop(limiter.record(&shared, &RateLimit::unlimited(), 1)),
                    3 => drop(limiter.refund(&shared, &RateLimit::unlimited(), 1)),
                    4 => drop(whole.cleanup(Duration::ZERO)),
                    5 if clock_moves => clock.advance(EXPIRED),
                    _ => {}
                }
            }
        });
        // All that is left is idle by now, and there is room for as many as ever.
        clock.advance(EXPIRED);
        let key = |number: u32| format!("after {number}");
        let is_let_in = |&number: &u32| limiter.inc(&key(number), &rate, 1).unwrap().is_allowed();
        assert_eq!((0..200).filter(is_let_in).count(), max_keys);
        for number in 0..200 {
            limiter.reset(&key(number)).unwrap();
        }
    }
    assert!(whole.is_empty());
}

#[test]
fn no_race_passes_the_bound_while_the_clock_stands() {
    for max_keys in [1, 3, 16] {
        race(max_keys, false);
    }
}

#[test]
fn no_race_loses_room_while_keys_are_displaced() {
    for max_keys in [1, 3, 16] {
        race(max_keys, true);
    }
}

/// The keys in use are all there is room for; strangers come while the known are served and the
/// clock moves so that no known key ever becomes idle.
// proves: G5 G6
#[test]
fn the_known_are_served_during_a_flood() {
    let (limiter, clock, rate) = limiter(4);
    for limiter in both(&limiter) {
        let known = ["alice", "bob", "carol"];
        for key in known {
            assert!(limiter.inc(key, &rate, 1).unwrap().is_allowed());
        }
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for thread in 0..3 {
                let done = &done;
                let flood = move || {
                    let mut number = 0_u64;
                    while !done.load(Ordering::Relaxed) {
                        number += 1;
                        let key = format!("stranger {thread} {number}");
                        drop(limiter.inc(&key, &rate, 1));
                    }
                };
                scope.spawn(flood);
            }
            for step in 2..2_000_u64 {
                clock.advance(Duration::from_millis(100));
                for key in known {
                    assert!(limiter.inc(key, &rate, 1).unwrap().is_allowed(), "{key} at {step}");
                    assert_eq!(
                        limiter.usage(key, &RateLimit::unlimited()).unwrap(),
                        step.min(11),
                        "{key} at step {step}"
                    );
                }
            }
            done.store(true, Ordering::Relaxed);
        });
        clock.advance(EXPIRED);
    }
}
