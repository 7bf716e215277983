//! One call on its way to a decision: its arguments, its draw, and its verdict.

use core::cell::OnceCell;

use crate::local::config::Now;
use crate::random::{Random, ThreadRandom};
use crate::{RateLimit, RateLimitDecision};

/// One call, with everything that is known before a key's state is looked at.
pub(crate) struct Call<'a> {
    pub(crate) rate: &'a RateLimit,
    pub(crate) count: u64,
    /// The rate's capacity, at most what a window can hold.
    pub(crate) capacity: u64,
    pub(crate) now: Now,
    /// The calling thread's number.
    pub(crate) thread: usize,
    pub(crate) draw: Draw,
}

/// A number for one call, uniform from 0 to 1, drawn once however often the call is tried.
pub(crate) struct Draw(OnceCell<f64>);

impl Draw {
    /// A draw from a source of the user's, who may count how often it is asked: drawn at once.
    #[inline]
    pub(crate) fn from(source: &dyn Random) -> Self {
        Self(OnceCell::from(source.draw()))
    }

    /// A draw from the default source, made only if it is needed: few calls need it.
    #[inline]
    pub(crate) fn lazy() -> Self {
        Self(OnceCell::new())
    }

    #[inline]
    pub(crate) fn get(&self) -> f64 {
        *self.0.get_or_init(|| ThreadRandom.draw())
    }
}

/// The outcome of a call whose caller waits.
pub(crate) struct Verdict {
    pub(crate) decision: RateLimitDecision,
    /// If the call fits later: the tick whose units must leave the window.
    pub(crate) frees_at: Option<u64>,
    /// Whether another draw may admit it before that.
    pub(crate) draws_again: bool,
}

/// For a call that is over.
impl From<RateLimitDecision> for Verdict {
    fn from(decision: RateLimitDecision) -> Self {
        Self { decision, frees_at: None, draws_again: false }
    }
}
