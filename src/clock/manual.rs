use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;

use crate::{Clock, Watch};

/// A clock that moves only when told to: for tests that never sleep.
///
/// Clones share the same time. Threads in `acquire` look again whenever it is moved. It stops at 584 years.
///
/// ```
/// use core::time::Duration;
/// use trypema::{Clock, ManualClock};
///
/// let clock = ManualClock::new();
/// let shared = clock.clone();
/// clock.advance(Duration::from_millis(1_500));
/// assert_eq!(shared.now(), Duration::from_millis(1_500));
/// shared.set(Duration::from_secs(1)); // a clock never goes back
/// assert_eq!(clock.now(), Duration::from_millis(1_500));
/// ```
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    shared: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    nanos: AtomicU64,
    /// Threads to wake when the clock is moved. Locked by those that wait and those that move the
    /// clock, never by a decision.
    watchers: Mutex<Vec<Thread>>,
}

impl Inner {
    fn watchers(&self) -> MutexGuard<'_, Vec<Thread>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(&self) {
        for thread in &*self.watchers() {
            thread.unpark();
        }
    }
}

impl ManualClock {
    /// A clock at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves time on.
    pub fn advance(&self, by: Duration) {
        let by = saturating_nanos(by);
        let moved = |nanos: u64| Some(nanos.saturating_add(by));
        // AcqRel and Acquire: a thread that reads the new time sees everything done before it was set,
        // as a test expects of "first this, then the clock moved".
        let _ = self.shared.nanos.fetch_update(Ordering::AcqRel, Ordering::Acquire, moved);
        self.shared.wake_all();
    }

    /// Moves time on to `now`; does nothing if that is in the past.
    pub fn set(&self, now: Duration) {
        // AcqRel: as in `advance`.
        self.shared.nanos.fetch_max(saturating_nanos(now), Ordering::AcqRel);
        self.shared.wake_all();
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.now_nanos())
    }

    fn now_nanos(&self) -> u64 {
        // Acquire: pairs with `advance` and `set`.
        self.shared.nanos.load(Ordering::Acquire)
    }

    fn watch(&self, thread: &Thread) -> Option<Watch> {
        self.shared.watchers().push(thread.clone());
        let (shared, id) = (Arc::clone(&self.shared), thread.id());
        Some(Watch::new(move || {
            let mut watchers = shared.watchers();
            if let Some(at) = watchers.iter().position(|thread| thread.id() == id) {
                watchers.swap_remove(at);
            }
        }))
    }
}

fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
