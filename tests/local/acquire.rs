//! `acquire`: what it admits at once, what wakes it, how it gives up, and what it never waits for.
//!
//! Timeouts are real time, so some of these tests take a tenth of a second; none counts on
//! anything being *faster* than that, short of a minute. A wake-up that got lost shows as a wait
//! of that minute, since clocks here stand still unless they are moved.

// each proves: acquire

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::line::{Queue, SIDES, Side, Watched};
use crate::common::until::{FOREVER, was_woken};
use trypema::{Limiter, LocalRateLimiter, Random, RateLimit, TrypemaError};

const SECOND: Duration = Duration::from_secs(1);
const TENTH: Duration = Duration::from_millis(100);
const BRIEF: Duration = Duration::from_millis(40);

fn queue(side: Side, capacity: u32) -> Queue {
    Queue::new(side, SECOND, TENTH, capacity)
}

/// Both strategies of a limiter, as anything that limits. The hard limit is 10, the soft one 5.
fn limiters() -> (LocalRateLimiter, Watched, [Box<dyn Limiter>; 2], RateLimit) {
    let clock = Watched::default();
    let builder = LocalRateLimiter::builder().window(SECOND).bucket(TENTH).clock(clock.clone());
    let limiter = builder.hard_limit_factor(2.0).build().unwrap();
    let both: [Box<dyn Limiter>; 2] =
        [Box::new(limiter.absolute().clone()), Box::new(limiter.suppressed().clone())];
    (limiter, clock, both, RateLimit::per_second(5.0).unwrap())
}

#[test]
fn where_there_is_room_nobody_waits() {
    for side in SIDES {
        let queue = queue(side, 5);
        for count in [1, 3, 1] {
            assert_eq!(queue.acquire(count, Duration::ZERO).unwrap().waited, Duration::ZERO);
        }
        assert_eq!(queue.usage(), 5);
        assert_eq!(queue.clock.watches(), 0);
        assert!(matches!(queue.acquire(1, Duration::ZERO), Err(TrypemaError::Timeout { .. })));
        assert_eq!(queue.usage(), 5);
    }
}

#[test]
fn nothing_is_had_at_once_and_leaves_no_trace() {
    for side in SIDES {
        let queue = queue(side, 5);
        assert_eq!(queue.acquire(0, Duration::ZERO).unwrap().waited, Duration::ZERO);
        assert!(queue.limiter.is_empty());
        queue.fill(5);
        thread::scope(|scope| {
            let waiting = queue.join(scope, "waiting", 1, FOREVER);
            assert_eq!(queue.acquire(0, FOREVER).unwrap().waited, Duration::ZERO);
            assert_eq!(queue.refund(1), 1);
            assert!(was_woken(&waiting.join().unwrap()));
        });
    }
}

/// Where a wait would never end there is none: the clock stands, and the test ends all the same.
#[test]
fn what_can_never_be_admitted_is_an_error_at_once() {
    let (limiter, clock, both, rate) = limiters();
    for (limiter, most) in both.iter().zip([5, 10]) {
        for count in [most + 1, u64::MAX] {
            match limiter.acquire("key", &rate, count, FOREVER) {
                Err(TrypemaError::ExceedsCapacity { asked, capacity, window, .. }) => {
                    assert_eq!((asked, capacity, window), (count, most, SECOND));
                }
                other => panic!("{other:?}"),
            }
        }
        // Too short a window for a single unit of this rate.
        let hourly = RateLimit::per_hour(1.0).unwrap();
        let never = limiter.acquire("key", &hourly, 1, FOREVER);
        assert!(matches!(never, Err(TrypemaError::ExceedsCapacity { asked: 1, capacity: 0, .. })));
    }
    assert_eq!(clock.watches(), 0);
    assert!(limiter.is_empty());
}

/// The same while others wait for the key: nobody has to queue for an error. The one in line is
/// let go only afterwards, so an error that had to queue comes too late, as a timeout.
#[test]
fn what_can_never_be_admitted_does_not_queue_for_the_error() {
    for side in SIDES {
        let queue = queue(side, 5);
        queue.fill(5);
        thread::scope(|scope| {
            let waiting = queue.join(scope, "waiting", 1, FOREVER);
            let never = queue.acquire(6, 5 * TENTH);
            assert_eq!(queue.refund(1), 1);
            assert!(was_woken(&waiting.join().unwrap()));
            let is_too_large = matches!(never, Err(TrypemaError::ExceedsCapacity { asked: 6, .. }));
            assert!(is_too_large, "{side:?}: {never:?}");
        });
    }
}

