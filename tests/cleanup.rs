//! Forgetting idle keys, by hand and in the background.
//!
//! The background thread is looked for by its name among the threads of this process, where the
//! system lists them; so tests that start one take turns. When it comes and goes is up to the
//! system: tests wait until it has, and only fail if that never happens.
#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

#[path = "common/until.rs"]
#[expect(dead_code, reason = "nothing waits for admission here")]
mod until;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use trypema::{Clock, LocalRateLimiter, ManualClock, RateLimit};
use until::until;

const TICK: Duration = Duration::from_millis(100);
/// A window of 1 s, and the rest of the bucket.
const EXPIRED: Duration = Duration::from_millis(1_100);
const OFTEN: Duration = Duration::from_millis(1);

fn limiter() -> (LocalRateLimiter, ManualClock, RateLimit) {
    let clock = ManualClock::new();
    let builder = LocalRateLimiter::builder()
        .window(Duration::from_secs(1))
        .bucket(TICK)
        .clock(clock.clone());
    (builder.build().unwrap(), clock, RateLimit::per_second(5.0).unwrap())
}

/// A turn at being the only test with background threads.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    until_running(0);
    turn
}

/// Where the system tells of this process' background threads, or `None` where it does not. One may
/// be missing: a list is not of one moment, and skips a thread where another one ends meanwhile.
fn found() -> Option<Vec<PathBuf>> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    Some(tasks.filter_map(|task| Some(task.ok()?.path())).filter(|task| is_running(task)).collect())
}

/// Whether that background thread has not ended yet.
fn is_running(task: &Path) -> bool {
    let name = std::fs::read_to_string(task.join("comm"));
    name.is_ok_and(|name| name.trim_end() == "trypema-cleanup")
}

/// Background threads of this process, or `None` where it cannot be known.
fn running() -> Option<usize> {
    found().map(|tasks| tasks.len())
}

#[track_caller]
fn until_running(count: usize) {
    until("so many background threads run", || running().is_none_or(|running| running == count));
}

// proves: G5
#[test]
fn both_strategies_forget_what_is_idle() {
    let (limiter, clock, rate) = limiter();
    for key in ["a", "b", "c"] {
        assert!(limiter.absolute().inc(key, &rate, 1).is_allowed());
    }
    assert!(limiter.suppressed().inc("d", &rate, 1).is_allowed());
    // Nothing was ever admitted here, but the decline counts, and so is not forgotten.
    assert!(!limiter.suppressed().inc("e", &rate, 100).is_allowed());
    assert_eq!(limiter.len(), 5);
    clock.set(EXPIRED - Duration::from_nanos(1));
    assert_eq!(limiter.cleanup(Duration::ZERO), 0);
    assert_eq!(limiter.suppressed().usage("e", &RateLimit::unlimited()).declined, 100);
    clock.set(EXPIRED);
    assert_eq!(limiter.cleanup(Duration::ZERO), 5);
    assert!(limiter.is_empty());
    assert_eq!(limiter.cleanup(Duration::ZERO), 0);
    // A key that was forgotten is as good as new.
    assert!(limiter.absolute().inc("a", &rate, 5).is_allowed());
}

/// Units that count stay, however old the key and however small `stale_after`.
// proves: G5
#[test]
fn units_that_count_are_never_forgotten() {
    let (limiter, clock, rate) = limiter();
    for step in 0..100_u32 {
        clock.set(TICK * step);
        let key = (step % 30).to_string();
        assert!(limiter.absolute().inc(&key, &rate, 1).is_allowed());
        assert!(limiter.suppressed().record(&key, &RateLimit::unlimited(), 2));
        limiter.cleanup(Duration::ZERO);
        for age in 0..11.min(step + 1) {
            let key = ((step - age) % 30).to_string();
            assert_eq!(
                limiter.absolute().usage(&key, &RateLimit::unlimited()),
                1,
                "{age} buckets after, at {step}"
            );
            assert_eq!(limiter.suppressed().usage(&key, &RateLimit::unlimited()).admitted, 2);
        }
        // A unit counts in eleven buckets, so there are eleven keys of each strategy, and no more.
        assert_eq!(limiter.len(), 2 * usize::try_from(11.min(step + 1)).unwrap());
    }
}

