//! Memory while a sweep runs.

// each proves: G6

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::clones::{Alive, Counted};
use trypema::{Clock, LocalRateLimiter, ManualClock, RateLimit};

const KEYS: u64 = 2_000;

thread_local! {
    static SWEEPS: Cell<bool> = const { Cell::new(false) };
}

type Between = dyn Fn() + Send + Sync;

/// A clock that does something else whenever a sweep reads it, as another thread might.
struct Interrupting {
    clock: ManualClock,
    between: Arc<std::sync::OnceLock<Box<Between>>>,
}

impl Clock for Interrupting {
    fn now(&self) -> Duration {
        if SWEEPS.replace(false) {
            self.between.get().unwrap()();
            SWEEPS.set(true);
        }
        self.clock.now()
    }
}

/// The most keys alive at a time during a sweep that others remove keys beside.
fn most_alive(max_keys: Option<usize>) -> usize {
    let alive = Arc::new(Alive::default());
    let clock = ManualClock::new();
    let between = Arc::new(std::sync::OnceLock::new());
    let builder = LocalRateLimiter::builder()
        .window(Duration::from_secs(1))
        .clock(Interrupting { clock: clock.clone(), between: Arc::clone(&between) })
        .keys::<Counted>();
    let builder = match max_keys {
        Some(max_keys) => builder.max_keys(max_keys),
        None => builder,
    };
    let limiter = builder.build().unwrap();
    let rate = RateLimit::per_second(1.0).unwrap();
    let absolute = limiter.absolute().clone();
    for name in 0..KEYS {
        assert!(absolute.inc(&Counted::new(name, &alive), &rate, 1).is_allowed());
    }
    let most = Arc::new(AtomicUsize::new(0));
    let names = AtomicU64::new(KEYS);
    let done = Arc::new(AtomicUsize::new(0));
    let (seen, told, count) = (Arc::clone(&most), Arc::clone(&done), Arc::clone(&alive));
    let _ = between.set(Box::new(move || {
        // As many in all, however often the clock is read: ten times the keys.
        for _ in 0..50 {
            if told.fetch_add(1, Ordering::SeqCst) as u64 > 10 * KEYS {
                break;
            }
            let name = names.fetch_add(1, Ordering::SeqCst);
            let key = Counted::new(name, &count);
            absolute.inc(&key, &rate, 1);
            absolute.reset(&key);
            seen.fetch_max(count.count(), Ordering::SeqCst);
        }
    }) as Box<Between>);
    clock.advance(Duration::from_secs(10));
    SWEEPS.set(true);
    // None is stale: all are looked at, and stay.
    while (done.load(Ordering::SeqCst) as u64) < 10 * KEYS {
        limiter.cleanup(Duration::from_secs(3_600));
    }
    SWEEPS.set(false);
    most.load(Ordering::SeqCst)
}

/// Each key of a bounded map is held twice.
#[test]
fn removed_keys_are_freed_while_a_sweep_goes_on() {
    let open = most_alive(None);
    println!("open: {open} of {KEYS} keys at most");
    let bounded = most_alive(Some(2 * usize::try_from(KEYS).unwrap()));
    println!("bounded: {bounded} of {} keys at most", 2 * KEYS);
    assert!(open as u64 <= KEYS * 3 / 2, "{open} alive at most");
    assert!(bounded as u64 <= 2 * KEYS * 3 / 2, "{bounded} alive at most");
}
