//! Units given back.

// each breaks: G1

use super::{ADVANCE, Bug, NOTE, SNAPSHOT, WINDOW};
use crate::checks::Check::Random;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        name: "refund-unvalidated",
        what: "a refund does not look at the state again",
        file: WINDOW,
        original: "            if !self.holds(&snapshot) {\n                continue;\n            }\n            if units == 0",
        seeded: "            if units == 0",
        by: &[Random("families::clip_refund")],
    },
    Bug {
        name: "refund-at-a-later-reading",
        what: "a refund forgives what still counts for older readings",
        file: WINDOW,
        original: "&& usage.live < snapshot.len()",
        seeded: "&& false",
        by: &[Random("families::alone")],
    },
    Bug {
        name: "refund-over-returns",
        what: "a refund says it gave back all that was asked for",
        file: WINDOW,
        original: "return Some(units);",
        seeded: "return Some(count);",
        by: &[Random("families::alone")],
    },
    Bug {
        name: "refund-unbounded",
        what: "a refund gives back units that are not there",
        file: WINDOW,
        original: "let units = count.min(usage.units);",
        seeded: "let units = count.min(layout.most());",
        by: &[Random("families::alone")],
    },
    Bug {
        name: "refund-of-any-word",
        what: "a refund overwrites one that came meanwhile",
        file: WINDOW,
        original: "if self.note.replace(snapshot.note, noted) {",
        seeded: "if self.note.replace(self.note.load(), noted) {",
        by: &[Random("families::clip_refund")],
    },
    // breaks: G1 G2
    Bug {
        name: "refund-dated-by-the-oldest",
        what: "a refund counts as long as the oldest mark it touches",
        file: WINDOW,
        original: "let noted = Noted::refund(layout, position, layout.tick(last));",
        seeded: "let noted = Noted::refund(layout, position, layout.tick(snapshot.mark(usage.first)));\n            let _ = last;",
        by: &[Random("families::alone")],
    },
    // breaks: G2
    Bug {
        name: "refund-dated-by-the-newest",
        what: "a refund counts as long as the newest mark",
        file: WINDOW,
        original: "let noted = Noted::refund(layout, position, layout.tick(last));",
        seeded: "let noted = Noted::refund(layout, position, snapshot.newest_tick());\n            let _ = last;",
        by: &[Random("families::alone")],
    },
    Bug {
        name: "outdated-refund-cleared-early",
        what: "an outdated refund is cleared before the mark that outdates it",
        file: ADVANCE,
        original: "if outdated && snapshot.len() == 0 && !self.forget_refund(snapshot) {",
        seeded: "if outdated && !self.forget_refund(snapshot) {",
        by: &[Random("families::clip_refund")],
    },
    // breaks: G1 G3
    Bug {
        name: "outdated-refund-kept",
        what: "an outdated refund is not cleared",
        file: ADVANCE,
        original: "if committed && outdated {",
        seeded: "if false && outdated {",
        by: &[Random("alone_turning_ticks")],
    },
    // breaks: G1 G3
    Bug {
        name: "outdated-refund-kept-without-marks",
        what: "a refund survives a restart",
        file: ADVANCE,
        original: "if outdated && snapshot.len() == 0 && !self.forget_refund(snapshot) {",
        seeded: "if false {",
        by: &[Random("restart_past_refund")],
    },
    Bug {
        name: "refund-cleared-whole",
        what: "the refund word returns to an earlier value",
        file: NOTE,
        original: "Self(Layout::of_kind(self.0, VOID))",
        seeded: "Self(VOID)",
        by: &[Random("families::refund")],
    },
    // breaks: G1 G2
    Bug {
        name: "refund-of-marks-gone",
        what: "a refund counts though its mark has left the window",
        file: SNAPSHOT,
        original: "        if since < 0 || since >= layout.span().cast_signed() {",
        seeded: "        if since >= layout.span().cast_signed() {",
        by: &[Random("families::alone")],
    },
    // breaks: G1 G2
    Bug {
        name: "refund-of-another-turn",
        what: "a refund of another turn of the ticks counts",
        file: SNAPSHOT,
        original: "        if since < 0 || since >= layout.span().cast_signed() {",
        seeded: "        if since < 0 {",
        by: &[Random("a_refund_sleeps")],
    },
    // breaks: G1 G3
    Bug {
        name: "refund-first-mark-kept",
        what: "the first mark counts though all its units were given back",
        file: SNAPSHOT,
        original: "        Usage { first, base, units, forgiven: true, ..usage }",
        seeded: "        let _ = first;\n        Usage { base, units, forgiven: true, ..usage }",
        by: &[Random("families::alone")],
    },
    // breaks: G5
    Bug {
        name: "idle-by-empty-marks",
        what: "an empty mark makes a key look busy",
        file: WINDOW,
        original: "layout.ticks_between(snapshot.newest_addition(), now)",
        seeded: "layout.ticks_between(snapshot.newest_tick(), now)",
        by: &[Random("alone")],
    },
];
