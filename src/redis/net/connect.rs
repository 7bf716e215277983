//! Making connections: socket, TLS, and login.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::time::Duration;

use ::redis::{Value, cmd};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use crate::redis::net::connection::{Connection, Wire};
use crate::redis::net::failure::{Kind, NOT_MASTER};
use crate::redis::net::needs;
use crate::redis::net::resolve::Resolver;
use crate::redis::net::socket::{Socket, Timed};
use crate::redis::net::tls::{self, Tls};
use crate::redis::net::{Address, Deadline};

/// The settings of all connections to a kind of server.
pub(crate) struct Connector {
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: i64,
    pub(crate) role: Role,
    /// Connections made so far.
    pub(crate) opened: Arc<AtomicU64>,
}

/// What a server is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Sentinel,
    /// Runs our scripts.
    Server,
    /// The same, and has to be a master.
    Master,
}

impl Connector {
    /// Connects and logs in. If that fails, no request was sent yet.
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
                let broken = |cause| Kind::Tls { cause };
                let host = match address {
                    Address::Tcp { host, .. } => host.clone(),
                    Address::Unix(_) => "localhost".into(),
                };
                let name = ServerName::try_from(host).map_err(|error| broken(error.to_string()))?;
                let session = ClientConnection::new(Arc::clone(&tls.config), name)
                    .map_err(|error| broken(error.to_string()))?;
                let mut stream = Box::new(StreamOwned::new(session, timed));
                tls::shake_hands(&mut stream, deadline.nearly()).map_err(|kind| match kind {
                    Kind::Io { .. } if opened_plainly(address, resolver, deadline) => {
                        tls::plain_port()
                    }
                    kind => kind,
                })?;
                Wire::Tls(stream)
            }
        };
        // Relaxed: a statistic.
        self.opened.fetch_add(1, Ordering::Relaxed);
        let mut connection = Connection::new(wire);
        match self.introduce(&mut connection, deadline) {
            Ok(()) => Ok(connection),
            Err(kind) => Err(connection.tls_failure().unwrap_or(kind)),
        }
    }

    /// One round trip before any request, so that a server that refuses us, is not Redis, is not ready, or lacks
    /// something, is found out before the outcome of a request can be unknown.
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
        let last = if self.role == Role::Master { "ROLE" } else { "PING" };
        cmd(last).write_packed_command(&mut request);
        let runs_scripts = self.role != Role::Sentinel;
        if runs_scripts {
            needs::write(&mut request);
        }
        let replies = expected + usize::from(runs_scripts);
        let sent = connection.exchange(replies, deadline, |out| out.extend_from_slice(&request));
        let replies = sent.map_err(|kind| match connection.last_words() {
            Some(Value::ServerError(error)) => self.scrubbed(Kind::of_server(&error)),
            _ => unsent(kind),
        })?;
        for (index, reply) in replies.into_iter().enumerate() {
            let reply = reply.map_err(|kind| self.scrubbed(unsent(kind)))?;
            let is_last = index + 1 == expected;
            match reply {
                reply if index == expected => {
                    needs::judge(&reply).map_err(|kind| self.scrubbed(kind))?;
                }
                // Our user need not have the right to ask for the role.
                Value::ServerError(error) if is_last && error.code() == "NOPERM" => {}
                Value::ServerError(error) => return Err(self.scrubbed(Kind::of_server(&error))),
                Value::Array(role) if is_last && self.role == Role::Master => {
                    if !is_text(role.first(), "master") {
                        let cause = "it is not the master any more, or not yet".to_owned();
                        return Err(Kind::Server { code: NOT_MASTER.into(), cause });
                    }
                }
                Value::Okay | Value::SimpleString(_) => {}
                // The reply is not shown: a server that is not Redis may repeat the password in it.
                _ => {
                    let cause = "it does not answer a login as Redis does".to_owned();
                    return Err(Kind::Protocol { cause });
                }
            }
        }
        Ok(())
    }

    /// A server that does not know a command repeats it with its arguments: for `AUTH`, with the password. A
    /// server that is not Redis may do so, too.
    fn scrubbed(&self, kind: Kind) -> Kind {
        let cause = kind.to_string();
        let repeats = |password: &String| {
            let mut pieces = password.as_bytes().windows(SECRET_PIECE);
            pieces.any(|piece| cause.as_bytes().windows(SECRET_PIECE).any(|shown| shown == piece))
        };
        if !self.password.as_ref().is_some_and(repeats) {
            return kind;
        }
        let cause = "its reply to the login repeats the password, so it is not shown";
        match kind {
            Kind::Server { code, .. } => Kind::Server { code, cause: cause.into() },
            Kind::Io { sent, .. } => Kind::Io { cause: cause.into(), sent },
            _ => Kind::Protocol { cause: cause.into() },
        }
    }
}

/// This many characters of a password in a row are never shown.
const SECRET_PIECE: usize = 4;

/// Whether a Redis without TLS answers at the address.
fn opened_plainly(address: &Address, resolver: &Resolver, deadline: Deadline) -> bool {
    let fresh = open(address, resolver, &deadline);
    fresh.is_ok_and(|socket| tls::is_plain(Timed::new(socket, deadline)))
}

/// No request was sent yet, so nothing was done.
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
                        keep_alive(&stream)?;
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

/// Turns on TCP keepalive, so that routers do not forget idle connections, and the system notices dead
/// ones.
#[cfg(unix)]
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(stream, true)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        sockopt::set_tcp_keepidle(stream, Duration::from_secs(15))?;
        sockopt::set_tcp_keepintvl(stream, Duration::from_secs(5))?;
        sockopt::set_tcp_keepcnt(stream, 3)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn keep_alive(_: &TcpStream) -> io::Result<()> {
    Ok(())
}

/// The standard library has no timeout for this, and a listener with a full backlog makes callers wait.
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
