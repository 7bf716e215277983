//! The models, a file for each part of the protocol.

mod admit;
mod breaker;
mod expiring;
mod extremes;
mod forget;
mod generations;
mod lease;
mod reclaim;
mod refund;
mod rings;
mod several;
mod slot_pool;
mod stale;
mod striped;
mod undo;
mod wait_queue;
mod wrap;

use crate::explore::explore;
use crate::judge::{assert_sound, rejected};
use crate::scene::{Act, Answer, Lone};
use crate::window::Layout;

/// A model of additions alone: what was `before`, and what races.
struct Additions {
    layout: Layout,
    limit: u64,
    before: &'static [(u64, u64)],
    racing: &'static [Act],
}

impl Additions {
    fn new(span: u64, limit: u64, before: &'static [(u64, u64)], racing: &'static [Act]) -> Self {
        Self { layout: Layout::for_span(span), limit, before, racing }
    }

    fn with_layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// Explores, and asserts all that holds of additions, then what `judge` says besides.
    fn explore(self, name: &str, judge: impl Fn(&Lone, &[Answer]) + Send + Sync + 'static) {
        let Self { layout, limit, before, racing } = self;
        let prepare = move || Lone::with_layout(layout, limit, before);
        explore(name, racing, prepare, move |scene, answers| {
            assert_sound(scene, before, racing, answers);
            judge(scene, answers);
        });
    }

    /// [`Additions::explore`], where exactly one of the racing calls is rejected.
    fn explore_one_too_many(self, name: &str) {
        self.explore(name, |_, answers| {
            assert_eq!(rejected(answers), 1, "exactly one does not fit: {answers:?}");
        });
    }
}
