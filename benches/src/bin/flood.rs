//! Live memory under a flood of made-up keys, with the cleanup thread and without it.
//!
//! ```sh
//! cargo run --profile bench -p trypema-benches --bin flood
//! ```
//!
//! Threads ask for keys that were never seen before, as fast as they can, of a limiter with `max_keys`.
//! Another thread samples the bytes that are in use. The claim is that a sweep beside such a flood takes
//! no more than half as much again: what a sweep removes is freed while it goes on.
#![expect(clippy::print_stdout, reason = "a program that reports")]

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::thread;
use std::time::Instant;

use clap::Parser;
use trypema::{LocalRateLimiter, RateLimit};
use trypema_benches::alloc::{self, CountingAlloc};

#[global_allocator]
static ALLOC: CountingAlloc = CountingAlloc::new();

/// Measures the memory of a flood.
#[derive(Debug, Parser)]
struct Args {
    /// Threads that bring keys.
    #[arg(long, default_value_t = 64)]
    threads: u64,
    /// The bound on keys.
    #[arg(long, default_value_t = 500_000)]
    max_keys: usize,
    /// Seconds of each of the two floods.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Milliseconds between two sweeps.
    #[arg(long, default_value_t = 1_000)]
    interval: u64,
}

/// What was sampled of a flood.
#[derive(Debug, Default)]
struct Flood {
    /// The most bytes in use.
    peak: isize,
    calls: u64,
    keys: usize,
}

fn flood(args: &Args, sweeps: bool) -> Flood {
    ALLOC.count();
    let limiter = LocalRateLimiter::builder().max_keys(args.max_keys).build().expect("valid");
    let rate = RateLimit::per_second(10).expect("valid");
    if sweeps {
        let interval = Duration::from_millis(args.interval);
        limiter.run_cleanup_loop_with(Duration::ZERO, interval);
    }
    let is_over = AtomicBool::new(false);
    let flood = thread::scope(|scope| {
        let ask = |thread: u64| {
            let (limiter, rate, is_over) = (&limiter, &rate, &is_over);
            scope.spawn(move || {
                let mut calls = 0_u64;
                // Relaxed: a flag that carries nothing.
                while !is_over.load(Ordering::Relaxed) {
                    let key = format!("address:{thread:02}:{calls:010}");
                    let _ = limiter.absolute().inc(key.as_str(), rate, 1);
                    calls += 1;
                }
                calls
            })
        };
        let threads: Vec<_> = (0..args.threads).map(ask).collect();
        let begun = Instant::now();
        let mut peak = 0;
        while begun.elapsed() < Duration::from_secs(args.seconds) {
            peak = peak.max(ALLOC.live());
            thread::sleep(Duration::from_millis(1));
        }
        let keys = limiter.len();
        // Relaxed: as where it is read.
        is_over.store(true, Ordering::Relaxed);
        let calls = threads.into_iter().map(|thread| thread.join().expect("no panic")).sum();
        Flood { peak, calls, keys }
    });
    limiter.stop_cleanup_loop();
    drop(limiter);
    alloc::tidy();
    flood
}

fn main() {
    let args = Args::parse();
    let mut peaks = [0.0; 2];
    for (peak, sweeps) in peaks.iter_mut().zip([false, true]) {
        let flood = flood(&args, sweeps);
        #[expect(clippy::cast_precision_loss, reason = "a figure of three digits")]
        let megabytes = flood.peak as f64 / 1e6;
        *peak = megabytes;
        println!(
            "sweeps: {sweeps:5}  peak {megabytes:6.1} MB  {:9} keys at the end  {:11} calls",
            flood.keys, flood.calls
        );
    }
    println!("with sweeps {:.2} times that without", peaks[1] / peaks[0]);
}