#[test]
fn a_timeout_is_real_time_whatever_the_clock() {
    for side in SIDES {
        let queue = queue(side, 5);
        queue.fill(5);
        let begun = Instant::now();
        assert_eq!(queue.acquire(1, BRIEF).map_err(|error| error.to_string()), {
            Err(format!("not admitted within {BRIEF:?}"))
        });
        assert!(begun.elapsed() >= BRIEF);

        // A clock that never rests, and gets nowhere.
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    queue.clock.clock.advance(Duration::from_nanos(1));
                }
            });
            let begun = Instant::now();
            let late = queue.acquire(1, BRIEF);
            done.store(true, Ordering::Relaxed);
            assert!(begun.elapsed() >= BRIEF);
            assert!(matches!(late, Err(TrypemaError::Timeout { .. })));
        });
        assert_eq!(queue.usage(), 5);
    }
}

#[test]
fn a_wait_in_vain_counts_nothing_under_absolute_and_one_decline_under_suppressed() {
    for side in SIDES {
        let queue = queue(side, 5);
        queue.fill(4);
        thread::scope(|scope| {
            // The first looks many times, as the clock moves; the others not once.
            let first = queue.join(scope, "first", 2, BRIEF);
            let others = ["2", "3", "4"].map(|name| queue.join(scope, name, 3, BRIEF));
            for _ in 0..100 {
                queue.clock.clock.advance(Duration::from_millis(1));
            }
            for thread in others.into_iter().chain([first]) {
                assert!(matches!(thread.join().unwrap(), Err(TrypemaError::Timeout { .. })));
            }
        });
        assert_eq!(queue.usage(), 4);
        let declined =
            queue.limiter.suppressed().usage(&queue.key, &RateLimit::unlimited()).declined;
        assert_eq!(declined, if side == Side::Suppressed { 2 + 3 * 3 } else { 0 });
        assert!(queue.admitted().is_empty());
        assert_eq!(queue.limiter.stats().allowed, 0);
        // The four expire when they would have, and no later.
        queue.clock.clock.set(SECOND + TENTH);
        assert_eq!(queue.usage(), 0);
    }
}

/// Each way to make room, tried with a thread that is on its way to sleep, asleep, or somewhere in
/// between: the rounds differ by chance, and none may be slept through.
#[test]
fn whatever_makes_room_wakes() {
    type Way = (&'static str, fn(&Queue));
    let ways: [Way; 6] = [
        ("refund", |queue| assert_eq!(queue.refund(2), 2)),
        ("two refunds", |queue| assert_eq!(queue.refund(1) + queue.refund(1), 2)),
        ("reset", |queue| {
            assert!(match queue.side {
                Side::Absolute => queue.limiter.absolute().reset(&queue.key),
                Side::Suppressed => queue.limiter.suppressed().reset(&queue.key),
            });
        }),
        ("clear", |queue| queue.limiter.clear()),
        ("advance", |queue| queue.clock.clock.advance(SECOND + TENTH)),
        ("set", |queue| queue.clock.clock.set(SECOND + TENTH)),
    ];
    for side in SIDES {
        for (name, make_room) in ways {
            for round in 0..100 {
                let queue = queue(side, 5);
                queue.fill(5);
                thread::scope(|scope| {
                    let waiting = queue.join(scope, "waiting", 2, FOREVER);
                    for _ in 0..round {
                        thread::yield_now();
                    }
                    make_room(&queue);
                    let woken = waiting.join().unwrap();
                    assert!(was_woken(&woken), "{side:?}: not woken by {name}: {woken:?}");
                });
            }
        }
    }
}

/// Two threads pass one unit to and fro: each waits for it, gives it back, and waits again. Every
/// round is a race between giving back and falling asleep.
#[test]
fn no_refund_is_slept_through() {
    for side in SIDES {
        let queue = queue(side, 1);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        assert!(was_woken(&queue.acquire(1, FOREVER)));
                        assert_eq!(queue.refund(1), 1);
                    }
                });
            }
        });
        assert_eq!(queue.usage(), 0);
        assert_eq!(queue.admitted().len(), 6_000);
    }
}

