//! Scripts: put together from the parts in `lua/`, where the protocol is told, and known to the
//! server by their hash.

use std::sync::OnceLock;

use ::redis::Script as Hashed;

use crate::policy::Grid;
use crate::policy::suppressed::Suppression;
use crate::redis::request::MAX_COUNT;

const FORMATS: &str = include_str!("../../lua/formats.lua");
const WINDOW: &str = include_str!("../../lua/window.lua");
const JUDGE: &str = include_str!("../../lua/judge.lua");
const ADD: &str = include_str!("../../lua/add.lua");
const REFUND: &str = include_str!("../../lua/refund.lua");
const UNDO: &str = include_str!("../../lua/undo.lua");
const GRANT: &str = include_str!("../../lua/grant.lua");
const INC_ALL: &str = include_str!("../../lua/inc_all.lua");
const SUPPRESSED_DECIDE: &str = include_str!("../../lua/suppressed_decide.lua");
const SUPPRESSED_GRANT: &str = include_str!("../../lua/suppressed_grant.lua");

// The arguments of an operation, under the names that the parts use.
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
/// The reply that `ADD` would make: the usage with the units that it would count, and the bucket.
const REPLY_FITS: &str = "return pack('<I7I6', usage + count, tick)\n";
/// Admitted and declined units that count.
const REPLY_USAGE: &str = "return pack('<I7I7', cum - base, declined and dcum - dbase or 0)\n";
/// As `REPLY_COUNTED`; above the soft limit the usage, the bucket, whether the call was admitted, and the
/// factor to its last bit.
const REPLY_SUPPRESSED: &str = "\
    if not factor then return counted end\n\
    return pack('<I7I6Bd', cum - base, tick, admitted and 1 or 0, factor)\n";
/// The same for a call that was not counted.
const REPLY_LOOKED: &str = "\
    if not factor then return pack('<I7I6', total, tick) end\n\
    return pack('<I7I6Bd', admitted and total or cum - base, tick, admitted and 1 or 0, factor)\n";
/// Writes the value that `ADD` has left.
const WRITE: &str = "\
    if not offset then\n\
    call('SET', key, value, 'PX', TTL)\n\
    else\n\
    call('SETRANGE', key, offset, value)\n\
    if renew then call('PEXPIRE', key, TTL) end\n\
    end\n";
/// A call that does not fit changes nothing.
const REJECT: &str = "if rejection then return rejection end\n";

// For several keys at once, see `lua/inc_all.lua`.
const TAKE_EACH_LIMIT: &str = "\
    local G, SPAN, count, capacity, TTL\n\
    G, SPAN, count, capacity, TTL, position = unpack('<I7I6I7I7s', ARGV[1], position)\n";
const REJECT_EACH: &str = "if rejection then replies[i], last_written = rejection, 0 else\n";
const KEEP: &str = "\
    replies[i], values[i], offsets[i] = counted, value, offset\n\
    if renew or not offset then expiries[i] = TTL end\n";
const END: &str = "end\n";
const TAKE_EACH_LIMITS: &str = "\
    local declined, afresh = 0, false\n\
    local G, SPAN, count, soft, hard, rate, draw, RECENT, RECENT_S, WINDOW_S, REFRESH, TTL\n\
    G, SPAN, count, soft, hard, rate, draw, RECENT, RECENT_S, WINDOW_S, REFRESH, TTL, position = \
    unpack('<I7I6I7I7I7ddI6ddI7s', ARGV[1], position)\n";
/// An unlimited rate declines nothing, but cannot count everything.
const REFUSE_TOO_MANY: &str =
    "if rate == math.huge and cum - base + count > hard then return 0 end\n";
/// The first call that is declined ends it.
const KEEP_DECIDED: &str = "\
    if factor then counted = pack('<I7I6Bd', cum - base, tick, admitted and 1 or 0, factor) end\n\
    replies[i], values[i], offsets[i] = counted, value, offset\n\
    if renew or not offset then expiries[i] = TTL end\n\
    if not admitted then first_written, last_written = i, i break end\n";
const WRITE_KEPT: &str = "\
    if not offsets[i] then\n\
    call('SET', KEYS[i], values[i], 'PX', expiries[i])\n\
    else\n\
    call('SETRANGE', KEYS[i], offsets[i], values[i])\n\
    if expiries[i] then call('PEXPIRE', KEYS[i], expiries[i]) end\n\
    end\n";

const REPLY_FACTOR: &str = "return pack('<d', factor)\n";

/// Microseconds, the unit of time of the scripts, in a millisecond.
const MILLI: u64 = 1_000;

/// The operations on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Inc,
    /// The decision of `Inc`, without counting.
    Look,
    /// As `Inc`, but a call that is not admitted is not counted.
    Wait,
    Usage,
    Record,
    Refund,
    Undo,
    /// As `Inc` for several calls one after the other, and units for a lease.
    Grant,
    /// Counts a decline. Suppressed alone, as the next.
    Decline,
    Factor,
}

/// The strategy whose formats a script uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Absolute,
    Suppressed,
}

