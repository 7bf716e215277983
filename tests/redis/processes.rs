//! Several processes of several threads each, on one key, in real time: never over capacity in any
//! window by the server's time.
//!
//! The processes are this very test binary, started again for [`child`] alone. `TIME` reads the
//! same clock as [`SystemTime`] does on the machine that all of them run on, so a call that took
//! from `called` to `returned` was decided at some server time in between. What follows from that
//! for certain is in [`spans`](crate::common::spans).

// each proves: G1

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use trypema::{RateLimit, RateLimitDecision, RedisRateLimiter, TrypemaError};

use crate::any;
use crate::common::Grid;
use crate::common::spans::{Span, Ticks, most_within};
use crate::common::until::FOREVER;
use crate::server::RedisServer;

const PROCESSES: usize = 4;
const THREADS: u64 = 8;
const GRID: Grid = Grid { window_ms: 250, bucket_ms: 10 };
/// Many times the window, so that admissions expire while others are made.
const LENGTH: Duration = Duration::from_millis(2_500);
const HARD_FACTOR: f64 = 1.5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    /// One unit a call.
    Single,
    /// One to nine units a call.
    Batches,
    /// Several calls in one round trip, for the key and for another in between.
    Many,
    /// Batches under Suppressed, whose bound is the hard limit.
    Suppressed,
}

const LOADS: [(Load, &str); 4] = [
    (Load::Single, "single"),
    (Load::Batches, "batches"),
    (Load::Many, "many"),
    (Load::Suppressed, "suppressed"),
];

impl Load {
    fn name(self) -> &'static str {
        LOADS.iter().find(|(load, _)| *load == self).expect("all are named").1
    }

    fn capacity(self) -> u64 {
        match self {
            Self::Single | Self::Batches | Self::Many => 100,
            Self::Suppressed => 40,
        }
    }

    /// The most that a window may hold.
    fn bound(self) -> u64 {
        match self {
            Self::Suppressed => (self.capacity() as f64 * HARD_FACTOR) as u64,
            _ => self.capacity(),
        }
    }

    fn rate(self) -> RateLimit {
        let rate = RateLimit::per_second(self.capacity() as f64 * 4.0).unwrap();
        assert_eq!(rate.capacity(Duration::from_millis(GRID.window_ms)), self.capacity());
        rate
    }

    /// One round trip, and the units that were admitted in it.
    fn call(self, limiter: &RedisRateLimiter, number: u64) -> Result<u64, TrypemaError> {
        let (rate, batch) = (self.rate(), number % 9 + 1);
        let admitted = |decision: RateLimitDecision, count| {
            if decision.is_allowed() { count } else { 0 }
        };
        match self {
            Self::Single => Ok(admitted(limiter.absolute().inc("key", &rate, 1)?, 1)),
            Self::Batches => Ok(admitted(limiter.absolute().inc("key", &rate, batch)?, batch)),
            Self::Many => {
                let calls = [
                    ("key", &rate, batch),
                    ("other", &rate, 1),
                    ("key", &rate, 1),
                    ("key", &rate, 3),
                ];
                let decisions = limiter.absolute().inc_many(&calls);
                assert_eq!(decisions.len(), calls.len());
                let ours = decisions.into_iter().zip(calls).filter(|(_, (key, ..))| *key == "key");
                ours.map(|(decision, (_, _, count))| Ok(admitted(decision?, count))).sum()
            }
            Self::Suppressed => Ok(admitted(limiter.suppressed().inc("key", &rate, batch)?, batch)),
        }
    }
}

/// The orders of a child, and the file to which it writes its admissions, a line each.
const TOLD: &str = "TRYPEMA_TEST_CHILD";

/// Nanoseconds of the clock that the server reads too.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