/// Uses up the hard limit under either strategy, so that either has to wait.
#[test]
fn any_strategy_is_waited_for_through_the_trait() {
    let (_limiter, clock, both, rate) = limiters();
    for limiter in &both {
        let limiter: &dyn Limiter = limiter;
        assert!(limiter.record("key", &RateLimit::unlimited(), 10).unwrap());
        let before = clock.watches();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| limiter.acquire("key", &rate, 5, FOREVER));
            clock.until_watched(before);
            assert_eq!(limiter.usage("key", &RateLimit::unlimited()).unwrap(), 10);
            clock.clock.advance(SECOND + TENTH);
            assert!(was_woken(&waiting.join().unwrap()));
        });
        assert_eq!(limiter.usage("key", &RateLimit::unlimited()).unwrap(), 5);
    }
}

/// The real clock: a few threads, all of which are served, though the window is full most of the
/// time. By any moment, no more have come back than so many windows can hold.
#[test]
fn on_the_real_clock_all_are_served_and_none_too_soon() {
    const CAPACITY: u128 = 8;
    let window = Duration::from_millis(40);
    let limiter = LocalRateLimiter::builder()
        .window(window)
        .bucket(Duration::from_millis(5))
        .hard_limit_factor(1.0)
        .build()
        .unwrap();
    let rate = RateLimit::per_second(200.0).unwrap();
    assert_eq!(u128::from(rate.capacity(window)), CAPACITY);
    let both: [&dyn Limiter; 2] = [limiter.absolute(), limiter.suppressed()];
    for limiter in both {
        let begun = Instant::now();
        let mut returned = thread::scope(|scope| {
            let serve = || {
                let admitted = || {
                    limiter.acquire("key", &rate, 1, FOREVER).unwrap();
                    begun.elapsed().as_nanos()
                };
                (0..12).map(|_| admitted()).collect::<Vec<_>>()
            };
            let threads = (0..6).map(|_| scope.spawn(serve)).collect::<Vec<_>>();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(returned.len(), 72);
        returned.sort_unstable();
        // The n-th admission needs a new window whenever the one before is full. Two clocks are
        // compared here, hence the thousandth.
        for (already, &at) in (0..).zip(&returned) {
            let earliest = already / CAPACITY * window.as_nanos() * 999 / 1_000;
            assert!(at >= earliest, "{already} others were admitted by {at} ns");
        }
    }
}

/// Draws the worst of lots for a while, and then the best.
struct Reluctant(AtomicU64);

impl Random for Reluctant {
    fn draw(&self) -> f64 {
        if self.0.fetch_add(1, Ordering::Relaxed) < 10 { 0.0 } else { 1.0 - f64::EPSILON }
    }
}

/// Between the limits a wait on the real clock draws again by itself, until it is lucky, and the
/// draws before that are not counted as declines.
#[test]
fn between_the_limits_a_wait_ends_by_another_draw() {
    let draws = Arc::new(Reluctant(AtomicU64::new(0)));
    let limiter = LocalRateLimiter::builder()
        .window(Duration::from_secs(3_600))
        .suppression_refresh(Duration::from_millis(1))
        .hard_limit_factor(10.0)
        .random(Arc::clone(&draws))
        .build()
        .unwrap();
    let rate = RateLimit::per_hour(100.0).unwrap();
    let suppressed = limiter.suppressed();
    // Four times the rate, hence a factor above 0 for as long as this test may take.
    assert!(suppressed.record("key", &RateLimit::unlimited(), 400));
    assert!(was_woken(&suppressed.acquire("key", &rate, 1, FOREVER)));
    let usage = suppressed.usage("key", &RateLimit::unlimited());
    assert_eq!((usage.admitted, usage.declined), (401, 0));
    assert!(draws.0.load(Ordering::Relaxed) > 10);
    assert_eq!(limiter.stats().suppressed_admitted, 1);
}
