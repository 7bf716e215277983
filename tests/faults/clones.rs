//! A key that knows how many of it there are.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Alive at present.
#[derive(Debug, Default)]
pub(crate) struct Alive(AtomicUsize);

impl Alive {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
pub(crate) struct Counted {
    name: u64,
    alive: Arc<Alive>,
}

impl Counted {
    pub(crate) fn new(name: u64, alive: &Arc<Alive>) -> Self {
        alive.0.fetch_add(1, Ordering::SeqCst);
        Self { name, alive: Arc::clone(alive) }
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(self.name, &self.alive)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Counted {}

impl Hash for Counted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}
