//! Both strategies of an in-process limiter, and what belongs to neither.

use core::hash::{BuildHasher, Hash};
use core::time::Duration;

use crate::local::cleanup::Cleaner;
use crate::local::config::Config;
use crate::local::engine::Engine;
use crate::local::observer::{Observer, Strategy};
use crate::local::suppressed_state::{Settings, SuppressedState};
use crate::policy::suppressed::Suppression;
use crate::random::Random;
use crate::window::Window;

/// Shared by all handles.
pub(crate) struct Inner<K, S> {
    pub(crate) absolute: Engine<K, Window, S>,
    pub(crate) suppressed: Engine<K, SuppressedState, S>,
    pub(crate) cleaner: Cleaner,
}

/// Everything that the builder has settled.
pub(crate) struct Plan<K, S> {
    pub(crate) config: Config,
    pub(crate) suppression: Suppression,
    pub(crate) hasher: S,
    pub(crate) max_keys: Option<u32>,
    pub(crate) random: Option<Box<dyn Random>>,
    pub(crate) observer: Option<Observer<K>>,
}

impl<K, S> Inner<K, S>
where
    K: Hash + Eq + Clone,
    S: BuildHasher + Clone,
{
    pub(crate) fn new(plan: Plan<K, S>) -> Self {
        let Plan { config, suppression, hasher, max_keys, random, observer } = plan;
        Self {
            absolute: Engine::new(
                config.clone(),
                (),
                Strategy::Absolute,
                hasher.clone(),
                max_keys,
                observer.clone(),
            ),
            suppressed: Engine::new(
                config,
                Settings { suppression, random },
                Strategy::Suppressed,
                hasher,
                max_keys,
                observer,
            ),
            cleaner: Cleaner::default(),
        }
    }
}

impl<K, S> Inner<K, S>
where
    K: Hash + Eq + Clone,
    S: BuildHasher,
{
    pub(crate) fn sweep(&self, stale_after: Duration, go_on: impl Fn() -> bool) -> usize {
        self.absolute.sweep(stale_after, &go_on) + self.suppressed.sweep(stale_after, &go_on)
    }
}
