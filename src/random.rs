//! The Suppressed strategy's sources of randomness.

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

/// A source of randomness for the Suppressed strategy, which draws once per call.
///
/// ```
/// use trypema::{LocalRateLimiter, Random};
///
/// /// Declines all that may be declined: a call passes if its draw is not below the factor.
/// struct Strict;
///
/// impl Random for Strict {
///     fn draw(&self) -> f64 {
///         0.0
///     }
/// }
///
/// # fn main() -> Result<(), trypema::TrypemaError> {
/// let limiter = LocalRateLimiter::builder().random(Strict).build()?;
/// # let _ = limiter;
/// # Ok(())
/// # }
/// ```
pub trait Random: Send + Sync {
    /// A number that is uniformly distributed from 0 (included) to 1 (excluded).
    fn draw(&self) -> f64;
}

impl<R: Random + ?Sized> Random for Arc<R> {
    fn draw(&self) -> f64 {
        (**self).draw()
    }
}

/// The default source: a fast generator for each thread, seeded differently every time. Not for
/// secrets.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThreadRandom;

impl Random for ThreadRandom {
    #[inline]
    fn draw(&self) -> f64 {
        fastrand::f64()
    }
}

/// A source that repeats itself: the same seed gives the same draws, in the order that they are
/// asked for. Clones share the sequence.
///
/// ```
/// use trypema::{Random, SeededRandom};
///
/// let (one, other) = (SeededRandom::new(7), SeededRandom::new(7));
/// assert_eq!(one.draw(), other.draw());
/// ```
#[derive(Debug, Clone)]
pub struct SeededRandom {
    next: Arc<AtomicU64>,
}

impl SeededRandom {
    /// A source that starts at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { next: Arc::new(AtomicU64::new(seed)) }
    }
}

impl Random for SeededRandom {
    fn draw(&self) -> f64 {
        /// 2^64 over the golden ratio: consecutive multiples are spread over all bits.
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        // Relaxed: draws are independent of everything else; each is handed out once.
        let seed = self.next.fetch_add(STEP, Ordering::Relaxed);
        fastrand::Rng::with_seed(seed).f64()
    }
}
