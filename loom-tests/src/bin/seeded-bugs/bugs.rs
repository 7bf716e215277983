//! The bugs. Each replaces a text that stands exactly once in its file.

/// A way to break the library.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bug {
    pub(crate) name: &'static str,
    pub(crate) file: &'static str,
    pub(crate) original: &'static str,
    pub(crate) seeded: &'static str,
    /// Suites that should notice, in the order they are run: `loom`, `reclaim` (loom with the real
    /// crossbeam-epoch), or a file of `tests/`.
    pub(crate) suites: &'static [&'static str],
}

const LOOM: &[&str] = &["loom"];
const BOTH: &[&str] = &["loom", "absolute"];
const PROPERTIES: &[&str] = &["absolute"];
const WINDOW: &str = "src/key/window.rs";
const SNAPSHOT: &str = "src/key/snapshot.rs";
const HINT: &str = "src/key/hint.rs";
const RING: &str = "src/key/ring.rs";
const KEPT: &str = "src/key/kept.rs";
const SLOTS: &str = "src/store/slots.rs";
const LINE: &str = "src/wait/line.rs";
const GRID: &str = "src/policy/grid.rs";

const fn bug(
    name: &'static str,
    file: &'static str,
    suites: &'static [&'static str],
    original: &'static str,
    seeded: &'static str,
) -> Bug {
    Bug { name, file, original, seeded, suites }
}

