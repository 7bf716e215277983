//! The bugs. Each replaces a text that stands exactly once in its file.

mod admission;
mod fast_path;
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
        fast_path::BUGS,
        refunds::BUGS,
        wrapping::BUGS,
        others::BUGS,
        redis::BUGS,
    ]
    .concat()
}

const WINDOW: &str = "src/window/window.rs";
const ADVANCE: &str = "src/window/advance.rs";
const SNAPSHOT: &str = "src/window/snapshot.rs";
const LAYOUT: &str = "src/window/layout.rs";
const NOTE: &str = "src/window/note.rs";
const FAST_PATH: &str = "src/window/fast_path.rs";
const RETRY_HINT: &str = "src/window/retry_hint.rs";
const GALLOP: &str = "src/window/gallop.rs";
const RING: &str = "src/window/ring.rs";
const EXPIRING: &str = "src/window/expiring.rs";
const STRIPES: &str = "src/window/striped.rs";
const SLOT_POOL: &str = "src/local/slot_pool.rs";
const QUEUE: &str = "src/wait/queue.rs";
const BREAKER: &str = "src/redis/net/breaker.rs";
const GENERATIONS: &str = "src/redis/generations.rs";
const GRID: &str = "src/policy/grid.rs";
