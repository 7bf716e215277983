//! The gain of `inc_many`: calls per second, one by one and in batches of several sizes, over
//! keys that are in the cache and keys that are not.
//!
//! ```sh
//! cargo run --profile bench -p trypema-benches --bin batches
//! ```
//!
//! One thread; window 10 s, bucket 10 ms, keys of 12 bytes drawn uniformly. Each round gives each
//! contender a fresh limiter, in which every key was seen once, and the same calls.
#![expect(clippy::print_stdout, reason = "a program that reports")]

use core::time::Duration;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use clap::Parser;
use trypema::RateLimit;
use trypema_benches::keys::{self, Prepared};
use trypema_benches::rivals::{Absolute, Governor, Rival};
use trypema_benches::rule::Rule;
use trypema_benches::spread::Spread;

/// Never reached, and reached by the first call.
const CAPACITIES: [(&str, u32); 2] = [("allowed", 1_000_000_000), ("over limit", 1)];

/// Measures batches.
#[derive(Debug, Parser)]
struct Args {
    /// Rounds, each of which runs everything once.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Milliseconds for each contender and round.
    #[arg(long, default_value_t = 200)]
    millis: u64,
    /// Different keys.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 100_000, 1_000_000])]
    keys: Vec<usize>,
    /// Calls in a batch.
    #[arg(long, value_delimiter = ',', default_values_t = [8, 32, 256])]
    batches: Vec<usize>,
}

fn main() {
    let args = Args::parse();
    let time = Duration::from_millis(args.millis);
    println!("Millions of calls per second, and times as many as one by one.\n");
    println!("| keys | | contender | M/s | × of one by one |\n|---:|---|---|---:|---:|");
    for &count in &args.keys {
        let known = keys::distinct(count);
        // The keys of a batch have just arrived, as those of a single call have.
        let order = keys::uniform(count, 1 << 20, 0);
        for (load, capacity) in CAPACITIES {
            let rule = Rule {
                window: Duration::from_secs(10),
                bucket: Duration::from_millis(10),
                capacity,
            };
            let mut rates: BTreeMap<String, Vec<f64>> = BTreeMap::new();
            for _ in 0..args.rounds {
                let mut note = |name: String, rate| rates.entry(name).or_default().push(rate);
                note("inc".into(), one_by_one::<Absolute>(rule, &known, &order, time));
                for &size in &args.batches {
                    let rate = in_batches(rule, &known, &order, size, time);
                    note(format!("inc_many of {size:3}"), rate);
                }
                note("~ governor".into(), one_by_one::<Governor>(rule, &known, &order, time));
            }
            let single = rates["inc"].clone();
            for (name, rates) in &rates {
                let spread = Spread::of(rates.iter().copied()).expect("at least one round");
                let ratio = Spread::of_ratios(rates, &single).expect("at least one round");
                println!("| {count} | {load} | {name} | {spread} | {ratio} |");
            }
        }
    }
}

/// Millions of calls per second.
fn one_by_one<R: Rival>(rule: Rule, known: &[Prepared], order: &[Prepared], time: Duration) -> f64 {
    let rival = R::new(rule);
    for key in known {
        rival.inc(key);
    }
    timed(order, 256, time, |some| {
        for key in some {
            black_box(rival.inc(key));
        }
    })
}

fn in_batches(
    rule: Rule,
    known: &[Prepared],
    order: &[Prepared],
    size: usize,
    time: Duration,
) -> f64 {
    let Absolute { limiter, rate } = Absolute::new(rule);
    for key in known {
        let _ = limiter.absolute().inc(key.text.as_str(), &rate, 1);
    }
    let calls: Vec<(&str, &RateLimit, u64)> =
        order.iter().map(|key| (key.text.as_str(), &rate, 1)).collect();
    timed(&calls, size, time, |batch| {
        black_box(limiter.absolute().inc_many(batch));
    })
}

/// Goes through the calls in batches, again and again, until the time is over.
fn timed<C>(calls: &[C], size: usize, time: Duration, act: impl Fn(&[C])) -> f64 {
    let started = Instant::now();
    let mut done = 0;
    for batch in calls.chunks_exact(size).cycle() {
        act(batch);
        done += size;
        if done % 4_096 < size && started.elapsed() >= time {
            break;
        }
    }
    done as f64 / started.elapsed().as_secs_f64() / 1e6
}
