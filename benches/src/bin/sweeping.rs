//! A caller's latency before and during a sweep of a million keys.
//!
//! ```sh
//! cargo run --profile bench -p trypema-benches --bin sweeping
//! ```
//!
//! One thread asks for 10,000 keys without pause; next to them the limiter holds a million others.
//! Another thread sweeps them: once while they still count, so that it looks at all of them and
//! removes none, and once when they do not any more, so that it removes them all. Governor's
//! `retain_recent` is swept for comparison.
#![expect(clippy::print_stdout, reason = "a program that reports")]

use core::time::Duration;
use std::hint::black_box;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Instant;

use clap::Parser;
use hdrhistogram::Histogram;
use trypema_benches::alloc;
use trypema_benches::keys::{self, Prepared};
use trypema_benches::load::empty_histogram;
use trypema_benches::rivals::{Absolute, Governor, GovernorTuned, Rival, Suppressed};
use trypema_benches::rule::Rule;
use trypema_benches::spread::Spread;

/// Keys in use.
const BUSY: usize = 10_000;
/// Never reached by the caller.
const CAPACITY: u32 = 1_000_000_000;

/// Measures callers beside a sweep.
#[derive(Debug, Parser)]
struct Args {
    /// How often each rival is swept.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Keys that are swept.
    #[arg(long, default_value_t = 1_000_000)]
    keys: usize,
}

/// A rival that can forget.
trait Sweep: Rival {
    const NAME: &str;

    /// Forgets what does not count any more, and says how many keys are left.
    fn sweep(&self) -> usize;
}

impl Sweep for Absolute {
    const NAME: &str = "absolute";

    fn sweep(&self) -> usize {
        self.limiter.cleanup(Duration::ZERO);
        self.limiter.len()
    }
}

impl Sweep for Suppressed {
    const NAME: &str = "suppressed";

    fn sweep(&self) -> usize {
        self.limiter.cleanup(Duration::ZERO);
        self.limiter.len()
    }
}

impl Sweep for Governor {
    const NAME: &str = "governor";

    fn sweep(&self) -> usize {
        self.retain_recent()
    }
}

impl Sweep for GovernorTuned {
    const NAME: &str = "governor-tuned";

    fn sweep(&self) -> usize {
        self.retain_recent()
    }
}

/// Where the caller's times go.
const BEFORE: u8 = 0;
const LOOKING: u8 = 1;
const REMOVING: u8 = 2;
const BETWEEN: u8 = 3;
const END: u8 = 4;

/// The result of one limiter: times of the caller by phase, and of the sweeps.
struct Outcome {
    times: [Histogram<u64>; 3],
    sweeps: [Duration; 2],
}

fn main() {
    let args = Args::parse();
    let idle = keys::distinct(args.keys);
    let busy: Vec<Prepared> = keys::uniform(BUSY, 1 << 15, 0);
    let mut outcomes: [(&str, Vec<Outcome>); 4] = [
        (Absolute::NAME, Vec::new()),
        (Suppressed::NAME, Vec::new()),
        (Governor::NAME, Vec::new()),
        (GovernorTuned::NAME, Vec::new()),
    ];
    for round in 0..args.rounds {
        eprintln!("round {}", round + 1);
        // In turn, each round beginning with another.
        for turn in 0..outcomes.len() {
            let number = (round + turn) % outcomes.len();
            let outcome = match number {
                0 => sweep::<Absolute>(&idle, &busy),
                1 => sweep::<Suppressed>(&idle, &busy),
                2 => sweep::<Governor>(&idle, &busy),
                _ => sweep::<GovernorTuned>(&idle, &busy),
            };
            outcomes[number].1.push(outcome);
        }
    }
    report(&args, &outcomes);
}

