//! Which of what was remembered still holds. Imports only [`crate::sync`].
//!
//! What is learned of a key by asking the server carries the key's generation as it was *before* the server
//! was asked. Whoever has changed the server's mind (units were given back, the key was forgotten)
//! begins a new generation *after* the server has said so. So what was learned before the change is of an
//! older generation, even if it is only remembered after it; and what carries the new generation was asked
//! after the change.
//!
//! Keys share generations by their hash, so that they need no memory each: at worst something is asked
//! that was known.

use crate::sync::atomic::{AtomicU64, Ordering};

pub(crate) struct Generations {
    stripes: Box<[AtomicU64]>,
}

impl Generations {
    /// `stripes` is a power of two.
    pub(crate) fn new(stripes: usize) -> Self {
        Self { stripes: (0..stripes).map(|_| AtomicU64::new(0)).collect() }
    }

    /// The generation of keys with this hash.
    pub(crate) fn current(&self, hash: u64) -> u64 {
        // Acquire: pairs with `begin`: who reads the new generation asks the server after what began it.
        self.stripe(hash).load(Ordering::Acquire)
    }

    /// Begins a new one: what was learned in older ones holds no more.
    pub(crate) fn begin(&self, hash: u64) {
        // Release: pairs with `current`.
        self.stripe(hash).fetch_add(1, Ordering::Release);
    }

    fn stripe(&self, hash: u64) -> &AtomicU64 {
        // The low bits: at least one stripe, so the index is in range.
        &self.stripes[hash as usize & (self.stripes.len() - 1)]
    }
}
