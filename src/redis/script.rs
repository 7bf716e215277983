//! Scripts: put together from the parts in `lua/`, where the protocol is told, and known to the
//! server by their hash.

use std::sync::OnceLock;

use ::redis::Script as Hashed;

use crate::policy::Grid;
use crate::policy::suppressed::Suppression;

const FORMATS: &str = include_str!("../../lua/formats.lua");
const WINDOW: &str = include_str!("../../lua/window.lua");
const JUDGE: &str = include_str!("../../lua/judge.lua");
const ADD: &str = include_str!("../../lua/add.lua");
const REFUND: &str = include_str!("../../lua/refund.lua");
const UNDO: &str = include_str!("../../lua/undo.lua");
const SUPPRESSED_DECIDE: &str = include_str!("../../lua/suppressed_decide.lua");

// The arguments of an operation, by the names that the parts take.
const TAKE_LIMIT: &str = "local count, capacity = ARGV[1] + 0, ARGV[2] + 0\n";
const TAKE_LIMITS: &str = "\
    local count, soft, hard = ARGV[1] + 0, ARGV[2] + 0, ARGV[3] + 0\n\
    local rate, draw, afresh = ARGV[4] + 0, ARGV[5] + 0, false\n";
const TAKE_COUNT: &str = "local count = ARGV[1] + 0\n";
const TAKE_DECLINED: &str = "local count = 0\ndeclined = ARGV[1] + 0\n";
const TAKE_BUCKET: &str = "local count, bucket = ARGV[1] + 0, ARGV[2] + 0\n";
const TAKE_GIVEN: &str = "local given = ARGV[1] + 0\n";
/// Between the limits, whatever the usage.
const TAKE_RATE: &str = "\
    local rate, draw, afresh = ARGV[1] + 0, 0, true\n\
    local count, soft, hard = 0, -1, 9007199254740991\n";

/// A call that is not admitted is counted as declined.
const DECLINE: &str = "if not admitted then count, declined = 0, count end\n";
/// A thread waits: a call that is not admitted is not counted. Between the limits another draw may
/// help (-1); above the hard one, by which `JUDGE` goes next, time does.
const WAIT: &str = "\
    if not admitted and total <= hard then return -1 end\n\
    local capacity = hard\n";

/// `ADD` has packed it: two counts whose difference is the usage, and the bucket between them.
const REPLY_COUNTED: &str = "return counted\n";
/// What `ADD` would leave: the usage with what would be counted, and the bucket.
const REPLY_FITS: &str = "return pack('<I7I6', usage + count, tick)\n";
/// Admitted and declined units that count.
const REPLY_USAGE: &str = "return pack('<I7I7', cum - base, declined and dcum - dbase or 0)\n";
/// As `REPLY_COUNTED`; past the soft limit the usage, the bucket, whether the call was admitted, and the
/// factor to its last bit.
const REPLY_SUPPRESSED: &str = "\
    if not factor then return counted end\n\
    return pack('<I7I6Bd', cum - base, tick, admitted and 1 or 0, factor)\n";
/// The same of a call that was not counted.
const REPLY_LOOKED: &str = "\
    if not factor then return pack('<I7I6', total, tick) end\n\
    return pack('<I7I6Bd', admitted and total or cum - base, tick, admitted and 1 or 0, factor)\n";
const REPLY_FACTOR: &str = "return pack('<d', factor)\n";

/// Microseconds, the unit of time of the scripts, in a millisecond.
const MILLI: u64 = 1_000;

/// What the server can be asked to do with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Inc,
    /// What `Inc` would say.
    Look,
    /// As `Inc`, but a call that is not admitted is not counted.
    Wait,
    Usage,
    Record,
    Refund,
    Undo,
    /// Counts a decline. Suppressed alone, as the next.
    Decline,
    Factor,
}

/// Whose formats a script has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Absolute,
    Suppressed,
}

impl Operation {
    const ALL: [Self; 9] = [
        Self::Inc,
        Self::Look,
        Self::Wait,
        Self::Usage,
        Self::Record,
        Self::Refund,
        Self::Undo,
        Self::Decline,
        Self::Factor,
    ];

    /// How many arguments its script takes, and the parts that come after `lua/window.lua`.
    fn parts(self, family: Family) -> (usize, &'static [&'static str]) {
        match (self, family) {
            (Self::Inc | Self::Wait, Family::Absolute) => {
                (2, &[TAKE_LIMIT, JUDGE, ADD, REPLY_COUNTED])
            }
            (Self::Look, Family::Absolute) => (2, &[TAKE_LIMIT, JUDGE, REPLY_FITS]),
            (Self::Inc, Family::Suppressed) => {
                (5, &[TAKE_LIMITS, SUPPRESSED_DECIDE, DECLINE, ADD, REPLY_SUPPRESSED])
            }
            (Self::Look, Family::Suppressed) => {
                (5, &[TAKE_LIMITS, SUPPRESSED_DECIDE, REPLY_LOOKED])
            }
            (Self::Wait, Family::Suppressed) => {
                (5, &[TAKE_LIMITS, SUPPRESSED_DECIDE, WAIT, JUDGE, ADD, REPLY_SUPPRESSED])
            }
            (Self::Usage, _) => (0, &[REPLY_USAGE]),
            (Self::Record, _) => (1, &[TAKE_COUNT, ADD, REPLY_COUNTED]),
            (Self::Refund, _) => (1, &[TAKE_GIVEN, REFUND]),
            (Self::Undo, _) => (2, &[TAKE_BUCKET, UNDO]),
            (Self::Decline, _) => (1, &[TAKE_DECLINED, ADD, REPLY_COUNTED]),
            (Self::Factor, _) => (1, &[TAKE_RATE, SUPPRESSED_DECIDE, REPLY_FACTOR]),
        }
    }
}

