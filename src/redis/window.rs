//! One window of a strategy: keys have a usage of their own in each.

use crate::RateLimit;
use crate::key::Key;
use crate::policy::Grid;
use crate::policy::suppressed::Suppression;
use crate::redis::request::MAX_COUNT;
use crate::redis::script::{Family, Scripts, Settings};
use crate::wait::WaitQueue;

pub(crate) struct Window {
    pub(crate) grid: Grid,
    pub(crate) suppression: Suppression,
    pub(crate) scripts: Scripts,
    pub(crate) queue: WaitQueue<Key>,
    /// What the names of its keys begin with.
    name: String,
}

impl Window {
    pub(crate) fn new(prefix: &str, family: Family, settings: Settings) -> Self {
        let Settings { grid, suppression, .. } = settings;
        let letter = match family {
            Family::Absolute => 'a',
            Family::Suppressed => 's',
        };
        let (window_ms, bucket_ms) = (grid.window_ms(), grid.bucket().as_millis());
        Self {
            grid,
            suppression,
            scripts: Scripts::new(family, settings),
            queue: WaitQueue::new(),
            name: format!("{prefix}:{letter}:{window_ms}.{bucket_ms}:"),
        }
    }

    /// The full name of a key. Limiters of other windows or buckets never meet there.
    pub(crate) fn name_of(&self, key: &str) -> String {
        let mut name = String::with_capacity(self.name.len() + key.len());
        name.push_str(&self.name);
        name.push_str(key);
        name
    }

    /// What a finite rate allows, of what can be counted.
    pub(crate) fn capacity(&self, rate: &RateLimit) -> u64 {
        rate.capacity_of_millis(self.grid.window_ms()).min(MAX_COUNT)
    }
}