/// No test of its own: what the processes do that the others start.
#[test]
fn child() {
    let Ok(told) = env::var(TOLD) else { return };
    let [url, load, cache_ms, file] = *told.split(' ').collect::<Vec<_>>() else {
        panic!("told {told:?}")
    };
    let (load, _) = LOADS.into_iter().find(|(_, name)| *name == load).expect("a load");
    let limiter = RedisRateLimiter::builder(url)
        .window(Duration::from_millis(GRID.window_ms))
        .bucket(Duration::from_millis(GRID.bucket_ms))
        .hard_limit_factor(HARD_FACTOR)
        .denial_cache(Duration::from_millis(cache_ms.parse().unwrap()))
        // Late answers on a busy machine are not what this is about.
        .deadline(FOREVER)
        .build()
        .unwrap();
    limiter.absolute().usage("key", &any()).unwrap();
    // Begins when all have come so far.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();

    let barrier = Barrier::new(usize::try_from(THREADS).unwrap());
    let lines = thread::scope(|scope| {
        let threads = (0..THREADS).map(|thread| {
            let (limiter, barrier) = (&limiter, &barrier);
            scope.spawn(move || {
                barrier.wait();
                let (begun, mut lines) = (Instant::now(), String::new());
                for number in thread.. {
                    if begun.elapsed() > LENGTH {
                        break;
                    }
                    let called = now();
                    let units = load.call(limiter, number).unwrap();
                    if units > 0 {
                        writeln!(lines, "{called} {} {units}", now()).unwrap();
                    }
                }
                lines
            })
        });
        let threads = threads.collect::<Vec<_>>();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<String>()
    });
    fs::write(file, lines).unwrap();
}

/// A process that ends with the test that started it.
pub(crate) struct Own(pub(crate) Child);

impl Drop for Own {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// This binary, for one of its tests alone, which finds what it is told in the environment.
pub(crate) fn start_again(test: &str, variable: &str, told: &str, stdin: Stdio) -> Own {
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads=1"])
        .env(variable, told)
        .stdin(stdin)
        .stdout(Stdio::null())
        .spawn();
    Own(child.unwrap())
}

fn never_over(load: Load, cache: Duration) {
    let _alone = crate::alone();
    let server = RedisServer::start();
    let directory = tempfile::tempdir().unwrap();
    let files = (0..PROCESSES).map(|child| directory.path().join(child.to_string()));
    let files = files.collect::<Vec<_>>();
    let start = |file: &std::path::PathBuf| {
        let told =
            format!("{} {} {} {}", server.url(), load.name(), cache.as_millis(), file.display());
        start_again("processes::child", TOLD, &told, Stdio::piped())
    };
    let mut children = files.iter().map(start).collect::<Vec<_>>();
    crate::cluster::eventually("all are connected", || {
        let clients: String = server.ask("INFO clients");
        // And this question's own connection.
        clients.contains(&format!("connected_clients:{}\r", PROCESSES + 1))
    });
    children.iter_mut().for_each(|Own(child)| drop(child.stdin.take()));
    for Own(child) in &mut children {
        assert!(child.wait().unwrap().success());
    }

    let mut spans = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        spans.extend(text.lines().map(|line| {
            let numbers = line.split(' ').map(|word| word.parse().unwrap()).collect::<Vec<_>>();
            Span { called: numbers[0], returned: numbers[1], units: numbers[2] }
        }));
    }
    let total = spans.iter().map(|span| span.units).sum::<u64>();
    let fullest = most_within(&spans, GRID.window_ms * 1_000_000);
    eprintln!(
        "{load:?}, denial cache {cache:?}: {} admissions of {total} units; at most {fullest} of {} \
         in any window for certain",
        spans.len(),
        load.bound(),
    );
    assert_eq!(Ticks::of(GRID).excess(&spans, &[], load.bound()), 0);
    // A limiter that admits next to nothing is never over either: windows follow each other, and
    // each is used up long before it ends.
    let windows = u64::try_from(LENGTH.as_millis()).unwrap() / (GRID.window_ms + GRID.bucket_ms);
    assert!(total > load.capacity() * windows / 2, "{total} units");
    assert!(total <= load.bound() * (windows + 2), "{total} units");
}

#[test]
fn single_units_never_exceed_the_capacity() {
    never_over(Load::Single, Duration::ZERO);
}

#[test]
fn batches_never_exceed_the_capacity() {
    never_over(Load::Batches, Duration::ZERO);
}

#[test]
fn nor_do_they_where_denials_are_repeated() {
    never_over(Load::Batches, Duration::from_secs(1));
}

#[test]
fn many_in_one_round_trip_never_exceed_the_capacity() {
    never_over(Load::Many, Duration::ZERO);
}

#[test]
fn suppressed_never_exceeds_the_hard_limit() {
    never_over(Load::Suppressed, Duration::ZERO);
}
