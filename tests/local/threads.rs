//! Real threads on shared keys: what holds whatever the interleaving.
//!
//! Nothing here sleeps, or counts on one thread being faster than another. Where calls overlap,
//! only what is certain is checked; see `common/spans.rs` for what that is and why.

use std::hint;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::Grid;
use crate::common::spans::{Span, Ticks, most_within};
use trypema::{Clock, LocalRateLimiter, ManualClock, RateLimit, RateLimitDecision};

/// Numbers without pattern, the same in each run (Steele, Lea and Flood's SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// So many rounds, calls or keys; a few under Miri, which takes a thousand times as long.
const fn scaled(number: u64, under_miri: u64) -> u64 {
    if cfg!(miri) { under_miri } else { number }
}

/// Runs so many threads, which begin together, and collects what each of them returns.
fn together<T: Send>(threads: u64, work: impl Fn(Random) -> T + Sync) -> Vec<T> {
    let threads = threads.min(scaled(threads, 3));
    let begin = Barrier::new(usize::try_from(threads).unwrap());
    let (begin, work) = (&begin, &work);
    thread::scope(|scope| {
        let run = |seed| {
            scope.spawn(move || {
                begin.wait();
                work(Random(seed))
            })
        };
        let running = (0..threads).map(run).collect::<Vec<_>>();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn limiter(grid: Grid, clock: Option<&ManualClock>) -> LocalRateLimiter {
    let builder = LocalRateLimiter::builder()
        .window(Duration::from_millis(grid.window_ms))
        .bucket(Duration::from_millis(grid.bucket_ms));
    match clock {
        Some(clock) => builder.clock(clock.clone()).build().unwrap(),
        None => builder.build().unwrap(),
    }
}

/// A rate that allows this many units in the window.
fn allowing(capacity: u32, grid: Grid) -> RateLimit {
    let rate = RateLimit::per_second(f64::from(capacity) * 1e3 / grid.window_ms as f64).unwrap();
    assert_eq!(rate.capacity(Duration::from_millis(grid.window_ms)), u64::from(capacity));
    rate
}

/// The checks that most of this file relies on have to be able to fail.
// proves: G1
#[test]
fn overshoot_would_be_noticed() {
    let span = |called, returned, units| Span { called, returned, units };
    let spans = [span(5, 6, 3), span(9, 15, 4), span(14, 20, 100), span(1, 30, 1_000)];
    assert_eq!(most_within(&spans, 9), 100, "5 to 15 is too long, and so is 9 to 20");
    assert_eq!(most_within(&spans[..2], 9), 4);
    assert_eq!(most_within(&spans[..2], 10), 7, "from 5 to 15");
    assert_eq!(most_within(&spans, 11), 104, "from 9 to 20");
    assert_eq!(most_within(&spans, 15), 107, "from 5 to 20");

    // A window of 4 ms, once rounded up, hence three buckets at once: 0 to 6 ms, 2 to 8, ...
    let ticks = Ticks::of(Grid { window_ms: 3, bucket_ms: 2 });
    let ms =
        |called: u64, returned: u64, units| span(called * 1_000_000, returned * 1_000_000, units);
    let two = [ms(1, 1, 3), ms(4, 5, 3)];
    assert_eq!(ticks.excess(&two, &[], 6), 0);
    assert_eq!(ticks.excess(&two, &[], 5), 1);
    assert_eq!(ticks.excess(&[two[0], ms(4, 6, 3)], &[], 5), 0, "may have come at 6 ms");
    assert_eq!(ticks.excess(&two, &[ms(5, 9, 2)], 3), 1);
    assert_eq!(ticks.excess(&two, &[ms(6, 9, 2)], 3), 3, "was given back afterwards");
    assert_eq!(ticks.usage(&[ms(0, 2, 1), ms(4, 5, 2)], 6_000_000), (2, 3));
    assert!(ticks.unjustified(&[ms(5, 5, 1)], &two[..1], 3).is_none());
    assert!(ticks.unjustified(&[ms(5, 5, 1)], &two[..1], 4).is_some());
    assert!(ticks.unjustified(&[ms(6, 6, 1)], &two[..1], 3).is_some(), "they have expired");
    assert!(ticks.unjustified(&[ms(3, 3, 1)], &two[1..], 3).is_some(), "they came later");
}

/// G1 on the default clock, measured with another one. An interval is shortened by a thousandth,
/// for the two clocks may not run equally fast.
// proves: G1
#[test]
fn no_window_of_real_time_holds_more_than_the_capacity() {
    let grids = [(50, 5, 1_000), (200, 1, 2_000), (20, 20, 64), (1, 1, 5)];
    for (window_ms, bucket_ms, capacity) in grids {
        let grid = Grid { window_ms, bucket_ms };
        let (limiter, rate) = (limiter(grid, None), allowing(capacity, grid));
        let origin = Instant::now();
        let elapsed = || u64::try_from(origin.elapsed().as_nanos()).unwrap();
        let admitted = together(64, |mut random| {
            let mut admitted = Vec::new();
            loop {
                let units = 1 + random.below(8).min(u64::from(capacity) - 1);
                let called = elapsed();
                if called > 500_000_000 {
                    return admitted;
                }
                if limiter.absolute().inc("shared", &rate, units).is_allowed() {
                    admitted.push(Span { called, returned: elapsed(), units });
                }
            }
        })
        .concat();
        let window_ns = window_ms * 1_000_000;
        let most = most_within(&admitted, window_ns - window_ns / 1_000);
        assert!(most <= u64::from(capacity), "{grid:?}: {most} in a window of {capacity}");
        // A single thread alone fills the first window, but for a batch that is too large.
        let total = admitted.iter().map(|span| span.units).sum::<u64>();
        assert!(total + 8 > u64::from(capacity), "{grid:?}: only {total} admitted");
    }
}

/// With the clock standing still there is one window, and it is filled to the last unit.
// proves: G1 G3
#[test]
fn exactly_the_capacity_is_admitted_while_the_clock_stands_still() {
    for round in 0..scaled(40, 6) {
        let grid = Grid { window_ms: 1_000, bucket_ms: [1_000, 100, 7][(round % 3) as usize] };
        let clock = ManualClock::new();
        // A fresh key, or one with expired units in it.
        let (limiter, rate) = (limiter(grid, Some(&clock)), allowing(500, grid));
        if round % 2 == 1 {
            assert!(limiter.absolute().inc("shared", &rate, 500).is_allowed());
            clock.advance(Duration::from_millis(grid.window_ms + 2 * grid.bucket_ms));
        }
        let admitted = together(64, |mut random| {
            let mut admitted = 0;
            loop {
                let units = 1 + random.below(9);
                match limiter.absolute().inc("shared", &rate, units) {
                    RateLimitDecision::Allowed { .. } => admitted += units,
                    RateLimitDecision::Rejected {
                        retry_after_ms, remaining_after_waiting, ..
                    } => {
                        // All units share a bucket, whose rest is up to a bucket long.
                        let held = grid.window_ms.next_multiple_of(grid.bucket_ms);
                        let wait = retry_after_ms.unwrap();
                        assert!((held + 1..=held + grid.bucket_ms).contains(&wait), "{wait} ms");
                        assert_eq!(remaining_after_waiting, 0);
                        if units == 1 {
                            return admitted;
                        }
                    }
                    other => panic!("{other:?}"),
                }
            }
        });
        assert_eq!(admitted.iter().sum::<u64>(), 500, "round {round}");
        assert_eq!(limiter.absolute().usage("shared", &RateLimit::unlimited()), 500);
    }
}

/// Grids on which threads race a clock that moves: window, bucket, capacity.
const RACED: [(u64, u64, u32); 6] =
    [(10, 10, 3), (1, 1, 50), (20, 10, 40), (25, 10, 7), (100, 5, 1_000), (300, 1, 10_000)];

/// Runs `work` on eight threads while another moves the clock on, by up to whole windows at a time.
/// `work` is called again and again, and puts what it did into its thread's `T`.
fn race<T: Default + Send>(
    grid: Grid,
    clock: &ManualClock,
    work: impl Fn(&mut Random, &mut T) + Sync,
) -> Vec<T> {
    let (calls, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let drive = || {
        let (begun, mut random) = (Instant::now(), Random(grid.window_ms));
        while begun.elapsed() < Duration::from_millis(200) {
            let buckets = match random.below(16) {
                0 => grid.window_ms.div_ceil(grid.bucket_ms) + random.below(3),
                _ => random.below(3),
            };
            let bucket_ns = grid.bucket_ms * 1_000_000;
            clock.advance(Duration::from_nanos(buckets * bucket_ns + random.below(bucket_ns)));
            // The next step follows within some calls, unless nobody is there to make them.
            let until = calls.load(Ordering::Relaxed) + random.below(40);
            for _ in 0..1_000 {
                if calls.load(Ordering::Relaxed) >= until {
                    break;
                }
                hint::spin_loop();
            }
            if random.below(64) == 0 || calls.load(Ordering::Relaxed) < until {
                thread::yield_now();
            }
        }
        done.store(true, Ordering::Relaxed);
    };
    thread::scope(|scope| {
        scope.spawn(drive);
        together(8, |mut random| {
            let mut seen = T::default();
            while !done.load(Ordering::Relaxed) {
                work(&mut random, &mut seen);
                calls.fetch_add(1, Ordering::Relaxed);
            }
            seen
        })
    })
}

/// G1 and G3 while one thread moves the clock and others hammer the key. Calls are timed by the
/// limiter's own clock, so the check is to the tick.
// proves: G1 G3
#[test]
fn a_moving_clock_lets_nothing_through_twice() {
    for (window_ms, bucket_ms, capacity) in RACED {
        let grid = Grid { window_ms, bucket_ms };
        let clock = ManualClock::new();
        let (limiter, rate) = (limiter(grid, Some(&clock)), allowing(capacity, grid));
        let capacity = u64::from(capacity);
        let seen = race(grid, &clock, |random, seen: &mut (Vec<Span>, Vec<Span>)| {
            let units = 1 + random.below(capacity.min(12));
            let called = clock.now_nanos();
            let decision = limiter.absolute().inc("shared", &rate, units);
            let span = Span { called, returned: clock.now_nanos(), units };
            if decision.is_allowed() { seen.0.push(span) } else { seen.1.push(span) }
        });
        let (admitted, rejected): (Vec<_>, Vec<_>) = seen.into_iter().unzip();
        let (admitted, rejected) = (admitted.concat(), rejected.concat());

        let ticks = Ticks::of(grid);
        assert_eq!(ticks.excess(&admitted, &[], capacity), 0, "{grid:?}: overshoot");
        let unjustified = ticks.unjustified(&rejected, &admitted, capacity);
        assert!(unjustified.is_none(), "{grid:?}: rejected without need: {unjustified:?}");
        let usage = limiter.absolute().usage("shared", &RateLimit::unlimited());
        let (least, most) = ticks.usage(&admitted, clock.now_nanos());
        assert!((least..=most).contains(&usage), "{grid:?}: {usage} is not in {least}..={most}");
    }
}

/// Threads meet on first insertions, and while the map grows. Each key is filled to the last unit.
// proves: G1
#[test]
fn every_key_is_counted_once_however_many_threads_bring_it() {
    const KEYS: u64 = scaled(3_000, 40);
    let grid = Grid { window_ms: 1_000, bucket_ms: 100 };
    let clock = ManualClock::new();
    let (limiter, rate) = (limiter(grid, Some(&clock)), allowing(5, grid));
    let admitted = (0..KEYS).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
    together(8, |mut random| {
        // All threads meet each key at about the same time, three times over.
        for key in (0..3).flat_map(|_| 0..KEYS) {
            let units = 1 + random.below(2);
            for units in [units, 1] {
                if limiter.absolute().inc(&key.to_string(), &rate, units).is_allowed() {
                    admitted[usize::try_from(key).unwrap()].fetch_add(units, Ordering::Relaxed);
                }
            }
        }
    });
    for (key, admitted) in admitted.iter().enumerate() {
        assert_eq!(admitted.load(Ordering::Relaxed), 5, "key {key}");
        assert_eq!(
            limiter.absolute().usage(&key.to_string(), &RateLimit::unlimited()),
            5,
            "key {key}"
        );
    }
    assert_eq!(limiter.len() as u64, KEYS);
}

/// While the clock stands still nothing expires, so the books must balance when all is done.
// proves: G1
#[test]
fn what_was_admitted_recorded_and_given_back_adds_up() {
    let grid = Grid { window_ms: 1_000, bucket_ms: 100 };
    for round in 0..scaled(20, 2) {
        let clock = ManualClock::new();
        let (limiter, rate) = (limiter(grid, Some(&clock)), allowing(200, grid));
        let absolute = limiter.absolute();
        let with_records = round % 2 == 1;
        let sums = together(16, |mut random| {
            let (mut admitted, mut recorded, mut refunded) = (0, 0, 0);
            for _ in 0..scaled(400, 40) {
                let units = 1 + random.below(9);
                match random.below(8) {
                    0 if with_records => {
                        assert!(absolute.record("shared", &RateLimit::unlimited(), units));
                        recorded += units;
                    }
                    1..=3 => {
                        let given = absolute.refund("shared", &RateLimit::unlimited(), units);
                        assert!(given <= units);
                        refunded += given;
                    }
                    _ if absolute.inc("shared", &rate, units).is_allowed() => admitted += units,
                    _ => {}
                }
            }
            [admitted, recorded, refunded]
        });
        let sum = |what: usize| sums.iter().map(|sums| sums[what]).sum::<u64>();
        let (admitted, recorded, refunded) = (sum(0), sum(1), sum(2));
        let usage = absolute.usage("shared", &RateLimit::unlimited());
        assert_eq!(usage, admitted + recorded - refunded, "round {round}");
        // Each admission left the usage at or below the capacity.
        assert!(usage <= 200 + recorded, "{usage} used, {recorded} of them recorded");
    }
}

/// A window that is forgotten holds at most the capacity, so each `reset` that found one makes
/// room for that much.
// proves: G1
#[test]
fn a_reset_makes_room_for_one_capacity_at_most() {
    let grid = Grid { window_ms: 1_000, bucket_ms: 100 };
    for _ in 0..scaled(20, 2) {
        let clock = ManualClock::new();
        let (limiter, rate) = (limiter(grid, Some(&clock)), allowing(20, grid));
        let sums = together(16, |mut random| {
            let (mut admitted, mut resets) = (0, 0);
            for _ in 0..scaled(500, 60) {
                let units = 1 + random.below(4);
                if random.below(40) == 0 {
                    resets += u64::from(limiter.absolute().reset("shared"));
                } else if limiter.absolute().inc("shared", &rate, units).is_allowed() {
                    admitted += units;
                }
            }
            (admitted, resets)
        });
        let admitted = sums.iter().map(|sums| sums.0).sum::<u64>();
        let resets = sums.iter().map(|sums| sums.1).sum::<u64>();
        assert!(admitted <= (resets + 1) * 20, "{admitted} admitted, {resets} resets");
        assert!(limiter.absolute().usage("shared", &RateLimit::unlimited()) <= 20);
        assert!(limiter.len() <= 1);
    }
}

/// Refunds while the clock moves make room for what they gave back, and for nothing more.
// proves: G1
#[test]
fn refunds_on_a_moving_clock_make_room_for_what_they_gave_back() {
    for (window_ms, bucket_ms, capacity) in RACED {
        let grid = Grid { window_ms, bucket_ms };
        let clock = ManualClock::new();
        let (limiter, rate) = (limiter(grid, Some(&clock)), allowing(capacity, grid));
        let capacity = u64::from(capacity);
        let seen = race(grid, &clock, |random, seen: &mut (Vec<Span>, Vec<Span>)| {
            let units = 1 + random.below(capacity.min(12));
            let called = clock.now_nanos();
            let span = |units| Span { called, returned: clock.now_nanos(), units };
            if random.below(32) == 0 {
                let given = limiter.absolute().refund("shared", &RateLimit::unlimited(), units);
                seen.1.push(span(given));
            } else if limiter.absolute().inc("shared", &rate, units).is_allowed() {
                seen.0.push(span(units));
            }
        });
        let (admitted, refunded): (Vec<_>, Vec<_>) = seen.into_iter().unzip();
        let excess = Ticks::of(grid).excess(&admitted.concat(), &refunded.concat(), capacity);
        assert_eq!(excess, 0, "{grid:?}: more room than was given back");
    }
}
