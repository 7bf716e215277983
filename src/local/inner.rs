//! Both strategies of an in-process limiter, and what belongs to neither.

use core::hash::{BuildHasher, Hash};
use core::time::Duration;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use crate::clock::ClockSource;
use crate::local::cleanup::Cleaner;
use crate::local::observer::{Observer, Strategy};
use crate::local::suppressed_state::SuppressedState;
use crate::local::windows::Windows;
use crate::settings::{Settings, Windowing};
use crate::wait::Closed;
use crate::window::Window;

/// Shared by all handles.
pub(crate) struct Inner<K, S> {
    pub(crate) absolute: Windows<K, Window, S>,
    pub(crate) suppressed: Windows<K, SuppressedState, S>,
    pub(crate) cleaner: Cleaner,
    closed: Closed,
}

// The shared parts stay sound wherever a call panics: windows change by one compare-and-swap at a time, lines
// are left by destructors, and what a user's clock, observer or source of draws keeps is the user's.
impl<K, S> UnwindSafe for Inner<K, S> {}
impl<K, S> RefUnwindSafe for Inner<K, S> {}

/// Everything that the builder has settled, for each engine to be made by.
pub(crate) struct Plan<K, S> {
    pub(crate) settings: Settings,
    pub(crate) windowing: Windowing,
    pub(crate) clock: Arc<ClockSource>,
    pub(crate) hasher: S,
    pub(crate) max_keys: Option<u32>,
    pub(crate) closed: Closed,
    pub(crate) observer: Option<Observer<K>>,
}

impl<K, S> Inner<K, S>
where
    K: Hash + Eq + Clone,
    S: BuildHasher + Clone,
{
    pub(crate) fn new(plan: Plan<K, S>) -> Self {
        let closed = plan.closed.clone();
        let plan = Arc::new(plan);
        Self {
            absolute: Windows::new(Arc::clone(&plan), Strategy::Absolute),
            suppressed: Windows::new(plan, Strategy::Suppressed),
            cleaner: Cleaner::default(),
            closed,
        }
    }

    pub(crate) fn sweep(&self, stale_after: Duration, go_on: &dyn Fn() -> bool) -> usize {
        self.absolute.sweep(stale_after, go_on) + self.suppressed.sweep(stale_after, go_on)
    }

    /// Ends all waits, and those to come.
    pub(crate) fn close(&self) {
        self.closed.close();
        self.absolute.iter().for_each(|engine| engine.waiting.wake_all());
        self.suppressed.iter().for_each(|engine| engine.waiting.wake_all());
    }
}
