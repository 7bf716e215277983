//! Making connections: socket, TLS, and who we are.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ::redis::{Value, cmd};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::redis::net::connection::{Connection, Wire};
use crate::redis::net::failure::{Kind, NOT_MASTER};
use crate::redis::net::resolve::Resolver;
use crate::redis::net::socket::{Socket, Timed};
use crate::redis::net::tls::Tls;
use crate::redis::net::{Address, Deadline};

/// What all connections to servers of a kind have in common.
pub(crate) struct Connector {
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: i64,
    /// Whether the server has to be a master.
    pub(crate) masters_only: bool,
    /// Connections made so far.
    pub(crate) opened: Arc<AtomicU64>,
}

impl Connector {
    /// Connects and introduces us. Whatever goes wrong, nothing was asked for yet.
    pub(crate) fn connect(
        &self,
        address: &Address,
        resolver: &Resolver,
        deadline: Deadline,
    ) -> Result<Connection, Kind> {
        let refused = |error: io::Error| Kind::of_io(&error, false);
        let socket = open(address, resolver, &deadline).map_err(refused)?;
        let timed = Timed::new(socket, deadline);
        let wire = match &self.tls {
            None => Wire::Plain(timed),
            Some(tls) => {
                let broken = |cause| Kind::Io { cause, sent: false };
                let host = match address {
                    Address::Tcp { host, .. } => host.clone(),
                    Address::Unix(_) => "localhost".into(),
                };
                let name = ServerName::try_from(host).map_err(|error| broken(error.to_string()))?;
                let session = ClientConnection::new(Arc::clone(&tls.config), name)
                    .map_err(|error| broken(error.to_string()))?;
                Wire::Tls(Box::new(StreamOwned::new(session, timed)))
            }
        };
        // Relaxed: a statistic.
        self.opened.fetch_add(1, Ordering::Relaxed);
        let mut connection = Connection::new(wire);
        self.introduce(&mut connection, deadline)?;
        Ok(connection)
    }

    /// One round trip, before anything is asked for: so that a server that does not want us, is no
    /// Redis, or is not ready, is known before an answer can get lost.
    fn introduce(&self, connection: &mut Connection, deadline: Deadline) -> Result<(), Kind> {
        let mut request = Vec::new();
        let mut expected = 1;
        if let Some(password) = &self.password {
            let mut auth = cmd("AUTH");
            if let Some(user) = &self.user {
                auth.arg(user);
            }
            auth.arg(password).write_packed_command(&mut request);
            expected += 1;
        }
        if self.database != 0 {
            cmd("SELECT").arg(self.database).write_packed_command(&mut request);
            expected += 1;
        }
        let last = if self.masters_only { "ROLE" } else { "PING" };
        cmd(last).write_packed_command(&mut request);
        let mut replies = connection
            .exchange(expected, deadline, |out| out.extend_from_slice(&request))
            .map_err(unsent)?;
        for (index, reply) in replies.drain(..).enumerate() {
            let reply = reply.map_err(unsent)?;
            let is_last = index + 1 == expected;
            match reply {
                // To be asked is not among the rights that we need.
                Value::ServerError(error) if is_last && error.code() == "NOPERM" => {}
                Value::ServerError(error) => return Err(Kind::of_server(&error)),
                Value::Array(role) if is_last && self.masters_only => {
                    if !is_text(role.first(), "master") {
                        let cause = "it is not the master any more, or not yet".to_owned();
                        return Err(Kind::Server { code: NOT_MASTER.into(), cause });
                    }
                }
                Value::Okay | Value::SimpleString(_) => {}
                other => {
                    let cause = format!("{other:?} to an introduction");
                    return Err(Kind::Protocol { cause });
                }
            }
        }
        Ok(())
    }
}

/// Nothing was asked for yet, so nothing has been done.
fn unsent(kind: Kind) -> Kind {
    match kind {
        Kind::Io { cause, .. } => Kind::Io { cause, sent: false },
        kind => kind,
    }
}

fn is_text(value: Option<&Value>, expected: &str) -> bool {
    match value {
        Some(Value::BulkString(text)) => text == expected.as_bytes(),
        Some(Value::SimpleString(text)) => text == expected,
        _ => false,
    }
}

fn open(address: &Address, resolver: &Resolver, deadline: &Deadline) -> io::Result<Socket> {
    match address {
        Address::Tcp { host, port } => {
            let found = resolver.resolve(host, *port, deadline)?;
            let mut problem = io::Error::from(io::ErrorKind::NotFound);
            for (index, address) in found.iter().enumerate() {
                // The last may take all that is left, those before it a fair part.
                let left = deadline.left_or_timed_out()?;
                let parts = u32::try_from(found.len() - index).unwrap_or(u32::MAX);
                match TcpStream::connect_timeout(address, left / parts) {
                    Ok(stream) => {
                        stream.set_nodelay(true)?;
                        return Ok(Socket::Tcp(stream));
                    }
                    Err(error) => problem = error,
                }
            }
            Err(problem)
        }
        #[cfg(unix)]
        Address::Unix(path) => unix(path, deadline).map(Socket::Unix),
        #[cfg(not(unix))]
        Address::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// The standard library has no timeout for this: a listener whose backlog is full makes wait.
#[cfg(unix)]
fn unix(path: &std::path::Path, deadline: &Deadline) -> io::Result<std::os::unix::net::UnixStream> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket, sockopt};
    let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    let left = deadline.left_or_timed_out()?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(left))?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}
