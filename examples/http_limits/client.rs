//! A client of the example's server, behind a proxy that does as proxies do.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A reply: its status, and its headers as they came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find_map(|(given, value)| (given == name).then_some(value))
    }
}

/// One request, over a connection of its own. The proxy appends `client` to what the client claims.
pub(crate) fn get(
    server: SocketAddr,
    claimed: Option<&str>,
    client: &str,
    api_key: Option<&str>,
) -> io::Result<Reply> {
    let claimed = claimed.map(|claimed| format!("{claimed}, ")).unwrap_or_default();
    let api_key = api_key.map(|key| format!("X-Api-Key: {key}\r\n")).unwrap_or_default();
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\
         X-Forwarded-For: {claimed}{client}\r\n{api_key}\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    let (head, _) = reply.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.get(9..12).and_then(|digits| digits.parse().ok());
    let status = status.ok_or(io::ErrorKind::InvalidData)?;
    Ok(Reply { status, head: head.to_owned() })
}
