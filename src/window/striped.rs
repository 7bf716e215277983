//! A count that many threads add to and few read, spread over several windows.
//!
//! One window serves until additions contend. From then on there are several, the *stripes*; each thread
//! always adds to the same one, so that threads on different stripes write no common word. The usage is
//! the sum over all of them. Each window is exact, and units stay in the window they were added to. The
//! sum reads the windows one after the other: good enough to estimate a demand, but not for a limit, so
//! nothing is ever rejected here.
//!
//! Stripes stay until their key is forgotten. The first window keeps its units; only threads that have
//! not yet seen the stripes still add to it.

use crate::sync::{CONTENTION, OnceBox, STRIPES};
use crate::window::timeline::Timeline;
use crate::window::window::Window;

/// A window, and the stripes beside it once additions contend.
pub(crate) struct Striped {
    first: Window,
    others: OnceBox<[Stripe; STRIPES]>,
}

/// A window that shares no line with another. Two lines: processors fetch them in pairs.
#[repr(align(128))]
struct Stripe(Window);

impl Striped {
    pub(crate) fn new(timeline: &Timeline, now: u64) -> Self {
        Self { first: Window::new(timeline, now), others: OnceBox::new() }
    }

    /// Adds `count` units at tick `now`, as [`Window::add`] does without a limit. `thread` is the
    /// calling thread's number.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Window::add_with`")]
    pub(crate) fn add(&self, timeline: &Timeline, now: u64, count: u64, thread: usize) {
        let window = match self.others.get() {
            None => &self.first,
            Some(stripes) => &stripes[thread % STRIPES].0,
        };
        let mut conflicts = 0;
        window.add_noting(timeline, now, count, &mut conflicts);
        if conflicts >= CONTENTION {
            self.widen(timeline, now);
        }
    }

    /// Makes the stripes, if there are none.
    #[cold]
    pub(crate) fn widen(&self, timeline: &Timeline, now: u64) {
        self.others
            .get_or_init(|| Box::new(core::array::from_fn(|_| Stripe(Window::new(timeline, now)))));
    }

    /// [`Window::usage`] of all.
    pub(crate) fn usage(&self, timeline: &Timeline, now: u64) -> u64 {
        let usages = self.windows().filter_map(|window| window.usage(timeline, now));
        usages.fold(0, u64::saturating_add)
    }

    /// [`Window::usage_and_recent`] of all.
    pub(crate) fn usage_and_recent(&self, timeline: &Timeline, now: u64, span: u64) -> (u64, u64) {
        let of_window = |window: &Window| window.usage_and_recent(timeline, now, span);
        let sums = self.windows().filter_map(of_window);
        sums.fold((0, 0), |(usage, recent), (more_usage, more_recent)| {
            (usage.saturating_add(more_usage), recent.saturating_add(more_recent))
        })
    }

    /// Whether nothing counts at tick `now`.
    pub(crate) fn is_idle(&self, timeline: &Timeline, now: u64) -> bool {
        self.windows().all(|window| window.is_idle(timeline, now, 0))
    }

    /// Heap bytes held at present.
    pub(crate) fn heap_bytes(&self) -> usize {
        let stripes = self.others.get().map_or(0, size_of_val);
        stripes + self.windows().map(Window::heap_bytes).sum::<usize>()
    }

    fn windows(&self) -> impl Iterator<Item = &Window> {
        let stripes = self.others.get().into_iter().flatten().map(|Stripe(window)| window);
        core::iter::once(&self.first).chain(stripes)
    }
}
