//! Cleanup of everything idle, all the time, against threads that use those very keys: nothing
//! is admitted twice for it, and nothing is lost.
//!
//! Nothing here sleeps, or counts on one thread being faster than another.

use std::hint;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::spans::{Span, most_within};
use trypema::{Clock, LocalRateLimiter, ManualClock, RateLimit, RateLimitDecision};

const KEYS: [&str; 4] =
    ["alice", "bob", "carol", "a key too long to be stored inline, as some are"];
const THREADS: u64 = 8;

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

#[derive(Debug, Clone, Copy)]
enum Sweeper {
    /// `cleanup(ZERO)` again and again.
    Always,
    /// The library's own thread, as often as it will.
    Loop,
}

/// For each key, the admissions of Absolute, and of Suppressed.
type Admitted = [[Vec<Span>; 2]; KEYS.len()];

/// Hammers all keys for half a second of real time, while they are swept. A key is left alone for
/// longer than its window again and again: threads stay with one for a while, all with the same.
fn hammer(limiter: &LocalRateLimiter, rate: &RateLimit, sweeper: Sweeper) -> (Admitted, usize) {
    let (origin, done, removed) = (Instant::now(), AtomicBool::new(false), AtomicU64::new(0));
    let elapsed = || u64::try_from(origin.elapsed().as_nanos()).unwrap();
    if let Sweeper::Loop = sweeper {
        limiter.run_cleanup_loop_with(Duration::ZERO, Duration::from_millis(1));
    }
    let work = |seed| {
        let (mut random, mut admitted) = (Random(seed), Admitted::default());
        loop {
            let called = elapsed();
            if called > 500_000_000 {
                return admitted;
            }
            // A turn of 3 ms each, so a pause of 9 ms.
            let key = usize::try_from(called / 3_000_000).unwrap() % KEYS.len();
            let (units, suppressed) = (1 + random.below(4), random.below(2) == 1);
            let decision = if suppressed {
                limiter.suppressed().inc(KEYS[key], rate, units)
            } else {
                limiter.absolute().inc(KEYS[key], rate, units)
            };
            if decision.is_allowed() {
                let span = Span { called, returned: elapsed(), units };
                admitted[key][usize::from(suppressed)].push(span);
            }
        }
    };
    let admitted = thread::scope(|scope| {
        if let Sweeper::Always = sweeper {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let count = limiter.cleanup(Duration::ZERO);
                    removed.fetch_add(count as u64, Ordering::Relaxed);
                    // Or it would have one of few processors to itself.
                    thread::yield_now();
                }
            });
        }
        let threads = (0..THREADS).map(|seed| scope.spawn(move || work(seed)));
        let threads = threads.collect::<Vec<_>>();
        let mut all = Admitted::default();
        for thread in threads {
            for (sums, its) in all.iter_mut().flatten().zip(thread.join().unwrap().iter().flatten())
            {
                sums.extend(its);
            }
        }
        done.store(true, Ordering::Relaxed);
        all
    });
    limiter.stop_cleanup_loop();
    (admitted, usize::try_from(removed.load(Ordering::Relaxed)).unwrap())
}

/// G1 and G5 on the default clock, measured with another one. An interval is shortened by a
/// thousandth, for the two clocks may not run equally fast.
// proves: G1 G5
#[test]
fn no_window_overflows_while_keys_are_forgotten() {
    let window = Duration::from_millis(4);
    for sweeper in [Sweeper::Always, Sweeper::Loop] {
        let limiter = LocalRateLimiter::builder()
            .window(window)
            .bucket(Duration::from_millis(1))
            .build()
            .unwrap();
        let rate = RateLimit::per_second(10_000.0).unwrap();
        let (soft, hard) = (40, 60);
        assert_eq!(rate.capacity(window), soft);

        let (admitted, removed) = hammer(&limiter, &rate, sweeper);
        let length = u64::try_from(window.as_nanos()).unwrap() / 1_000 * 999;
        for (key, [absolute, suppressed]) in KEYS.iter().zip(&admitted) {
            let (most, most_suppressed) =
                (most_within(absolute, length), most_within(suppressed, length));
            assert!(most <= soft, "{sweeper:?}, {key}: {most} units in a window of {soft}");
            assert!(
                most_suppressed <= hard,
                "{sweeper:?}, {key}: {most_suppressed} units, of {hard}"
            );
            assert!(absolute.len() + suppressed.len() > 100, "{sweeper:?}, {key}: hardly used");
        }
        // Both strategies of each key were idle every 12 ms or so.
        if let Sweeper::Always = sweeper {
            assert!(removed > 20, "only {removed} were ever forgotten");
        }
    }
}

