//! Scripts: put together from the parts in `lua/`, where the protocol is told, and known to the
//! server by their hash.

use ::redis::Script as Hashed;

use crate::policy::Grid;
use crate::policy::suppressed::Suppression;

macro_rules! part {
    ($name:literal) => {
        include_str!(concat!("../../lua/", $name, ".lua"))
    };
}

const ABSOLUTE: &str = part!("absolute");
const SUPPRESSED: &str = part!("suppressed");
const WINDOW: &str = part!("window");

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
}

/// What Suppressed asks besides.
#[derive(Debug)]
pub(crate) struct MoreScripts {
    /// As `inc`, but what is declined is not counted.
    pub(crate) wait: Script,
    /// Counts a decline.
    pub(crate) renounce: Script,
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
        let script = |arguments, parts: &[&str]| settings.script(ABSOLUTE, arguments, parts);
        let [ask, judge, add, allowed] =
            [part!("ask"), part!("judge"), part!("add"), part!("allowed")];
        Self {
            inc: script(2, &[ask, judge, add, allowed]),
            look: script(2, &[ask, judge, allowed]),
            usage: script(0, &[part!("usage")]),
            record: script(1, &[part!("record"), add, allowed]),
            refund: script(1, &[part!("refund")]),
        }
    }

    pub(crate) fn of_suppressed(settings: &Settings) -> Self {
        let script = |arguments, parts: &[&str]| settings.script(SUPPRESSED, arguments, parts);
        let [zone, perceive, thin] = [part!("zone"), part!("perceive"), part!("thin")];
        let [add, thinned] = [part!("add"), part!("thinned")];
        Self {
            inc: script(5, &[zone, perceive, thin, part!("decline"), add, thinned]),
            look: script(5, &[zone, perceive, thin, thinned]),
            usage: script(0, &[part!("usage")]),
            record: script(1, &[part!("record"), add, part!("allowed")]),
            refund: script(1, &[part!("refund")]),
        }
    }
}

impl MoreScripts {
    pub(crate) fn new(settings: &Settings) -> Self {
        let script = |arguments, parts: &[&str]| settings.script(SUPPRESSED, arguments, parts);
        let [zone, perceive, thin] = [part!("zone"), part!("perceive"), part!("thin")];
        let [judge, add] = [part!("judge"), part!("add")];
        Self {
            wait: script(5, &[zone, perceive, thin, part!("wait"), judge, add, part!("thinned")]),
            renounce: script(1, &[part!("renounce"), add, part!("allowed")]),
            factor: script(1, &[part!("afresh"), perceive, part!("factor")]),
        }
    }
}

impl Settings {
    /// `arguments`: how many the operation takes; the time comes after them, if tests tell it.
    fn script(&self, strategy: &str, arguments: usize, operation: &[&str]) -> Script {
        let text = [&self.prologue(arguments), strategy, WINDOW].concat() + &operation.concat();
        let hash = Hashed::new(&text).get_hash().to_owned();
        Script { text, hash }
    }

    /// How long the server keeps a key after its newest bucket began: the window and two buckets, in
    /// milliseconds.
    fn keep_ms(&self) -> u64 {
        /// A day.
        const LONG: u64 = 86_400_000;
        let bucket_ms = bucket_ms(&self.grid);
        let held_ms = (self.grid.span() - 1) * bucket_ms;
        held_ms + 2 * bucket_ms + if self.told_time { LONG } else { 0 }
    }

    fn prologue(&self, arguments: usize) -> String {
        let Self { grid, suppression, .. } = self;
        format!(
            "local now, G, SPAN, TTL = ARGV[{now}], {bucket_us}, {span}, '{ttl}'\n\
             local RECENT, RECENT_S, WINDOW_S, REFRESH = {recent}, {recent_s}, {window_s}, {refresh}\n",
            now = arguments + 1,
            bucket_us = bucket_ms(grid) * MILLI,
            span = grid.span(),
            ttl = self.keep_ms(),
            recent = suppression.recent_span,
            recent_s = suppression.recent_s,
            window_s = suppression.window_s,
            refresh = suppression.refresh_ns.div_ceil(1_000),
        )
    }
}

fn bucket_ms(grid: &Grid) -> u64 {
    // A hundred years at most.
    u64::try_from(grid.bucket().as_millis()).unwrap_or(u64::MAX)
}
