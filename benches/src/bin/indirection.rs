//! The cost of a key handle to everybody else: the time of a map hit whose state lies in the
//! map's node, and of one whose state lies behind an `Arc`, which a handle could share.
#![expect(clippy::print_stdout, reason = "a program that reports")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ahash::RandomState;
use papaya::HashMap;

/// As large as a window.
struct State([AtomicU64; 8]);

impl State {
    fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    fn hit(&self) {
        // Relaxed: nobody reads it.
        self.0[0].fetch_add(1, Ordering::Relaxed);
    }
}

const HITS: usize = 2_000_000;
const REPETITIONS: usize = 7;

fn main() {
    println!("| keys | in the node, ns | behind an Arc, ns | ratio |\n|---:|---:|---:|---:|");
    for count in [1, 100_000, 1_000_000] {
        let keys: Vec<u64> = (0..count).collect();
        let inline: HashMap<u64, State, RandomState> =
            HashMap::builder().hasher(RandomState::new()).build();
        let shared: HashMap<u64, Arc<State>, RandomState> =
            HashMap::builder().hasher(RandomState::new()).build();
        for key in &keys {
            let _ = inline.pin().try_insert(*key, State::new());
            let _ = shared.pin().try_insert(*key, Arc::new(State::new()));
        }
        let order: Vec<u64> = (0..HITS).map(|_| fastrand::u64(..count)).collect();
        // Interleaved, so that whatever else the machine does meets both alike.
        let (mut in_node, mut behind) = (Vec::new(), Vec::new());
        for _ in 0..REPETITIONS {
            in_node.push(time(&order, |key| {
                inline.get(&key, &inline.guard()).into_iter().for_each(State::hit);
            }));
            behind.push(time(&order, |key| {
                shared.get(&key, &shared.guard()).into_iter().for_each(|state| state.hit());
            }));
        }
        let (in_node, behind) = (median(in_node), median(behind));
        println!("| {count} | {in_node:.1} | {behind:.1} | {:.2} |", behind / in_node);
    }
}

fn time(order: &[u64], hit: impl Fn(u64)) -> f64 {
    let started = Instant::now();
    for key in order {
        hit(black_box(*key));
    }
    started.elapsed().as_secs_f64() * 1e9 / HITS as f64
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
