//! One connection: requests out, replies in, in step.

use std::io::{self, Read, Write};

use ::redis::{Parser, Value};
use rustls::{ClientConnection, StreamOwned};

use crate::redis::net::Deadline;
use crate::redis::net::failure::Kind;
use crate::redis::net::socket::Timed;
use crate::redis::net::tls;

/// How much is read at once.
const CHUNK: usize = 4096;
/// A buffer that a batch has made larger than this is not kept.
const LARGEST_KEPT: usize = 64 * 1024;

pub(crate) enum Wire {
    Plain(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

/// A connection. After any failure it must not be used again: half a request may be on the wire, or a
/// reply still to come.
pub(crate) struct Connection {
    wire: Wire,
    out: Vec<u8>,
    /// Read and not parsed: `input[taken..]`.
    input: Vec<u8>,
    taken: usize,
    parser: Parser,
    broken: bool,
    /// The TLS error, if TLS has failed.
    tls_failure: Option<rustls::Error>,
}

impl Connection {
    pub(crate) fn new(wire: Wire) -> Self {
        Self {
            wire,
            out: Vec::new(),
            input: Vec::new(),
            taken: 0,
            parser: Parser::new(),
            broken: false,
            tls_failure: None,
        }
    }

    /// Whether another call may use it.
    pub(crate) fn is_sound(&self) -> bool {
        !self.broken
    }

    /// To be called after a malformed reply: the connection is not used again.
    pub(crate) fn distrust(&mut self) {
        self.broken = true;
    }

    /// A reply that the server sent before our first request could be: a server that refuses us says why, and
    /// closes the connection.
    pub(crate) fn last_words(&mut self) -> Option<Value> {
        self.receive().ok()
    }

    /// The TLS failure, if TLS failed before any request was sent.
    pub(crate) fn tls_failure(&mut self) -> Option<Kind> {
        self.tls_failure.take().map(|error| tls::refused(&error))
    }

    /// Whether the server has closed it meanwhile. Asks the local socket only, not the server.
    pub(crate) fn is_stale(&self) -> bool {
        match &self.wire {
            Wire::Plain(timed) => timed.is_stale(),
            Wire::Tls(stream) => stream.sock.is_stale(),
        }
    }

    /// Sends the bytes that `write` writes and reads `replies` replies. If the connection breaks half way, the
    /// replies that came are returned, and the failure in place of each missing one.
    pub(crate) fn exchange(
        &mut self,
        replies: usize,
        deadline: Deadline,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Vec<Result<Value, Kind>>, Kind> {
        // Until proved otherwise.
        self.broken = true;
        self.out.clear();
        write(&mut self.out);
        self.timed().deadline = deadline;
        self.send().map_err(|(error, sent)| Kind::of_io(&error, sent))?;
        if self.out.capacity() > LARGEST_KEPT {
            self.out = Vec::new();
        }
        let mut answers = Vec::with_capacity(replies);
        while answers.len() < replies {
            match self.receive() {
                Ok(reply) => answers.push(Ok(reply)),
                Err(kind) => {
                    answers.resize_with(replies, || Err(kind.clone()));
                    return Ok(answers);
                }
            }
        }
        // More replies than requests cannot be told apart.
        self.broken = self.taken < self.input.len();
        Ok(answers)
    }

    fn timed(&mut self) -> &mut Timed {
        match &mut self.wire {
            Wire::Plain(timed) => timed,
            Wire::Tls(stream) => &mut stream.sock,
        }
    }

    /// On failure, whether some of it may have left.
    fn send(&mut self) -> Result<(), (io::Error, bool)> {
        match &mut self.wire {
            Wire::Plain(timed) => {
                let mut rest = &self.out[..];
                while !rest.is_empty() {
                    let sent = rest.len() < self.out.len();
                    match timed.write(rest) {
                        Ok(0) => return Err((io::ErrorKind::WriteZero.into(), sent)),
                        Ok(written) => rest = &rest[written..],
                        Err(error) => return Err((error, sent)),
                    }
                }
                Ok(())
            }
            Wire::Tls(stream) => {
                // The TLS session does not say how much of it has left.
                let sent = stream.write_all(&self.out).and_then(|()| stream.flush());
                sent.map_err(|error| {
                    self.tls_failure = tls::error_in(&error);
                    (error, true)
                })
            }
        }
    }

    fn receive(&mut self) -> Result<Value, Kind> {
        let Self { wire, input, taken, parser, tls_failure, .. } = self;
        parser
            .parse_value(Lines { wire, input, taken, tls_failure })
            .map_err(|error| Kind::of_reply(&error))
            .and_then(|value| match value {
                Value::Int(_)
                | Value::Nil
                | Value::BulkString(_)
                | Value::Array(_)
                | Value::SimpleString(_)
                | Value::Okay
                | Value::ServerError(_) => Ok(value),
                other => Err(Kind::Protocol { cause: format!("its reply is no RESP2: {other:?}") }),
            })
    }
}

/// Hands out the input in pieces that end where lines end, as replies do. The parser swallows input beyond a
/// reply; so it is never given any, and surplus input can be seen.
struct Lines<'a> {
    wire: &'a mut Wire,
    input: &'a mut Vec<u8>,
    taken: &'a mut usize,
    tls_failure: &'a mut Option<rustls::Error>,
}

impl Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if *self.taken == self.input.len() {
            *self.taken = 0;
            self.input.resize(CHUNK, 0);
            let read = match &mut self.wire {
                Wire::Plain(timed) => timed.read(self.input),
                Wire::Tls(stream) => stream.read(self.input),
            };
            self.input.truncate(*read.as_ref().unwrap_or(&0));
            read.inspect_err(|error| *self.tls_failure = tls::error_in(error))?;
        }
        let ready = &self.input[*self.taken..];
        let line = ready.iter().position(|byte| *byte == b'\n').map_or(ready.len(), |at| at + 1);
        let given = line.min(buffer.len());
        buffer[..given].copy_from_slice(&ready[..given]);
        *self.taken += given;
        Ok(given)
    }
}