/// Fills a limiter, then sweeps it twice next to a caller.
fn sweep<R: Sweep>(idle: &[Prepared], busy: &[Prepared]) -> Outcome {
    alloc::tidy();
    // Long enough that filling and looking are over before the first key expires.
    let window = Duration::from_secs(6);
    let rule = Rule { window, ..Rule::timed(CAPACITY) };
    let rival = R::new(rule);
    // Other keys than those of the caller. To the brim, so that they count for a whole window with
    // governor too, which forgets a key as soon as its bucket is full again.
    for key in idle.iter().skip(BUSY) {
        rival.inc_by(key, CAPACITY);
    }
    let filled = Instant::now();
    let phase = AtomicU8::new(BEFORE);
    thread::scope(|scope| {
        let caller = scope.spawn(|| call(&rival, busy, &phase));
        thread::sleep(Duration::from_millis(300));
        let timed = |as_phase: u8| {
            // Relaxed, here and below: tells the caller where to write its times down.
            phase.store(as_phase, Ordering::Relaxed);
            let started = Instant::now();
            let left = rival.sweep();
            let took = started.elapsed();
            phase.store(BETWEEN, Ordering::Relaxed);
            (took, left)
        };
        let (looking, left) = timed(LOOKING);
        let expected = idle.len() - BUSY;
        assert!(left >= expected, "{left} of {expected} keys left: did filling take so long?");
        let expired = window + rule.bucket * 2;
        thread::sleep(expired.saturating_sub(filled.elapsed()));
        let (removing, left) = timed(REMOVING);
        assert!(left <= BUSY, "{left} keys left");
        phase.store(END, Ordering::Relaxed);
        Outcome { times: caller.join().expect("the caller panicked"), sweeps: [looking, removing] }
    })
}

fn call<R: Rival>(rival: &R, busy: &[Prepared], phase: &AtomicU8) -> [Histogram<u64>; 3] {
    let clock = quanta::Clock::new();
    let mut times = [(); 3].map(|()| empty_histogram());
    for key in busy.iter().cycle() {
        // Every call is timed: of a caller that waits for the sweep, one call takes as long as all
        // the others together. It belongs to the phase in which it began.
        let now = phase.load(Ordering::Relaxed);
        let before = clock.raw();
        black_box(rival.inc(black_box(key)));
        let nanos = clock.delta_as_nanos(before, clock.raw());
        match now {
            END => break,
            BETWEEN => {}
            now => times[usize::from(now)].saturating_record(nanos),
        }
    }
    times
}

fn report(args: &Args, outcomes: &[(&str, Vec<Outcome>)]) {
    let Args { rounds, keys } = args;
    println!(
        "# Callers beside a sweep\n\n\
         `cargo run --profile bench -p trypema-benches --bin sweeping`: {keys} keys, one caller on \
         {BUSY} others, {rounds} rounds; medians of the rounds, with the least and the most. \
         Nanoseconds of a call, every one timed, two readings of the clock included. Looking: all \
         keys still count. Removing: none of them does.\n\n\
         | | | p50 | p99 | p99.9 | longest | p99.9, to before | sweep, ms |\n\
         |---|---|---:|---:|---:|---:|---:|---:|"
    );
    for (name, rounds) in outcomes {
        for (number, phase) in ["before", "looking", "removing"].into_iter().enumerate() {
            let of = |figure: &dyn Fn(&Outcome) -> f64| {
                let spread = Spread::of(rounds.iter().map(figure)).expect("at least one round");
                format!("{spread:.0}")
            };
            let at = |quantile: f64| {
                of(&|outcome| outcome.times[number].value_at_quantile(quantile) as f64)
            };
            let tail = |outcome: &Outcome, number: usize| {
                outcome.times[number].value_at_quantile(0.999) as f64
            };
            let ratio = Spread::of(rounds.iter().map(|round| tail(round, number) / tail(round, 0)));
            let sweep = match number {
                0 => String::new(),
                _ => of(&|outcome| outcome.sweeps[number - 1].as_secs_f64() * 1e3),
            };
            println!(
                "| {name} | {phase} | {} | {} | {} | {} | {} | {sweep} |",
                at(0.5),
                at(0.99),
                at(0.999),
                of(&|outcome| outcome.times[number].max() as f64),
                ratio.expect("at least one round"),
            );
        }
    }
}
