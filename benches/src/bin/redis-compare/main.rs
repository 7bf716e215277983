//! The cost of a decision over Redis, to the server and to a caller, beside other ways to get one: a GCRA
//! script, the cheapest script, PING, and the peer of the same name. Starts a server of its own.
//!
//! A round runs every workload with every rival once, in an order that rotates; medians of rounds count,
//! and ratios are taken within a round.

mod buckets;
mod instructions;
mod report;
mod rivals;
mod server;
mod several;

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use trypema_benches::rule::Rule;

use crate::buckets::Buckets;
use crate::rivals::{Absolute, Bare, Gcra, Peer, Ping, Rival, limiter, rate};
use crate::server::{Admin, Server};

#[derive(Parser)]
#[command(
    about = "Decisions over Redis, beside a GCRA script, the cheapest script, PING and a peer"
)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Timed calls of a rival in each workload of a round.
    #[arg(long, default_value_t = 3000)]
    calls: usize,
    /// Keys of the uniform workload.
    #[arg(long, default_value_t = 100_000)]
    keys: usize,
    #[arg(long, default_value = "benches/results/redis.md")]
    out: PathBuf,
    /// Counts the server's instructions instead, under callgrind, and writes
    /// `benches/results/redis-instructions.md`. Takes none of the other options.
    #[arg(long)]
    instructions: bool,
}

pub(crate) const NAMES: [&str; 6] =
    ["absolute", "gcra", "peer", "return 1", "ping", "gcra, wait and units left"];
pub(crate) const ABSOLUTE: usize = 0;
pub(crate) const GCRA: usize = 1;
pub(crate) const PEER: usize = 2;
pub(crate) const BARE: usize = 3;
const PING: usize = 4;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Workload {
    HotOver,
    HotAllowed,
    Uniform,
}

impl Workload {
    pub(crate) const ALL: [Self; 3] = [Self::HotOver, Self::HotAllowed, Self::Uniform];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::HotOver => "hot over limit",
            Self::HotAllowed => "hot allowed",
            Self::Uniform => "uniform, a new bucket each call",
        }
    }

    fn rule(self) -> Rule {
        Rule::timed(self.capacity())
    }

    fn capacity(self) -> u32 {
        match self {
            Self::HotOver => 1,
            // Low enough for a GCRA to keep its value for longer than a millisecond.
            Self::HotAllowed => 50_000,
            // One unit before, one while timed; a GCRA keeps its value for 5 s then.
            Self::Uniform => 2,
        }
    }
}

/// One run of a rival.
#[derive(Clone, Copy, Default)]
pub(crate) struct Run {
    pub(crate) server_us: f64,
    pub(crate) per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Share of the calls that did not go the way of the workload.
    pub(crate) astray: f64,
}

/// Runs by workload and rival, and what else was measured, all by round.
#[derive(Default)]
pub(crate) struct Results {
    pub(crate) runs: [[Vec<Run>; NAMES.len()]; 3],
    pub(crate) buckets: Vec<Buckets>,
    pub(crate) denials_per_second: Vec<f64>,
    /// Of `absolute`, `gcra` and `peer`.
    pub(crate) bytes_per_key: [f64; 3],
}

