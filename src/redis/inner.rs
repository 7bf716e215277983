//! The settings and connections that both strategies of a limiter share.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::clock::Clock;
use crate::random::{Random, ThreadRandom};
use crate::redis::OnUnavailable;
use crate::redis::observer::Observer;
use crate::redis::router::Routers;
use crate::redis::windows::Window;
use crate::{LocalRateLimiter, RateLimit};

// Nothing in it is half done where a call panics: a connection that was not given back is closed, and
// state that a user's observer or source of draws keeps is the user's.
impl std::panic::UnwindSafe for Inner {}
impl std::panic::RefUnwindSafe for Inner {}

pub(crate) struct Inner {
    pub(crate) router: Arc<Routers>,
    pub(crate) deadline: Duration,
    pub(crate) outage_policy: OutagePolicy,
    pub(crate) random: Option<Arc<dyn Random>>,
    /// Tests only.
    pub(crate) server_time: Option<Arc<dyn Clock>>,
    pub(crate) opened: Arc<AtomicU64>,
    pub(crate) observer: Option<Observer>,
}

/// The user's settings for outages of Redis.
pub(crate) struct OutagePolicy {
    pub(crate) policy: OnUnavailable,
    /// With `Local`.
    pub(crate) local: Option<LocalRateLimiter>,
    pub(crate) share: f64,
    /// When to ask again, if no breaker says when.
    pub(crate) pause: Duration,
}

impl Inner {
    pub(crate) fn draw(&self) -> f64 {
        match &self.random {
            None => ThreadRandom.draw(),
            Some(random) => random.draw(),
        }
    }

    /// The share of a rate that the local limiter goes by.
    pub(crate) fn local_rate(&self, window: &Window, rate: &RateLimit) -> RateLimit {
        rate.share(self.outage_policy.share, window.settings.grid.window_ms())
    }
}