pub(crate) const BUGS: [Bug; 38] = [
    // --- what an ordering is for -------------------------------------------------------------
    bug(
        "state-cas-relaxed",
        WINDOW,
        LOOM,
        "compare_exchange(snapshot.state, next, Ordering::Release, Ordering::Relaxed)",
        "compare_exchange(snapshot.state, next, Ordering::Relaxed, Ordering::Relaxed)",
    ),
    bug(
        "state-load-relaxed",
        WINDOW,
        LOOM,
        "let state = self.state.load(Ordering::Acquire);\n        if Layout",
        "let state = self.state.load(Ordering::Relaxed);\n        if Layout",
    ),
    bug(
        "announcement-relaxed",
        WINDOW,
        LOOM,
        ".compare_exchange(found, mark, Ordering::Release, Ordering::Relaxed)",
        ".compare_exchange(found, mark, Ordering::Relaxed, Ordering::Relaxed)",
    ),
    bug(
        "mark-load-relaxed",
        SNAPSHOT,
        LOOM,
        "self.view.slot(index).load(Ordering::Acquire)",
        "self.view.slot(index).load(Ordering::Relaxed)",
    ),
    bug(
        "given-load-relaxed",
        WINDOW,
        LOOM,
        "let given = self.given.load(Ordering::Acquire);",
        "let given = self.given.load(Ordering::Relaxed);",
    ),
    bug(
        "ring-swap-relaxed",
        RING,
        LOOM,
        "Ordering::AcqRel, // pairs with the Acquire load in `view`",
        "Ordering::Relaxed,",
    ),
    bug(
        "ring-load-relaxed",
        RING,
        LOOM,
        "let ring = self.ring.load(Ordering::Acquire, guard);",
        "let ring = self.ring.load(Ordering::Relaxed, guard);",
    ),
    // --- what a check is for -----------------------------------------------------------------
    bug(
        "full-tested-on-new-length",
        WINDOW,
        LOOM,
        "        if len == slots {",
        "        let len = snapshot.live_at(snapshot.newest_tick() + 1);\n        if len == slots {",
    ),
    bug(
        "reject-unvalidated",
        WINDOW,
        LOOM,
        "                if self.holds(&snapshot) {\n                    return Outcome::Rejected",
        "                if true {\n                    return Outcome::Rejected",
    ),
    bug(
        "free-slot-unvalidated",
        WINDOW,
        LOOM,
        "self.holds(snapshot).then_some(FreeSlot { found, is_announced })",
        "Some(FreeSlot { found, is_announced })",
    ),
    bug(
        "exchange-unvalidated",
        WINDOW,
        LOOM,
        "if !self.holds(snapshot) {\n            return;\n        }",
        "",
    ),
    bug(
        "announcement-overwritten",
        WINDOW,
        LOOM,
        "        if is_announced {",
        "        if false && is_announced {",
    ),
    bug("earlier-announcement-joined", WINDOW, LOOM, "if ahead < 0 {", "if false {"),
    bug(
        "floor-not-raised-by-retire",
        WINDOW,
        LOOM,
        "floor.fetch_max(now, Ordering::Relaxed);\n        // The CAS proves",
        "// The CAS proves",
    ),
    bug(
        "floor-not-read",
        SNAPSHOT,
        LOOM,
        "now.max(latest).max(floor())",
        "now.max(latest).max(floor().min(0))",
    ),
    bug(
        "retire-whatever-came-in",
        WINDOW,
        LOOM,
        "self.commit(&snapshot, Layout::kill(snapshot.state))",
        "{ self.kill(); true }",
    ),
    bug(
        "restart-keeps-cum",
        WINDOW,
        LOOM,
        "let cum = snapshot.cum().wrapping_add(snapshot.layout.stride());",
        "let cum = snapshot.cum();",
    ),
    bug(
        "refund-unvalidated",
        WINDOW,
        LOOM,
        "            if !self.holds(&snapshot) {\n                continue;\n            }\n            if units == 0",
        "            if units == 0",
    ),
    bug("refund-at-a-later-reading", WINDOW, LOOM, "&& sight.live < snapshot.len()", "&& false"),
    bug(
        "outdated-refund-cleared-early",
        WINDOW,
        LOOM,
        "if outdated && snapshot.len() == 0 && !self.forget_refund(snapshot) {",
        "if outdated && !self.forget_refund(snapshot) {",
    ),
    bug(
        "announcement-told-after-the-look",
        WINDOW,
        LOOM,
        "let FreeSlot { found, is_announced } = self.free_slot(snapshot)?;",
        "let FreeSlot { found, .. } = self.free_slot(snapshot)?;\n        let is_announced = snapshot.is_announced(found);",
    ),
    bug("refund-over-returns", WINDOW, BOTH, "return Some(units);", "return Some(count);"),
    bug(
        "outdated-refund-kept",
        WINDOW,
        BOTH,
        "if committed && outdated {",
        "if false && outdated {",
    ),
    bug(
        "restart-without-exchange",
        WINDOW,
        LOOM,
        "if snapshot.len() != 0 {\n            self.free_slot(snapshot)?;\n        }",
        "",
    ),
    bug(
        "fill-up-keeps-older-marks",
        WINDOW,
        BOTH,
        "layout.with_mark(state, layout.most(), 1)",
        "layout.with_mark(state, layout.most() - sight.usage, live + 1)",
    ),
    bug(
        "ring-freed-at-once",
        RING,
        &["reclaim"],
        "unsafe { guard.defer_destroy(view.ring) };",
        "drop(unsafe { view.ring.into_owned() });",
    ),
    bug(
        "ring-loaded-unpinned",
        RING,
        &["reclaim"],
        "let guard = pin.get_or_insert_with(epoch::pin);",
        "let guard = { let _ = &pin; unprotected };",
    ),
    // --- the other protocols -------------------------------------------------------------------
    bug(
        "kept-until-first",
        KEPT,
        LOOM,
        "        // Relaxed: published by the store below.\n        self.value.store(value, Ordering::Relaxed);\n",
        "",
    ),
    bug(
        "kept-until-relaxed",
        KEPT,
        LOOM,
        "self.until.store(until, Ordering::Release);",
        "self.until.store(until, Ordering::Relaxed);",
    ),
    bug(
        "slots-uncounted-changes",
        SLOTS,
        LOOM,
        "let next = (head & !SLOT).wrapping_add(CHANGE) | below;",
        "let next = (head & !SLOT) | below;",
    ),
    bug(
        "slots-give-relaxed",
        SLOTS,
        LOOM,
        "match self.head.compare_exchange(head, next, Ordering::Release, Ordering::Relaxed) {",
        "match self.head.compare_exchange(head, next, Ordering::Relaxed, Ordering::Relaxed) {",
    ),
    bug(
        "line-forgets-to-wake",
        LINE,
        LOOM,
        "first.turn.store(true, Ordering::Release);\n                    first.thread.unpark();",
        "first.turn.store(true, Ordering::Release);",
    ),
    bug("line-turn-not-passed", LINE, LOOM, "first.turn.store(true, Ordering::Release);", ""),
    bug(
        "line-join-unfenced",
        LINE,
        LOOM,
        "        fence(Ordering::SeqCst);\n        Place {",
        "        Place {",
    ),
    bug(
        "line-freed-unfenced",
        LINE,
        LOOM,
        "        // Pairs with the fence in `join`.\n        fence(Ordering::SeqCst);\n        // Relaxed: ordered by the fence.",
        "        // Relaxed: ordered by the fence.",
    ),
    // --- off by one ----------------------------------------------------------------------------
    bug("window-edge-early", SNAPSHOT, BOTH, "< span.cast_signed()", "< span.cast_signed() - 1"),
    bug("hint-one-mark-late", HINT, PROPERTIES, ">= wanted;", "> wanted;"),
    bug("hint-bucket-early", GRID, PROPERTIES, "(tick + 1).saturating_mul", "tick.saturating_mul"),
];
