//! The draws that a limiter is told.

use std::sync::atomic::{AtomicU64, Ordering};

use trypema::Random;

/// A source that draws what the test has said, and counts how often it was asked.
#[derive(Debug, Default)]
pub(crate) struct Told {
    draw: AtomicU64,
    draws: AtomicU64,
}

impl Told {
    pub(crate) fn next_is(&self, draw: f64) {
        self.draw.store(draw.to_bits(), Ordering::Relaxed);
    }

    /// How often a draw was asked for since this was last called.
    pub(crate) fn take_draws(&self) -> u64 {
        self.draws.swap(0, Ordering::Relaxed)
    }
}

impl Random for Told {
    fn draw(&self) -> f64 {
        self.draws.fetch_add(1, Ordering::Relaxed);
        f64::from_bits(self.draw.load(Ordering::Relaxed))
    }
}

/// Draws without pattern (Steele, Lea and Flood's SplitMix64), one in eight at an end of the range.
#[derive(Debug, Clone)]
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let mixed = mixed ^ (mixed >> 31);
        match mixed % 16 {
            0 => 0.0,
            1 => 1.0 - f64::EPSILON / 2.0,
            _ => (mixed >> 11) as f64 / (1_u64 << 53) as f64,
        }
    }
}
