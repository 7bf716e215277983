//! Forgetting keys, and ticks that wrap.

// each breaks: G1

use super::{ADVANCE, Bug, LAYOUT, SNAPSHOT, WINDOW};
use crate::checks::Check::Random;

pub(super) const BUGS: &[Bug] = &[
    // breaks: G1 G5
    Bug {
        name: "floor-not-raised-by-retire",
        what: "a fresh window may be judged at a time when the old one counted",
        file: WINDOW,
        original: "floor.fetch_max(now, Ordering::Relaxed);\n        // The CAS proves",
        seeded: "// The CAS proves",
        by: &[Random("families::alone")],
    },
    Bug {
        name: "floor-not-raised-by-restart",
        what: "a restarted window may be judged at a time when its marks counted",
        file: ADVANCE,
        original: "        floor.fetch_max(now, Ordering::Relaxed);\n        let cum",
        seeded: "        let _ = floor;\n        let cum",
        by: &[Random("families::ancient_readings")],
    },
    // breaks: G1 G5
    Bug {
        name: "floor-not-read",
        what: "nobody is held back by the floor",
        file: SNAPSHOT,
        original: "now.max(latest).max(floor())",
        seeded: "now.max(latest).max(floor().min(0))",
        by: &[Random("families::alone")],
    },
    // breaks: G1 G5
    Bug {
        name: "floor-read-before-the-state",
        what: "the floor is read before the state that it is for",
        file: WINDOW,
        original: "        let mut pin = None;\n        loop {\n            let Some(snapshot) = self.snapshot(layout, &mut pin) else { return Outcome::Dead };",
        seeded: "        let mut pin = None;\n        let early = floor.load(Ordering::Relaxed);\n        let floor_now = AtomicU64::new(early);\n        loop {\n            let floor = &floor_now;\n            let Some(snapshot) = self.snapshot(layout, &mut pin) else { return Outcome::Dead };",
        by: &[Random("families::ancient_readings")],
    },
    // breaks: G1 G5
    Bug {
        name: "retire-whatever-came-in",
        what: "a key is retired though units came in meanwhile",
        file: WINDOW,
        original: "self.commit(&snapshot, Layout::kill(snapshot.state))",
        seeded: "{ self.kill(); true }",
        by: &[Random("families::retire")],
    },
    // breaks: G1 G5
    Bug {
        name: "retire-without-kill",
        what: "a retired window goes on admitting",
        file: WINDOW,
        original: "self.commit(&snapshot, Layout::kill(snapshot.state))",
        seeded: "self.commit(&snapshot, snapshot.state)",
        by: &[Random("families::alone")],
    },
    // breaks: G1 G5
    Bug {
        name: "retire-busy",
        what: "a key is retired though units count",
        file: WINDOW,
        original: "if usage.units != 0 || self.idle_for(&snapshot, now) < stale_after || !besides() {",
        seeded: "if self.idle_for(&snapshot, now) < stale_after || !besides() {",
        by: &[Random("families::alone")],
    },
    // breaks: G5
    Bug {
        name: "retire-fresh",
        what: "a key is retired before its time",
        file: WINDOW,
        original: "if usage.units != 0 || self.idle_for(&snapshot, now) < stale_after || !besides() {",
        seeded: "if usage.units != 0 || !besides() {\n            let _ = stale_after;",
        by: &[Random("families::alone")],
    },
    // breaks: G1 G5
    Bug {
        name: "dead-unnoticed",
        what: "a dead window goes on admitting",
        file: WINDOW,
        original: "        if Layout::is_dead(state) {\n            return None;\n        }\n",
        seeded: "",
        by: &[Random("families::retire")],
    },
    // breaks: G5
    Bug {
        name: "dead-is-known",
        what: "a reset says that it knew a key which was gone",
        file: WINDOW,
        original: "        !Layout::is_dead(state)\n    }",
        seeded: "        !Layout::is_dead(state & !1)\n    }",
        by: &[Random("families::retire")],
    },
    Bug {
        name: "restart-keeps-cum",
        what: "a restart leaves announcements in flight valid",
        file: ADVANCE,
        original: "let cum = snapshot.cum().wrapping_add(snapshot.layout.stride());",
        seeded: "let cum = snapshot.cum();",
        by: &[Random("families::ancient_readings")],
    },
    Bug {
        name: "restart-without-exchange",
        what: "a full ring loses marks while it is exchanged, by a restart",
        file: ADVANCE,
        original: "if snapshot.len() != 0 {\n            self.free_slot(snapshot)?;\n        }",
        seeded: "",
        by: &[Random("families::ancient_readings")],
    },
    Bug {
        name: "restart-raises-latest-first",
        what: "`latest` vouches for marks that are too old for it",
        file: ADVANCE,
        original: "        floor.fetch_max(now, Ordering::Relaxed);\n        let cum",
        seeded: "        floor.fetch_max(now, Ordering::Relaxed);\n        self.latest.fetch_max(now, Ordering::Relaxed);\n        let cum",
        by: &[Random("families::ancient_readings")],
    },
    Bug {
        name: "latest-not-raised",
        what: "`latest` falls behind the marks",
        file: ADVANCE,
        original: "if now > latest.saturating_add(layout.quarter() / 2) {",
        seeded: "if false {",
        by: &[Random("families::alone_at_the_end_of_time")],
    },
    Bug {
        name: "latest-runs-ahead",
        what: "`latest` is raised beside a sleeper that may commit an older mark",
        file: ADVANCE,
        original: "if snapshot.len() == 0 && now > latest.saturating_add(layout.quarter()) {",
        seeded: "if false {",
        by: &[Random("families::restart")],
    },
    // breaks: G1 G2
    Bug {
        name: "announcement-of-another-turn",
        what: "a mark announced a turn of the ticks ago is joined",
        file: ADVANCE,
        original: "if snapshot.len() == 0 && !layout.comparable(now, latest, ahead) {",
        seeded: "if false {",
        by: &[Random("latest_runs_away")],
    },
    // breaks: G1 G2
    Bug {
        name: "old-reading-believed",
        what: "a very old clock reading is compared as if it were near",
        file: SNAPSHOT,
        original: "        let now = now.max(latest);\n",
        seeded: "",
        by: &[Random("families::alone_wrapping_ticks")],
    },
    // breaks: G1 G2
    Bug {
        name: "any-reading-comparable",
        what: "readings are compared whatever `latest` says",
        file: LAYOUT,
        original: "now.abs_diff(latest) <= self.quarter && since.unsigned_abs() < self.quarter",
        seeded: "{ let _ = (now, latest); since.unsigned_abs() < self.quarter }",
        by: &[Random("families::alone_wrapping_ticks")],
    },
    // breaks: G1 G2
    Bug {
        name: "ticks-comparable-too-far",
        what: "ticks are compared up to a half of their range",
        file: LAYOUT,
        original: "now.abs_diff(latest) <= self.quarter && since.unsigned_abs() < self.quarter",
        seeded: "now.abs_diff(latest) <= self.quarter && since.unsigned_abs() < 2 * self.quarter",
        by: &[Random("latest_is_raised")],
    },
];
