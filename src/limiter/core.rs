//! Both strategies of an in-process limiter, and what belongs to neither.

use core::hash::{BuildHasher, Hash};
use core::time::Duration;

use crate::key::Window;
use crate::limiter::cleaner::Cleaner;
use crate::limiter::frame::Frame;
use crate::limiter::observer::{Observer, Strategy};
use crate::limiter::side::Side;
use crate::limiter::thinned::Thinned;
use crate::policy::suppressed::Thinning;
use crate::random::Random;

/// Shared by all handles.
pub(crate) struct Core<K, S> {
    pub(crate) absolute: Side<K, Window, S>,
    pub(crate) suppressed: Side<K, Thinned, S>,
    pub(crate) thinning: Thinning,
    /// `None`: the default source, drawn from without an indirect call.
    pub(crate) random: Option<Box<dyn Random>>,
    pub(crate) cleaner: Cleaner,
}

/// Everything that the builder has settled.
pub(crate) struct Plan<K, S> {
    pub(crate) frame: Frame,
    pub(crate) thinning: Thinning,
    pub(crate) hasher: S,
    pub(crate) max_keys: Option<u32>,
    pub(crate) random: Option<Box<dyn Random>>,
    pub(crate) observer: Option<Observer<K>>,
}

impl<K, S> Core<K, S>
where
    K: Hash + Eq + Clone,
    S: BuildHasher + Clone,
{
    pub(crate) fn new(plan: Plan<K, S>) -> Self {
        let Plan { frame, thinning, hasher, max_keys, random, observer } = plan;
        Self {
            absolute: Side::new(
                frame.clone(),
                Strategy::Absolute,
                hasher.clone(),
                max_keys,
                observer.clone(),
            ),
            suppressed: Side::new(frame, Strategy::Suppressed, hasher, max_keys, observer),
            thinning,
            random,
            cleaner: Cleaner::default(),
        }
    }
}

impl<K, S> Core<K, S>
where
    K: Hash + Eq + Clone,
    S: BuildHasher,
{
    /// The hard limit that goes with a soft one.
    #[inline]
    pub(crate) fn hard_limit(&self, soft: u64) -> u64 {
        self.thinning.hard_limit(soft, self.suppressed.frame.layout.most())
    }

    pub(crate) fn sweep(&self, stale_after: Duration, go_on: impl Fn() -> bool) -> usize {
        self.absolute.sweep(stale_after, &go_on) + self.suppressed.sweep(stale_after, &go_on)
    }
}
