//! A key's state under the Suppressed strategy, and how that decides. The arithmetic is in `policy`.

use std::sync::Arc;

use crate::RateLimitDecision;
use crate::local::call::{Call, Verdict};
use crate::local::config::Now;
use crate::local::key_state::{self, KeyState, bucket_of};
use crate::local::map::State;
use crate::policy::Grid;
use crate::policy::suppressed::{Observed, Suppression, factor};
use crate::random::Random;
use crate::settings;
use crate::window::{Expiring, Limit, Outcome, Striped, Timeline, Window};

/// Two counts, each exact. They are read one after the other, so their sum may mix two moments: it goes
/// into the factor only, never into a limit.
pub(crate) struct SuppressedState {
    admitted: Window,
    declined: Striped,
    /// The perceived rate: an `f64`, as bits.
    perceived: Expiring,
}

/// The strategy's settings.
pub(crate) struct Settings {
    pub(crate) suppression: Suppression,
    random: Option<Arc<dyn Random>>,
}

type Context<'a> = key_state::Context<'a, SuppressedState>;

impl State for SuppressedState {
    fn is_dead(&self) -> bool {
        self.admitted.is_dead()
    }
}

impl KeyState for SuppressedState {
    type Settings = Settings;
    const RECORDS_DECLINES: bool = true;

    fn settings(settings: &settings::Settings, grid: &Grid) -> Settings {
        let &settings::Settings { hard_limit_factor, suppression_refresh, .. } = settings;
        Settings {
            suppression: Suppression::new(grid, hard_limit_factor, suppression_refresh),
            random: settings.random.clone(),
        }
    }

    #[inline]
    fn most(context: &Context<'_>, capacity: u64) -> u64 {
        context.settings.suppression.hard_limit(capacity, context.config.most_units)
    }

