//! the fast path, and the note that it goes by.

use super::{ADVANCE, Bug, FAST_PATH, NOTE, WINDOW};
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
        original: "let _ = self.note.replace(claim, Noted::kept(layout, usage.base, tick));",
        seeded: "let _ = self.note.replace(self.note.load(), Noted::kept(layout, usage.base, tick));\n            let _ = claim;",
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
        file: ADVANCE,
        original: "self.commit_marks(snapshot, snapshot.layout.with_window(snapshot.state, cum, 0))",
        seeded: "self.commit(snapshot, snapshot.layout.with_window(snapshot.state, cum, 0))",
        by: &[Random("sleepers::a_note_outlives_a_restart")],
    },
    // breaks: G1
    Bug {
        name: "fill-up-keeps-the-note",
        what: "a window that is filled up leaves what the note says of the marks",
        file: ADVANCE,
        original: "self.commit_marks(snapshot, full)",
        seeded: "self.commit(snapshot, full)",
        by: &[Random("families::clip")],
    },
    // breaks: G1
    Bug {
        name: "fast_path-state-relaxed",
        what: "the fast path may see marks of another state",
        file: FAST_PATH,
        original: "let state = self.state.load(Ordering::Acquire);",
        seeded: "let state = self.state.load(Ordering::Relaxed);",
        by: &[Random("families::restart")],
    },
    // breaks: G3
    Bug {
        name: "fast_path-latest-relaxed",
        what: "the fast path may compare old marks with a later turn of the ticks",
        file: FAST_PATH,
        original: "let latest = self.latest.load(Ordering::Acquire);",
        seeded: "let latest = self.latest.load(Ordering::Relaxed);",
        by: &[Random("sleepers::a_turn_of_the_ticks_beside_a_glance")],
    },
    // breaks: G1
    Bug {
        name: "fast_path-marks-relaxed",
        what: "the fast path may read a later mark without noticing",
        file: FAST_PATH,
        original: "marks.slot(index).load(Ordering::Acquire)",
        seeded: "marks.slot(index).load(Ordering::Relaxed)",
        by: &[Random("families::admit")],
    },
    // breaks: G3
    Bug {
        name: "fast_path-unvalidated",
        what: "a rejection on the fast path does not look at the state again",
        file: FAST_PATH,
        original: "if self.state.load(Ordering::Relaxed) == state {",
        seeded: "if true {",
        by: &[Random("families::admit")],
    },
    // breaks: G1
    Bug {
        name: "fast_path-of-another-tick",
        what: "what is kept of one tick is used in another",
        file: FAST_PATH,
        original: "            if !note.is_of(layout, now) {",
        seeded: "            if false {",
        by: &[Random("families::alone")],
    },
    // breaks: G2
    Bug {
        name: "fast_path-ignores-refunds",
        what: "the fast path counts what was given back",
        file: FAST_PATH,
        original: "if len == 0 || note.is_refund() {",
        seeded: "if len == 0 {",
        by: &[Random("families::alone")],
    },
    // breaks: G2
    Bug {
        name: "fast_path-at-the-edge",
        what: "the fast path counts a mark for a tick too long",
        file: FAST_PATH,
        original: "since_oldest >= layout.span()",
        seeded: "since_oldest > layout.span()",
        by: &[Random("families::alone")],
    },
    // breaks: G1
    Bug {
        name: "fast_path-of-any-time",
        what: "the fast path compares ticks however far apart",
        file: FAST_PATH,
        original: "|| now.abs_diff(latest) > layout.quarter() / 2",
        seeded: "|| now.abs_diff(latest) > layout.quarter() * 9",
        by: &[Random("families::alone_wrapping_ticks")],
    },
    // breaks: G3
    Bug {
        name: "fast_path-hints-too-early",
        what: "the oldest mark is said to be enough when one unit more stands in the way",
        file: FAST_PATH,
        original: "if total - most <= usage.wrapping_sub(followers) =>",
        seeded: "if total - most <= usage.wrapping_sub(followers) + 1 =>",
        by: &[Random("families::alone")],
    },
    // breaks: G3
    Bug {
        name: "fast_path-panics-between-states",
        what: "marks of different states are taken from each other before the state is validated",
        file: FAST_PATH,
        original: "if total - most <= usage.wrapping_sub(followers) =>",
        seeded: "if total - most <= usage - followers =>",
        by: &[RealSizes("families::clocks_apart")],
    },
];