impl Operation {
    const ALL: [Self; 10] = [
        Self::Inc,
        Self::Look,
        Self::Wait,
        Self::Usage,
        Self::Record,
        Self::Refund,
        Self::Undo,
        Self::Grant,
        Self::Decline,
        Self::Factor,
    ];

    /// The number of arguments that the operation's script takes, and its parts after `lua/window.lua`.
    fn parts(self, family: Family) -> (usize, &'static [&'static str]) {
        match (self, family) {
            (Self::Inc | Self::Wait, Family::Absolute) => {
                (2, &[TAKE_LIMIT, JUDGE, REJECT, ADD, WRITE, REPLY_COUNTED])
            }
            (Self::Look, Family::Absolute) => (2, &[TAKE_LIMIT, JUDGE, REJECT, REPLY_FITS]),
            (Self::Inc, Family::Suppressed) => {
                (5, &[TAKE_LIMITS, SUPPRESSED_DECIDE, DECLINE, ADD, WRITE, REPLY_SUPPRESSED])
            }
            (Self::Look, Family::Suppressed) => {
                (5, &[TAKE_LIMITS, SUPPRESSED_DECIDE, REPLY_LOOKED])
            }
            (Self::Wait, Family::Suppressed) => (
                5,
                &[
                    TAKE_LIMITS,
                    SUPPRESSED_DECIDE,
                    WAIT,
                    JUDGE,
                    REJECT,
                    ADD,
                    WRITE,
                    REPLY_SUPPRESSED,
                ],
            ),
            (Self::Usage, _) => (0, &[REPLY_USAGE]),
            (Self::Record, _) => (1, &[TAKE_COUNT, ADD, WRITE, REPLY_COUNTED]),
            (Self::Refund, _) => (1, &[TAKE_GIVEN, REFUND]),
            (Self::Undo, _) => (2, &[TAKE_BUCKET, UNDO]),
            // Packed into one.
            (Self::Grant, Family::Absolute) => (1, &[GRANT]),
            (Self::Grant, Family::Suppressed) => (1, &[SUPPRESSED_GRANT]),
            (Self::Decline, _) => (1, &[TAKE_DECLINED, ADD, WRITE, REPLY_COUNTED]),
            (Self::Factor, _) => (1, &[TAKE_RATE, SUPPRESSED_DECIDE, REPLY_FACTOR]),
        }
    }
}

/// A script that the server may know already.
#[derive(Debug)]
pub(crate) struct Script {
    settings: String,
    parts: Vec<&'static str>,
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

/// The settings that all scripts for a window share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) grid: Grid,
    pub(crate) suppression: Suppression,
    /// Whether tests set the time: the server then forgets a key a day later.
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
            let (_, head) = section(WINDOW, "-- EACH CALL\n");
            let (each_call, _) = section(head, "-- EACH KEY\n");
            // A grant reads the key again for each of its calls.
            let head = if operation == Operation::Grant { each_call } else { head };
            Script::new(settings, [&[self.family.formats(), head], parts].concat())
        })
    }
}

impl Family {
    fn formats(self) -> &'static str {
        let (absolute, suppressed) = section(FORMATS, "-- SUPPRESSED\n");
        match self {
            Self::Absolute => absolute,
            Self::Suppressed => suppressed,
        }
    }

    /// The script that decides on several keys at once. Windows are among its arguments.
    pub(crate) fn inc_all(self) -> Script {
        let (_, each_call) = section(WINDOW, "-- EACH CALL\n");
        let (head, each_key) = section(each_call, "-- EACH KEY\n");
        let (begin, rest) = section(INC_ALL, "-- DECIDE\n");
        let (between, end) = section(rest, "-- WRITE\n");
        let mut parts = vec![self.formats(), head, begin];
        parts.push(match self {
            Self::Absolute => TAKE_EACH_LIMIT,
            Self::Suppressed => TAKE_EACH_LIMITS,
        });
        parts.push(each_key);
        parts.extend_from_slice(match self {
            Self::Absolute => &[JUDGE, REJECT_EACH, ADD, KEEP, END],
            Self::Suppressed => &[REFUSE_TOO_MANY, SUPPRESSED_DECIDE, DECLINE, ADD, KEEP_DECIDED],
        });
        parts.push(between);
        parts.extend([WRITE_KEPT, end]);
        Script::new("local now = ARGV[2]\n".to_owned(), parts)
    }
}

/// A file before and after the line that begins a section of it.
fn section(file: &'static str, heading: &str) -> (&'static str, &'static str) {
    file.split_once(heading).unwrap_or((file, ""))
}

impl Script {
    fn new(settings: String, parts: Vec<&'static str>) -> Self {
        let mut script = Self { settings, parts, hash: String::new() };
        script.hash = Hashed::new(&script.text()).get_hash().to_owned();
        script
    }

    /// The whole text, without comments, since servers keep it. Put together when a server needs it.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        append(&self.settings, &mut text);
        for part in &self.parts {
            append(part, &mut text);
        }
        text
    }
}

