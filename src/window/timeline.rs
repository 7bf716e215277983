//! Time as all windows of a map share it: how they pack it, and how far back it may still be.

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::window::layout::Layout;

/// Shared by all windows of a map.
pub(crate) struct Timeline {
    layout: Layout,
    ends: Ends,
}

/// Facts about windows that have ended, for those that begin later.
///
/// Apart from the layout, which every decision reads. Two lines: processors fetch them in pairs.
#[repr(align(128))]
struct Ends {
    /// No window without marks admits anything at an earlier tick than this; see `window`.
    floor: AtomicU64,
    /// How many windows have ended with marks inside.
    generation: AtomicU64,
}

impl Timeline {
    pub(crate) fn new(layout: Layout) -> Self {
        let ends = Ends { floor: AtomicU64::new(0), generation: AtomicU64::new(0) };
        Self { layout, ends }
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
        self.ends.floor.load(Ordering::Relaxed)
    }

    /// To be called before the commit of a kill or a restart at tick `now`.
    pub(in crate::window) fn raise_floor(&self, now: u64) {
        // Relaxed: published by that commit: a thread that finds its outcome is judged no earlier
        // than `now`.
        self.ends.floor.fetch_max(now, Ordering::Relaxed);
    }

    /// To be called after the kill of every window, by a caller who forgets them all: no window that
    /// ended before is to be remembered, so that nothing has to be judged any later than its clock says.
    pub(crate) fn forget_floor(&self) {
        // Relaxed: a window that is retired at the same time may be forgotten with the others.
        self.ends.floor.store(0, Ordering::Relaxed);
    }

    /// A number that differs from that of any window of the same key which ended before with marks
    /// inside.
    #[inline]
    pub(in crate::window) fn generation(&self) -> u64 {
        // Relaxed: as for the floor.
        self.ends.generation.load(Ordering::Relaxed)
    }

    /// To be called before the kill of a window with marks inside.
    pub(crate) fn begin_generation(&self) {
        // Relaxed: as for the floor.
        self.ends.generation.fetch_add(1, Ordering::Relaxed);
    }
}
