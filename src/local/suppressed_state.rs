//! A key's state under the Suppressed strategy.

use core::cell::OnceCell;
use core::hash::{BuildHasher, Hash};

use crate::local::config::{Config, Now};
use crate::local::engine::{Floor, KeyState, alive};
use crate::local::inner::Inner;
use crate::local::map::State;
use crate::policy::suppressed::{Observed, factor};
use crate::random::{Random, ThreadRandom};
use crate::window::{Expiring, Limit, Outcome, Striped, Window};
use crate::{RateLimit, RateLimitDecision};

/// Two counts side by side, each exact. What they add up to may be a moment apart, which only
/// the factor sees, never a limit.
pub(crate) struct SuppressedState {
    admitted: Window,
    declined: Striped,
    /// The perceived rate: an `f64`, as bits.
    perceived: Expiring,
}

impl State for SuppressedState {
    fn is_dead(&self) -> bool {
        self.admitted.is_dead()
    }
}

impl KeyState for SuppressedState {
    fn new(config: &Config, now: Now) -> Self {
        Self {
            admitted: Window::new(&config.layout, now.tick),
            declined: Striped::new(&config.layout, now.tick),
            perceived: Expiring::new(),
        }
    }

    fn admitted(&self) -> &Window {
        &self.admitted
    }

    /// Of a decline that races with this, see [`SuppressedState::decline`].
    fn retire(&self, config: &Config, floor: &Floor, now: Now, stale_after: u64) -> bool {
        // Declines keep a key while they count, and no longer: it goes stale by its admissions.
        let is_idle = || self.declined.is_idle(&config.layout, now.tick);
        self.admitted.retire(&config.layout, floor, now.tick, stale_after, is_idle)
    }

    fn heap_bytes(&self) -> usize {
        self.admitted.heap_bytes() + self.declined.heap_bytes()
    }
}

/// One call, with all that is settled before the state is looked at.
pub(crate) struct Call<'a> {
    pub(crate) rate: &'a RateLimit,
    pub(crate) count: u64,
    /// The soft limit, at most what a window can hold.
    pub(crate) soft: u64,
    pub(crate) now: Now,
    /// A number of the calling thread's.
    pub(crate) thread: usize,
    pub(crate) draw: Draw,
}

/// A number, uniform from 0 to 1, drawn once for each call, however often that is tried.
pub(crate) struct Draw(OnceCell<f64>);

impl Draw {
    #[inline]
    pub(crate) fn from(source: Option<&dyn Random>) -> Self {
        Self(match source {
            Some(random) => OnceCell::from(random.draw()),
            // Nobody can tell when this one is asked; few calls need it.
            None => OnceCell::new(),
        })
    }

    #[inline]
    fn get(&self) -> f64 {
        *self.0.get_or_init(|| ThreadRandom.draw())
    }
}

/// What a call has come to.
pub(crate) enum Verdict {
    Allowed,
    SuppressedState {
        factor: f64,
        is_allowed: bool,
        /// Where time alone may help: the tick whose units must leave the window.
        retry_hint: Option<u64>,
    },
}

impl Verdict {
    pub(crate) fn decision(&self) -> RateLimitDecision {
        match *self {
            Self::Allowed => RateLimitDecision::Allowed,
            Self::SuppressedState { factor, is_allowed, .. } => {
                RateLimitDecision::Suppressed { suppression_factor: factor, is_allowed }
            }
        }
    }
}

impl SuppressedState {
    pub(crate) fn declined(&self) -> &Striped {
        &self.declined
    }

    /// Admits or declines. A decline is counted if `count_declines`. `None` of a dead state.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "it is the body of two functions, one of them hot")]
    pub(crate) fn decide<K, S>(
        &self,
        inner: &Inner<K, S>,
        call: &Call<'_>,
        count_declines: bool,
    ) -> Option<Verdict>
    where
        K: Hash + Eq + Clone,
        S: BuildHasher,
    {
        let &Call { count, soft, now, .. } = call;
        let engine = &inner.suppressed;
        // Where it is needed: half of a call's cost may go without.
        let hard = || inner.hard_limit(soft);
        let within = Limit::Within(soft);
        let mut outcome = alive(engine.add_unhinted(&self.admitted, now.tick, count, within))?;
        let mut factor = 1.0;
        if let Outcome::Rejected { usage, .. } = outcome
            && usage.saturating_add(count) <= hard()
        {
            factor = self.factor(inner, call);
            if call.draw.get() >= factor {
                let within = Limit::Within(hard());
                outcome = alive(engine.add_rarely(&self.admitted, now.tick, count, within))?;
                if !matches!(outcome, Outcome::Admitted { .. }) {
                    // Others have filled the window up to the hard limit meanwhile.
                    factor = 1.0;
                }
            }
        }
        match outcome {
            // Units may have left the window between two looks at it.
            Outcome::Admitted { usage, .. } if usage + count <= soft => Some(Verdict::Allowed),
            Outcome::Admitted { .. } => {
                Some(Verdict::SuppressedState { factor, is_allowed: true, retry_hint: None })
            }
            Outcome::Rejected { usage, .. } if count_declines => {
                self.decline(inner, call, usage > 0)?;
                Some(Verdict::SuppressedState { factor, is_allowed: false, retry_hint: None })
            }
            Outcome::Rejected { .. } => {
                // Somebody waits, and wants to know when it may fit below the hard limit.
                let layout = &inner.suppressed.config.layout;
                let retry_hint =
                    match self.admitted.peek(layout, now.tick, count, Limit::Within(hard())) {
                        Outcome::Rejected { retry_hint, .. } => {
                            retry_hint.map(|retry_hint| retry_hint.tick)
                        }
                        _ => None,
                    };
                Some(Verdict::SuppressedState { factor, is_allowed: false, retry_hint })
            }
            Outcome::Dead => None,
        }
    }

