//! Just enough of an HTTP/1.1 client: GET over a connection that is kept open.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A server on the same machine that takes longer than this for one read is taken for dead.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than the server ever sends; whatever it sends, reading it ends.
const LONGEST_HEAD: u64 = 8 * 1024;
const LONGEST_BODY: u64 = 64 * 1024;

/// The parts of an answer that the clients look at.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<u64>,
    pub(crate) retry_after_ms: Option<u64>,
}

/// A connection to the server, opened again after it failed.
pub(crate) struct Connection {
    server: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    pub(crate) fn open(server: SocketAddr) -> io::Result<Self> {
        Ok(Self { server, stream: Some(connect(server)?) })
    }

    /// One request and its answer.
    ///
    /// It is not repeated by itself if it fails, since the server may have counted it already.
    pub(crate) fn get(&mut self, client: Option<&str>) -> io::Result<Reply> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(self.server)?,
        };
        let name = client.map(|name| format!("X-Client: {name}\r\n")).unwrap_or_default();
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n{name}\r\n", self.server);
        // After an error the connection is dropped here: it may hold half an answer, which the
        // next request would take for its own.
        let reply = exchange(&mut stream, &request)?;
        self.stream = Some(stream);
        Ok(reply)
    }
}

/// Connects, and makes sure that somebody is there: asks for the health of the server, which is
/// not limited, and waits for the answer.
fn connect(server: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let request = format!("GET /health HTTP/1.1\r\nHost: {server}\r\n\r\n");
    match exchange(&mut stream, &request)?.status {
        200 => Ok(stream),
        _ => Err(malformed("no health")),
    }
}

fn exchange(stream: &mut BufReader<TcpStream>, request: &str) -> io::Result<Reply> {
    stream.get_mut().write_all(request.as_bytes())?;
    let (reply, length) = read_head(&mut stream.take(LONGEST_HEAD))?;
    if length > LONGEST_BODY {
        return Err(malformed("a body that is too long"));
    }
    let read = io::copy(&mut stream.take(length), &mut io::sink())?;
    if read < length { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(reply) }
}

/// Status line and headers, up to the empty line after them; also the length of the body.
fn read_head(head: &mut impl BufRead) -> io::Result<(Reply, u64)> {
    let status_line = read_line(head)?;
    let status = status_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let status = status.and_then(|digits| digits.parse().ok());
    let mut reply =
        Reply { status: status.ok_or_else(|| malformed("no status"))?, ..Reply::default() };
    let mut length = None;
    loop {
        let line = read_line(head)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed("no header"))?;
        let number = value.trim().parse().ok();
        match name.to_ascii_lowercase().as_str() {
            "retry-after" => reply.retry_after = number,
            "retry-after-ms" => reply.retry_after_ms = number,
            "content-length" => length = number,
            _ => {}
        }
    }
    Ok((reply, length.ok_or_else(|| malformed("no length"))?))
}

fn read_line(head: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    head.read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(text) => Ok(text.to_owned()),
        // The connection was closed, or the head is longer than any of ours.
        None => Err(ErrorKind::UnexpectedEof.into()),
    }
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