/// The units that a thread has added: admitted by Absolute, admitted and declined by Suppressed.
type Sums = [[u64; 3]; KEYS.len()];

/// On a clock that stands still nothing expires, so the books must balance: units that were added
/// while a key of an earlier time was being forgotten are on the key that came after it.
// proves: G5
#[test]
fn nothing_is_lost_to_cleanup() {
    const ROUNDS: u32 = 500;
    const ROUND: Duration = Duration::from_millis(1_200);
    for sweeper in [Sweeper::Always, Sweeper::Loop] {
        let clock = ManualClock::new();
        let limiter = LocalRateLimiter::builder()
            .window(Duration::from_secs(1))
            .bucket(Duration::from_millis(100))
            .clock(clock.clone())
            .build()
            .unwrap();
        let rate = RateLimit::per_second(300.0).unwrap();
        if let Sweeper::Loop = sweeper {
            limiter.run_cleanup_loop_with(Duration::ZERO, Duration::from_millis(1));
        }
        let (turn, done) =
            (Barrier::new(usize::try_from(THREADS).unwrap() + 1), AtomicBool::new(false));
        let (limiter, rate, turn, clock) = (&limiter, &rate, &turn, &clock);
        let mut total = Sums::default();
        thread::scope(|scope| {
            if let Sweeper::Always = sweeper {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        limiter.cleanup(Duration::ZERO);
                        thread::yield_now();
                    }
                });
            }
            let threads = (0..THREADS).map(|seed| {
                scope.spawn(move || {
                    let (mut random, mut sums) = (Random(seed), Vec::new());
                    for round in 1..=ROUNDS {
                        turn.wait();
                        // All begin as the clock moves, which is when the keys become idle.
                        while clock.now() < ROUND * round {
                            hint::spin_loop();
                        }
                        sums.push(add_some(limiter, rate, &mut random));
                        // It may be checked.
                        turn.wait();
                    }
                    sums
                })
            });
            let threads = threads.collect::<Vec<_>>();
            let mut usages = Vec::new();
            for _ in 0..ROUNDS {
                turn.wait();
                // All that was added before has expired: each key is there to be forgotten.
                clock.advance(ROUND);
                turn.wait();
                usages.push(usages_of(limiter));
            }
            done.store(true, Ordering::Relaxed);
            let sums = threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>();
            for (round, usage) in usages.iter().enumerate() {
                let mut expected = Sums::default();
                for sum in &sums {
                    add(&mut expected, &sum[round]);
                }
                assert_eq!(*usage, expected, "{sweeper:?}, round {round}");
                add(&mut total, usage);
            }
        });
        limiter.stop_cleanup_loop();
        for sums in total {
            assert!(
                sums.iter().all(|&units| units > u64::from(ROUNDS) * 10),
                "hardly used: {total:?}"
            );
        }
    }
}

/// More than the hard limit: declined on an idle key, too.
const TOO_MANY: u64 = 1_000;

/// Fills keys past their limits.
fn add_some(limiter: &LocalRateLimiter, rate: &RateLimit, random: &mut Random) -> Sums {
    let mut sums = Sums::default();
    for _ in 0..60 {
        let key = usize::try_from(random.below(KEYS.len() as u64)).unwrap();
        let units = 1 + random.below(12);
        let sums = &mut sums[key];
        match random.below(9) {
            8 => {
                assert!(!limiter.suppressed().inc(KEYS[key], rate, TOO_MANY).is_allowed());
                sums[2] += TOO_MANY;
            }
            0 => {
                assert!(limiter.absolute().record(KEYS[key], &RateLimit::unlimited(), units));
                sums[0] += units;
            }
            1 => {
                assert!(limiter.suppressed().record(KEYS[key], &RateLimit::unlimited(), units));
                sums[1] += units;
            }
            2..=3 => {
                if limiter.absolute().inc(KEYS[key], rate, units).is_allowed() {
                    sums[0] += units;
                }
            }
            _ => match limiter.suppressed().inc(KEYS[key], rate, units) {
                RateLimitDecision::Suppressed { is_allowed: false, .. } => sums[2] += units,
                _ => sums[1] += units,
            },
        }
    }
    sums
}

fn usages_of(limiter: &LocalRateLimiter) -> Sums {
    KEYS.map(|key| {
        let usage = limiter.suppressed().usage(key, &RateLimit::unlimited());
        [limiter.absolute().usage(key, &RateLimit::unlimited()), usage.admitted, usage.declined]
    })
}

fn add(sums: &mut Sums, more: &Sums) {
    for (sum, more) in sums.iter_mut().flatten().zip(more.iter().flatten()) {
        *sum += more;
    }
}
