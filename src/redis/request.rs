//! What is sent: a script with its key and arguments.

use ::redis::{Cmd, Value, cmd};

use crate::redis::script::Script;

/// The most arguments that a script takes, the time that tests tell included.
const MAX_ARGUMENTS: usize = 6;

/// A request about one key.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
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
    list: [Argument; MAX_ARGUMENTS],
    len: usize,
}

/// How a script is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScriptRef {
    Hash,
    /// In full, for a server that does not know it yet.
    Text,
}

impl Arguments {
    /// At most `MAX_ARGUMENTS` of them, counting `now`.
    pub(crate) fn new<const N: usize>(given: [Argument; N], now: Option<u64>) -> Self {
        const { assert!(N < MAX_ARGUMENTS) };
        let mut list = [Argument::Whole(0); MAX_ARGUMENTS];
        list[..N].copy_from_slice(&given);
        let mut len = N;
        if let Some(now) = now {
            list[len] = Argument::Whole(now);
            len += 1;
        }
        Self { list, len }
    }
}

impl Request<'_> {
    pub(crate) fn write(&self, by: ScriptRef, out: &mut Vec<u8>) {
        let Some(script) = self.script else {
            cmd("DEL").arg(&self.key).write_packed_command(out);
            return;
        };
        let mut request = Cmd::with_capacity(4 + MAX_ARGUMENTS, 128 + self.key.len());
        match by {
            ScriptRef::Hash => request.arg("EVALSHA").arg(&script.hash),
            ScriptRef::Text => request.arg("EVAL").arg(&script.text),
        };
        request.arg(1).arg(&self.key);
        for argument in &self.arguments.list[..self.arguments.len] {
            match argument {
                Argument::Whole(number) => request.arg(*number),
                Argument::Real(number) => request.arg(*number),
            };
        }
        request.write_packed_command(out);
    }
}
