//! A limiter without its limit: the least that a call can cost on this map
//! and this clock. They limit nothing.

use core::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::RandomState;
use papaya::HashMap;
use trypema::Key;

use crate::keys::Prepared;
use crate::rivals::Rival;
use crate::rule::Rule;

/// Lookup, time, and one read-modify-write of the key's word.
#[derive(Debug)]
pub struct FloorRmw(Floor);

/// Lookup, time, and one load of the key's word.
#[derive(Debug)]
pub struct FloorRead(Floor);

#[derive(Debug)]
struct Floor {
    words: HashMap<Key, AtomicU64, RandomState>,
    clock: quanta::Clock,
}

impl Floor {
    fn new() -> Self {
        Self { words: HashMap::with_hasher(RandomState::new()), clock: quanta::Clock::new() }
    }

    #[inline]
    fn with(&self, key: &Prepared, act: impl FnOnce(&AtomicU64)) {
        black_box(self.clock.raw());
        let guard = self.words.guard();
        match self.words.get(key.text.as_str(), &guard) {
            Some(word) => act(word),
            None => {
                match self.words.try_insert(key.text.as_str().into(), AtomicU64::new(0), &guard) {
                    Ok(word) => act(word),
                    Err(occupied) => act(occupied.current),
                }
            }
        }
    }
}

impl Rival for FloorRmw {
    fn new(_: Rule) -> Self {
        Self(Floor::new())
    }

    #[inline]
    fn inc(&self, key: &Prepared) -> bool {
        self.inc_by(key, 1)
    }

    #[inline]
    fn inc_by(&self, key: &Prepared, count: u32) -> bool {
        // Relaxed: nothing is published by it.
        self.0.with(key, |word| {
            word.fetch_add(u64::from(count), Ordering::Relaxed);
        });
        true
    }

    fn fill(&self, key: &Prepared) {
        self.inc(key);
    }
}

impl Rival for FloorRead {
    fn new(_: Rule) -> Self {
        Self(Floor::new())
    }

    #[inline]
    fn inc(&self, key: &Prepared) -> bool {
        self.inc_by(key, 1)
    }

    #[inline]
    fn inc_by(&self, key: &Prepared, _: u32) -> bool {
        // Relaxed: as above.
        self.0.with(key, |word| {
            black_box(word.load(Ordering::Relaxed));
        });
        true
    }

    fn fill(&self, key: &Prepared) {
        self.inc(key);
    }
}
