//! A forked child does not spend its parent's leases.

// each proves: G1

use std::time::Duration;
use std::{env, process};

use trypema::{HybridRateLimiter, RateLimit};

use crate::common::until::FOREVER;
use crate::processes::start_again;
use crate::server::RedisServer;

unsafe extern "C" {
    fn fork() -> i32;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    fn _exit(status: i32) -> !;
}

const TOLD: &str = "TRYPEMA_TEST_HYBRID_FORK";
const CAPACITY: u64 = 5_000;

/// No test of its own: a process that forks while it has a lease, and spends all that it can beside its child. It
/// ends with 0 if both together were admitted just the capacity.
#[test]
fn child() {
    let Ok(url) = env::var(TOLD) else { return };
    let limiter = HybridRateLimiter::builder(url)
        .lease(Duration::from_secs(20))
        .deadline(FOREVER)
        .build()
        .unwrap();
    let rate = RateLimit::per_hour(CAPACITY as f64).unwrap();
    let inc = || limiter.absolute().inc("key", &rate, 1).unwrap().is_allowed();
    let mut admitted = 0;
    while limiter.stats().from_leases < 100 {
        admitted += u64::from(inc());
    }
    // SAFETY: this process was started for this test; the other threads that run hold no lock that the child needs:
    // the limiter's waits, and the test's own is this one.
    let child = unsafe { fork() };
    let mut spent = 0;
    while spent < CAPACITY && inc() {
        spent += 1;
    }
    if child == 0 {
        // Through the server, as the parent must know.
        limiter.absolute().record("child", &rate, spent + 1).unwrap();
        // SAFETY: ends the child, without what the parent's test would do at its end.
        unsafe { _exit(0) };
    }
    let mut status = 0;
    // SAFETY: waits for this process's own child.
    assert_eq!(unsafe { waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    admitted += spent + limiter.absolute().usage("child", &rate).unwrap() - 1;
    // What was left of a lease when the other one asked is not found before that lease has ended.
    assert!(admitted <= CAPACITY, "{admitted} admitted");
    assert!(admitted >= CAPACITY / 2, "{admitted} admitted");
    process::exit(0);
}

#[test]
fn a_forked_child_leases_for_itself() {
    let server = RedisServer::start();
    let mut own = start_again("hybrid_fork::child", TOLD, &server.url(), process::Stdio::null());
    assert!(own.0.wait().unwrap().success());
}
