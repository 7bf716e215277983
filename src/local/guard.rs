//! Guards of papaya's maps for threads in any state.

use core::sync::atomic::{AtomicUsize, Ordering};

use papaya::{HashMap, LocalGuard, OwnedGuard};
use seize::{Collector, Guard};

use crate::thread_exit;

/// Keeps what is found in a map readable. Keep it for no longer than a decision: nothing that was
/// removed from the map is freed meanwhile.
pub(crate) enum MapGuard<'a> {
    Local(LocalGuard<'a>),
    /// For a thread that is ending: it takes a lock or two.
    Owned(OwnedGuard<'a>),
}

/// A guard for the calling thread.
#[inline]
pub(crate) fn guard<K, V, S>(map: &HashMap<K, V, S>) -> MapGuard<'_> {
    match thread_exit::running() {
        Some(_) => MapGuard::Local(map.guard()),
        None => MapGuard::Owned(map.owned_guard()),
    }
}

impl Guard for MapGuard<'_> {
    fn refresh(&mut self) {
        match self {
            Self::Local(guard) => guard.refresh(),
            Self::Owned(guard) => guard.refresh(),
        }
    }

    fn flush(&self) {
        match self {
            Self::Local(guard) => guard.flush(),
            Self::Owned(guard) => guard.flush(),
        }
    }

    #[inline]
    fn collector(&self) -> &Collector {
        match self {
            Self::Local(guard) => guard.collector(),
            Self::Owned(guard) => guard.collector(),
        }
    }

    fn thread_id(&self) -> usize {
        match self {
            Self::Local(guard) => guard.thread_id(),
            // Spreads a map's counters of its entries, and nothing else. An owned guard would look up
            // the thread's own number, which may be gone.
            Self::Owned(_) => {
                static NEXT: AtomicUsize = AtomicUsize::new(0);
                // Relaxed: any number will do.
                NEXT.fetch_add(1, Ordering::Relaxed)
            }
        }
    }

    unsafe fn defer_retire<T>(&self, ptr: *mut T, reclaim: unsafe fn(*mut T, &Collector)) {
        match self {
            // SAFETY: passed on as it came.
            Self::Local(guard) => unsafe { guard.defer_retire(ptr, reclaim) },
            // SAFETY: passed on as it came.
            Self::Owned(guard) => unsafe { guard.defer_retire(ptr, reclaim) },
        }
    }
}
