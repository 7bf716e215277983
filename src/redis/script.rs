//! Scripts: put together from the parts in `lua/`, where the protocol is told, and known to the
//! server by their hash.

mod parts;
mod settings;
mod several;

use std::borrow::Cow;
use std::sync::OnceLock;

use ::redis::Script as Hashed;

use parts::{
    ADD, DECLINE, FORMATS, GRANT, JUDGE, REFUND, REJECT, REPLY_COUNTED, REPLY_FACTOR, REPLY_FITS,
    REPLY_LOOKED, REPLY_SUPPRESSED, REPLY_USAGE, RESET, SUPPRESSED_DECIDE, SUPPRESSED_GRANT,
    TAKE_BUCKET, TAKE_COUNT, TAKE_DECLINED, TAKE_GIVEN, TAKE_LIMIT, TAKE_LIMITS, TAKE_RATE, UNDO,
    WAIT, WINDOW, WRITE, part_named, section,
};
pub(crate) use settings::{Settings, pack};
pub(crate) use several::SeveralScripts;

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
                (1, &[TAKE_LIMIT, JUDGE, REJECT, ADD, WRITE, REPLY_COUNTED])
            }
            (Self::Look, Family::Absolute) => (1, &[TAKE_LIMIT, JUDGE, REJECT, REPLY_FITS]),
            (Self::Inc, Family::Suppressed) => {
                (1, &[TAKE_LIMITS, SUPPRESSED_DECIDE, DECLINE, ADD, WRITE, REPLY_SUPPRESSED])
            }
            (Self::Look, Family::Suppressed) => {
                (1, &[TAKE_LIMITS, SUPPRESSED_DECIDE, REPLY_LOOKED])
            }
            (Self::Wait, Family::Suppressed) => (
                1,
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
    parts: Vec<Cow<'static, str>>,
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
            let parts = [self.family.formats(), head].into_iter().chain(parts.iter().copied());
            Script::new(settings, parts.map(Cow::Borrowed).collect())
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
}

impl Script {
    fn new(settings: String, parts: Vec<Cow<'static, str>>) -> Self {
        let mut script = Self { settings, parts, hash: String::new() };
        script.hash = Hashed::new(&script.text()).get_hash().to_owned();
        script
    }

    /// Forgets a key of which units may be leased, see `lua/reset.lua`. Windows are among its arguments.
    pub(crate) fn reset(family: Family) -> Self {
        let (_, head) = section(WINDOW, "-- EACH CALL\n");
        let (each_call, _) = section(head, "-- EACH KEY\n");
        let parts = [family.formats(), each_call, RESET].map(Cow::Borrowed);
        Self::new("local now = ARGV[2]\n".to_owned(), parts.into())
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "in a test a panic is a failure, and says where")]
mod tests {
    use core::time::Duration;
    use std::collections::HashSet;
    use std::fs;
    use std::path::Path;

    use super::{Family, Operation, Script, Scripts, Settings, SeveralScripts};
    use crate::policy::Grid;
    use crate::policy::suppressed::Suppression;
    use crate::redis::net::needs;

    /// `.ci/lua` has the scripts written to a folder, and runs a linter over them.
    #[test]
    fn each_operation_has_a_script_of_its_own() {
        let grid = Grid::new(Duration::from_secs(60), Duration::from_millis(100), 1_000).unwrap();
        let suppression = Suppression::new(&grid, 1.5, Duration::from_millis(100));
        let settings = Settings { grid, suppression, told_time: false };
        let mut hashes = HashSet::new();
        if let Ok(folder) = std::env::var("TRYPEMA_SCRIPTS") {
            fs::write(Path::new(&folder).join("needs.lua"), needs::text()).unwrap();
        }
        for family in [Family::Absolute, Family::Suppressed] {
            let scripts = Scripts::new(family, settings);
            let mut check = |name: String, script: &Script| {
                assert!(hashes.insert(script.hash.clone()), "{name}");
                if let Ok(folder) = std::env::var("TRYPEMA_SCRIPTS") {
                    let name = format!("{name}.lua").to_lowercase();
                    fs::write(Path::new(&folder).join(name), script.text()).unwrap();
                }
            };
            for (keys, script) in SeveralScripts::new(family).all() {
                check(format!("{family:?}_inc_all_{keys}"), script);
            }
            check(format!("{family:?}_reset"), &Script::reset(family));
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
