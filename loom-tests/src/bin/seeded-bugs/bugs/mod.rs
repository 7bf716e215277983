//! The bugs. Each replaces a text that stands exactly once in the function it names.
//!
//! A bug that cargo-mutants makes as well has no place here; see `loom-tests/mutants.sh`.

mod admission;
mod fast_path;
mod lease;
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
    /// The broken thing, for the table.
    pub(crate) what: &'static str,
    /// The guarantees that it breaks, for `loom-tests/guarantees.sh`.
    pub(crate) breaks: &'static str,
    /// `Type::function`, `Trait for Type::function`, `function` or `const NAME`, with
    /// the folder before it where it is not the only one: `window::Type::function`.
    pub(crate) within: &'static str,
    /// As short as can be. Space, comments and a comma before a closing bracket make no difference.
    pub(crate) original: &'static str,
    pub(crate) seeded: &'static str,
    /// The checks that noticed it before, and run first.
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
        lease::BUGS,
    ]
    .concat()
}
