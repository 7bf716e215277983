//! Keys, prepared before anything is timed, and the orders in which threads ask for them.
//!
//! A thread walks through its keys in memory order, so that their text is in the cache when it is
//! needed, as that of a request which has just arrived is. What is then measured is the limiter,
//! and not where the bench keeps its strings.

use core::fmt::Write as _;

use fastrand::Rng;
use rand::SeedableRng as _;
use rand::distr::Distribution as _;
use rand::rngs::SmallRng;
use rand_distr::Zipf;
use trypema::Key;

/// The exponent of the Zipf distribution: the usual one of request logs.
const ZIPF_EXPONENT: f64 = 1.0;

/// A key in each form that some rival looks it up by.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// On the heap, as most programs have it.
    pub text: String,
    /// Inline, for the rival that gains by it.
    pub inline: Key,
}

impl Prepared {
    /// Key number `number`: 12 bytes for numbers below ten million.
    #[must_use]
    pub fn new(number: usize) -> Self {
        // In one piece: a string that grows while it is written leaves gaps behind.
        let mut text = String::with_capacity(12);
        write!(text, "user:{number:07}").expect("strings take everything");
        Self { inline: Key::from(text.as_str()), text }
    }
}

/// `count` different keys, in order.
#[must_use]
pub fn distinct(count: usize) -> Vec<Prepared> {
    (0..count).map(Prepared::new).collect()
}

/// One key, again and again.
#[must_use]
pub fn hot(length: usize) -> Vec<Prepared> {
    (0..length).map(|_| Prepared::new(0)).collect()
}

/// `length` draws from `count` keys, each as likely as any other.
#[must_use]
pub fn uniform(count: usize, length: usize, seed: u64) -> Vec<Prepared> {
    let mut rng = Rng::with_seed(seed + 1);
    (0..length).map(|_| Prepared::new(rng.usize(..count))).collect()
}

/// `length` draws from `count` keys by Zipf's law. Which key is how frequent does not depend on the
/// seed, and has nothing to do with the order of [`distinct`], in which keys may have been made.
#[must_use]
pub fn zipf(count: usize, length: usize, seed: u64) -> Vec<Prepared> {
    let mut by_rank: Vec<usize> = (0..count).collect();
    Rng::with_seed(0).shuffle(&mut by_rank);
    let law = Zipf::new(count as f64, ZIPF_EXPONENT).expect("a count and a positive exponent");
    let mut rng = SmallRng::seed_from_u64(seed + 1);
    (0..length).map(|_| Prepared::new(by_rank[law.sample(&mut rng) as usize - 1])).collect()
}
