//! What all keys of a limiter have in common.

use std::sync::Arc;

use crate::RateLimit;
use crate::clock::Source;
use crate::key::{Layout, Limit};
use crate::policy::Grid;

/// Fixed when the limiter is built; read by every decision.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) grid: Grid,
    pub(crate) layout: Layout,
    pub(crate) clock: Arc<Source>,
}

/// A moment, as the clock told it and as a window counts it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) nanos: u64,
    pub(crate) tick: u64,
}

impl Frame {
    pub(crate) fn new(grid: Grid, clock: Source) -> Self {
        Self { grid, layout: Layout::for_span(grid.span()), clock: Arc::new(clock) }
    }

    #[inline]
    pub(crate) fn now(&self) -> Moment {
        let nanos = self.clock.now_nanos();
        Moment { nanos, tick: self.grid.tick(nanos) }
    }

    /// What a rate allows in a window.
    #[inline]
    pub(crate) fn capacity(&self, rate: &RateLimit) -> u64 {
        rate.capacity_of_millis(self.grid.window_ms())
    }

    /// What a window may hold under a rate. A finite rate beyond what it can hold is judged by
    /// that: to reject too much is the safe side.
    #[inline]
    pub(crate) fn limit(&self, rate: &RateLimit) -> Limit {
        if rate.is_unlimited() {
            Limit::Unbounded
        } else {
            Limit::Within(self.capacity(rate).min(self.layout.most()))
        }
    }
}