// proves: G5
#[test]
fn stale_after_counts_from_what_was_added_last() {
    let minute = Duration::from_secs(60);
    let (limiter, clock, rate) = limiter();
    let absolute = limiter.absolute();
    for key in ["admitted", "recorded", "rejected", "refunded", "looked at"] {
        assert!(absolute.inc(key, &rate, 1).is_allowed());
    }
    clock.set(minute / 2);
    assert!(absolute.inc("admitted", &rate, 1).is_allowed());
    assert!(absolute.record("recorded", &RateLimit::unlimited(), 1));
    // Nothing of this adds anything.
    assert!(!absolute.inc("rejected", &rate, 6).is_allowed());
    assert_eq!(absolute.refund("refunded", &RateLimit::unlimited(), 1), 0);
    assert!(absolute.is_allowed("looked at", &rate, 1).is_allowed());
    assert_eq!(absolute.usage("looked at", &RateLimit::unlimited()), 0);

    clock.set(minute - TICK);
    assert_eq!(limiter.cleanup(minute), 0);
    clock.set(minute);
    assert_eq!(limiter.cleanup(minute + TICK), 0);
    assert_eq!(limiter.cleanup(minute), 3);
    clock.set(minute / 2 * 3 - TICK);
    assert_eq!(limiter.cleanup(minute), 0);
    clock.set(minute / 2 * 3);
    assert_eq!(limiter.cleanup(minute), 2);
}

/// While the window of a key is full, its rejections keep nothing alive.
// proves: G3 G5
#[test]
fn a_key_that_is_only_rejected_goes_stale() {
    let (limiter, clock, rate) = limiter();
    assert!(limiter.absolute().inc("key", &rate, 5).is_allowed());
    for step in 0..10 {
        clock.set(TICK * step);
        assert!(!limiter.absolute().inc("key", &rate, 1).is_allowed());
    }
    clock.set(Duration::from_secs(2));
    assert_eq!(limiter.cleanup(Duration::from_secs(2)), 1);
}

// proves: G5
#[test]
fn cleanup_beside_admissions_forgets_no_unit() {
    let (limiter, clock, _) = limiter();
    let rate = RateLimit::per_second(1e6).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                limiter.cleanup(Duration::ZERO);
            }
        });
        for round in 0..300 {
            let admitted = AtomicU64::new(0);
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        for _ in 0..50 {
                            if limiter.absolute().inc("key", &rate, 1).is_allowed() {
                                admitted.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    });
                }
            });
            assert_eq!(admitted.load(Ordering::Relaxed), 150);
            assert_eq!(
                limiter.absolute().usage("key", &RateLimit::unlimited()),
                150,
                "in round {round}"
            );
            clock.advance(EXPIRED);
        }
        done.store(true, Ordering::Relaxed);
    });
}

// proves: G5
#[test]
fn the_loop_forgets_idle_keys_of_both_strategies() {
    let _turn = turn();
    let (limiter, clock, rate) = limiter();
    limiter.run_cleanup_loop_with(Duration::from_secs(5), OFTEN);
    for key in 0..100 {
        let key = key.to_string();
        assert!(limiter.absolute().inc(&key, &rate, 1).is_allowed());
        assert!(limiter.suppressed().inc(&key, &rate, 1).is_allowed());
    }
    clock.set(Duration::from_secs(4));
    assert!(limiter.absolute().inc("in use", &rate, 1).is_allowed());
    assert_eq!(limiter.len(), 201);
    clock.set(Duration::from_secs(5) + TICK);
    until("the loop has forgotten the idle", || limiter.len() == 1);
    assert_eq!(
        limiter.absolute().usage("in use", &RateLimit::unlimited()),
        0,
        "expired, but not stale"
    );
}