    /// Counts declined units. `None` if that went to a dead state, and must be repeated.
    ///
    /// Nobody retires a key on which admitted units count: if it is `in_use`, it is enough to look
    /// whether it is dead by now. Should all of them expire or be given back between that look at
    /// them and this one, and the key be retired by a thread that has looked at the declined units
    /// before, then these are forgotten: that takes a thread that stops here for as long.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Window::add_with`")]
    pub(crate) fn decline<K, S>(
        &self,
        inner: &Inner<K, S>,
        call: &Call<'_>,
        in_use: bool,
    ) -> Option<()>
    where
        K: Hash + Eq + Clone,
        S: BuildHasher,
    {
        let engine = &inner.suppressed;
        let &Call { now, count, thread, .. } = call;
        self.declined.add(&engine.config.layout, &engine.store.floor, now.tick, count, thread);
        if in_use {
            (!self.admitted.is_dead()).then_some(())
        } else {
            self.admitted.hold_up(&engine.config.layout, &engine.store.floor, now.tick)
        }
    }

    /// What [`SuppressedState::decide`] would say, with nothing counted or kept.
    pub(crate) fn look<K, S>(&self, inner: &Inner<K, S>, call: &Call<'_>) -> Option<Verdict>
    where
        K: Hash + Eq + Clone,
        S: BuildHasher,
    {
        let &Call { count, soft, now, rate, ref draw, .. } = call;
        let hard = inner.hard_limit(soft);
        let usage = self.admitted.usage(&inner.suppressed.config.layout, now.tick)?;
        let total = usage.saturating_add(count);
        if total <= soft {
            return Some(Verdict::Allowed);
        }
        let factor = if total > hard {
            1.0
        } else {
            match self.perceived.get(inner.suppressed.config.nanos(now)) {
                Some(kept) => factor(rate.as_per_second(), f64::from_bits(kept)),
                None => self.fresh_factor(inner, rate, now),
            }
        };
        let is_allowed = total <= hard && draw.get() >= factor;
        Some(Verdict::SuppressedState { factor, is_allowed, retry_hint: None })
    }

    /// The factor by the perceived rate that is kept, or by a fresh one, which is then kept.
    #[inline]
    fn factor<K, S>(&self, inner: &Inner<K, S>, call: &Call<'_>) -> f64
    where
        K: Hash + Eq + Clone,
        S: BuildHasher,
    {
        let config = &inner.suppressed.config;
        let perceived = match self.perceived.get(config.latest_nanos(call.now)) {
            Some(kept) => f64::from_bits(kept),
            None => self.perceive_and_keep(inner, call.now),
        };
        factor(call.rate.as_per_second(), perceived)
    }

    #[cold]
    fn perceive_and_keep<K, S>(&self, inner: &Inner<K, S>, now: Now) -> f64
    where
        K: Hash + Eq + Clone,
        S: BuildHasher,
    {
        let nanos = inner.suppressed.config.nanos(now);
        if let Some(kept) = self.perceived.get(nanos) {
            return f64::from_bits(kept);
        }
        let fresh = self.perceive(inner, now);
        self.perceived.put(fresh.to_bits(), nanos.saturating_add(inner.suppression.refresh_ns));
        fresh
    }

    /// The factor at this moment, whatever is kept.
    pub(crate) fn fresh_factor<K, S>(
        &self,
        inner: &Inner<K, S>,
        rate: &RateLimit,
        now: Now,
    ) -> f64 {
        factor(rate.as_per_second(), self.perceive(inner, now))
    }

    fn perceive<K, S>(&self, inner: &Inner<K, S>, now: Now) -> f64 {
        let layout = &inner.suppressed.config.layout;
        let span = inner.suppression.recent_span;
        let (admitted, recently_admitted) =
            self.admitted.usage_and_recent(layout, now.tick, span).unwrap_or_default();
        let (declined, recently_declined) = self.declined.usage_and_recent(layout, now.tick, span);
        inner.suppression.perceived(Observed {
            window: admitted.saturating_add(declined),
            recent: recently_admitted.saturating_add(recently_declined),
        })
    }
}