fn main() {
    let options = Options::parse();
    if options.instructions {
        let text = instructions::measure();
        report::show(&text);
        let out = "benches/results/redis-instructions.md";
        return fs::write(out, text).expect("the report is written");
    }
    assert!(
        options.calls <= options.keys && options.calls <= 50_000,
        "more calls than the rules allow"
    );
    let server = Server::start();
    let mut admin = server.admin();
    let mut rivals: [Box<dyn Rival>; NAMES.len()] = [
        Box::new(Absolute(limiter(server.url(), Rule::timed(1), Duration::ZERO))),
        Box::new(Gcra::new(&server, false)),
        Box::new(Peer::new(&server, Rule::timed(1))),
        Box::new(Bare::new(&server)),
        Box::new(Ping(server.connection())),
        Box::new(Gcra::new(&server, true)),
    ];
    let mut keys: Vec<String> = (0..options.keys).map(|key| format!("user_{key:07}")).collect();
    let mut random = fastrand::Rng::with_seed(1);
    let mut results = Results::default();
    let load_before = load();

    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        for (index, workload) in Workload::ALL.into_iter().enumerate() {
            random.shuffle(&mut keys);
            for turn in 0..NAMES.len() {
                let which = (round + turn) % NAMES.len();
                let rival = &mut *rivals[which];
                let (rule, calls) = (workload.rule(), options.calls);
                let run = run(&mut admin, rival, which, workload, rule, &keys, calls);
                results.runs[index][which].push(run);
            }
        }
        results.buckets.push(buckets::measure(&server, &mut admin, Rule::timed(1), 1000));
        results.denials_per_second.push(denials(&server, &mut admin));
    }
    for (which, bytes) in results.bytes_per_key.iter_mut().enumerate() {
        const KEYS: usize = 1000;
        admin.flush();
        rivals[which].preload(&keys[..KEYS], Workload::Uniform.rule());
        *bytes = admin.memory() as f64 / KEYS as f64;
    }

    let loads = [load_before, load()];
    let text = report::markdown(&results, &options, &admin.version(), &loads);
    report::show(&text);
    fs::write(&options.out, text).expect("the report is written");
}

fn run(
    admin: &mut Admin,
    rival: &mut dyn Rival,
    which: usize,
    workload: Workload,
    rule: Rule,
    keys: &[String],
    calls: usize,
) -> Run {
    admin.flush();
    match workload {
        Workload::Uniform => {
            rival.preload(keys, rule);
            thread::sleep(rule.bucket);
        }
        // For the hot workloads: used up, and known.
        _ => _ = rival.inc(&keys[0], rule),
    }
    // Another shuffle than the order in which they were made.
    let order: Vec<usize> = match workload {
        Workload::Uniform => fastrand::Rng::with_seed(7).choose_multiple(0..keys.len(), calls),
        _ => vec![0; calls],
    };
    let mut nanos = Vec::with_capacity(calls);
    let mut allowed = 0_usize;
    admin.begin();
    let begun = Instant::now();
    for key in order {
        let asked = Instant::now();
        allowed += usize::from(rival.inc(&keys[key], rule));
        nanos.push(asked.elapsed().as_nanos() as f64);
    }
    let took = begun.elapsed();
    let (server_us, counted) = admin.cost(rival.command());
    assert_eq!(counted, calls as u64, "each call is one command");
    nanos.sort_by(f64::total_cmp);
    let astray = match (workload, which) {
        (_, BARE | PING) => 0,
        (Workload::HotOver, _) => allowed,
        _ => calls - allowed,
    };
    Run {
        server_us,
        per_second: calls as f64 / took.as_secs_f64(),
        p50_us: nanos[calls / 2] / 1000.0,
        p99_us: nanos[calls * 99 / 100] / 1000.0,
        astray: astray as f64 / calls as f64,
    }
}

/// Rejections per second of one thread, for a key that is known to be over its limit.
fn denials(server: &Server, admin: &mut Admin) -> f64 {
    const CALLS: usize = 300_000;
    admin.flush();
    let rule = Rule::timed(1);
    let limiter = limiter(server.url(), rule, Duration::from_secs(1));
    let (absolute, rate) = (limiter.absolute(), rate(rule));
    let inc = || absolute.inc("denied", &rate, 1).expect("an answer").is_allowed();
    while inc() {}
    let begun = Instant::now();
    let allowed = (0..CALLS).filter(|_| inc()).count();
    let per_second = CALLS as f64 / begun.elapsed().as_secs_f64();
    assert_eq!(allowed, 0, "the window is longer than this");
    per_second
}

/// The load of the machine in the last minute, where the system tells.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().filter(|text| !text.is_empty()).unwrap_or("unknown").to_owned()
}
