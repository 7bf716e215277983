//! The answer to a caller when something is wrong with Redis or the way to it, how long it takes, what was
//! counted, and how calls come to work again.
//!
//! Each fault is a function that makes it happen to a call and returns a [`Row`]. The rows are kept
//! in `docs/redis-faults.md`, and a run that meets with other outcomes fails. Times are printed, and
//! kept, but not compared. To write the file anew:
//!
//! ```sh
//! TRYPEMA_KEEP_FAULTS=1 cargo test --features redis --test redis every_fault -- --nocapture
//! ```

// each proves: G7 G8

mod answers;
mod lookups;
mod pool;
mod scene;
mod server;
mod tls;
mod wire;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, fs};

use crate::alone;
use crate::build::{self, Build};

/// Of every call in the table.
const DEADLINE: Duration = Duration::from_millis(300);

/// A call that takes so much longer hangs, unless all threads were that late just then. Whether the
/// deadline is kept to the millisecond is for the table to show, since whether a thread runs when its
/// time has come is not up to the library.
const HANG: Duration = Duration::from_millis(250);

/// A fault and its outcome. One field for each column of the table.
struct Row {
    fault: &'static str,
    gets: String,
    took: Duration,
    /// The units counted of the one asked for, once all is over.
    counted: u64,
    then: String,
}

/// How late threads are on this machine, whatever they do.
struct Noise {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Noise {
    fn listen() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut worst = Duration::ZERO;
            // Relaxed: it stops sooner or later.
            while !stopped.load(Ordering::Relaxed) {
                let (length, begun) = (Duration::from_millis(20), Instant::now());
                thread::sleep(length);
                worst = worst.max(begun.elapsed().saturating_sub(length));
            }
            worst
        });
        Self { stop, thread }
    }

    fn worst(self) -> Duration {
        // Relaxed: as above.
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

const FAULTS: &[fn() -> Row] = &[
    server::killed,
    server::killed_in_the_middle,
    server::restarted_empty,
    server::stopped,
    server::paused,
    wire::cut,
    wire::late,
    wire::dripped,
    pool::late_rejection,
    wire::refused,
    wire::hanging,
    wire::closed_while_idle,
    answers::scripts_flushed,
    answers::failed_over,
    pool::swallowed,
    pool::demoted,
    wire::pool_exhausted,
    pool::pool_too_small,
    pool::too_many_clients,
    pool::forked,
    answers::out_of_memory,
    pool::out_of_memory_but_full,
    answers::read_only,
    answers::busy,
    answers::wrong_type,
    answers::wrong_password,
    answers::unknown_auth,
    answers::without_struct,
    answers::without_time,
    answers::stepped_back,
    answers::evicted,
    lookups::stale_sentinel,
    lookups::all_hangs,
    lookups::seeds_that_know_nothing,
    lookups::slot_moved,
    server::left_alone,
];

/// Where the server has TLS.
const FAULTS_OF_TLS: &[fn() -> Row] =
    &[tls::wrong_host, tls::no_client_certificate, tls::plain_port];

const HEAD: &str = "\
# Faults of Redis, and what a call makes of them

Written by `TRYPEMA_KEEP_FAULTS=1 cargo test --features redis --test redis every_fault`, and compared
with every run of that test, but for the times.

Every row is one call `inc(key, rate, 1)` with a deadline of 300 ms, under `OnUnavailable::Error`, for a
key that nothing had been counted on, over a limiter that had answered before. *Counted* is what the
server had on the key when all was over: never more than the unit that was asked for. *Then* is what
the same limiter needs to go on once the fault is gone.

";

const COLUMNS: [&str; 5] = ["fault", "the caller gets", "after", "counted", "then"];
/// The column that is not compared.
const TIMES: usize = 2;

fn line(cells: impl IntoIterator<Item = String>) -> String {
    let cells = cells.into_iter().collect::<Vec<_>>();
    format!("| {} |", cells.join(" | "))
}

impl Row {
    fn cells(&self) -> [String; 5] {
        let Self { fault, gets, took, counted, then } = self;
        // Of what comes from outside, whatever would end the cell.
        let gets = gets.replace(['|', '\n', '\r'], " ");
        let took = format!("{:.1} ms", millis(*took));
        [fault.to_string(), gets, took, counted.to_string(), then.clone()]
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A line of [`outcomes`] without the words of an error.
fn without_words(line: &str) -> String {
    match (line.split_once(": *"), line.rsplit_once("* |")) {
        (Some((variant, _)), Some((_, rest))) => format!("{variant} |{rest}"),
        _ => line.to_owned(),
    }
}

/// A table's lines without the times.
fn outcomes(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.starts_with('|'));
    let without = |line: &str| {
        let cells = line.trim_matches('|').split('|').map(str::trim).enumerate();
        cells
            .filter(|(column, _)| *column != TIMES)
            .map(|(_, cell)| cell)
            .collect::<Vec<_>>()
            .join(" | ")
    };
    lines.map(without).collect()
}

#[test]
fn every_fault() {
    let _alone = alone();
    let noise = Noise::listen();
    let of_tls = FAULTS_OF_TLS.iter().filter(|_| Build::get().has_tls);
    let rows = FAULTS.iter().chain(of_tls).map(|fault| fault()).collect::<Vec<_>>();
    let by_deadline = [20, 250, 1_000, 3_000].map(Duration::from_millis).map(server::stopped_for);
    let noise = noise.worst();
    let mut table = line(COLUMNS.map(str::to_owned));
    write!(table, "\n{}", line(COLUMNS.map(|_| "---".to_owned()))).unwrap();
    for row in &rows {
        write!(table, "\n{}", line(row.cells())).unwrap();
    }
    write!(table, "\n\nOther deadlines, with the server stopped:\n").unwrap();
    for (deadline, took) in by_deadline {
        let late = took.saturating_sub(deadline);
        assert!(late < HANG + noise, "{deadline:?}: {late:?} late");
        write!(table, "\n- {deadline:?}: answered {:.1} ms late", millis(late)).unwrap();
    }
    write!(
        table,
        "\n\nMeanwhile, a thread that did nothing but sleep woke up as late as {:.1} ms after it should have.",
        millis(noise)
    )
    .unwrap();
    eprintln!("{table}");
    for row in &rows {
        assert!(row.took < DEADLINE + HANG + noise, "{}: {:?}", row.fault, row.took);
        assert!(row.counted <= 1, "{}: counted {} times", row.fault, row.counted);
    }

    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/redis-faults.md");
    if env::var_os("TRYPEMA_KEEP_FAULTS").is_some() {
        fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
        fs::write(kept, format!("{HEAD}{table}\n")).unwrap();
    }
    let kept = fs::read_to_string(kept).expect("the outcomes are kept");
    if !build::is_usual() {
        // Another server has other words, and perhaps no TLS, but the same outcomes.
        let kept = outcomes(&kept).iter().map(|line| without_words(line)).collect::<Vec<_>>();
        for line in outcomes(&table).iter().map(|line| without_words(line)) {
            assert!(kept.contains(&line), "not kept: {line}");
        }
        return;
    }
    assert_eq!(outcomes(&table), outcomes(&kept), "other outcomes than those kept");
    assert!(kept.starts_with(HEAD));
}
