//! Workers that take jobs from a queue, with a limit for each tenant and kind of job.
//!
//! `cargo run --example worker_queue`
//!
//! A tenant may send many cheap mails, and make few costly exports. So a key is a
//! tenant *and* a kind, as a plain struct; nothing is pasted into strings.
//!
//! A worker that meets a tenant at its limit waits a little, since room may be there in a moment.
//! It does not wait for long: there is other work. What was not admitted in time goes back to the
//! end of the queue, so one greedy tenant holds up a worker for moments only, and nobody else's jobs
//! for long.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use trypema::{LocalRateLimiter, RateLimit, TrypemaError};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Mail,
    Export,
}

/// The key: a tenant's jobs of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Budget {
    tenant: u32,
    kind: Kind,
}

struct Job {
    budget: Budget,
    /// Exports cost by their size.
    units: u64,
    submitted: Instant,
}

const WORKERS: usize = 4;
/// How long a worker waits for room before it turns to other work.
const PATIENCE: Duration = Duration::from_millis(20);
const WINDOW: Duration = Duration::from_millis(500);

/// A queue that workers share, and that ends when nothing is left to do.
struct Queue {
    jobs: Mutex<Jobs>,
    changed: Condvar,
}

struct Jobs {
    waiting: VecDeque<Job>,
    /// Jobs that are not done, the ones in work included: those may come back.
    open: usize,
}

impl Queue {
    fn of(jobs: VecDeque<Job>) -> Self {
        let open = jobs.len();
        Self { jobs: Mutex::new(Jobs { waiting: jobs, open }), changed: Condvar::new() }
    }

    /// The next job. `None` when all are done.
    fn take(&self) -> Option<Job> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing_to_do = |jobs: &mut Jobs| jobs.waiting.is_empty() && jobs.open > 0;
        let jobs = self.changed.wait_while(jobs, nothing_to_do);
        jobs.unwrap_or_else(PoisonError::into_inner).waiting.pop_front()
    }

    fn put_back(&self, job: Job) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).waiting.push_back(job);
        self.changed.notify_one();
    }

    fn done(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).open -= 1;
        self.changed.notify_all();
    }
}

/// The limit of each kind of job.
struct Rates {
    mail: RateLimit,
    export: RateLimit,
}

impl Rates {
    fn of(&self, kind: Kind) -> &RateLimit {
        match kind {
            Kind::Mail => &self.mail,
            Kind::Export => &self.export,
        }
    }
}

/// Tenant 1 floods the queue, the others ask for little.
fn jobs() -> VecDeque<Job> {
    let job = |tenant, kind, units| Job {
        budget: Budget { tenant, kind },
        units,
        submitted: Instant::now(),
    };
    let mut jobs = VecDeque::new();
    jobs.extend((0..80).map(|_| job(1, Kind::Mail, 1)));
    jobs.extend((0..4).map(|size| job(1, Kind::Export, 10 + 5 * size)));
    for tenant in 2..=4 {
        jobs.extend((0..5).map(|_| job(tenant, Kind::Mail, 1)));
        jobs.push_back(job(tenant, Kind::Export, 20));
    }
    jobs
}

fn main() -> Result<(), TrypemaError> {
    let limiter = LocalRateLimiter::builder()
        .window(WINDOW)
        .bucket(Duration::from_millis(25))
        .keys::<Budget>()
        .build()?;
    // Tenants come and go; those that are gone are forgotten in the background.
    limiter.run_cleanup_loop();
    let rates = Rates { mail: RateLimit::per_second(40.0)?, export: RateLimit::per_second(60.0)? };
    let queue = Queue::of(jobs());
    let begun = Instant::now();
    let requeued = AtomicU32::new(0);
    let done = Mutex::new(Vec::new());

    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(job) = queue.take() {
                    let Job { budget, units, .. } = job;
                    let rate = rates.of(budget.kind);
                    match limiter.absolute().acquire(&budget, rate, units, PATIENCE) {
                        Ok(_) => {
                            work(&job);
                            let waited = job.submitted.elapsed();
                            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                            done.push((budget, units, waited));
                            queue.done();
                        }
                        Err(TrypemaError::Timeout { .. }) => {
                            requeued.fetch_add(1, Ordering::Relaxed);
                            queue.put_back(job);
                        }
                        // It would never be admitted, so it is no use to try again.
                        Err(error) => {
                            println!("dropped a job of {budget:?}: {error}");
                            queue.done();
                        }
                    }
                }
            });
        }
    });

    println!("all done after {:.2?}; put back {} times", begun.elapsed(), requeued.into_inner());
    println!("{:>6}  {:<6}  {:>4}  {:>5}  longest wait", "tenant", "kind", "jobs", "units");
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    for tenant in 1..=4 {
        for kind in [Kind::Mail, Kind::Export] {
            let of = |budget: &Budget| budget.tenant == tenant && budget.kind == kind;
            let mine = done.iter().filter(|(budget, ..)| of(budget)).collect::<Vec<_>>();
            let units = mine.iter().map(|(_, units, _)| units).sum::<u64>();
            let longest = mine.iter().map(|(.., waited)| *waited).max().unwrap_or_default();
            let kind = format!("{kind:?}");
            println!("{tenant:>6}  {kind:<6}  {:>4}  {units:>5}  {longest:.1?}", mine.len());
        }
    }
    Ok(())
}

/// Stands for the work itself.
fn work(job: &Job) {
    thread::sleep(match job.budget.kind {
        Kind::Mail => Duration::from_millis(1),
        Kind::Export => Duration::from_millis(5),
    });
}
