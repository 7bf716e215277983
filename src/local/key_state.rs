//! A key's state, as an engine sees it whatever the strategy.

use crate::Bucket;
use crate::RateLimitDecision;
use crate::local::call::{Call, Verdict};
use crate::local::config::{Config, Now};
use crate::local::map::State;
use crate::policy::Grid;
use crate::random::Random;
use crate::settings::Settings;
use crate::window::retry_hint::RetryHint;
use crate::window::{Limit, Outcome, Timeline, Window};

/// A key's state under some strategy, and how that strategy decides.
pub(crate) trait KeyState: State + Sized {
    /// The strategy's settings.
    type Settings;

    /// Whether declined calls count as demand, and are recorded.
    const RECORDS_DECLINES: bool;

    /// The strategy's settings for a window.
    fn settings(settings: &Settings, grid: &Grid) -> Self::Settings;

    /// The most units that one call can ever be admitted for, at this capacity.
    fn most(context: &Context<'_, Self>, capacity: u64) -> u64;

    /// The user's source of draws, who can notice how often it is asked; `None`: the default one.
    fn random(settings: &Self::Settings) -> Option<&dyn Random>;

    /// Admits or refuses the call. `None` of a dead state.
    fn decide(&self, context: &Context<'_, Self>, call: &Call<'_>) -> Option<RateLimitDecision>;

    /// [`KeyState::decide`] for a caller that waits if it is refused: a decline is not recorded,
    /// and the verdict says when units leave the window.
    fn try_acquire(&self, context: &Context<'_, Self>, call: &Call<'_>) -> Option<Verdict>;

    /// The answer of [`KeyState::decide`] on a key that may be unknown, with nothing recorded.
    /// `None` of a dead state.
    fn peek(
        state: Option<&Self>,
        context: &Context<'_, Self>,
        call: &Call<'_>,
    ) -> Option<RateLimitDecision>;

    /// The refusal of a call that does not fit below its capacity, because of this usage. `None` where the
    /// strategy has more to ask, or to record.
    fn refusal(
        _context: &Context<'_, Self>,
        _call: &Call<'_>,
        _usage: u64,
        _retry_hint: Option<RetryHint>,
    ) -> Option<RateLimitDecision> {
        None
    }

    /// Records a wait that was given up. `None` of a dead state.
    fn give_up(&self, _context: &Context<'_, Self>, _call: &Call<'_>) -> Option<()> {
        Some(())
    }

    /// A state that begins now.
    fn new(timeline: &Timeline, now: Now) -> Self;

    /// The window of admitted units; the state is dead when this is.
    fn admitted(&self) -> &Window;

    /// Retires the state if nothing in it counts, and nothing was added for `stale_after` ticks.
    /// Returns whether it is dead.
    fn retire(&self, timeline: &Timeline, now: Now, stale_after: u64) -> bool;

    /// Whether [`KeyState::retire`] would end it now, or it is dead.
    fn is_idle(&self, timeline: &Timeline, now: Now, stale_after: u64) -> bool;

    /// Heap bytes that it has allocated.
    fn heap_bytes(&self) -> usize;
}

/// Everything that a decision depends on besides the call and the key's state.
pub(crate) struct Context<'a, V: KeyState> {
    pub(crate) config: &'a Config,
    pub(crate) timeline: &'a Timeline,
    pub(crate) settings: &'a V::Settings,
}

impl<V: KeyState> Context<'_, V> {
    /// Adds to a window, where that is rare.
    #[inline(never)]
    pub(crate) fn add_slow(&self, window: &Window, tick: u64, count: u64, limit: Limit) -> Outcome {
        window.add(self.timeline, tick, count, limit)
    }
}

/// The bucket that an addition was counted in.
#[inline(always)]
#[expect(clippy::inline_always, reason = "see `Window::add`")]
pub(crate) fn bucket_of(outcome: Outcome) -> Bucket {
    match outcome {
        Outcome::Admitted { mark, .. } => Bucket::new(mark.tick, mark.at),
        Outcome::Rejected { .. } | Outcome::Dead => Bucket::NONE,
    }
}

/// `None` of a dead window: look the key up again.
#[inline]
pub(crate) fn alive(outcome: Outcome) -> Option<Outcome> {
    match outcome {
        Outcome::Dead => None,
        alive => Some(alive),
    }
}
