//! Scripts: put together from the parts in `lua/`, where the protocol is told, and known to the
//! server by their hash.

use ::redis::Script as Hashed;

use crate::policy::Grid;
use crate::policy::suppressed::Suppression;

const FORMATS: &str = include_str!("../../lua/formats.lua");
const WINDOW: &str = include_str!("../../lua/window.lua");
const JUDGE: &str = include_str!("../../lua/judge.lua");
const ADD: &str = include_str!("../../lua/add.lua");
const REFUND: &str = include_str!("../../lua/refund.lua");
const SUPPRESSED_DECIDE: &str = include_str!("../../lua/suppressed_decide.lua");

// The arguments of an operation, by the names that the parts take.
const TAKE_LIMIT: &str = "local count, capacity = ARGV[1] + 0, ARGV[2] + 0\n";
const TAKE_LIMITS: &str = "\
    local count, soft, hard = ARGV[1] + 0, ARGV[2] + 0, ARGV[3] + 0\n\
    local rate, draw, afresh = ARGV[4] + 0, ARGV[5] + 0, false\n";
const TAKE_COUNT: &str = "local count = ARGV[1] + 0\n";
const TAKE_DECLINED: &str = "local count = 0\ndeclined = ARGV[1] + 0\n";
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

const DONE: &str = "return 1\n";
/// Admitted and declined units that count.
const REPLY_USAGE: &str = "return pack('<I7I7', cum - base, declined and dcum - dbase or 0)\n";
/// 1 up to the soft limit; else whether it was admitted, and the factor to its last bit.
const REPLY_SUPPRESSED: &str = "\
    if not factor then return 1 end\n\
    return pack('<Bd', admitted and 1 or 0, factor)\n";
const REPLY_FACTOR: &str = "return pack('<d', factor)\n";

/// Microseconds, the unit of time of the scripts, in a millisecond.
const MILLI: u64 = 1_000;

/// A script that the server may know already.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) text: String,
    /// In hex.
    pub(crate) hash: String,
}

/// What a strategy asks the server, one script each.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) inc: Script,
    pub(crate) look: Script,
    pub(crate) usage: Script,
    pub(crate) record: Script,
    pub(crate) refund: Script,
    /// Suppressed alone.
    pub(crate) suppressed: Option<SuppressedScripts>,
}

#[derive(Debug)]
pub(crate) struct SuppressedScripts {
    /// As `inc`, but what is declined is not counted.
    pub(crate) wait: Script,
    /// Counts a decline.
    pub(crate) decline: Script,
    pub(crate) factor: Script,
}

/// What all scripts of a limiter have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) grid: Grid,
    pub(crate) suppression: Suppression,
    /// Whether tests tell the time: then the server forgets a day later than it would.
    pub(crate) told_time: bool,
}

impl Scripts {
    pub(crate) fn of_absolute(settings: &Settings) -> Self {
        let (formats, _) = formats();
        let script = |arguments, parts: &[&str]| {
            Script::new(&settings.common(arguments), &[&[formats, WINDOW], parts].concat())
        };
        Self {
            inc: script(2, &[TAKE_LIMIT, JUDGE, ADD, DONE]),
            look: script(2, &[TAKE_LIMIT, JUDGE, DONE]),
            usage: script(0, &[REPLY_USAGE]),
            record: script(1, &[TAKE_COUNT, ADD, DONE]),
            refund: script(1, &[TAKE_GIVEN, REFUND]),
            suppressed: None,
        }
    }

    pub(crate) fn of_suppressed(settings: &Settings) -> Self {
        let (_, formats) = formats();
        let script = |arguments, parts: &[&str]| {
            let settings = settings.common(arguments) + &settings.of_demand();
            Script::new(&settings, &[&[formats, WINDOW], parts].concat())
        };
        let decide = |parts: &[&str]| {
            script(5, &[&[TAKE_LIMITS, SUPPRESSED_DECIDE], parts, &[REPLY_SUPPRESSED]].concat())
        };
        Self {
            inc: decide(&[DECLINE, ADD]),
            look: decide(&[]),
            usage: script(0, &[REPLY_USAGE]),
            record: script(1, &[TAKE_COUNT, ADD, DONE]),
            refund: script(1, &[TAKE_GIVEN, REFUND]),
            suppressed: Some(SuppressedScripts {
                wait: decide(&[WAIT, JUDGE, ADD]),
                decline: script(1, &[TAKE_DECLINED, ADD, DONE]),
                factor: script(1, &[TAKE_RATE, SUPPRESSED_DECIDE, REPLY_FACTOR]),
            }),
        }
    }
}

impl Script {
    fn new(settings: &str, parts: &[&str]) -> Self {
        let text = settings.to_owned() + &parts.concat();
        let hash = Hashed::new(&text).get_hash().to_owned();
        Self { text, hash }
    }
}

/// Of Absolute, and of Suppressed.
fn formats() -> (&'static str, &'static str) {
    FORMATS.split_once("-- SUPPRESSED\n").unwrap_or((FORMATS, FORMATS))
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

    use super::{Scripts, Settings, SuppressedScripts};
    use crate::policy::Grid;
    use crate::policy::suppressed::Suppression;

    /// All scripts, by name. `.ci/lua` has them written to a folder, and runs a linter over them.
    #[test]
    fn each_operation_has_a_script_of_its_own() {
        let grid = Grid::new(Duration::from_secs(60), Duration::from_millis(100), 1_000).unwrap();
        let suppression = Suppression::new(&grid, 1.5, Duration::from_millis(100));
        let settings = Settings { grid, suppression, told_time: false };
        let mut hashes = HashSet::new();
        for (strategy, scripts) in [
            ("absolute", Scripts::of_absolute(&settings)),
            ("suppressed", Scripts::of_suppressed(&settings)),
        ] {
            let Scripts { inc, look, usage, record, refund, suppressed } = &scripts;
            let common = [
                ("inc", inc),
                ("look", look),
                ("usage", usage),
                ("record", record),
                ("refund", refund),
            ];
            let more = suppressed.as_ref().map(|SuppressedScripts { wait, decline, factor }| {
                [("wait", wait), ("decline", decline), ("factor", factor)]
            });
            for (operation, script) in common.into_iter().chain(more.into_iter().flatten()) {
                assert!(hashes.insert(script.hash.clone()), "{strategy} {operation}");
                if let Ok(folder) = std::env::var("TRYPEMA_SCRIPTS") {
                    let name = format!("{strategy}_{operation}.lua");
                    fs::write(Path::new(&folder).join(name), &script.text).unwrap();
                }
            }
        }
    }
}
