//! Leases in several processes of several threads each, on one key, in real time, with processes that are
//! killed, stopped and started meanwhile: never over capacity in any window by the server's time.
//!
//! As in [`processes`](crate::processes), the processes are this very test binary, and a call that took
//! from `called` to `returned` spent its units at some server time in between. A child writes each admission
//! to a file at once, so that those of a killed one are known as well.
//!
//! CI runs a few dozen windows. For hundreds, at leases of 10 ms to 1 s, some ten minutes:
//!
//! ```sh
//! cargo test --features redis --test redis hybrid_processes -- --ignored --nocapture
//! ```

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use trypema::{HybridRateLimiter, Limiter, RateLimit};

use crate::common::draws::Draws;
use crate::common::spans::{Span, most_within};
use crate::common::until::FOREVER;
use crate::processes::{Own, now, start_again};
use crate::server::RedisServer;

const PROCESSES: usize = 4;
const THREADS: usize = 8;
/// Batches are of one unit to this many.
const LARGEST: u64 = 64;
const HARD_FACTOR: f64 = 1.5;
/// How long a thread rests after a rejection, so that thirty-two threads leave the machine some time.
const REST: Duration = Duration::from_millis(1);

/// The orders of a child.
const TOLD: &str = "TRYPEMA_TEST_HYBRID_CHILD";

#[derive(Debug, Clone, Copy)]
struct Plan {
    strategy: &'static str,
    window_ms: u64,
    lease_ms: u64,
    /// Units in a window.
    capacity: u64,
    windows: u64,
}

impl Plan {
    /// The most that a window may hold.
    fn bound(self) -> u64 {
        match self.strategy {
            "suppressed" => (self.capacity as f64 * HARD_FACTOR) as u64,
            _ => self.capacity,
        }
    }

    fn window(self) -> Duration {
        Duration::from_millis(self.window_ms)
    }

    fn length(self) -> Duration {
        Duration::from_millis(self.window_ms * self.windows)
    }
}

/// No test of its own: the processes that the others start. It goes on until it is killed, or the test that
/// started it has ended.
#[test]
fn child() {
    let Ok(told) = env::var(TOLD) else { return };
    let [url, strategy, window_ms, lease_ms, capacity, folder] =
        *told.split(' ').collect::<Vec<_>>()
    else {
        panic!("told {told:?}")
    };
    let window = Duration::from_millis(window_ms.parse().unwrap());
    let limiter = HybridRateLimiter::builder(url)
        .window(window)
        .lease(Duration::from_millis(lease_ms.parse().unwrap()))
        .hard_limit_factor(HARD_FACTOR)
        // Late answers on a busy machine are not what this is about.
        .deadline(FOREVER)
        .build()
        .unwrap();
    let rate = RateLimit::per(capacity.parse::<u32>().unwrap(), window).unwrap();
    let handle: &dyn Limiter = match strategy {
        "suppressed" => limiter.suppressed(),
        _ => limiter.absolute(),
    };
    thread::spawn(|| {
        _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    thread::scope(|scope| {
        for number in 0..THREADS {
            let name = format!("{}.{number}", std::process::id());
            let mut file = appended(&Path::new(folder).join(name));
            let rate = &rate;
            scope.spawn(move || {
                for step in number as u64.. {
                    let units = step * 7 % LARGEST + 1;
                    let called = now();
                    if handle.inc("key", rate, units).unwrap().is_allowed() {
                        let line = format!("{called} {} {units}\n", now());
                        file.write_all(line.as_bytes()).unwrap();
                    } else {
                        thread::sleep(REST);
                    }
                }
            });
        }
    });
}

fn appended(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

fn signal(Own(child): &Own, signal: Signal) {
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// The admissions in a folder. A line that a killed child began and did not end is none.
fn admissions(folder: &Path) -> Vec<Span> {
    let mut spans = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
        spans.extend(whole.lines().map(|line| {
            let numbers = line.split(' ').map(|word| word.parse().unwrap()).collect::<Vec<_>>();
            Span { called: numbers[0], returned: numbers[1], units: numbers[2] }
        }));
    }
    spans
}

fn never_over(plan: Plan) {
    let _alone = crate::alone();
    let server = RedisServer::start();
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path();
    let Plan { strategy, window_ms, lease_ms, capacity, .. } = plan;
    let told = format!(
        "{} {strategy} {window_ms} {lease_ms} {capacity} {}",
        server.url(),
        folder.display()
    );
    let start = || start_again("hybrid_processes::child", TOLD, &told, Stdio::piped());
    let mut children = (0..PROCESSES).map(|_| start()).collect::<Vec<_>>();
    crate::cluster::eventually("somebody is admitted", || !admissions(folder).is_empty());

    // One child at a time is in trouble: killed and replaced, or stopped for less than a lease or for more.
    let mut draws = Draws::new(lease_ms);
    let mut below = |limit: u64| (draws.next() * limit as f64) as u64;
    let (begun, mut killed, mut stopped) = (Instant::now(), 0, 0);
    while begun.elapsed() < plan.length() {
        let child = below(PROCESSES as u64) as usize;
        if below(3) == 0 {
            children[child] = start();
            killed += 1;
        } else {
            signal(&children[child], Signal::STOP);
            thread::sleep(Duration::from_millis(1 + below(3 * lease_ms.max(50))));
            signal(&children[child], Signal::CONT);
            stopped += 1;
        }
        thread::sleep(Duration::from_millis(below(window_ms)));
    }
    let took = begun.elapsed();
    drop(children);

    let spans = admissions(folder);
    let total = spans.iter().map(|span| span.units).sum::<u64>();
    let fullest = most_within(&spans, window_ms * 1_000_000);
    let windows = took.as_millis() as u64 / window_ms;
    eprintln!(
        "{plan:?}: {windows} windows, {killed} processes killed, {stopped} stopped; {} admissions of {total} \
         units; at most {fullest} of {} in any window for certain",
        spans.len(),
        plan.bound(),
    );
    assert!(fullest <= plan.bound(), "{fullest} units in a window, of {}", plan.bound());
    assert!(windows >= plan.windows, "{windows} windows");
    // A limiter that admits next to nothing is never over either.
    let buckets = plan.window().as_millis() as u64 / 600 + 1;
    let counted = window_ms + lease_ms + buckets;
    assert!(total > capacity * windows * window_ms / counted / 2, "{total} units");
}

const SHORT: Plan =
    Plan { strategy: "absolute", window_ms: 250, lease_ms: 50, capacity: 3_000, windows: 20 };

// proves: G1
#[test]
fn leases_never_exceed_the_capacity() {
    never_over(SHORT);
}

// proves: G1
#[test]
fn leases_never_exceed_the_hard_limit() {
    never_over(Plan { strategy: "suppressed", lease_ms: 20, capacity: 2_000, ..SHORT });
}

#[test]
#[ignore = "some ten minutes; see the head of this file"]
fn leases_of_any_length_never_exceed_the_limit() {
    for strategy in ["absolute", "suppressed"] {
        for (window_ms, lease_ms) in [(250, 10), (250, 100), (1_000, 1_000)] {
            let capacity = 12 * window_ms;
            never_over(Plan { strategy, window_ms, lease_ms, capacity, windows: 210 });
        }
    }
}
