//! All rivals side by side: throughput, latency, memory, overshoot; and what was to be shown.
//!
//! ```sh
//! cargo run --profile bench -p trypema-benches --bin compare                # everything
//! cargo run --profile bench -p trypema-benches --bin compare -- --short     # a look, asserts no times
//! cargo run --profile bench -p trypema-benches --bin compare -- \
//!     --workload hot-over --threads 1 --rivals governor,absolute            # one comparison
//! ```
//!
//! Every round runs every rival once, on a fresh limiter, in an order that changes from round to
//! round; ratios are taken within a round, and the median of those is what counts. So whatever else
//! the machine does meets all of them alike. A run of everything writes `results/`.
#![expect(clippy::print_stdout, reason = "a program that reports")]

mod claims;
mod collect;
mod memory;
mod report;
mod results;

use core::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use trypema_benches::alloc::CountingAlloc;
use trypema_benches::load::{Divisor, Terms};
use trypema_benches::rivals::Name;
use trypema_benches::workload::{Scale, Stock, Workload};

use crate::memory::Probe;
use crate::results::Results;

#[global_allocator]
static ALLOC: CountingAlloc = CountingAlloc::new();

/// The parts that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Throughput,
    Latency,
    Memory,
    Overshoot,
}

impl Part {
    const ALL: [Self; 4] = [Self::Throughput, Self::Latency, Self::Memory, Self::Overshoot];
}

/// Measures rate limiters side by side.
#[derive(Debug, Parser)]
struct Args {
    /// Only these workloads. With any selection only throughput is measured, unless told otherwise.
    #[arg(long, value_delimiter = ',')]
    workload: Vec<Workload>,
    /// Only these numbers of threads.
    #[arg(long, value_delimiter = ',')]
    threads: Vec<usize>,
    /// Only these rivals; ratios are to the first of them.
    #[arg(long, value_delimiter = ',')]
    rivals: Vec<Name>,
    /// Only these measurements.
    #[arg(long, value_delimiter = ',')]
    parts: Vec<Part>,
    /// How often each rival runs.
    #[arg(long)]
    rounds: Option<usize>,
    /// The length of a run, in milliseconds.
    #[arg(long)]
    millis: Option<u64>,
    /// Ties threads to cores.
    #[arg(long)]
    pin: bool,
    /// Divides calls by processor time: to look at a machine that is busy with other things.
    #[arg(long)]
    cpu_time: bool,
    /// Ten times fewer keys, one short round, less memory and overshoot: that all of it works, and
    /// that our side of it is correct.
    #[arg(long)]
    short: bool,
    /// Writes the report into this folder.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Writes nothing.
    #[arg(long)]
    no_out: bool,
    /// The figure that a process of its own measures for the part on memory.
    #[arg(long, hide = true)]
    probe: Option<Probe>,
}

/// The plan, once defaults are filled in.
struct Plan {
    workloads: Vec<Workload>,
    threads: Vec<usize>,
    rivals: Vec<Name>,
    parts: Vec<Part>,
    rounds: usize,
    terms: Terms,
    scale: Scale,
    short: bool,
}

impl Plan {
    fn new(args: &Args) -> Self {
        fn or<T: Clone>(given: &[T], otherwise: &[T]) -> Vec<T> {
            if given.is_empty() { otherwise.to_vec() } else { given.to_vec() }
        }
        let parts: &[Part] = if is_selection(args) { &[Part::Throughput] } else { &Part::ALL };
        let (rounds, millis) = if args.short { (1, 20) } else { (7, 200) };
        Self {
            workloads: or(&args.workload, &Workload::ALL),
            threads: or(&args.threads, &[1, 2, 8]),
            rivals: or(&args.rivals, Name::value_variants()),
            parts: or(&args.parts, parts),
            rounds: args.rounds.unwrap_or(rounds),
            terms: Terms {
                time: Duration::from_millis(args.millis.unwrap_or(millis)),
                pin: args.pin,
                divisor: if args.cpu_time { Divisor::Cpu } else { Divisor::Wall },
            },
            scale: if args.short { Scale::SHORT } else { Scale::FULL },
            short: args.short,
        }
    }

    fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }
}

fn is_selection(args: &Args) -> bool {
    !(args.workload.is_empty() && args.threads.is_empty() && args.rivals.is_empty())
}

fn main() -> ExitCode {
    let args = Args::parse();
    let plan = Plan::new(&args);
    if let Some(probe) = args.probe {
        println!("{}", memory::measure(probe, plan.rivals[0], &ALLOC, plan.short));
        return ExitCode::SUCCESS;
    }

    let threads = plan.threads.iter().copied().max().unwrap_or(1);
    let timed = plan.has(Part::Throughput) || plan.has(Part::Latency);
    let workloads = if timed { plan.workloads.as_slice() } else { &[] };
    let stock = Stock::new(workloads, threads, plan.scale);
    let mut results = Results::default();
    for part in &plan.parts {
        match part {
            Part::Throughput => collect::throughput(&plan, &stock, &mut results),
            Part::Latency => collect::latency(&plan, &stock, &mut results),
            Part::Memory => memory::collect(&plan, &mut results),
            Part::Overshoot => collect::overshoot(&plan, &mut results),
        }
    }

    let text = report::markdown(&plan, &results);
    println!("{text}");
    let everything = !is_selection(&args) && args.parts.is_empty() && !args.short;
    let folder = args.out.or_else(|| everything.then(default_folder));
    if let Some(folder) = folder.filter(|_| !args.no_out)
        && let Err(error) = write(&folder, &text)
    {
        eprintln!("error: cannot write into {}: {error}", folder.display());
        return ExitCode::FAILURE;
    }

    let wrong = results.wrong();
    for line in &wrong {
        eprintln!("error: {line}");
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn default_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results")
}

fn write(folder: &Path, text: &str) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("compare.md"), text)?;
    eprintln!("written: {}", folder.display());
    eprintln!("the pictures of it: cargo run --release --example pictures");
    Ok(())
}
