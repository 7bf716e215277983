//! An observer that asks the limiter that tells it, and one that panics.

// each proves: acquire

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use trypema::{LocalRateLimiter, ManualClock, RateLimit};

const MINUTE: Duration = Duration::from_secs(60);

/// A caller who was admitted after a wait has left the line before the observer is told: it may acquire
/// the same key.
#[test]
fn an_observer_may_acquire_the_key_it_is_told_of() {
    let clock = ManualClock::new();
    let asked = Arc::new(OnceLock::<LocalRateLimiter>::new());
    let results = Arc::new(Mutex::new(Vec::new()));
    let rate = RateLimit::per_minute(4.0).unwrap();
    let (handle, log) = (Arc::clone(&asked), Arc::clone(&results));
    let limiter = LocalRateLimiter::builder()
        .clock(clock.clone())
        .hard_limit_factor(1.0)
        .observer(move |event| {
            // Told of the second call of each strategy, which has waited.
            if event.count != 2 {
                return;
            }
            let limiter = handle.get().unwrap();
            let result = match event.strategy {
                trypema::Strategy::Absolute => {
                    limiter.absolute().acquire("key", &rate, 1, Duration::ZERO).is_ok()
                }
                _ => limiter.suppressed().acquire("key", &rate, 1, Duration::ZERO).is_ok(),
            };
            log.lock().unwrap().push(result);
        })
        .build()
        .unwrap();
    let _ = asked.set(limiter.clone());
    assert!(limiter.absolute().inc("key", &rate, 4).is_allowed());
    assert!(limiter.suppressed().inc("key", &rate, 4).is_allowed());
    thread::scope(|scope| {
        let absolute = scope.spawn(|| limiter.absolute().acquire("key", &rate, 2, MINUTE).is_ok());
        let suppressed =
            scope.spawn(|| limiter.suppressed().acquire("key", &rate, 2, MINUTE).is_ok());
        while !absolute.is_finished() || !suppressed.is_finished() {
            clock.advance(Duration::from_millis(100));
            thread::yield_now();
        }
        assert!(absolute.join().unwrap() && suppressed.join().unwrap());
    });
    assert_eq!(*results.lock().unwrap(), [true, true]);
}

/// An observer that panics ends the call, and none of its units stays counted.
#[test]
fn an_observer_that_panics_undoes_the_call_for_several_limits() {
    let told = Arc::new(AtomicUsize::new(0));
    let limiter = LocalRateLimiter::builder()
        .observer({
            let told = Arc::clone(&told);
            move |_| assert!(told.fetch_add(1, Ordering::Relaxed) != 1, "the second is too much")
        })
        .build()
        .unwrap();
    let rate = RateLimit::per_hour(10.0).unwrap();
    let calls = [("one", &rate, 1), ("two", &rate, 2)];
    let ended = catch_unwind(|| limiter.absolute().inc_all(&calls));
    assert!(ended.is_err());
    let usages = calls.map(|(key, rate, _)| limiter.absolute().usage(key, rate));
    assert_eq!(usages, [0, 0]);
    assert!(limiter.absolute().inc_all(&calls).is_allowed());
}
