//! One limiter, used from plain threads and from inside tokio.
//!
//! `cargo run --example embed_tokio`
//!
//! The library knows of no runtime, and needs none to be of use in one:
//!
//! - A decision never blocks: no lock, no system call, well below a microsecond. So tasks call
//!   `inc` where they stand, as they would add two numbers.
//! - `acquire` parks its thread, which is what a runtime's worker must never do. Tasks hand it to
//!   `spawn_blocking`, whose threads are there for that. For waits by the thousand there are
//!   better means: take `retry_after` from the decision, and sleep in the way of the runtime.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use trypema::{LocalRateLimiter, RateLimit, TrypemaError};

const TASKS: u64 = 20;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let limiter = LocalRateLimiter::builder()
        .window(Duration::from_millis(200))
        .bucket(Duration::from_millis(10))
        .build()?;
    let rate = RateLimit::per_second(50.0)?; // 10 in a window

    let inline = decide(&limiter, &rate).await?;
    println!(
        "decided inline: {inline} of {TASKS} tasks may go ahead, as many as there is room for"
    );

    let begun = Instant::now();
    let waited = wait_in_the_pool(&limiter, &rate).await?;
    println!("acquire in the blocking pool: {waited} tasks after {:.0?}", begun.elapsed());

    let begun = Instant::now();
    let slept = wait_as_tokio_does(&limiter, &rate).await;
    println!("inc and tokio's sleep: {slept} tasks after {:.0?}", begun.elapsed());

    println!(
        "counted in the window: {} units, at most 10",
        limiter.absolute().usage("shared", &rate)
    );
    Ok(())
}

/// Tasks and a plain thread draw on the same key. Whoever comes first is first.
async fn decide(limiter: &LocalRateLimiter, rate: &RateLimit) -> Result<u64, Box<dyn Error>> {
    let (on_thread, its_rate) = (limiter.clone(), *rate);
    let thread = thread::spawn(move || {
        let decide = |_: &u64| on_thread.absolute().inc("shared", &its_rate, 1).is_allowed();
        (0..TASKS / 2).filter(decide).count() as u64
    });
    let tasks = (0..TASKS / 2).map(|_| {
        let (limiter, rate) = (limiter.clone(), *rate);
        tokio::spawn(async move { limiter.absolute().inc("shared", &rate, 1).is_allowed() })
    });
    let mut admitted = 0;
    for task in tasks.collect::<Vec<_>>() {
        admitted += u64::from(task.await?);
    }
    Ok(admitted + thread.join().map_err(|_| "the thread panicked")?)
}

/// Each waits on a thread of the pool; the workers of the runtime stay free.
async fn wait_in_the_pool(
    limiter: &LocalRateLimiter,
    rate: &RateLimit,
) -> Result<u64, Box<dyn Error>> {
    let tasks = (0..TASKS).map(|_| {
        let (limiter, rate) = (limiter.clone(), *rate);
        tokio::task::spawn_blocking(move || {
            limiter.absolute().acquire("shared", &rate, 1, Duration::from_secs(5))
        })
    });
    let mut admitted = 0;
    for task in tasks.collect::<Vec<_>>() {
        match task.await? {
            Ok(_) => admitted += 1,
            Err(TrypemaError::Timeout { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(admitted)
}

/// No thread waits: a task that is rejected is told for how long to sleep. Unlike in `acquire`
/// there is no line, so who comes later may be served first.
async fn wait_as_tokio_does(limiter: &LocalRateLimiter, rate: &RateLimit) -> u64 {
    let tasks = (0..TASKS).map(|_| {
        let (limiter, rate) = (limiter.clone(), *rate);
        tokio::spawn(async move {
            loop {
                let decision = limiter.absolute().inc("shared", &rate, 1);
                if decision.is_allowed() {
                    return true;
                }
                // `None`: one unit is more than this rate ever allows.
                let Some(wait) = decision.retry_after() else { return false };
                tokio::time::sleep(wait).await;
            }
        })
    });
    let mut admitted = 0;
    for task in tasks.collect::<Vec<_>>() {
        admitted += u64::from(task.await.unwrap_or(false));
    }
    admitted
}
