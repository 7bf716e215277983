//! The parts of scripts: the files in `lua/`, and what is a line or two long.

pub(super) const FORMATS: &str = include_str!("../../../lua/formats.lua");
pub(super) const WINDOW: &str = include_str!("../../../lua/window.lua");
pub(super) const JUDGE: &str = include_str!("../../../lua/judge.lua");
pub(super) const ADD: &str = include_str!("../../../lua/add.lua");
pub(super) const REFUND: &str = include_str!("../../../lua/refund.lua");
pub(super) const UNDO: &str = include_str!("../../../lua/undo.lua");
pub(super) const RESET: &str = include_str!("../../../lua/reset.lua");
pub(super) const GRANT: &str = include_str!("../../../lua/grant.lua");
pub(super) const INC_ALL: &str = include_str!("../../../lua/inc_all.lua");
pub(super) const SUPPRESSED_DECIDE: &str = include_str!("../../../lua/suppressed_decide.lua");
pub(super) const SUPPRESSED_GRANT: &str = include_str!("../../../lua/suppressed_grant.lua");

// The arguments of an operation, under the names that the parts use.
pub(super) const TAKE_LIMIT: &str = "local count, capacity = unpack('<I7I7', ARGV[1])\n";
pub(super) const TAKE_LIMITS: &str = "\
    local count, soft, hard, rate, draw = unpack('<I7I7I7dd', ARGV[1])\n\
    local afresh = false\n";
pub(super) const TAKE_COUNT: &str = "local count = ARGV[1] + 0\n";
pub(super) const TAKE_DECLINED: &str = "local count = 0\ndeclined = ARGV[1] + 0\n";
pub(super) const TAKE_BUCKET: &str = "local count, bucket = ARGV[1] + 0, ARGV[2] + 0\n";
pub(super) const TAKE_GIVEN: &str = "local given = ARGV[1] + 0\n";
/// Between the limits, whatever the usage.
pub(super) const TAKE_RATE: &str = "\
    local rate, draw, afresh = ARGV[1] + 0, 0, true\n\
    local count, soft, hard = 0, -1, 9007199254740991\n";

/// A call that is not admitted is counted as declined.
pub(super) const DECLINE: &str = "if not admitted then count, declined = 0, count end\n";
/// A thread waits: a call that is not admitted is not counted. Between the limits another draw may
/// help (-1); above the hard one, by which `JUDGE` goes next, time does.
pub(super) const WAIT: &str = "\
    if not admitted and total <= hard then return -1 end\n\
    local capacity = hard\n";

/// `ADD` has packed it: two counts whose difference is the usage, and the bucket between them.
pub(super) const REPLY_COUNTED: &str = "return counted\n";
/// The reply that `ADD` would make: the usage with the units that it would count, and the bucket.
pub(super) const REPLY_FITS: &str = "return pack('<I7I6', usage + count, tick)\n";
/// Admitted and declined units that count.
pub(super) const REPLY_USAGE: &str =
    "return pack('<I7I7', cum - base, declined and dcum - dbase or 0)\n";
/// As `REPLY_COUNTED`; above the soft limit the usage, the bucket, whether the call was admitted, and the
/// factor to its last bit.
pub(super) const REPLY_SUPPRESSED: &str = "\
    if not factor then return counted end\n\
    return pack('<I7I6Bd', cum - base, tick, admitted and 1 or 0, factor)\n";
/// The same for a call that was not counted.
pub(super) const REPLY_LOOKED: &str = "\
    if not factor then return pack('<I7I6', total, tick) end\n\
    return pack('<I7I6Bd', admitted and total or cum - base, tick, admitted and 1 or 0, factor)\n";
/// Writes the value that `ADD` has left.
pub(super) const WRITE: &str = "\
    if not offset then\n\
    call('SET', key, value, 'PX', TTL)\n\
    else\n\
    call('SETRANGE', key, offset, value)\n\
    if renew then call('PEXPIRE', key, TTL) end\n\
    end\n";
/// A call that does not fit changes nothing.
pub(super) const REJECT: &str = "if rejection then return rejection end\n";

// For several keys at once, see `lua/inc_all.lua`.
pub(super) const TAKE_EACH_LIMIT: &str = "\
    local G, SPAN, count, capacity, TTL\n\
    G, SPAN, count, capacity, TTL, position = unpack('<dddds', ARGV[1], position)\n";
pub(super) const REJECT_EACH: &str = "\
    if rejection then reply, last_written = reply .. char(#rejection) .. rejection, 0 else\n";
pub(super) const KEEP: &str = "\
    reply = reply .. char(#counted) .. counted\n\
    values[i], offsets[i] = value, offset\n\
    if renew or not offset then expiries[i] = TTL end\n";
pub(super) const END: &str = "end\n";
pub(super) const TAKE_EACH_LIMITS: &str = "\
    local declined, afresh = 0, false\n\
    local G, SPAN, count, soft, hard, rate, draw, RECENT, RECENT_S, WINDOW_S, REFRESH, TTL\n\
    G, SPAN, count, soft, hard, rate, draw, RECENT, RECENT_S, WINDOW_S, REFRESH, TTL, position = \
    unpack('<ddddddddddds', ARGV[1], position)\n";
/// An unlimited rate declines nothing, but cannot count everything.
pub(super) const REFUSE_TOO_MANY: &str =
    "if rate == math.huge and cum - base + count > hard then return 0 end\n";
/// The first call that is declined ends it.
pub(super) const KEEP_DECIDED: &str = "\
    if factor then counted = pack('<I7I6Bd', cum - base, tick, admitted and 1 or 0, factor) end\n\
    reply = reply .. char(#counted) .. counted\n\
    values[i], offsets[i] = value, offset\n\
    if renew or not offset then expiries[i] = TTL end\n\
    if not admitted then first_written, last_written = i, i break end\n";
pub(super) const WRITE_KEPT: &str = "\
    if not offsets[i] then\n\
    call('SET', KEYS[i], values[i], 'PX', expiries[i])\n\
    else\n\
    call('SETRANGE', KEYS[i], offsets[i], values[i])\n\
    if expiries[i] then call('PEXPIRE', KEYS[i], expiries[i]) end\n\
    end\n";

pub(super) const REPLY_FACTOR: &str = "return pack('<d', factor)\n";

/// A part that another one names.
pub(super) fn part_named(name: &str) -> &'static str {
    match name {
        "EACH KEY" => section(WINDOW, "-- EACH KEY\n").1,
        "JUDGE" => JUDGE,
        "SUPPRESSED_DECIDE" => SUPPRESSED_DECIDE,
        "ADD" => ADD,
        "WRITE" => WRITE,
        _ => "",
    }
}

/// A file before and after the line that begins a section of it.
pub(super) fn section(file: &'static str, heading: &str) -> (&'static str, &'static str) {
    file.split_once(heading).unwrap_or((file, ""))
}
