//! Key types that panic: only the call that panics suffers.

// each proves: acquire

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use trypema::{LocalRateLimiter, ManualClock, RateLimit};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Hash,
    Eq,
    Clone,
}

thread_local! {
    /// This thread's n-th such act panics; 0: none does.
    static ARMED: Cell<(Act, u32)> = const { Cell::new((Act::Hash, 0)) };
}

/// Returns whether the act that was armed has come.
fn disarm() -> bool {
    let (act, left) = ARMED.get();
    ARMED.set((act, 0));
    left == 0
}

fn acts(act: Act) {
    let (armed, left) = ARMED.get();
    if armed == act && left > 0 {
        ARMED.set((armed, left - 1));
        assert!(left != 1, "as the test asked for");
    }
}

#[derive(Debug)]
struct Fragile(u64);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        acts(Act::Clone);
        Self(self.0)
    }
}

impl PartialEq for Fragile {
    fn eq(&self, other: &Self) -> bool {
        acts(Act::Eq);
        self.0 == other.0
    }
}

impl Eq for Fragile {}

impl Hash for Fragile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        acts(Act::Hash);
        self.0.hash(state);
    }
}

const ACTS: [Act; 3] = [Act::Hash, Act::Eq, Act::Clone];
const SECOND: Duration = Duration::from_secs(1);

fn limiter(max_keys: usize) -> (LocalRateLimiter<Fragile>, ManualClock) {
    let clock = ManualClock::new();
    let limiter = LocalRateLimiter::builder()
        .window(SECOND)
        .clock(clock.clone())
        .max_keys(max_keys)
        .keys::<Fragile>()
        .build()
        .unwrap();
    (limiter, clock)
}

#[test]
fn no_room_is_lost_by_a_key_that_panics() {
    let rate = RateLimit::per_second(1.0).unwrap();
    for act in ACTS {
        for nth in 1..=12 {
            let (limiter, clock) = limiter(1);
            ARMED.set((act, nth));
            // The second displaces the first, which is idle by then.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                limiter.absolute().inc(&Fragile(1), &rate, 1);
                clock.advance(3 * SECOND);
                limiter.absolute().inc(&Fragile(2), &rate, 1);
                limiter.absolute().reset(&Fragile(2));
                limiter.absolute().inc(&Fragile(3), &rate, 1);
                limiter.absolute().record(&Fragile(3), &rate, 1);
                clock.advance(3 * SECOND);
                limiter.cleanup(Duration::ZERO);
            }));
            let came = disarm();
            clock.advance(3 * SECOND);
            for key in 4..8 {
                let decision = limiter.absolute().inc(&Fragile(key), &rate, 1);
                assert!(decision.is_allowed(), "{act:?} {nth}: key {key}: {decision:?}");
                clock.advance(3 * SECOND);
            }
            limiter.cleanup(Duration::ZERO);
            assert_eq!(limiter.len(), 0, "{act:?} {nth}");
            if !came {
                break;
            }
        }
    }
}

#[test]
fn no_place_in_a_line_is_lost_by_a_key_that_panics() {
    let rate = RateLimit::per_second(1.0).unwrap();
    for act in ACTS {
        for nth in 1..=16 {
            let (limiter, clock) = limiter(100);
            let absolute = limiter.absolute();
            assert!(absolute.inc(&Fragile(1), &rate, 1).is_allowed());
            let came = thread::scope(|scope| {
                let panics = scope.spawn(|| {
                    ARMED.set((act, nth));
                    let _ = catch_unwind(AssertUnwindSafe(|| {
                        absolute.acquire(&Fragile(1), &rate, 1, Duration::from_millis(20)).is_ok()
                    }));
                    disarm()
                });
                panics.join().unwrap()
            });
            // The next thread to wait has the turn.
            let waits = thread::scope(|scope| {
                let waits =
                    scope.spawn(|| absolute.acquire(&Fragile(1), &rate, 1, 10 * SECOND).is_ok());
                while !waits.is_finished() {
                    clock.advance(Duration::from_millis(10));
                    thread::sleep(Duration::from_millis(1));
                }
                waits.join().unwrap()
            });
            assert!(waits, "{act:?} {nth}");
            if !came {
                break;
            }
        }
    }
}
