//! The short way, and the note that it goes by.

use super::{Bug, GLANCE, NOTE, ROLL, WINDOW};
use crate::checks::Check::{Random, RealSizes};

pub(super) const BUGS: &[Bug] = &[
    // breaks: G1
    Bug {
        name: "note-not-voided",
        what: "a mark is committed without an end to what the note says",
        file: WINDOW,
        original: "if note.ends_with_marks() && !self.note.replace(note, note.voided()) {",
        seeded: "if false {",
        by: &[Random("families::alone")],
    },
    // breaks: G1
    Bug {
        name: "note-kept-unclaimed",
        what: "a note is kept whatever has come into its place",
        file: WINDOW,
        original: "let _ = self.note.replace(claim, Noted::kept(layout, sight.base, tick));",
        seeded: "let _ = self.note.replace(self.note.load(), Noted::kept(layout, sight.base, tick));\n            let _ = claim;",
        by: &[Random("families::clip")],
    },
    // breaks: G1
    Bug {
        name: "claim-unvalidated",
        what: "a claim is put there though the state has moved",
        file: WINDOW,
        original: "                && self.holds(snapshot)\n                && self.note.replace(snapshot.note, claim);",
        seeded: "                && self.note.replace(snapshot.note, claim);",
        by: &[Random("sleepers::a_claim_comes_late")],
    },
    // breaks: G1
    Bug {
        name: "claim-twice",
        what: "a claim is put back after it was voided",
        file: NOTE,
        original: "VOID => self.position(layout) != claim.position(layout),",
        seeded: "VOID => true,",
        by: &[Random("sleepers::a_claim_comes_back")],
    },
    // breaks: G1
    Bug {
        name: "restart-keeps-the-note",
        what: "a restart leaves what the note says of the marks",
        file: ROLL,
        original: "self.commit_marks(snapshot, snapshot.layout.with_window(snapshot.state, cum, 0))",
        seeded: "self.commit(snapshot, snapshot.layout.with_window(snapshot.state, cum, 0))",
        by: &[Random("sleepers::a_note_outlives_a_restart")],
    },
    // breaks: G1
    Bug {
        name: "fill-up-keeps-the-note",
        what: "a window that is filled up leaves what the note says of the marks",
        file: ROLL,
        original: "self.commit_marks(snapshot, full)",
        seeded: "self.commit(snapshot, full)",
        by: &[Random("families::clip")],
    },
    // breaks: G1
    Bug {
        name: "glance-state-relaxed",
        what: "the short way may see marks of another state",
        file: GLANCE,
        original: "let state = self.state.load(Ordering::Acquire);",
        seeded: "let state = self.state.load(Ordering::Relaxed);",
        by: &[Random("families::restart")],
    },
    // breaks: G3
    Bug {
        name: "glance-latest-relaxed",
        what: "the short way may compare old marks with a later turn of the ticks",
        file: GLANCE,
        original: "let latest = self.latest.load(Ordering::Acquire);",
        seeded: "let latest = self.latest.load(Ordering::Relaxed);",
        by: &[Random("sleepers::a_turn_of_the_ticks_beside_a_glance")],
    },
    // breaks: G1
    Bug {
        name: "glance-marks-relaxed",
        what: "the short way may read a later mark without noticing",
        file: GLANCE,
        original: "marks.slot(index).load(Ordering::Acquire)",
        seeded: "marks.slot(index).load(Ordering::Relaxed)",
        by: &[Random("families::admit")],
    },
    // breaks: G3
    Bug {
        name: "glance-unvalidated",
        what: "a rejection on the short way does not look at the state again",
        file: GLANCE,
        original: "if self.state.load(Ordering::Relaxed) == state {",
        seeded: "if true {",
        by: &[Random("families::admit")],
    },
    // breaks: G1
    Bug {
        name: "glance-of-another-tick",
        what: "what is kept of one tick is used in another",
        file: GLANCE,
        original: "            if !note.is_of(layout, now) {",
        seeded: "            if false {",
        by: &[Random("families::alone")],
    },
    // breaks: G2
    Bug {
        name: "glance-ignores-refunds",
        what: "the short way counts what was given back",
        file: GLANCE,
        original: "if len == 0 || note.is_refund() {",
        seeded: "if len == 0 {",
        by: &[Random("families::alone")],
    },
    // breaks: G2
    Bug {
        name: "glance-at-the-edge",
        what: "the short way counts a mark for a tick too long",
        file: GLANCE,
        original: "since_oldest >= layout.span()",
        seeded: "since_oldest > layout.span()",
        by: &[Random("families::alone")],
    },
    // breaks: G1
    Bug {
        name: "glance-of-any-time",
        what: "the short way compares ticks however far apart",
        file: GLANCE,
        original: "|| now.abs_diff(latest) > layout.quarter() / 2",
        seeded: "|| now.abs_diff(latest) > layout.quarter() * 9",
        by: &[Random("families::alone_wrapping_ticks")],
    },
    // breaks: G3
    Bug {
        name: "glance-hints-too-early",
        what: "the oldest mark is said to be enough when one unit more stands in the way",
        file: GLANCE,
        original: "if total - most <= usage.wrapping_sub(followers) =>",
        seeded: "if total - most <= usage.wrapping_sub(followers) + 1 =>",
        by: &[Random("families::alone")],
    },
    // breaks: G3
    Bug {
        name: "glance-panics-between-states",
        what: "marks of different states are taken from each other before the state is validated",
        file: GLANCE,
        original: "if total - most <= usage.wrapping_sub(followers) =>",
        seeded: "if total - most <= usage - followers =>",
        by: &[RealSizes("families::clocks_apart")],
    },
];
