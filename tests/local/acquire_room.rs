//! `acquire` of a new key where `max_keys` others are in use.

// each proves: acquire G6

use std::thread;
use std::time::{Duration, Instant};

use crate::common::line::Watched;
use crate::common::until::{FOREVER, was_woken};
use trypema::{Limiter, LocalRateLimiter, RateLimit, TrypemaError};

const SECOND: Duration = Duration::from_secs(1);
const TENTH: Duration = Duration::from_millis(100);
const BRIEF: Duration = Duration::from_millis(40);

/// A limiter with room for two keys, both of which are in use, under both strategies.
fn full() -> (LocalRateLimiter, Watched, RateLimit) {
    let clock = Watched::default();
    let builder = LocalRateLimiter::builder().window(SECOND).bucket(TENTH).max_keys(2);
    let limiter = builder.clock(clock.clone()).build().unwrap();
    let rate = RateLimit::per_second(5.0).unwrap();
    for key in ["alice", "bob"] {
        assert!(limiter.absolute().inc(key, &rate, 3).is_allowed());
        assert!(limiter.suppressed().inc(key, &rate, 3).is_allowed());
    }
    (limiter, clock, rate)
}

fn both(limiter: &LocalRateLimiter) -> [&dyn Limiter; 2] {
    [limiter.absolute(), limiter.suppressed()]
}

#[test]
fn no_room_is_an_error_after_the_timeout() {
    let (limiter, _, rate) = full();
    for limiter in both(&limiter) {
        let begun = Instant::now();
        let refused = limiter.acquire("mallory", &rate, 1, BRIEF);
        assert!(begun.elapsed() >= BRIEF);
        let expected = matches!(refused, Err(TrypemaError::TooManyKeys { max_keys: 2, .. }));
        assert!(expected, "{refused:?}");
        // Those who are known are served, and wait, as ever.
        let admitted = limiter.acquire("alice", &rate, 1, FOREVER).unwrap();
        assert_eq!(admitted.waited, Duration::ZERO);
        assert_eq!(limiter.usage("alice", &RateLimit::unlimited()).unwrap(), 4);
        assert_eq!(limiter.usage("mallory", &RateLimit::unlimited()).unwrap(), 0);
    }
    assert_eq!(limiter.len(), 4);
}

/// All who waited in vain for room are told so, wherever they stood in line.
#[test]
fn no_room_is_the_error_of_all_who_waited_for_it() {
    let (limiter, clock, rate) = full();
    let absolute = limiter.absolute();
    thread::scope(|scope| {
        let first = scope.spawn(|| absolute.acquire("mallory", &rate, 1, 3 * BRIEF));
        clock.until_watched(0);
        let second = absolute.acquire("mallory", &rate, 1, BRIEF);
        let is_no_room = |result| matches!(result, Err(TrypemaError::TooManyKeys { .. }));
        assert!(is_no_room(first.join().unwrap()));
        assert!(is_no_room(second.clone()), "the second in line: {second:?}");
    });
}

/// When a key has become idle, the clock having moved, the new one takes its place.
#[test]
fn room_is_found_as_soon_as_a_key_is_idle() {
    for side in 0..2 {
        let (limiter, clock, rate) = full();
        let chosen = both(&limiter)[side];
        thread::scope(|scope| {
            let waiting = scope.spawn(|| chosen.acquire("carol", &rate, 1, FOREVER));
            clock.until_watched(0);
            clock.clock.advance(SECOND + TENTH);
            assert!(was_woken(&waiting.join().unwrap()));
        });
        assert_eq!(chosen.usage("carol", &RateLimit::unlimited()).unwrap(), 1);
        assert_eq!(limiter.stats().evictions, 1);
    }
}

/// Room made by `reset` of another key is found too. It wakes no thread, but a thread that waits for
/// room looks again soon; here, as soon as the clock moves at all.
#[test]
fn room_made_by_a_reset_of_another_key_is_found() {
    let (limiter, clock, rate) = full();
    let absolute = limiter.absolute();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| absolute.acquire("carol", &rate, 1, FOREVER));
        clock.until_watched(0);
        assert!(absolute.reset("bob"));
        clock.clock.advance(Duration::from_nanos(1));
        assert!(was_woken(&waiting.join().unwrap()));
    });
    assert_eq!(
        (
            absolute.usage("carol", &RateLimit::unlimited()),
            absolute.usage("alice", &RateLimit::unlimited())
        ),
        (1, 3)
    );
}

/// On the real clock a wait for room looks again by itself.
#[test]
fn on_the_real_clock_room_is_waited_for() {
    let window = Duration::from_millis(50);
    let limiter = LocalRateLimiter::builder()
        .window(window)
        .bucket(Duration::from_millis(10))
        .max_keys(1)
        .build()
        .unwrap();
    let rate = RateLimit::per_second(20.0).unwrap();
    for limiter in both(&limiter) {
        for key in 0..6 {
            assert!(was_woken(&limiter.acquire(&key.to_string(), &rate, 1, FOREVER)));
        }
    }
    assert_eq!(limiter.stats().evictions, 10);
    assert_eq!(limiter.len(), 2);
}
