//! The bugs. Each replaces a text that stands exactly once in its file.

mod admission;
mod glance;
mod orderings;
mod others;
mod redis;
mod refunds;
mod wrapping;

use crate::checks::Check;

/// A way to break the library.
#[derive(Debug, Clone)]
pub(crate) struct Bug {
    pub(crate) name: &'static str,
    /// What is broken, for the table.
    pub(crate) what: &'static str,
    pub(crate) file: &'static str,
    pub(crate) original: &'static str,
    pub(crate) seeded: &'static str,
    /// What noticed it before, and is asked first.
    pub(crate) by: &'static [Check],
}

/// All of them.
pub(crate) fn all() -> Vec<Bug> {
    [
        orderings::BUGS,
        admission::BUGS,
        glance::BUGS,
        refunds::BUGS,
        wrapping::BUGS,
        others::BUGS,
        redis::BUGS,
    ]
    .concat()
}

const WINDOW: &str = "src/key/window.rs";
const ROLL: &str = "src/key/roll.rs";
const SNAPSHOT: &str = "src/key/snapshot.rs";
const LAYOUT: &str = "src/key/layout.rs";
const NOTE: &str = "src/key/note.rs";
const GLANCE: &str = "src/key/glance.rs";
const HINT: &str = "src/key/hint.rs";
const SEARCH: &str = "src/key/search.rs";
const RING: &str = "src/key/ring.rs";
const KEPT: &str = "src/key/kept.rs";
const LANES: &str = "src/key/lanes.rs";
const SLOTS: &str = "src/store/slots.rs";
const LINE: &str = "src/wait/line.rs";
const BREAKER: &str = "src/redis/breaker.rs";
const EPOCHS: &str = "src/redis/epochs.rs";
const GRID: &str = "src/policy/grid.rs";