    #[inline]
    fn random(settings: &Settings) -> Option<&dyn Random> {
        settings.random.as_deref()
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the body of two functions, both of them hot")]
    fn decide(&self, context: &Context<'_>, call: &Call<'_>) -> Option<RateLimitDecision> {
        let usage = match self.add_within_soft(context, call) {
            admitted @ Outcome::Admitted { usage, .. } => {
                return Some(allowed(call, usage).with_bucket(bucket_of(admitted)));
            }
            Outcome::Rejected { usage, .. } => usage,
            Outcome::Dead => return None,
        };
        let (outcome, factor) = self.add_within_hard(context, call, usage)?;
        if let Outcome::Rejected { usage, .. } = outcome {
            self.decline(context, call, usage > 0)?;
        }
        Some(decision(context, call, outcome, factor))
    }

    fn try_acquire(&self, context: &Context<'_>, call: &Call<'_>) -> Option<Verdict> {
        let usage = match self.add_within_soft(context, call) {
            admitted @ Outcome::Admitted { usage, .. } => {
                return Some(allowed(call, usage).with_bucket(bucket_of(admitted)).into());
            }
            Outcome::Rejected { usage, .. } => usage,
            Outcome::Dead => return None,
        };
        let (outcome, factor) = self.add_within_hard(context, call, usage)?;
        let decision = decision(context, call, outcome, factor);
        if decision.is_allowed() {
            return Some(decision.into());
        }
        let frees_at = |limit| {
            let within = Limit::Within(limit);
            match self.admitted.peek(context.timeline, call.now.tick, call.count, within) {
                Outcome::Rejected { retry_hint, .. } => retry_hint.map(|hint| hint.tick),
                _ => None,
            }
        };
        // Above the hard limit, it fits only when units leave the window. Below, another draw may admit it, and
        // so will units that leave the window until it fits below the soft limit.
        Some(match frees_at(Self::most(context, call.capacity)) {
            frees_at @ Some(_) => Verdict { decision, frees_at, draws_again: false },
            None => Verdict { decision, frees_at: frees_at(call.capacity), draws_again: true },
        })
    }

    fn peek(
        state: Option<&Self>,
        context: &Context<'_>,
        call: &Call<'_>,
    ) -> Option<RateLimitDecision> {
        let &Call { count, capacity: soft, now, rate, ref draw, .. } = call;
        let hard = Self::most(context, soft);
        let usage = match state {
            Some(state) => state.admitted.usage(context.timeline, now.tick)?,
            None => 0,
        };
        let total = usage.saturating_add(count);
        if total <= soft {
            return Some(allowed(call, usage));
        }
        let factor = match state {
            _ if total > hard => 1.0,
            // Nothing was observed, so nothing is declined.
            None => 0.0,
            Some(state) => {
                let cached = state.perceived.get(context.config.nanos(now)).map(f64::from_bits);
                let perceived = cached.unwrap_or_else(|| state.perceive(context, now));
                factor(rate.as_per_second(), perceived)
            }
        };
        let is_allowed = total <= hard && draw.get() >= factor;
        Some(suppressed(call, hard, usage, factor, is_allowed))
    }

    fn give_up(&self, context: &Context<'_>, call: &Call<'_>) -> Option<()> {
        self.decline(context, call, false)
    }

    fn new(timeline: &Timeline, now: Now) -> Self {
        Self {
            admitted: Window::new(timeline, now.tick),
            declined: Striped::new(timeline, now.tick),
            perceived: Expiring::new(),
        }
    }

    fn admitted(&self) -> &Window {
        &self.admitted
    }

    /// For a decline that races with this, see [`SuppressedState::decline`].
    fn retire(&self, timeline: &Timeline, now: Now, stale_after: u64) -> bool {
        // Declines keep a key while they count, and no longer: it goes stale by its admissions.
        let is_idle = || self.declined.is_idle(timeline, now.tick);
        self.admitted.retire(timeline, now.tick, stale_after, is_idle)
    }

    fn is_idle(&self, timeline: &Timeline, now: Now, stale_after: u64) -> bool {
        let mut is_idle = false;
        let is_dead = self.admitted.retire(timeline, now.tick, stale_after, || {
            is_idle = self.declined.is_idle(timeline, now.tick);
            false
        });
        is_idle || is_dead
    }

    fn heap_bytes(&self) -> usize {
        self.admitted.heap_bytes() + self.declined.heap_bytes()
    }
}

impl SuppressedState {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Window::add`")]
    fn add_within_soft(&self, context: &Context<'_>, call: &Call<'_>) -> Outcome {
        let within = Limit::Within(call.capacity);
        self.admitted.add_unhinted(context.timeline, call.now.tick, call.count, within)
    }

    /// Adds the units of a call that does not fit below the soft limit, because of this usage, if the
    /// hard limit and the draw admit them. Also returns the factor that was applied.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Window::add`")]
    fn add_within_hard(
        &self,
        context: &Context<'_>,
        call: &Call<'_>,
        usage: u64,
    ) -> Option<(Outcome, f64)> {
        let rejected = Outcome::Rejected { usage, retry_hint: None };
        let hard = <Self as KeyState>::most(context, call.capacity);
        if usage.saturating_add(call.count) > hard {
            return Some((rejected, 1.0));
        }
        let factor = self.factor(context, call);
        if call.draw.get() < factor {
            return Some((rejected, factor));
        }
        let within = Limit::Within(hard);
        match context.add_slow(&self.admitted, call.now.tick, call.count, within) {
            Outcome::Dead => None,
            // Others have filled the window up to the hard limit meanwhile.
            outcome @ Outcome::Rejected { .. } => Some((outcome, 1.0)),
            outcome @ Outcome::Admitted { .. } => Some((outcome, factor)),
        }
    }

    pub(crate) fn declined(&self) -> &Striped {
        &self.declined
    }

