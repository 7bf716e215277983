//! What is sent: a script with its key and arguments.

use ::redis::{Cmd, Value, cmd};

use crate::redis::script::Script;

/// The most arguments that a script takes, the time that tests tell included.
const MOST: usize = 6;

/// A request about one key.
#[derive(Debug, Clone)]
pub(crate) struct Command<'a> {
    /// `None`: forget the key.
    pub(crate) script: Option<&'a Script>,
    /// Its full name.
    pub(crate) key: String,
    pub(crate) arguments: Arguments,
    /// Whether a reply is an answer to this. After one that is not, nothing that comes over the same
    /// connection can be trusted.
    pub(crate) is_answer: fn(&Value) -> bool,
}

/// Numbers, as scripts take them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Argument {
    Whole(u64),
    Real(f64),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Arguments {
    list: [Argument; MOST],
    len: usize,
}

/// How a script is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Hash,
    /// In full, for a server that does not know it yet.
    Text,
}

impl Arguments {
    /// At most `MOST` of them, counting `now`.
    pub(crate) fn new<const N: usize>(given: [Argument; N], now: Option<u64>) -> Self {
        const { assert!(N < MOST) };
        let mut list = [Argument::Whole(0); MOST];
        list[..N].copy_from_slice(&given);
        let mut len = N;
        if let Some(now) = now {
            list[len] = Argument::Whole(now);
            len += 1;
        }
        Self { list, len }
    }
}

impl Command<'_> {
    pub(crate) fn write(&self, by: By, out: &mut Vec<u8>) {
        let Some(script) = self.script else {
            cmd("DEL").arg(&self.key).write_packed_command(out);
            return;
        };
        let mut command = Cmd::with_capacity(4 + MOST, 128 + self.key.len());
        match by {
            By::Hash => command.arg("EVALSHA").arg(&script.hash),
            By::Text => command.arg("EVAL").arg(&script.text),
        };
        command.arg(1).arg(&self.key);
        for argument in &self.arguments.list[..self.arguments.len] {
            match argument {
                Argument::Whole(number) => command.arg(*number),
                Argument::Real(number) => command.arg(*number),
            };
        }
        command.write_packed_command(out);
    }
}
