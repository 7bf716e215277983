//! An observer that asks the limiter that tells it.

// each proves: acquire

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
