//! Says which cached replies still hold. Imports only [`crate::sync`].
//!
//! A cached reply carries the key's generation as it was *before* the server was asked. A call that changes
//! the answer (it gives units back, or forgets the key) begins a new generation *after* the server has
//! confirmed it. So a reply from before the change has an older generation, even if it is cached only after
//! the change; and a reply with the new generation was asked for after the change.
//!
//! Keys share generations by their hash, so that a key needs no memory of its own: at worst the server is
//! asked although the answer was known.

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
        // Acquire: pairs with `begin`: a thread that reads the new generation asks the server after the change.
        self.stripe(hash).load(Ordering::Acquire)
    }

    /// Begins a new generation: replies of older ones hold no more.
    pub(crate) fn begin(&self, hash: u64) {
        // Release: pairs with `current`.
        self.stripe(hash).fetch_add(1, Ordering::Release);
    }

    fn stripe(&self, hash: u64) -> &AtomicU64 {
        // The low bits: at least one stripe, so the index is in range.
        &self.stripes[hash as usize & (self.stripes.len() - 1)]
    }
}
