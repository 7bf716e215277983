//! A child made by `fork` while the cleanup thread runs in its parent.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::alone::{is_alone, passes_alone};
use trypema::{LocalRateLimiter, ManualClock, RateLimit};

unsafe extern "C" {
    fn fork() -> i32;
    fn alarm(seconds: u32) -> u32;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    fn _exit(status: i32) -> !;
}

#[test]
fn child() {
    if !is_alone("fork::child") {
        return;
    }
    let clock = ManualClock::new();
    let limiter = LocalRateLimiter::builder().clock(clock.clone()).build().unwrap();
    let brief = Duration::from_millis(1);
    limiter.run_cleanup_loop_with(brief, brief);
    for restarts in [false, true] {
        // SAFETY: this process was started for this test; the only other thread that runs is the
        // cleanup thread, which holds no lock that the child needs.
        let child = unsafe { fork() };
        if child == 0 {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                if !restarts {
                    limiter.stop_cleanup_loop();
                    return true;
                }
                limiter.run_cleanup_loop_with(brief, brief);
                let rate = RateLimit::per_second(1.0).unwrap();
                limiter.absolute().inc("key", &rate, 1);
                clock.advance(Duration::from_secs(600));
                let begun = Instant::now();
                while !limiter.is_empty() && begun.elapsed() < Duration::from_secs(20) {
                    thread::sleep(brief);
                }
                limiter.stop_cleanup_loop();
                limiter.is_empty()
            }));
            // SAFETY: ends the child at once, as a child that shares its parent's files should.
            unsafe { _exit(i32::from(!matches!(done, Ok(true)))) };
        }
        assert!(child > 0);
        let mut status = 0;
        // SAFETY: `status` outlives the call.
        assert_eq!(unsafe { waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0, "restarts: {restarts}");
    }
    limiter.stop_cleanup_loop();
    println!("both children are well, says {}", process::id());
}

#[test]
fn the_cleanup_thread_stops_and_starts_in_a_forked_child() {
    passes_alone("fork::child", "both children are well");
}

/// A fork while another thread starts and stops the cleanup thread, that is, holds the lock that this takes.
#[test]
fn child_of_a_starting_process() {
    const CHILDREN: usize = 30;
    if !is_alone("fork::child_of_a_starting_process") {
        return;
    }
    let limiter = LocalRateLimiter::builder().build().unwrap();
    let hour = Duration::from_secs(3_600);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                limiter.run_cleanup_loop_with(hour, hour);
                limiter.stop_cleanup_loop();
            }
        });
        let ends = (0..CHILDREN).map(|_| {
            // SAFETY: this process was started for this test; the child calls nothing that waits for
            // another thread of its parent, which is what is tested.
            let child = unsafe { fork() };
            if child == 0 {
                // SAFETY: ends a child that waits for ever.
                let _ = unsafe { alarm(20) };
                limiter.run_cleanup_loop_with(hour, hour);
                limiter.stop_cleanup_loop();
                // SAFETY: as in `child`.
                unsafe { _exit(0) };
            }
            let mut status = 0;
            // SAFETY: `status` outlives the call.
            assert_eq!(unsafe { waitpid(child, &raw mut status, 0) }, child);
            status
        });
        let stuck = ends.filter(|status| *status != 0).take(1).count();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(stuck, 0, "a child was stopped by its alarm");
    });
    println!("no child waits for its parent");
}

#[test]
fn a_fork_while_the_cleanup_thread_is_being_started_leaves_no_lock_behind() {
    passes_alone("fork::child_of_a_starting_process", "no child waits for its parent");
}
