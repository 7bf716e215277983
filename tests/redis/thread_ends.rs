//! Calls from destructors of thread-locals: a panic there would abort the process.
//!
//! So the calls are made in a process of its own: this very test binary, started again for [`child`] alone.

#![expect(clippy::print_stdout, reason = "a child's word that it is well")]

// each proves: G7

use std::cell::RefCell;
use std::env;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use trypema::{OnUnavailable, RateLimit, RedisRateLimiter};

use crate::common::until::FOREVER;
use crate::server::RedisServer;

/// The servers, for the child: one that answers, and one that is not there.
const SERVERS: &str = "TRYPEMA_TEST_THREAD_ENDS";
const THREADS: u32 = 10;

static CALLS: AtomicU32 = AtomicU32::new(0);

/// Calls all that a limiter has when its thread ends.
struct Last(RedisRateLimiter, u32);

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

impl Drop for Last {
    fn drop(&mut self) {
        let Self(limiter, number) = self;
        let (rate, much) = (RateLimit::per_hour(2).unwrap(), RateLimit::unlimited());
        let own = format!("of thread {number}");
        let (absolute, suppressed) = (limiter.absolute(), limiter.suppressed());
        for key in ["shared", &own] {
            for _ in 0..5 {
                let _ = absolute.inc(key, &rate, 1);
                let _ = suppressed.inc(key, &rate, 1);
                let _ = absolute.is_allowed(key, &rate, 1);
            }
            let calls = [(key, &rate, 1), (key, &much, 1)];
            let _ = (absolute.inc_many(&calls), suppressed.inc_many(&calls));
            let _ = (absolute.inc_all(&calls), suppressed.inc_all(&calls));
            let _ = (absolute.usage(key, &rate), absolute.record(key, &rate, 1));
            let _ = absolute.acquire(key, &much, 1, Duration::ZERO);
            let _ = absolute.acquire(key, &rate, 1, Duration::from_millis(1));
            let _ = suppressed.acquire(key, &rate, 1, Duration::from_millis(1));
            let _ = (absolute.refund(key, &rate, 1), suppressed.refund(key, &rate, 1));
            let _ = (absolute.reset(key), suppressed.reset(key));
        }
        let _ = limiter.stats();
        CALLS.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn child() {
    let Ok(servers) = env::var(SERVERS) else { return };
    for url in servers.split(' ') {
        for uses_before in [true, false] {
            let builder = RedisRateLimiter::builder(url).on_unavailable(OnUnavailable::Local);
            let limiter = builder.deadline(FOREVER).build().unwrap();
            let rate = RateLimit::per_hour(2).unwrap();
            let threads = (0..THREADS).map(|number| {
                let limiter = limiter.clone();
                thread::spawn(move || {
                    // Older than the limiter's first use in this thread: destroyed later.
                    LAST.set(Some(Last(limiter.clone(), number)));
                    if uses_before {
                        for _ in 0..3 {
                            let _ = limiter.absolute().inc("shared", &rate, 1);
                        }
                        let _ = limiter.suppressed().inc("shared", &rate, 1);
                    }
                })
            });
            for thread in threads.collect::<Vec<_>>() {
                thread.join().unwrap();
            }
            let stats = limiter.stats();
            assert!(stats.rejected > 0 && stats.allowed > 0, "{stats:?}");
            if url.ends_with(":1") {
                assert!(stats.from_local > 0, "{stats:?}");
            } else {
                assert!(stats.from_denial_cache > 0, "{stats:?}");
            }
        }
    }
    println!("{} threads made their last calls", CALLS.load(Ordering::SeqCst));
}

#[test]
fn a_limiter_is_called_from_destructors_of_thread_locals() {
    let server = RedisServer::start();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "thread_ends::child", "--nocapture", "--test-threads=1"])
        .env(SERVERS, format!("{} redis://127.0.0.1:1", server.url()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}\n{complained}", output.status);
    assert!(said.contains("40 threads made their last calls"), "{said}\n{complained}");
}
