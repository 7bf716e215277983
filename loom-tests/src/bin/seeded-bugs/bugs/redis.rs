//! What callers of Redis share.

use super::{BREAKER, Bug, GENERATIONS};
use crate::checks::Check::Loom;

// each breaks: G7
pub(super) const BUGS: &[Bug] = &[
    Bug {
        name: "breaker-many-probes",
        what: "whoever finds the moment of a probe past probes",
        file: BREAKER,
        original: "if moved.is_ok() { Pass::Probe } else",
        seeded: "if moved.is_ok() || true { Pass::Probe } else",
        by: &[Loom("models::breaker")],
    },
    Bug {
        name: "breaker-closed-relaxed",
        what: "who goes once it is closed may miss what the probe has seen to",
        file: BREAKER,
        original: "self.word.store(0, Ordering::Release);",
        seeded: "self.word.store(0, Ordering::Relaxed);",
        by: &[Loom("models::breaker")],
    },
    Bug {
        name: "breaker-asked-relaxed",
        what: "the same, by a reader that acquires nothing",
        file: BREAKER,
        original: "let word = self.word.load(Ordering::Acquire);",
        seeded: "let word = self.word.load(Ordering::Relaxed);",
        by: &[Loom("models::breaker")],
    },
    Bug {
        name: "breaker-loses-failures",
        what: "a failure beside another is not counted",
        file: BREAKER,
        original: "Err(newer) => word = newer,",
        seeded: "Err(_) => return false,",
        by: &[Loom("models::breaker")],
    },
    Bug {
        name: "breaker-heeds-late-failures",
        what: "a failure of before it opened counts as one of the probe",
        file: BREAKER,
        original: "(false, _) => return false,",
        seeded: "(false, _) => self.open_from(now),",
        by: &[Loom("models::breaker")],
    },
    // breaks: G3
    Bug {
        name: "epoch-begun-relaxed",
        what: "what was learned before a change may carry the epoch after it",
        file: GENERATIONS,
        original: "fetch_add(1, Ordering::Release)",
        seeded: "fetch_add(1, Ordering::Relaxed)",
        by: &[Loom("models::epochs")],
    },
    // breaks: G3
    Bug {
        name: "epoch-read-relaxed",
        what: "the same, by a reader that acquires nothing",
        file: GENERATIONS,
        original: "load(Ordering::Acquire)",
        seeded: "load(Ordering::Relaxed)",
        by: &[Loom("models::epochs")],
    },
];
