//! Threads that ask as fast as they can, and what they measure.

use core::hint::black_box;
use core::sync::atomic::{Ordering, fence};
use core::time::Duration;
use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::Instant;

use cpu_time::ThreadTime;
use hdrhistogram::Histogram;

use crate::keys::Prepared;
use crate::rivals::Rival;
use crate::workload::{Scene, Workload};

/// Calls between two looks at the clock of a throughput run.
const CHUNK: usize = 64;
/// One call in so many is timed in a latency run. Odd, so that it meets every key of an order.
const SAMPLE_EVERY: usize = 17;

/// How long and where threads run.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The time of a run; new keys take as long as they take.
    pub time: Duration,
    /// Whether thread `i` is tied to core `i` modulo the number of cores.
    pub pin: bool,
    /// For throughput.
    pub divisor: Divisor,
}

/// The time that calls are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Divisor {
    /// The time that passed.
    Wall,
    /// The time that threads had a core, by the number of threads that can have one at once: what
    /// the wall would show on a machine with nothing else to do. For a machine that has.
    Cpu,
}

/// The result of a throughput run.
#[derive(Debug, Clone, Copy)]
pub struct Throughput {
    /// Calls per second, of all threads together.
    pub per_second: f64,
    /// The share of calls that were admitted.
    pub admitted: f64,
}

struct Tally {
    calls: usize,
    admitted: usize,
    began: Instant,
    ended: Instant,
    cpu: Duration,
}

/// Calls per second. Threads begin together; none starts another chunk after the time is over.
#[must_use]
pub fn throughput<R: Rival>(rival: &R, scene: &Scene<'_>, terms: Terms) -> Throughput {
    let once = scene.workload == Workload::NewKeys;
    let is_fenced = scene.workload.is_fenced();
    let tallies = together(&scene.orders, terms.pin, |order, begin| {
        let began = begin();
        let cpu = ThreadTime::now();
        let (mut calls, mut admitted) = (0, 0);
        let mut ask = |chunk: &[Prepared]| {
            if is_fenced {
                for key in chunk {
                    admitted += usize::from(rival.inc(black_box(key)));
                    fence(Ordering::SeqCst);
                }
            } else {
                for key in chunk {
                    admitted += usize::from(rival.inc(black_box(key)));
                }
            }
            calls += chunk.len();
        };
        if once {
            ask(order);
        } else {
            let deadline = began + terms.time;
            for chunk in order.chunks(CHUNK).cycle() {
                ask(chunk);
                if Instant::now() >= deadline {
                    break;
                }
            }
        }
        Tally { calls, admitted, began, ended: Instant::now(), cpu: cpu.elapsed() }
    });
    let calls = tallies.iter().map(|tally| tally.calls).sum::<usize>() as f64;
    let admitted = tallies.iter().map(|tally| tally.admitted).sum::<usize>() as f64;
    let began = tallies.iter().map(|tally| tally.began).min();
    let ended = tallies.iter().map(|tally| tally.ended).max();
    // Where the time is given, so is the divisor: a thread that was not running when the time was
    // up ends late, without having done more.
    let wall = match (began, ended) {
        (Some(began), Some(ended)) if once => (ended - began).as_secs_f64(),
        _ => terms.time.as_secs_f64(),
    };
    let seconds = match terms.divisor {
        Divisor::Wall => wall,
        Divisor::Cpu => {
            let cores = thread::available_parallelism().map_or(1, usize::from);
            let cpu: Duration = tallies.iter().map(|tally| tally.cpu).sum();
            cpu.as_secs_f64() / cores.min(tallies.len()) as f64
        }
    };
    Throughput { per_second: calls / seconds, admitted: admitted / calls }
}

/// Nanoseconds per call, of one call in 17.
///
/// Each of those is between two readings of the time-stamp counter; what two readings in a row
/// take is subtracted. The counter does not wait for what is in flight, so that single figures below
/// some 20 ns say little; the tail is not touched by that.
#[must_use]
pub fn latency<R: Rival>(rival: &R, scene: &Scene<'_>, terms: Terms) -> Histogram<u64> {
    let once = scene.workload == Workload::NewKeys;
    let clock = quanta::Clock::new();
    let idle = (0..1_000)
        .map(|_| {
            let before = clock.raw();
            clock.delta_as_nanos(before, clock.raw())
        })
        .min()
        .unwrap_or(0);
    let histograms = together(&scene.orders, terms.pin, |order, begin| {
        let mut times = empty_histogram();
        let deadline = begin() + terms.time;
        let mut walk = |chunk: &[Prepared]| {
            let Some((timed, others)) = chunk.split_last() else { return };
            for key in others {
                black_box(rival.inc(black_box(key)));
            }
            let before = clock.raw();
            black_box(rival.inc(black_box(timed)));
            let nanos = clock.delta_as_nanos(before, clock.raw()).saturating_sub(idle);
            times.saturating_record(nanos);
        };
        let chunks = order.chunks(SAMPLE_EVERY);
        if once {
            chunks.for_each(&mut walk);
        } else {
            for (number, chunk) in chunks.cycle().enumerate() {
                walk(chunk);
                if number % 4 == 0 && Instant::now() >= deadline {
                    break;
                }
            }
        }
        times
    });
    let mut all = empty_histogram();
    for times in &histograms {
        all.add(times).expect("histograms of the same bounds");
    }
    all
}

/// Three digits, up to a minute.
#[must_use]
pub fn empty_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("valid bounds")
}

/// Runs `work` on one thread per order. Each calls its second argument when it is ready, which
/// returns when all are, with the moment that the first of them set off.
fn together<T: Send>(
    orders: &[&[Prepared]],
    pin: bool,
    work: impl Fn(&[Prepared], &dyn Fn() -> Instant) -> T + Sync,
) -> Vec<T> {
    let ready = Barrier::new(orders.len());
    let began = OnceLock::new();
    let begin = || {
        ready.wait();
        *began.get_or_init(Instant::now)
    };
    let cores = if pin { core_affinity::get_core_ids().unwrap_or_default() } else { Vec::new() };
    thread::scope(|scope| {
        let threads: Vec<_> = orders
            .iter()
            .enumerate()
            .map(|(number, order)| {
                let (work, begin, cores) = (&work, &begin, &cores);
                scope.spawn(move || {
                    if !cores.is_empty() {
                        core_affinity::set_for_current(cores[number % cores.len()]);
                    }
                    work(order, begin)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread panicked")).collect()
    })
}
