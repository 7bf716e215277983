//! Time as all windows of a map share it: how they pack it, and how far back it may still be.

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::window::layout::Layout;

/// Shared by all windows of a map.
pub(crate) struct Timeline {
    layout: Layout,
    floor: Floor,
}

/// No window without marks admits anything at an earlier tick than this; see `window`.
///
/// Away from the layout, which every decision reads: a retirement writes here. Two lines:
/// processors fetch them in pairs.
#[repr(align(128))]
struct Floor(AtomicU64);

impl Timeline {
    pub(crate) fn new(layout: Layout) -> Self {
        Self { layout, floor: Floor(AtomicU64::new(0)) }
    }

    #[inline]
    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// To be called after the load of the state that has no marks.
    #[inline]
    pub(in crate::window) fn floor(&self) -> u64 {
        // Relaxed: raised before the kill or the restart that led to that state, and ordered by
        // its Acquire load, or by the map's lookup of the fresh window.
        self.floor.0.load(Ordering::Relaxed)
    }

    /// To be called before the commit of a kill or a restart at tick `now`.
    pub(in crate::window) fn raise_floor(&self, now: u64) {
        // Relaxed: published by that commit: a thread that finds its outcome is judged no earlier
        // than `now`.
        self.floor.0.fetch_max(now, Ordering::Relaxed);
    }
}
