//! Calls from destructors of thread-locals.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use crate::alone::{is_alone, passes_alone};
use trypema::{LocalRateLimiter, RateLimit};

const THREADS: u32 = 50;

static CALLS: AtomicU32 = AtomicU32::new(0);

/// Calls all that a limiter has when its thread ends.
struct Last(LocalRateLimiter, u32);

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

impl Drop for Last {
    fn drop(&mut self) {
        let Self(limiter, number) = self;
        let rate = RateLimit::per_second(2.0).unwrap();
        let much = RateLimit::unlimited();
        let own = format!("of thread {number}");
        let (absolute, suppressed) = (limiter.absolute(), limiter.suppressed());
        for key in ["shared", &own] {
            for _ in 0..10 {
                absolute.inc(key, &rate, 1);
                suppressed.inc(key, &rate, 1);
            }
            let _ = absolute.inc_many(&[(key, &rate, 1), (key, &much, 1)]);
            let _ = suppressed.inc_many(&[(key, &rate, 1), (key, &much, 1)]);
            absolute.is_allowed(key, &rate, 1);
            suppressed.is_allowed(key, &rate, 1);
            let _ = absolute.acquire(key, &much, 1, Duration::ZERO);
            let _ = absolute.acquire(key, &rate, 1, Duration::from_millis(1));
            let _ = suppressed.acquire(key, &much, 1, Duration::from_millis(1));
            absolute.reset(key);
            suppressed.reset(key);
        }
        limiter.cleanup(Duration::ZERO);
        let _ = limiter.stats();
        limiter.clear();
        CALLS.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn child() {
    if !is_alone("thread_ends::child") {
        return;
    }
    for max_keys in [None, Some(5)] {
        for uses_before in [true, false] {
            let builder = LocalRateLimiter::builder();
            let builder = match max_keys {
                Some(max_keys) => builder.max_keys(max_keys),
                None => builder,
            };
            let limiter = builder.build().unwrap();
            let rate = RateLimit::per_second(2.0).unwrap();
            for _ in 0..THREADS / 10 {
                let threads = (0..10).map(|number| {
                    let limiter = limiter.clone();
                    thread::spawn(move || {
                        // Older than the limiter's first use in this thread: destroyed later.
                        LAST.set(Some(Last(limiter.clone(), number)));
                        if uses_before {
                            limiter.absolute().inc("shared", &rate, 1);
                            limiter.suppressed().inc("shared", &rate, 1);
                        }
                    })
                });
                for thread in threads.collect::<Vec<_>>() {
                    thread.join().unwrap();
                }
            }
        }
    }
    println!("{} threads made their last calls", CALLS.load(Ordering::SeqCst));
}

#[test]
fn a_limiter_is_called_from_destructors_of_thread_locals() {
    passes_alone("thread_ends::child", "200 threads made their last calls");
}
