//! Units given back.

use super::Bug;
use crate::checks::Check::Random;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        name: "refund-unvalidated",
        breaks: "G1",
        what: "a refund does not look at the state again",
        within: "Window::give_back",
        original: "!self.holds(&snapshot)",
        seeded: "false",
        by: &[Random("families::clip_refund")],
    },
    Bug {
        name: "refund-unbounded",
        breaks: "G1",
        what: "a refund gives back units that are not there",
        within: "Window::refund",
        original: "wanted.min(left.units)",
        seeded: "wanted",
        by: &[Random("families::alone")],
    },
    Bug {
        name: "refund-of-any-list",
        breaks: "G1",
        what: "a refund overwrites one that came meanwhile",
        within: "Window::give_back",
        original: "publish(&self.note, snapshot.note, ",
        seeded: "publish(&self.note, self.note.load(), ",
        by: &[Random("families::clip_refund")],
    },
];
