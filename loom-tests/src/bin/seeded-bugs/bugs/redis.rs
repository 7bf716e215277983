//! Parts that callers of Redis share.

use super::Bug;
use crate::checks::Check::Loom;

pub(super) const BUGS: &[Bug] = &[
    Bug {
        name: "breaker-many-probes",
        breaks: "G7",
        what: "whoever finds the moment of a probe past probes",
        within: "Breaker::ask",
        original: "moved.is_ok()",
        seeded: "(moved.is_ok() || true)",
        by: &[Loom("models::breaker")],
    },
    Bug {
        name: "breaker-closed-relaxed",
        breaks: "G7",
        what: "who goes once it is closed may miss what the probe has seen to",
        within: "Breaker::succeeded",
        original: "Ordering::Release",
        seeded: "Ordering::Relaxed",
        by: &[Loom("models::breaker")],
    },
    Bug {
        name: "breaker-asked-relaxed",
        breaks: "G7",
        what: "the same, by a reader that acquires nothing",
        within: "Breaker::ask",
        original: "Ordering::Acquire",
        seeded: "Ordering::Relaxed",
        by: &[Loom("models::breaker")],
    },
    Bug {
        name: "breaker-loses-failures",
        breaks: "G7",
        what: "a failure beside another is not counted",
        within: "Breaker::failed",
        original: "Err(newer) => word = newer",
        seeded: "Err(_) => return false",
        by: &[Loom("models::breaker")],
    },
    Bug {
        name: "breaker-heeds-late-failures",
        breaks: "G7",
        what: "a failure of before it opened counts as one of the probe",
        within: "Breaker::failed",
        original: "(false, _) => return false",
        seeded: "(false, _) => self.open_from(now)",
        by: &[Loom("models::breaker")],
    },
    Bug {
        name: "epoch-begun-relaxed",
        breaks: "G3",
        what: "what was learned before a change may carry the epoch after it",
        within: "Generations::begin",
        original: "fetch_add(1, Ordering::Release)",
        seeded: "fetch_add(1, Ordering::Relaxed)",
        by: &[Loom("models::generations")],
    },
    Bug {
        name: "epoch-read-relaxed",
        breaks: "G3",
        what: "the same, by a reader that acquires nothing",
        within: "Generations::current",
        original: "load(Ordering::Acquire)",
        seeded: "load(Ordering::Relaxed)",
        by: &[Loom("models::generations")],
    },
];
