//! One limiter, used from plain threads and from inside a smol executor.
//!
//! `cargo run --example embed_smol`
//!
//! A tiny service of messages: tasks of an executor take them in, and ask the limiter inline, for
//! a decision never blocks. Some messages must not be lost, so their tasks wait for admission; they
//! do so by `smol::unblock`, on a thread of the pool that is there for blocking, and never on the
//! executor's own. Meanwhile a plain thread that knows nothing of futures draws on the same keys.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use smol::{Executor, Timer};
use trypema::{Limiter, LocalRateLimiter, RateLimit};

const SENDERS: [&str; 3] = ["alice", "bob", "carol"];
const MESSAGES: u32 = 12;

fn main() -> Result<(), Box<dyn Error>> {
    let limiter = LocalRateLimiter::builder()
        .window(Duration::from_millis(200))
        .bucket(Duration::from_millis(10))
        .build()?;
    let rate = RateLimit::per_second(25.0)?; // 5 in a window
    // Where tasks come from many places, a limiter behind a pointer is handy to pass on.
    let limit: Arc<dyn Limiter> = Arc::new(limiter.absolute().clone());

    let plain = {
        let limit = Arc::clone(&limit);
        thread::spawn(move || {
            // Two units from each sender's window, before or after the tasks have had theirs.
            SENDERS
                .iter()
                .filter(|sender| {
                    limit.inc(sender, &rate, 2).is_ok_and(|decision| decision.is_allowed())
                })
                .count()
        })
    };

    let executor = Executor::new();
    let begun = Instant::now();
    let (sent, dropped, late) = smol::block_on(executor.run(async {
        let mut tasks = Vec::new();
        for sender in SENDERS {
            for number in 0..MESSAGES {
                let limit = Arc::clone(&limit);
                // Every fourth message is one that has to arrive.
                let matters = number % 4 == 0;
                tasks.push(executor.spawn(deliver(limit, sender, rate, matters)));
            }
        }
        // The executor is never held up: this comes while others wait.
        let ticking = executor.spawn(async {
            let mut latest = Duration::ZERO;
            for _ in 0..20 {
                let before = Instant::now();
                Timer::after(Duration::from_millis(5)).await;
                latest = latest.max(before.elapsed());
            }
            latest
        });
        let (mut sent, mut dropped) = (0, 0);
        for task in tasks {
            if task.await { sent += 1 } else { dropped += 1 }
        }
        (sent, dropped, ticking.await)
    }));

    let plain = plain.join().map_err(|_| "the thread panicked")?;
    println!("{sent} messages sent and {dropped} dropped within {:.0?}", begun.elapsed());
    println!("the plain thread was admitted for {plain} of {} senders", SENDERS.len());
    println!("a timer of 5 ms on the same executor took at most {late:.1?} meanwhile");
    for sender in SENDERS {
        println!("{sender}: {} units in the window, at most 5", limit.usage(sender, &rate)?);
    }
    Ok(())
}

/// Whether the message was sent.
async fn deliver(
    limit: Arc<dyn Limiter>,
    sender: &'static str,
    rate: RateLimit,
    matters: bool,
) -> bool {
    if limit.inc(sender, &rate, 1).is_ok_and(|decision| decision.is_allowed()) {
        return true;
    }
    if !matters {
        return false;
    }
    let patience = Duration::from_secs(3);
    smol::unblock(move || limit.acquire(sender, &rate, 1, patience).is_ok()).await
}
