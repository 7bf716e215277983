//! A flood of made-up keys against a limiter with `max_keys`, beside users who are known to it.
//!
//! `cargo run --release --example flood`
//!
//! Ten million random keys ask for admission as fast as two threads can. A third thread plays a
//! hundred users who keep asking, at a pace that they are entitled to, and have to be served every
//! time: their keys are in use, and keys in use are never displaced. Memory has to stay within a
//! bound that is known beforehand:
//!
//! | for each key | bytes |
//! |---|---:|
//! | the entry: the key, its window and slot, and the allocator's part | 128 |
//! | the key once more, by which its slot names it, with the allocator's part | 32 |
//! | a place in the list of slots and one for the name | 16 |
//! | its share of the map's table, which is the next power of two, twice while it is exchanged | 48 |
//!
//! That is 224 bytes for each of 100,000 keys. As much again is allowed for entries that were
//! displaced and are not reclaimed yet, since some thread may still look at them (they are
//! reclaimed in batches, so this is generous), and half as much for what the allocator cannot use
//! again. Hence the bound: resident memory grows by at most 560 bytes for each key that there is
//! room for, 54,687 kB, however many keys the flood is made of. An exit code of 1 says that a
//! promise was broken.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use trypema::{LocalRateLimiter, RateLimit};

const MAX_KEYS: usize = 100_000;
const FLOOD: u64 = 10_000_000;
const FLOODERS: u64 = 2;
const WINDOW: Duration = Duration::from_secs(1);
/// A busy machine ends the flood before all of it has come.
const LONGEST: Duration = Duration::from_secs(45);
const USERS: u64 = 100;
/// In the kB of `/proc`, which have 1024 bytes.
const BOUND_KB: u64 = (224 + 224 + 112) * MAX_KEYS as u64 / 1_024;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // A short window, so that keys of the flood become idle while it lasts, and are displaced.
    let limiter = LocalRateLimiter::builder().window(WINDOW).max_keys(MAX_KEYS).build()?;
    let strangers = RateLimit::per_second(5.0)?;
    let users = RateLimit::per_second(1_000.0)?;
    let absolute = limiter.absolute();

    let before_kb = resident_kb()?;
    let flooding = AtomicBool::new(true);
    let (served, denied) = (AtomicU64::new(0), AtomicU64::new(0));
    let most_keys = AtomicUsize::new(0);
    let begun = Instant::now();
    let (sent, let_in) = thread::scope(|scope| {
        // The users come first, as they would: their keys are held when the flood begins.
        let names = (0..USERS).map(|user| format!("user {user}")).collect::<Vec<_>>();
        for name in &names {
            let _ = absolute.inc(name, &users, 1);
        }
        let (served, denied, flooding) = (&served, &denied, &flooding);
        let most_keys = &most_keys;
        let limiter = &limiter;
        scope.spawn(move || {
            let mut latest = Instant::now();
            while flooding.load(Ordering::Relaxed) {
                let before = std::mem::replace(&mut latest, Instant::now());
                for name in &names {
                    let decision = absolute.inc(name, &users, 1);
                    if decision.is_allowed() {
                        served.fetch_add(1, Ordering::Relaxed);
                    } else if before.elapsed() < WINDOW {
                        // Had this thread been held up for longer, its keys would be idle.
                        denied.fetch_add(1, Ordering::Relaxed);
                    }
                }
                most_keys.fetch_max(limiter.len(), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(10));
            }
        });
        let flood = |seed: u64| {
            let mut random = Random(seed);
            let (mut sent, mut let_in) = (0, 0);
            while sent < FLOOD / FLOODERS && begun.elapsed() < LONGEST {
                for _ in 0..1_000 {
                    let key = format!("{:016x}", random.next());
                    let_in += u64::from(absolute.inc(&key, &strangers, 1).is_allowed());
                }
                sent += 1_000;
            }
            (sent, let_in)
        };
        let flooders = (0..FLOODERS).map(|seed| scope.spawn(move || flood(seed)));
        let flooders = flooders.collect::<Vec<_>>();
        let sums = flooders.into_iter().map(|flooder| flooder.join().unwrap_or_default());
        let sums = sums.fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
        flooding.store(false, Ordering::Relaxed);
        sums
    });
    let took = begun.elapsed();
    let during_kb = resident_kb()?;
    let stats = limiter.stats();

    println!("a flood of {sent} random keys, with room for {MAX_KEYS}:");
    println!(
        "  took            {took:.2?}, {:.2} million a second",
        sent as f64 / took.as_secs_f64() / 1e6
    );
    println!("  let in          {let_in}");
    println!("  turned away     {}", stats.turned_away);
    println!("  evictions       {}", stats.evictions);
    println!("  keys held       {}, at most {}", stats.keys, most_keys.load(Ordering::Relaxed));
    println!("  memory          {} kB, by stats()", stats.memory_bytes / 1_000);
    let (served, denied) = (served.into_inner(), denied.into_inner());
    println!("  known users     {served} served, {denied} turned away");

    // Everything expires, and is forgotten.
    thread::sleep(Duration::from_millis(1_200));
    let forgotten = limiter.cleanup(Duration::ZERO);
    let after_kb = resident_kb()?;
    let peak_kb = peak_kb()?;
    println!("resident memory before, at the end, and after {forgotten} keys were forgotten:");
    println!("  {before_kb} kB, {during_kb} kB, {after_kb} kB; at its peak {peak_kb} kB");

    let grown_kb = peak_kb.saturating_sub(before_kb);
    let promises = [
        (grown_kb <= BOUND_KB, format!("memory grew by {grown_kb} kB, at most {BOUND_KB} kB")),
        (most_keys.into_inner() <= MAX_KEYS, "never more keys than max_keys".to_owned()),
        (denied == 0 && served > 0, "every known user was served every time".to_owned()),
        (limiter.is_empty(), "nothing was left in the end".to_owned()),
    ];
    for (kept, promise) in &promises {
        println!("{} {promise}", if *kept { "kept:  " } else { "BROKEN:" });
    }
    let all_kept = promises.iter().all(|(kept, _)| *kept);
    Ok(if all_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Numbers that look random, and do not repeat before all of them have come (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

fn resident_kb() -> Result<u64, Box<dyn Error>> {
    status_kb("VmRSS:")
}

/// The most that was ever resident.
fn peak_kb() -> Result<u64, Box<dyn Error>> {
    status_kb("VmHWM:")
}

fn status_kb(field: &str) -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().next()).ok_or("no such field")?;
    Ok(number.parse()?)
}
