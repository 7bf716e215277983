//! A request: a script with its key and arguments, and how to parse the reply.

use ::redis::{Cmd, Value, cmd};

use crate::redis::net::failure::Kind;
use crate::redis::script::Script;
use crate::redis::windows::{Window, Windows};
use crate::{RateLimit, TrypemaError};

/// The most that a count can be: whole numbers are exact in the server's scripts up to here.
pub(crate) const MAX_COUNT: u64 = (1 << 53) - 1;
/// The most arguments that a script takes, including the time that tests set.
const MAX_ARGUMENTS: usize = 6;
/// The longest key, in bytes.
const LONGEST_KEY: usize = 255;

/// A call about a key in the window of a rate, its arguments checked.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) window: &'a Window,
    pub(crate) key: &'a str,
    pub(crate) rate: &'a RateLimit,
    pub(crate) count: u64,
}

/// A request, to which a `T` is the reply.
pub(crate) struct Request<'a, T> {
    /// `None`: forget the key.
    pub(crate) script: Option<&'a Script>,
    /// Its full name.
    pub(crate) key: String,
    /// Further keys, of a script for several; on a cluster they have to be in the first one's slot.
    pub(crate) more_keys: Vec<String>,
    /// A packed argument before the others, unless it is empty.
    pub(crate) packed: Vec<u8>,
    pub(crate) arguments: Arguments,
    /// Parses the reply. After `Kind::Protocol` nothing more from that connection can be trusted.
    pub(crate) parse: fn(Value) -> Result<T, Kind>,
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
    /// Its text, for a server that does not know it yet.
    Text,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        windows: &'a Windows,
        key: &'a str,
        rate: &'a RateLimit,
        count: u64,
    ) -> Result<Self, TrypemaError> {
        check_key(key)?;
        if count > MAX_COUNT {
            return Err(TrypemaError::count_too_large(count, MAX_COUNT));
        }
        Ok(Self { window: windows.of(rate), key, rate, count })
    }
}

impl Arguments {
    /// Fewer than `MAX_ARGUMENTS`.
    pub(crate) fn new<const N: usize>(given: [Argument; N]) -> Self {
        const { assert!(N < MAX_ARGUMENTS) };
        let mut list = [Argument::Whole(0); MAX_ARGUMENTS];
        list[..N].copy_from_slice(&given);
        Self { list, len: N }
    }

    /// The same, and the time behind them.
    pub(crate) fn with_time(mut self, now_us: u64) -> Self {
        self.list[self.len] = Argument::Whole(now_us);
        self.len += 1;
        self
    }
}

impl<T> Request<'_, T> {
    pub(crate) fn write(&self, by: ScriptRef, out: &mut Vec<u8>) {
        let Some(script) = self.script else {
            cmd("DEL").arg(&self.key).write_packed_command(out);
            return;
        };
        let mut request = Cmd::with_capacity(
            5 + self.more_keys.len() + MAX_ARGUMENTS,
            128 + self.key.len() + self.packed.len(),
        );
        match by {
            ScriptRef::Hash => request.arg("EVALSHA").arg(&script.hash),
            ScriptRef::Text => request.arg("EVAL").arg(script.text()),
        };
        request.arg(1 + self.more_keys.len()).arg(&self.key).arg(&self.more_keys);
        if !self.packed.is_empty() {
            request.arg(&self.packed[..]);
        }
        for argument in &self.arguments.list[..self.arguments.len] {
            match argument {
                Argument::Whole(number) => request.arg(*number),
                Argument::Real(number) => request.arg(*number),
            };
        }
        request.write_packed_command(out);
    }
}

pub(crate) fn check_key(key: &str) -> Result<(), TrypemaError> {
    if (1..=LONGEST_KEY).contains(&key.len()) {
        return Ok(());
    }
    // Of a long key only enough to recognise it.
    let given = key.chars().take(64).collect::<String>();
    Err(TrypemaError::invalid_key(given, "a key is 1 to 255 bytes long"))
}
