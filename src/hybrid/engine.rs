//! Every call of a strategy, once.

use core::fmt;
use std::sync::Arc;

use crate::RateLimit;
use crate::hybrid::HybridStats;
use crate::policy::Grid;
use crate::redis::denial_cache::DenialCache;
use crate::redis::engine::{self, Strategy};
use crate::redis::inner::Inner;
use crate::redis::windows::Plan;

/// One strategy of a limiter.
pub(crate) struct Engine<S> {
    /// Everything that the server is asked.
    pub(crate) remote: engine::Engine<S>,
}

impl<S: Strategy> Engine<S> {
    pub(crate) fn new(inner: Arc<Inner>, plan: Plan, denial_cache: Option<DenialCache>) -> Self {
        Self { remote: engine::Engine::new(inner, plan, denial_cache) }
    }

    pub(crate) fn grid_of(&self, rate: &RateLimit) -> Grid {
        self.remote.grid_of(rate)
    }

    pub(crate) fn stats(&self) -> HybridStats {
        let mut stats = HybridStats::default();
        self.add_to(&mut stats);
        stats
    }

    pub(crate) fn add_to(&self, stats: &mut HybridStats) {
        self.remote.add_to(&mut stats.decisions);
        stats.from_leases += self.remote.counters.from_leases();
    }
}

impl<S> fmt::Debug for Engine<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("remote", &self.remote).finish_non_exhaustive()
    }
}
