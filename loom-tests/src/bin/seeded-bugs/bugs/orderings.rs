//! What each ordering is for, and where rings are freed.

// each breaks: G1

use super::{ADVANCE, Bug, NOTE, RING, SNAPSHOT, WINDOW};
use crate::checks::Check::{Loom, Random, Reclaim};

pub(super) const BUGS: &[Bug] = &[
    Bug {
        name: "state-cas-relaxed",
        what: "the commit of a state publishes nothing",
        file: WINDOW,
        original: "compare_exchange(state, next, Ordering::Release, Ordering::Relaxed)",
        seeded: "compare_exchange(state, next, Ordering::Relaxed, Ordering::Relaxed)",
        by: &[Random("families::admit")],
    },
    Bug {
        name: "state-load-relaxed",
        what: "a state is read without what it was committed with",
        file: WINDOW,
        original: "let state = self.state.load(Ordering::Acquire);\n        if Layout",
        seeded: "let state = self.state.load(Ordering::Relaxed);\n        if Layout",
        by: &[Random("families::admit")],
    },
    Bug {
        name: "announcement-relaxed",
        what: "an announced mark does not come after the state it was made for",
        file: ADVANCE,
        original: ".compare_exchange(found, mark, Ordering::Release, Ordering::Relaxed)",
        seeded: ".compare_exchange(found, mark, Ordering::Relaxed, Ordering::Relaxed)",
        by: &[Random("families::admit")],
    },
    Bug {
        name: "mark-load-relaxed",
        what: "a later mark may be read without noticing",
        file: SNAPSHOT,
        original: "self.view.slot(index).load(Ordering::Acquire)",
        seeded: "self.view.slot(index).load(Ordering::Relaxed)",
        by: &[Random("families::admit")],
    },
    Bug {
        name: "note-load-relaxed",
        what: "a later refund may be read without noticing",
        file: NOTE,
        original: "Noted(self.0.load(Ordering::Acquire))",
        seeded: "Noted(self.0.load(Ordering::Relaxed))",
        by: &[Random("families::clip_refund")],
    },
    Bug {
        name: "note-cas-relaxed",
        what: "a note is not published with the state it was made for",
        file: NOTE,
        original: "                Ordering::AcqRel,\n",
        seeded: "                Ordering::Relaxed,\n",
        by: &[Random("families::clip_refund")],
    },
    Bug {
        name: "latest-load-relaxed",
        what: "marks are placed by a `latest` that was raised after them",
        file: WINDOW,
        original: "snapshot.decision_tick(now, self.latest.load(Ordering::Acquire), floor)",
        seeded: "snapshot.decision_tick(now, self.latest.load(Ordering::Relaxed), floor)",
        by: &[Loom("long_idle_key_beside_a_look")],
    },
    Bug {
        name: "latest-raise-relaxed",
        what: "`latest` is raised without the restart that it is for",
        file: ADVANCE,
        original: "            self.latest.fetch_max(now, Ordering::Release);\n        }\n        None",
        seeded: "            self.latest.fetch_max(now, Ordering::Relaxed);\n        }\n        None",
        by: &[Loom("long_idle_key_beside_a_look")],
    },
    Bug {
        name: "latest-step-relaxed",
        what: "`latest` is raised without the state that it is for",
        file: ADVANCE,
        original: "                self.latest.fetch_max(now, Ordering::Release);\n            }\n            let lap",
        seeded: "                self.latest.fetch_max(now, Ordering::Relaxed);\n            }\n            let lap",
        by: &[Random("latest_goes_round")],
    },
    // breaks: G1 G5
    Bug {
        name: "dead-load-relaxed",
        what: "a window may be found dead without the floor that was raised for it",
        file: WINDOW,
        original: "Layout::is_dead(self.state.load(Ordering::Acquire))",
        seeded: "Layout::is_dead(self.state.load(Ordering::Relaxed))",
        by: &[Loom("sweep_beside_an_insisting")],
    },
    Bug {
        name: "ring-swap-relaxed",
        what: "a ring is published without its words",
        file: RING,
        original: "Ordering::AcqRel, // pairs with the Acquire load in `view`",
        seeded: "Ordering::Relaxed,",
        by: &[Random("families::admit")],
    },
    Bug {
        name: "ring-load-relaxed",
        what: "a ring is read without its words",
        file: RING,
        original: "let ring = self.ring.load(Ordering::Acquire, guard);",
        seeded: "let ring = self.ring.load(Ordering::Relaxed, guard);",
        by: &[Random("families::admit")],
    },
    // breaks: G4 G5
    Bug {
        name: "ring-freed-at-once",
        what: "an outgrown ring is freed under its readers",
        file: RING,
        original: "unsafe { guard.defer_destroy(view.ring) };",
        seeded: "drop(unsafe { view.ring.into_owned() });",
        by: &[Reclaim],
    },
    // breaks: G4 G5
    Bug {
        name: "ring-loaded-unpinned",
        what: "a ring is read without a pin",
        file: RING,
        original: "let guard = pin.get_or_insert_with(epoch::pin);",
        seeded: "let guard = { let _ = &pin; unsafe { epoch::unprotected() } };",
        by: &[Reclaim],
    },
];