// proves: G5
#[test]
fn there_is_one_thread_however_often_it_is_started() {
    let _turn = turn();
    let (limiter, _, _) = limiter();
    limiter.run_cleanup_loop();
    until_running(1);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                limiter.clone().run_cleanup_loop();
                limiter.run_cleanup_loop_with(Duration::ZERO, OFTEN);
            });
        }
    });
    // Threads that were started are listed before they run, though not at once by that name.
    for _ in 0..100 {
        assert!(running().is_none_or(|running| running <= 1));
        thread::yield_now();
    }
    until_running(1);
    limiter.stop_cleanup_loop();
    until_running(0);
}

/// However long the pause between sweeps is: the thread is woken to end.
// proves: G5
#[test]
fn it_stops_and_starts_again() {
    let _turn = turn();
    let (limiter, clock, rate) = limiter();
    limiter.stop_cleanup_loop();
    for _ in 0..5 {
        limiter.run_cleanup_loop_with(Duration::ZERO, Duration::from_secs(3_600));
        until_running(1);
        limiter.stop_cleanup_loop();
        until_running(0);
        limiter.stop_cleanup_loop();
    }
    limiter.run_cleanup_loop_with(Duration::ZERO, OFTEN);
    assert!(limiter.absolute().inc("key", &rate, 1).is_allowed());
    clock.advance(EXPIRED);
    until("the last loop works", || limiter.is_empty());
}

/// A clock that tells when nobody has it any more, hence when a limiter's state is gone.
struct Traced(#[expect(dead_code, reason = "held, not read")] Arc<()>);

impl Clock for Traced {
    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

// proves: G5
#[test]
fn it_ends_with_the_last_handle_of_any_kind_and_holds_none_itself() {
    let _turn = turn();
    // A sweep at every millisecond, and one that this test will not see.
    for interval in [OFTEN, Duration::from_secs(3_600)] {
        type Handle = fn(&LocalRateLimiter) -> Box<dyn Send>;
        let handles: [Handle; 3] = [
            |limiter| Box::new(limiter.clone()),
            |limiter| Box::new(limiter.absolute().clone()),
            |limiter| Box::new(limiter.suppressed().clone()),
        ];
        for last in handles {
            let alive = Arc::new(());
            let clock = Traced(Arc::clone(&alive));
            let limiter = LocalRateLimiter::builder().clock(clock).build().unwrap();
            assert!(limiter.absolute().record("key", &RateLimit::unlimited(), 1));
            limiter.run_cleanup_loop_with(Duration::ZERO, interval);
            let mut tasks = None;
            until("it runs", || {
                tasks = found();
                tasks.as_ref().is_none_or(|tasks| tasks.len() == 1)
            });
            let last = last(&limiter);
            drop(limiter);
            for _ in 0..100 {
                assert!(tasks.iter().flatten().all(|task| is_running(task)), "ended too soon");
                thread::yield_now();
            }
            drop(last);
            until_running(0);
            until("the state is gone", || Arc::strong_count(&alive) == 1);
        }
    }
}

/// Two limiters have a thread each, and the end of one is not the end of the other.
// proves: G5
#[test]
fn each_limiter_has_its_own() {
    let _turn = turn();
    let (one, _, _) = limiter();
    let (other, clock, rate) = limiter();
    one.run_cleanup_loop_with(Duration::ZERO, OFTEN);
    other.run_cleanup_loop_with(Duration::ZERO, OFTEN);
    until_running(2);
    drop(one);
    until_running(1);
    assert!(other.absolute().inc("key", &rate, 1).is_allowed());
    clock.advance(EXPIRED);
    until("the other's loop goes on", || other.is_empty());
}