/// A script that the server may know already.
#[derive(Debug)]
pub(crate) struct Script {
    settings: String,
    family: Family,
    parts: &'static [&'static str],
    /// In hex.
    pub(crate) hash: String,
}

/// The scripts of one strategy for one window. Each is made when it is first used.
#[derive(Debug)]
pub(crate) struct Scripts {
    settings: Settings,
    family: Family,
    made: [OnceLock<Script>; Operation::ALL.len()],
}

/// What the scripts for a window have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) grid: Grid,
    pub(crate) suppression: Suppression,
    /// Whether tests tell the time: then the server forgets a day later than it would.
    pub(crate) told_time: bool,
}

impl Scripts {
    pub(crate) fn new(family: Family, settings: Settings) -> Self {
        Self { settings, family, made: Default::default() }
    }

    pub(crate) fn get(&self, operation: Operation) -> &Script {
        self.made[operation as usize].get_or_init(|| {
            let (arguments, parts) = operation.parts(self.family);
            let settings = match self.family {
                Family::Absolute => self.settings.common(arguments),
                Family::Suppressed => self.settings.common(arguments) + &self.settings.of_demand(),
            };
            Script::new(settings, self.family, parts)
        })
    }
}

impl Script {
    fn new(settings: String, family: Family, parts: &'static [&'static str]) -> Self {
        let mut script = Self { settings, family, parts, hash: String::new() };
        script.hash = Hashed::new(&script.text()).get_hash().to_owned();
        script
    }

    /// In full, without comments: servers keep it. Put together when a server asks for it.
    pub(crate) fn text(&self) -> String {
        let (absolute, suppressed) =
            FORMATS.split_once("-- SUPPRESSED\n").unwrap_or((FORMATS, FORMATS));
        let formats = match self.family {
            Family::Absolute => absolute,
            Family::Suppressed => suppressed,
        };
        let parts = [&self.settings, formats, WINDOW].into_iter().chain(self.parts.iter().copied());
        let lines = parts.flat_map(str::lines).map(str::trim_start);
        let mut text = String::new();
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with("--")) {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

impl Settings {
    /// `arguments`: how many the operation takes; the time comes after them, if tests tell it.
    fn common(&self, arguments: usize) -> String {
        format!(
            "local now, G, SPAN, TTL = ARGV[{now}], {bucket_us}, {span}, '{ttl}'\n",
            now = arguments + 1,
            bucket_us = self.bucket_ms() * MILLI,
            span = self.grid.span(),
            ttl = self.keep_ms(),
        )
    }

    /// How Suppressed measures the demand.
    fn of_demand(&self) -> String {
        let Suppression { recent_span, recent_s, window_s, refresh_ns, .. } = self.suppression;
        format!(
            "local RECENT, RECENT_S, WINDOW_S, REFRESH = {recent_span}, {recent_s}, {window_s}, {refresh}\n",
            refresh = refresh_ns.div_ceil(1_000),
        )
    }

    /// How long the server keeps a key after its newest bucket began: the window and two buckets, in
    /// milliseconds.
    fn keep_ms(&self) -> u64 {
        /// A day.
        const LONG: u64 = 86_400_000;
        let bucket_ms = self.bucket_ms();
        let held_ms = (self.grid.span() - 1) * bucket_ms;
        held_ms + 2 * bucket_ms + if self.told_time { LONG } else { 0 }
    }

    fn bucket_ms(&self) -> u64 {
        // A hundred years at most.
        u64::try_from(self.grid.bucket().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::collections::HashSet;
    use std::fs;
    use std::path::Path;

    use super::{Family, Operation, Scripts, Settings};
    use crate::policy::Grid;
    use crate::policy::suppressed::Suppression;

    /// `.ci/lua` has the scripts written to a folder, and runs a linter over them.
    #[test]
    fn each_operation_has_a_script_of_its_own() {
        let grid = Grid::new(Duration::from_secs(60), Duration::from_millis(100), 1_000).unwrap();
        let suppression = Suppression::new(&grid, 1.5, Duration::from_millis(100));
        let settings = Settings { grid, suppression, told_time: false };
        let mut hashes = HashSet::new();
        for family in [Family::Absolute, Family::Suppressed] {
            let scripts = Scripts::new(family, settings);
            for operation in Operation::ALL {
                if family == Family::Absolute
                    // Nobody waits, declines or suppresses there.
                    && [Operation::Wait, Operation::Decline, Operation::Factor].contains(&operation)
                {
                    continue;
                }
                let script = scripts.get(operation);
                assert!(hashes.insert(script.hash.clone()), "{family:?} {operation:?}");
                if let Ok(folder) = std::env::var("TRYPEMA_SCRIPTS") {
                    let name = format!("{family:?}_{operation:?}.lua").to_lowercase();
                    fs::write(Path::new(&folder).join(name), script.text()).unwrap();
                }
            }
        }
    }
}