/// A part that another one names.
fn part_named(name: &str) -> &'static str {
    match name {
        "EACH KEY" => section(WINDOW, "-- EACH KEY\n").1,
        "JUDGE" => JUDGE,
        "SUPPRESSED_DECIDE" => SUPPRESSED_DECIDE,
        "ADD" => ADD,
        "WRITE" => WRITE,
        _ => "",
    }
}

/// Appends the lines that are code; where a part says `FIND`, the function `find`, and another part
/// where it says `HERE`.
fn append(part: &str, text: &mut String) {
    for line in part.lines().map(str::trim_start) {
        if line == "-- FIND" {
            let (find, _) = section(WINDOW, "-- EACH CALL\n");
            append(find, text);
        } else if let Some(name) = line.strip_prefix("-- HERE: ") {
            append(part_named(name), text);
        } else if !line.is_empty() && !line.starts_with("--") {
            text.push_str(line);
            text.push('\n');
        }
    }
}

impl Settings {
    /// `arguments`: how many the operation takes; the time comes after them, if tests set it.
    fn common(&self, arguments: usize) -> String {
        format!(
            "local now, G, SPAN, TTL = ARGV[{now}], {bucket_us}, {span}, '{ttl}'\n",
            now = arguments + 1,
            bucket_us = self.bucket_ms() * MILLI,
            span = self.grid.span(),
            ttl = self.keep_ms(),
        )
    }

    /// The arguments of one key for [`Family::inc_all`]: for a call of so many units under a capacity.
    pub(crate) fn pack_absolute(&self, count: u64, capacity: u64, out: &mut Vec<u8>) {
        self.pack_common(count, out);
        pack::<7>(capacity, out);
        self.pack_ttl(out);
    }

    /// The same for a call under a soft and a hard limit, at this rate, with this draw.
    pub(crate) fn pack_suppressed(
        &self,
        count: u64,
        [soft, hard]: [u64; 2],
        [rate, draw]: [f64; 2],
        out: &mut Vec<u8>,
    ) {
        let Suppression { recent_span, recent_s, window_s, .. } = self.suppression;
        self.pack_common(count, out);
        pack::<7>(soft, out);
        pack::<7>(hard, out);
        out.extend_from_slice(&rate.to_le_bytes());
        out.extend_from_slice(&draw.to_le_bytes());
        pack::<6>(recent_span, out);
        out.extend_from_slice(&recent_s.to_le_bytes());
        out.extend_from_slice(&window_s.to_le_bytes());
        pack::<7>(self.refresh_us(), out);
        self.pack_ttl(out);
    }

    fn pack_common(&self, count: u64, out: &mut Vec<u8>) {
        pack::<7>(self.bucket_ms() * MILLI, out);
        pack::<6>(self.grid.span(), out);
        pack::<7>(count, out);
    }

    /// As text, since the script hands it on as it is.
    fn pack_ttl(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.keep_ms().to_string().as_bytes());
        out.push(0);
    }

    fn refresh_us(&self) -> u64 {
        // Numbers are exact in scripts up to here.
        self.suppression.refresh_ns.div_ceil(1_000).min(MAX_COUNT)
    }

    /// The settings by which Suppressed measures the demand.
    fn of_demand(&self) -> String {
        let Suppression { recent_span, recent_s, window_s, .. } = self.suppression;
        format!(
            "local RECENT, RECENT_S, WINDOW_S, REFRESH = {recent_span}, {recent_s}, {window_s}, {refresh}\n",
            refresh = self.refresh_us(),
        )
    }

    /// How long the server keeps a key after its newest bucket began: the window and two buckets, in
    /// milliseconds.
    fn keep_ms(&self) -> u64 {
        /// A day in milliseconds.
        const LONG: u64 = 86_400_000;
        let bucket_ms = self.bucket_ms();
        let held_ms = (self.grid.span() - 1) * bucket_ms;
        held_ms + 2 * bucket_ms + if self.told_time { LONG } else { 0 }
    }

    fn bucket_ms(&self) -> u64 {
        // A bucket is at most a hundred years.
        u64::try_from(self.grid.bucket().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The low bytes of a number, the lowest first.
pub(crate) fn pack<const BYTES: usize>(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_le_bytes()[..BYTES]);
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "in a test a panic is a failure, and says where")]
mod tests {
    use core::time::Duration;
    use std::collections::HashSet;
    use std::fs;
    use std::path::Path;

    use super::{Family, Operation, Script, Scripts, Settings};
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
            let mut check = |name: String, script: &Script| {
                assert!(hashes.insert(script.hash.clone()), "{name}");
                if let Ok(folder) = std::env::var("TRYPEMA_SCRIPTS") {
                    let name = format!("{name}.lua").to_lowercase();
                    fs::write(Path::new(&folder).join(name), script.text()).unwrap();
                }
            };
            check(format!("{family:?}_inc_all"), &family.inc_all());
            for operation in Operation::ALL {
                if family == Family::Absolute
                    // Nobody waits, declines or suppresses there.
                    && [Operation::Wait, Operation::Decline, Operation::Factor].contains(&operation)
                {
                    continue;
                }
                check(format!("{family:?}_{operation:?}"), scripts.get(operation));
            }
        }
    }
}
