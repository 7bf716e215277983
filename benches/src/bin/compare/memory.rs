//! Bytes per key, each figure from a process of its own: what earlier runs left behind in the
//! allocator would hide what the process grows by.

use core::time::Duration;
use std::env;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use clap::ValueEnum;
use trypema_benches::alloc::CountingAlloc;
use trypema_benches::keys::{self, Prepared};
use trypema_benches::rivals::{Name, Rival};
use trypema_benches::rule::Rule;
use trypema_benches::with_rival;

use crate::Plan;
use crate::results::{Memory, Results};

/// Live buckets of the second figure.
const LIVE: usize = 300;
/// A rate that is never reached.
const CAPACITY: u32 = 1_000_000_000;
/// A page of `/proc/self/statm`.
const PAGE: usize = 4096;

/// The figure that one process measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Probe {
    /// Many keys, one unit each.
    Distinct,
    /// Few keys, 300 buckets each, all in the window.
    Live,
    /// Few keys, a unit per bucket, for several windows.
    Steady,
}

pub(crate) fn collect(plan: &Plan, results: &mut Results) {
    for &name in &plan.rivals {
        eprintln!("memory: {}", name.label());
        let figures = read(start(Probe::Distinct, name, plan.short));
        let memory = results.memory.entry(name).or_default();
        [memory.distinct, memory.distinct_rss] = figures;
    }
    if plan.short {
        return;
    }
    // These sleep most of the time, so they may do so together.
    eprintln!("memory: live buckets and steady use");
    let sleepers: Vec<_> = plan
        .rivals
        .iter()
        .map(|&name| (name, start(Probe::Live, name, false), start(Probe::Steady, name, false)))
        .collect();
    for (name, live, steady) in sleepers {
        let memory = results.memory.entry(name).or_default();
        *memory = Memory { live: read::<1>(live)[0], steady: read(steady), ..*memory };
    }
}

fn start(probe: Probe, name: Name, short: bool) -> Child {
    let myself = env::current_exe().expect("the path of this program");
    let probe = probe.to_possible_value().expect("a probe that is not hidden");
    Command::new(myself)
        .args(["--probe", probe.get_name(), "--rivals", &name.label()])
        .args(short.then_some("--short"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program, started again")
}

fn read<const N: usize>(child: Child) -> [f64; N] {
    let output = child.wait_with_output().expect("what the probe says");
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    figures.try_into().unwrap_or_else(|_| panic!("a probe answered {text:?}"))
}

/// The figures of a probe, as text.
pub(crate) fn measure(
    probe: Probe,
    name: Name,
    alloc: &'static CountingAlloc,
    short: bool,
) -> String {
    let figures = with_rival!(name, R => match probe {
        Probe::Distinct => distinct::<R>(alloc, if short { 100_000 } else { 1_000_000 }),
        Probe::Live => live::<R>(alloc),
        Probe::Steady => steady::<R>(alloc),
    });
    figures.iter().map(f64::to_string).collect::<Vec<_>>().join(" ")
}

fn distinct<R: Rival>(alloc: &CountingAlloc, count: usize) -> Vec<f64> {
    let rss = resident();
    alloc.count();
    let rival = R::new(Rule::timed(CAPACITY));
    for number in 0..count {
        rival.inc(&Prepared::new(number));
    }
    let figures = [alloc.live() as f64, resident() as f64 - rss as f64];
    drop(rival);
    figures.map(|bytes| bytes / count as f64).to_vec()
}

fn live<R: Rival>(alloc: &CountingAlloc) -> Vec<f64> {
    // Enough of them for what a limiter takes by itself not to matter.
    let keys = keys::distinct(1_000);
    alloc.count();
    let rule = Rule::timed(CAPACITY);
    let rival = R::new(rule);
    for _ in 0..LIVE {
        for key in &keys {
            rival.inc(key);
        }
        // At least as long as a bucket, so that the next one is another.
        thread::sleep(rule.bucket);
    }
    let bytes = alloc.live() as f64;
    drop(rival);
    vec![bytes / keys.len() as f64]
}

fn steady<R: Rival>(alloc: &CountingAlloc) -> Vec<f64> {
    let keys = keys::distinct(1_000);
    alloc.count();
    let rule = Rule::second(CAPACITY);
    let rival = R::new(rule);
    let started = Instant::now();
    let figures = [2, 4, 6].map(|seconds| {
        while started.elapsed() < Duration::from_secs(seconds) {
            for key in &keys {
                rival.inc(key);
            }
            thread::sleep(rule.bucket);
        }
        alloc.live() as f64 / keys.len() as f64
    });
    drop(rival);
    figures.to_vec()
}

/// Bytes of memory that the process has; 0 where nobody can tell.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * PAGE
}