    /// Records declined units. `None` if they went to a dead state: the call must be repeated.
    ///
    /// Nobody retires a key on which admitted units count: if it is `in_use`, it is enough to look
    /// whether it is dead by now. Should all of them expire or be given back between that look at
    /// them and this one, and the key be retired by a thread that has looked at the declined units
    /// before, then these are forgotten: that takes a thread that stops here for as long.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Window::add_with`")]
    fn decline(&self, context: &Context<'_>, call: &Call<'_>, in_use: bool) -> Option<()> {
        let &Call { now, count, thread, .. } = call;
        self.declined.add(context.timeline, now.tick, count, thread);
        if in_use {
            (!self.admitted.is_dead()).then_some(())
        } else {
            self.admitted.hold_up(context.timeline, now.tick)
        }
    }

    /// The factor by the cached perceived rate, or by a fresh one, which is then cached.
    #[inline]
    fn factor(&self, context: &Context<'_>, call: &Call<'_>) -> f64 {
        let perceived = match self.perceived.get(context.config.latest_nanos(call.now)) {
            Some(cached) => f64::from_bits(cached),
            None => self.perceive_and_cache(context, call.now),
        };
        factor(call.rate.as_per_second(), perceived)
    }

    #[cold]
    fn perceive_and_cache(&self, context: &Context<'_>, now: Now) -> f64 {
        let nanos = context.config.nanos(now);
        if let Some(cached) = self.perceived.get(nanos) {
            return f64::from_bits(cached);
        }
        let fresh = self.perceive(context, now);
        let until = nanos.saturating_add(context.settings.suppression.refresh_ns);
        self.perceived.put(fresh.to_bits(), until);
        fresh
    }

    /// The perceived rate at this moment, whatever is cached.
    pub(crate) fn perceive(&self, context: &Context<'_>, now: Now) -> f64 {
        let timeline = context.timeline;
        let suppression = &context.settings.suppression;
        let span = suppression.recent_span;
        let (admitted, recently_admitted) =
            self.admitted.usage_and_recent(timeline, now.tick, span).unwrap_or_default();
        let (declined, recently_declined) =
            self.declined.usage_and_recent(timeline, now.tick, span);
        suppression.perceived(Observed {
            window: admitted.saturating_add(declined),
            recent: recently_admitted.saturating_add(recently_declined),
        })
    }
}

/// Below the soft limit.
#[inline(always)]
#[expect(clippy::inline_always, reason = "see `Window::add`")]
fn allowed(call: &Call<'_>, usage: u64) -> RateLimitDecision {
    RateLimitDecision::allowed(call.capacity - usage - call.count)
}

/// Above the soft limit. `usage` is that of before the call.
#[inline(always)]
#[expect(clippy::inline_always, reason = "see `Window::add`")]
fn suppressed(
    call: &Call<'_>,
    hard: u64,
    usage: u64,
    factor: f64,
    is_allowed: bool,
) -> RateLimitDecision {
    let used = if is_allowed { usage.saturating_add(call.count) } else { usage };
    let remaining = call.capacity.saturating_sub(used);
    let decision = RateLimitDecision::suppressed(factor, is_allowed).with_remaining(remaining);
    if call.count > hard { decision.never() } else { decision }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "see `Window::add`")]
fn decision(
    context: &Context<'_>,
    call: &Call<'_>,
    outcome: Outcome,
    factor: f64,
) -> RateLimitDecision {
    let hard = <SuppressedState as KeyState>::most(context, call.capacity);
    let decision = match outcome {
        // Units may have left the window between two looks at it.
        Outcome::Admitted { usage, .. } if usage + call.count <= call.capacity => {
            allowed(call, usage)
        }
        Outcome::Admitted { usage, .. } => suppressed(call, hard, usage, factor, true),
        Outcome::Rejected { usage, .. } => suppressed(call, hard, usage, factor, false),
        Outcome::Dead => suppressed(call, hard, 0, factor, false),
    };
    decision.with_bucket(bucket_of(outcome))
}
