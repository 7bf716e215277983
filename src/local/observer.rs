//! Telling somebody about every decision.

use core::fmt;
use std::sync::Arc;

use crate::RateLimitDecision;

/// The strategy that decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Strategy {
    /// Hard rejection.
    #[default]
    Absolute,
    /// Probabilistic degradation.
    Suppressed,
}

/// A decision, as told to an observer.
#[derive(Debug)]
#[non_exhaustive]
pub struct Event<'a, K> {
    /// The strategy that decided.
    pub strategy: Strategy,
    /// The key that was asked for.
    pub key: &'a K,
    /// The units that were asked for.
    pub count: u64,
    /// The decision.
    pub decision: &'a RateLimitDecision,
}

/// Called after every `inc`, on the thread that called it.
pub(crate) struct Observer<K>(pub(crate) Arc<Watcher<K>>);

pub(crate) type Watcher<K> = dyn Fn(&Event<'_, K>) + Send + Sync;

impl<K> Clone for Observer<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K> fmt::Debug for Observer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}
