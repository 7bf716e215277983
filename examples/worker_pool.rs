//! A pool of workers that never wait for a limit, and that can be shut down at any moment.
//!
//! `cargo run --example worker_pool`
//!
//! A worker that parked until its tenant had room again would be lost to all other tenants meanwhile,
//! and to whoever wants to stop the program. So a worker asks with `inc`, which answers at once. A job
//! that has to wait goes back to the queue, due when the decision said that it would fit; meanwhile
//! the worker does what is due. A job that can never fit is put aside: to try it again would be to try
//! it for ever.
//!
//! To shut down: nobody takes another job, those in work are finished, and what was not begun comes
//! back to the caller, to be kept for the next start. Nothing is lost and nothing is done twice.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use trypema::{LocalAbsolute, LocalRateLimiter, RateLimit, TrypemaError};

/// Ordered by when they are due, then by when they were submitted.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Job {
    due: Instant,
    number: u32,
    tenant: &'static str,
    units: u64,
}

struct Pool {
    queue: Arc<Queue>,
    workers: Vec<JoinHandle<()>>,
}

struct Queue {
    limiter: LocalAbsolute,
    rate: RateLimit,
    state: Mutex<State>,
    /// A job came in, or the pool was shut down.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: BinaryHeap<Reverse<Job>>,
    done: Vec<Job>,
    never: Vec<Job>,
    put_off: u32,
    is_closed: bool,
}

impl Pool {
    fn start(workers: usize, limiter: LocalAbsolute, rate: RateLimit) -> Self {
        let queue = Queue { limiter, rate, state: Mutex::default(), changed: Condvar::new() };
        let queue = Arc::new(queue);
        let workers = (0..workers).map(|_| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.work())
        });
        Self { workers: workers.collect(), queue }
    }

    fn submit(&self, number: u32, tenant: &'static str, units: u64) {
        self.queue.put(Job { due: Instant::now(), number, tenant, units });
    }

    /// Ends the workers as soon as they have done what they have in hand.
    fn shut_down(self) -> State {
        self.queue.state().is_closed = true;
        self.queue.changed.notify_all();
        for worker in self.workers {
            worker.join().expect("workers do not panic");
        }
        std::mem::take(&mut self.queue.state())
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, job: Job) {
        self.state().waiting.push(Reverse(job));
        self.changed.notify_one();
    }

    /// The next job that is due; waits for one. `None` when the pool is shut down.
    fn take(&self) -> Option<Job> {
        let mut state = self.state();
        while !state.is_closed {
            let Some(Reverse(next)) = state.waiting.peek() else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let early = next.due.saturating_duration_since(Instant::now());
            if early.is_zero() {
                return state.waiting.pop().map(|Reverse(job)| job);
            }
            let waited = self.changed.wait_timeout(state, early);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        None
    }

    fn work(&self) {
        while let Some(job) = self.take() {
            let decision = self.limiter.inc(job.tenant, &self.rate, job.units);
            if decision.is_allowed() {
                thread::sleep(Duration::from_millis(2)); // the work
                self.state().done.push(job);
            } else if let Some(wait) = decision.retry_after() {
                self.state().put_off += 1;
                self.put(Job { due: Instant::now() + wait, ..job });
            } else {
                self.state().never.push(job);
            }
        }
    }
}

const JOBS: u32 = 120;

fn main() -> Result<(), TrypemaError> {
    // 20 units in any 200 ms, for each tenant.
    let rate = RateLimit::per(20, Duration::from_millis(200))?;
    let limiter = LocalRateLimiter::builder()
        .window(rate.period())
        .bucket(Duration::from_millis(5))
        .build()?;
    let begun = Instant::now();
    let pool = Pool::start(3, limiter.absolute().clone(), rate);
    for number in 0..JOBS {
        // Two thirds of the jobs are one tenant's, and none of the others' concern.
        let tenant = ["greedy", "greedy", "modest"][number as usize % 3];
        // One job is larger than anything that its limit will ever allow.
        pool.submit(number, tenant, if number == 5 { 1_000 } else { 1 });
    }
    while pool.queue.state().done.len() < 90 {
        thread::sleep(Duration::from_millis(1));
    }
    let state = pool.shut_down();

    let mut by_tenant = BTreeMap::<_, u32>::new();
    for job in &state.done {
        *by_tenant.entry(job.tenant).or_default() += 1;
    }
    println!("after {} ms:", begun.elapsed().as_millis());
    println!("  done         {:>4}  {by_tenant:?}", state.done.len());
    println!("  kept for the next start {:>4}", state.waiting.len());
    println!("  never        {:>4}  {:?}", state.never.len(), state.never);
    println!("  put off      {:>4} times", state.put_off);

    assert_eq!(state.never.len(), 1);
    let mut numbers: Vec<_> = state.done.iter().chain(&state.never).map(|job| job.number).collect();
    numbers.extend(state.waiting.iter().map(|Reverse(job)| job.number));
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..JOBS), "each job is in one place");
    Ok(())
}
