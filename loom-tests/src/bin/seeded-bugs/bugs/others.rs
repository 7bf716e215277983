//! Hints, and the protocols beside the window.

use super::{Bug, EXPIRING, GALLOP, GRID, QUEUE, RETRY_HINT, SLOT_POOL, STRIPES, WINDOW};
use crate::checks::Check::{Loom, Random};

pub(super) const BUGS: &[Bug] = &[
    // breaks: G3
    Bug {
        name: "hint-one-mark-late",
        what: "the wait that is told ends a mark too late",
        file: RETRY_HINT,
        original: ">= wanted;",
        seeded: "> wanted;",
        by: &[Random("families::alone")],
    },
    // breaks: G3
    Bug {
        name: "hint-of-all-that-is-left",
        what: "what is left after the wait is counted from the mark itself",
        file: RETRY_HINT,
        original: "left_after: layout.units_between(start(age + 1), snapshot.cum()),",
        seeded: "left_after: layout.units_between(start(age), snapshot.cum()),",
        by: &[Random("families::admit")],
    },
    // breaks: G2 G3
    Bug {
        name: "search-one-early",
        what: "a search ends one before the threshold",
        file: GALLOP,
        original: "    (above < len).then_some(above)",
        seeded: "    (above < len).then_some(below)",
        by: &[Random("families::alone")],
    },
    // breaks: G3
    Bug {
        name: "hint-bucket-early",
        what: "the wait that is told ends a bucket early",
        file: GRID,
        original: "(tick + 1) * self.bucket_ms",
        seeded: "tick * self.bucket_ms",
        by: &[Random("units_are_gone")],
    },
    // breaks: thinning
    Bug {
        name: "kept-until-first",
        what: "a kept number is not stored",
        file: EXPIRING,
        original: "        // Relaxed: published by the store below.\n        self.value.store(value, Ordering::Relaxed);\n",
        seeded: "",
        by: &[Random("parts::kept_numbers_are_good")],
    },
    // breaks: thinning
    Bug {
        name: "kept-until-relaxed",
        what: "a kept number is found good before it is there",
        file: EXPIRING,
        original: "self.until.store(until, Ordering::Release);",
        seeded: "self.until.store(until, Ordering::Relaxed);",
        by: &[Random("parts::kept_numbers_are_good")],
    },
    // breaks: thinning
    Bug {
        name: "kept-load-relaxed",
        what: "a kept number is read before it is known to be good",
        file: EXPIRING,
        original: "let until = self.until.load(Ordering::Acquire);",
        seeded: "let until = self.until.load(Ordering::Relaxed);",
        by: &[Random("parts::kept_numbers_are_good")],
    },
    // breaks: thinning
    Bug {
        name: "stripes-without-the-first",
        what: "what was counted before there were stripes is forgotten",
        file: STRIPES,
        original: "core::iter::once(&self.first).chain(stripes)",
        seeded: "core::iter::once(&self.first).filter(|_| self.others.get().is_none()).chain(stripes)",
        by: &[Random("parts::stripes"), Loom("stripes")],
    },
    // breaks: thinning
    Bug {
        name: "stripes-unread",
        what: "what is added to a stripe counts for nothing",
        file: STRIPES,
        original: "core::iter::once(&self.first).chain(stripes)",
        seeded: "core::iter::once(&self.first).chain(stripes.take(0))",
        by: &[Random("parts::stripes"), Loom("stripes")],
    },
    // breaks: thinning
    Bug {
        name: "stripes-moved",
        what: "who makes the stripes adds to one of them what it has added before",
        file: STRIPES,
        original: "        if conflicts >= CONTENTION {\n            self.widen(layout, now);\n        }\n",
        seeded: "        if conflicts >= CONTENTION {\n            self.widen(layout, now);\n            self.add(layout, floor, now, count, thread);\n        }\n",
        by: &[Random("parts::stripes"), Loom("stripes")],
    },
    // breaks: thinning G5
    Bug {
        name: "retirement-not-held-up",
        what: "a decline on an idle key leaves the state as it was",
        file: WINDOW,
        original: "            if usage.units > 0 {\n                return Some(());",
        seeded: "            if usage.units < u64::MAX {\n                return Some(());",
        by: &[Loom("stripes")],
    },
    // breaks: thinning G5
    Bug {
        name: "declines-looked-at-too-early",
        what: "who retires a key looks at its declines before it loads the state",
        file: WINDOW,
        original: "        let mut pin = None;\n        let Some(snapshot) = self.snapshot(layout, &mut pin) else { return true };\n        let (usage, now) = self.look(&snapshot, now);\n        // After the state was loaded, and before it is found to be unchanged.\n        if usage.units != 0 || self.idle_for(&snapshot, now) < stale_after || !besides() {",
        seeded: "        let mut pin = None;\n        let objects = !besides();\n        let Some(snapshot) = self.snapshot(layout, &mut pin) else { return true };\n        let (usage, now) = self.look(&snapshot, now);\n        if usage.units != 0 || self.idle_for(&snapshot, now) < stale_after || objects {",
        by: &[Loom("stripes")],
    },
    // breaks: G6
    Bug {
        name: "slots-uncounted",
        what: "a slot on top again is taken for the same stack",
        file: SLOT_POOL,
        original: "const CHANGE: u64 = 1 << 32;\nconst SLOT: u64 = CHANGE - 1;",
        seeded: "const CHANGE: u64 = 0;\nconst SLOT: u64 = (1 << 32) - 1;",
        by: &[Random("slots")],
    },
    // breaks: G6
    Bug {
        name: "slots-give-relaxed",
        what: "a slot is given back without what lies below it",
        file: SLOT_POOL,
        original: "match self.head.compare_exchange(head, next, Ordering::Release, Ordering::Relaxed) {",
        seeded: "match self.head.compare_exchange(head, next, Ordering::Relaxed, Ordering::Relaxed) {",
        by: &[Random("parts::slots_have_one_holder")],
    },
    // breaks: G6
    Bug {
        name: "slots-take-relaxed",
        what: "the top slot is read without what lies below it",
        file: SLOT_POOL,
        original: "let mut head = self.head.load(Ordering::Acquire);",
        seeded: "let mut head = self.head.load(Ordering::Relaxed);",
        by: &[Random("parts::slots_have_one_holder")],
    },
    // breaks: G6
    Bug {
        name: "slots-chain-broken",
        what: "taking a slot breaks the chain of publications",
        file: SLOT_POOL,
        original: "Ordering::AcqRel, Ordering::Acquire)",
        seeded: "Ordering::Relaxed, Ordering::Relaxed)",
        by: &[Random("parts::slots_have_one_holder")],
    },
    // breaks: acquire
    Bug {
        name: "line-forgets-to-wake",
        what: "whoever leaves passes the turn on without waking anybody",
        file: QUEUE,
        original: "first.turn.store(true, Ordering::Release);\n                    first.thread.unpark();",
        seeded: "first.turn.store(true, Ordering::Release);",
        by: &[Loom("models::line")],
    },
    // breaks: acquire
    Bug {
        name: "line-turn-not-passed",
        what: "whoever leaves keeps the turn",
        file: QUEUE,
        original: "first.turn.store(true, Ordering::Release);",
        seeded: "",
        by: &[Loom("models::line")],
    },
    // breaks: acquire
    Bug {
        name: "line-turn-relaxed",
        what: "the turn is passed without what it was used for",
        file: QUEUE,
        original: "first.turn.store(true, Ordering::Release);",
        seeded: "first.turn.store(true, Ordering::Relaxed);",
        by: &[Loom("models::line")],
    },
    // breaks: acquire
    Bug {
        name: "line-turn-load-relaxed",
        what: "the turn is taken without what it was used for",
        file: QUEUE,
        original: "self.waiter.turn.load(Ordering::Acquire)",
        seeded: "self.waiter.turn.load(Ordering::Relaxed)",
        by: &[Loom("models::line")],
    },
    // breaks: acquire
    Bug {
        name: "line-join-unfenced",
        what: "freed units and a thread that joins miss each other",
        file: QUEUE,
        original: "        fence(Ordering::SeqCst);\n        QueueEntry {",
        seeded: "        QueueEntry {",
        by: &[Loom("models::line")],
    },
    // breaks: acquire
    Bug {
        name: "line-freed-unfenced",
        what: "a thread that joins and freed units miss each other",
        file: QUEUE,
        original: "        // Pairs with the fence in `join`.\n        fence(Ordering::SeqCst);\n        // Relaxed: ordered by the fence.",
        seeded: "        // Relaxed: ordered by the fence.",
        by: &[Loom("models::line")],
    },
    // breaks: acquire
    Bug {
        name: "line-empty-relaxed",
        what: "a line is found empty before what its last thread did",
        file: QUEUE,
        original: "self.line.waiting.fetch_sub(1, Ordering::Release);",
        seeded: "self.line.waiting.fetch_sub(1, Ordering::Relaxed);",
        by: &[Loom("models::line")],
    },
];
