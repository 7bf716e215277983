//! The cost of waiting: how late timeouts fire, how late admissions come, and how much time of the
//! processor waiting threads take. Prints Markdown.
//!
//! `cargo run --release --example acquire_cost`
//!
//! The figures are those of the machine, its timers above all, as much as of the library: run it
//! where you want to know.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use trypema::{Clock, LocalRateLimiter, MonotonicClock, RateLimit, TrypemaError};

const HOUR: Duration = Duration::from_secs(3_600);
const WAITERS: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    println!("## What waiting costs\n");
    println!("| lateness, in µs | waits | p50 | p99 | max |");
    println!("|---|---:|---:|---:|---:|");
    row("timeout of 10 ms, one thread", timeouts(1, 300)?);
    row("timeout of 10 ms, 100 threads in one line", timeouts(WAITERS, 10)?);
    row("admission after expiry, one thread", admissions(1, 300)?);
    row("admission after expiry, 10 threads in one line", admissions(10, 30)?);

    println!("\n| 100 threads that wait for 2 s | processor time | share of one core |");
    println!("|---|---:|---:|");
    let full = RateLimit::per_hour(1.0)?;
    spent("in one line, nobody is admitted", &full, |_| "key".to_owned())?;
    spent("for a key each, nobody is admitted", &full, |thread| thread.to_string())?;
    let trickle = RateLimit::per_second(10.0)?;
    spent("in one line, 10 admitted per second", &trickle, |_| "key".to_owned())?;
    Ok(())
}

fn row(what: &str, mut lateness: Vec<Duration>) {
    lateness.sort_unstable();
    let at = |percent: usize| lateness[(lateness.len() - 1) * percent / 100].as_micros();
    println!("| {what} | {} | {} | {} | {} |", lateness.len(), at(50), at(99), at(100));
}

/// Runs `work` on so many threads and puts together what they return.
fn on_threads<T: Send>(
    threads: usize,
    work: impl Fn() -> Result<Vec<T>, TrypemaError> + Sync,
) -> Result<Vec<T>, TrypemaError> {
    thread::scope(|scope| {
        let running = (0..threads).map(|_| scope.spawn(&work)).collect::<Vec<_>>();
        let mut all = Vec::new();
        for thread in running {
            match thread.join() {
                Ok(part) => all.extend(part?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(all)
    })
}

/// Waits for a key that stays full, and notes by how much the timeout was overrun.
fn timeouts(threads: usize, waits: usize) -> Result<Vec<Duration>, TrypemaError> {
    const TIMEOUT: Duration = Duration::from_millis(10);
    let limiter = LocalRateLimiter::builder().window(HOUR).bucket(HOUR / 3_600).build()?;
    let rate = RateLimit::per_hour(1.0)?;
    let absolute = limiter.absolute();
    absolute.record("key", &rate, 1);
    on_threads(threads, || {
        let mut lateness = Vec::new();
        for _ in 0..waits {
            let begun = Instant::now();
            match absolute.acquire("key", &rate, 1, TIMEOUT) {
                Err(TrypemaError::Timeout { .. }) => lateness.push(begun.elapsed() - TIMEOUT),
                other => drop(other?),
            }
        }
        Ok(lateness)
    })
}

/// The default clock, which remembers its latest reading. Those who wait are admitted one at a
/// time, and read the clock for nothing but an attempt, so after an admission this is its moment.
#[derive(Clone)]
struct Remembering {
    clock: MonotonicClock,
    latest: Arc<AtomicU64>,
}

impl Clock for Remembering {
    fn now(&self) -> Duration {
        let now = self.clock.now();
        self.latest.store(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        now
    }
}

/// One unit per window: each admission has to wait until the one before has expired, which is
/// known to the nanosecond. Notes how much later than that it came.
fn admissions(threads: usize, waits: usize) -> Result<Vec<Duration>, TrypemaError> {
    const WINDOW: Duration = Duration::from_millis(10);
    const BUCKET: Duration = Duration::from_millis(1);
    let latest = Arc::new(AtomicU64::new(0));
    let clock = Remembering { clock: MonotonicClock::new(), latest: Arc::clone(&latest) };
    // The observer runs on the admitted thread before the turn is passed on: the latest reading is
    // still that of the admission.
    let moments = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&moments);
    let limiter = LocalRateLimiter::builder()
        .window(WINDOW)
        .bucket(BUCKET)
        .clock(clock)
        .observer(move |_| {
            let at = Duration::from_nanos(latest.load(Ordering::Relaxed));
            log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(at);
        })
        .build()?;
    let rate = RateLimit::per_second(100.0)?;
    on_threads(threads, || {
        for _ in 0..waits {
            limiter.absolute().acquire("key", &rate, 1, HOUR)?;
        }
        Ok(Vec::<()>::new())
    })?;
    let moments = moments.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let gone = |admitted: Duration| {
        let bucket = admitted.as_nanos() / BUCKET.as_nanos();
        BUCKET * u32::try_from(bucket + 1).unwrap_or(u32::MAX) + WINDOW
    };
    // A thread that joins the line anew may find it empty and be admitted before it waits; it is
    // as late as it is.
    let pairs = moments.iter().zip(moments.iter().skip(1));
    Ok(pairs.map(|(&one, &next)| next.saturating_sub(gone(one))).collect())
}

/// Prints what a hundred threads take of the processor while they wait for two seconds.
fn spent(
    what: &str,
    rate: &RateLimit,
    key: impl Fn(usize) -> String,
) -> Result<(), Box<dyn Error>> {
    const WAIT: Duration = Duration::from_secs(2);
    // The capacity of the trickle is one unit in a window of 100 ms.
    let window = if rate.as_per_second() < 1.0 { HOUR } else { Duration::from_millis(100) };
    let bucket = window / 100;
    let limiter = LocalRateLimiter::builder().window(window).bucket(bucket).build()?;
    let absolute = limiter.absolute();
    thread::scope(|scope| {
        for thread in 0..WAITERS {
            let key = key(thread);
            absolute.record(&key, rate, 1);
            // An admitted thread waits again, until two seconds and a bit have passed.
            scope.spawn(move || {
                let begun = Instant::now();
                while let Some(left) = (2 * WAIT).checked_sub(begun.elapsed()) {
                    if absolute.acquire(&key, rate, 1, left).is_err() {
                        break;
                    }
                }
            });
        }
        // Starting threads is no part of waiting.
        thread::sleep(WAIT / 4);
        let before = processor_time()?;
        thread::sleep(WAIT);
        let spent = processor_time()? - before;
        println!("| {what} | {spent:.2?} | {:.3} % |", 100.0 * spent.div_duration_f64(WAIT));
        Ok(())
    })
}

/// Time of the processor that the threads of this process have taken so far: of all that are
/// there. In nanoseconds, unlike what `/proc/self/stat` tells.
fn processor_time() -> Result<Duration, Box<dyn Error>> {
    let mut total = Duration::ZERO;
    for task in fs::read_dir("/proc/self/task")? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        let nanos = text.split_whitespace().next().ok_or("an empty schedstat")?;
        total += Duration::from_nanos(nanos.parse()?);
    }
    Ok(total)
}
