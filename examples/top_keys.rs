//! The ten busiest keys of a limiter.
//!
//! `cargo run --example top_keys`
//!
//! `for_each` shows every key with what counts on it now, window by window, while others go on to decide:
//! enough to answer "who is it?" when a limiter turns many away. It looks at every key once, so it
//! is for a person who asks, not for every request.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::error::Error;
use std::thread;
use std::time::Duration;

use trypema::{LocalRateLimiter, RateLimit, Strategy};

/// The busiest keys in a window, the busiest first, each with its usage.
fn busiest(limiter: &LocalRateLimiter, window: Duration, most: usize) -> Vec<(u64, String)> {
    // The least busy of those found so far is on top, and makes way.
    let mut found = BinaryHeap::with_capacity(most + 1);
    limiter.for_each(|strategy, key, its_window, usage| {
        if strategy == Strategy::Absolute && its_window == window && usage > 0 {
            found.push(Reverse((usage, key.to_string())));
            if found.len() > most {
                found.pop();
            }
        }
    });
    // In the order of `Reverse`: the largest first.
    found.into_sorted_vec().into_iter().map(|Reverse(found)| found).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let limiter = LocalRateLimiter::builder().build()?;
    let (steady, quota) = (RateLimit::per_minute(10_000)?, RateLimit::per_day(100_000)?);
    thread::scope(|scope| {
        for thread in 0..4_u64 {
            let limiter = &limiter;
            scope.spawn(move || {
                // A few users who ask for much, many who ask for little.
                for user in 1..=2_000_u64 {
                    let name = format!("user-{user:04}");
                    for _ in 0..=1_000 / (user * user) {
                        let _ = limiter.absolute().inc(&name, &steady, 1 + thread % 2);
                    }
                    let _ = limiter.absolute().inc(&name, &quota, 1);
                }
            });
        }
    });

    let top = busiest(&limiter, steady.period(), 10);
    println!("The ten busiest in any minute, of {} keys and windows:", limiter.len());
    for (place, (usage, key)) in top.iter().enumerate() {
        println!("{:>4}. {key}  {usage:>5} units", place + 1);
    }
    assert_eq!(top.len(), 10);
    assert_eq!(top[0], (6_006, "user-0001".to_owned()));
    assert!(top.is_sorted_by(|one, next| one.0 >= next.0));
    Ok(())
}
