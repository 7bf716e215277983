//! A small TCP proxy between a limiter and its server, that can get in the way.
//!
//! It runs on threads of the test: one that accepts, and two for every connection. A fault is set
//! at any time, and holds from then on for replies on all connections, old and new. Questions reach
//! the server as far as a connection is made at all: the caller cannot know what has happened.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType};

use crate::cluster::eventually;
use crate::ports::free_port;

/// The fate of replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The connection ends after so many bytes of the next reply. Once: whoever asks again is
    /// answered.
    CutOnce(usize),
    /// Connections end in place of a reply.
    Close,
    /// Each piece comes so much later.
    Late(Duration),
    /// One byte at a time, with such a pause before each.
    Drip(Duration),
}

/// The fate of connections that exist when this is set, and of no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spoiled {
    /// Data sent on them is lost, as after a router has forgotten the connection.
    Swallowed,
    /// The server, whoever it is now, says this in place of any reply.
    Saying(&'static str),
}

/// A text that is replaced in all requests, by one of the same length.
type Rewritten = (&'static str, &'static str);

struct State {
    spoiled: Mutex<Option<(u64, Spoiled)>>,
    rewritten: Mutex<Option<Rewritten>>,
    upstream: Mutex<SocketAddr>,
    fault: Mutex<Fault>,
    fault_changed: Condvar,
    /// Both ends of every connection that there is.
    streams: Mutex<HashMap<u64, [TcpStream; 2]>>,
    connections: AtomicU64,
    bytes_up: AtomicU64,
}

pub(crate) struct Proxy {
    port: u16,
    state: Arc<State>,
    acceptor: Option<Acceptor>,
}

/// Counts of what reached the proxy, and so the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) connections: u64,
    pub(crate) bytes: u64,
}

impl Proxy {
    /// In front of the server at this port.
    pub(crate) fn to(port: u16) -> Self {
        let state = Arc::new(State {
            spoiled: Mutex::default(),
            rewritten: Mutex::default(),
            upstream: Mutex::new(at(port)),
            fault: Mutex::new(Fault::None),
            fault_changed: Condvar::new(),
            streams: Mutex::default(),
            connections: AtomicU64::new(0),
            bytes_up: AtomicU64::new(0),
        });
        let (port, listener) = std::iter::repeat_with(free_port)
            .take(20)
            .find_map(|port| Some((port, TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?)))
            .expect("a port is free");
        let acceptor = Some(Acceptor::start(listener, Arc::clone(&state)));
        Self { port, state, acceptor }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// New connections are to the server at this port.
    pub(crate) fn lead_to(&self, port: u16) {
        *lock(&self.state.upstream) = at(port);
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.state.set(fault);
    }

    /// The server is asked something else: its replies are those of a server that lacks something.
    pub(crate) fn rewrite(&self, text: &'static str, by: &'static str) {
        assert_eq!(text.len(), by.len());
        *lock(&self.state.rewritten) = Some((text, by));
    }

    /// Spoils the connections that there are. New ones are fine.
    pub(crate) fn spoil_old(&self, how: Spoiled) {
        *lock(&self.state.spoiled) = Some((self.seen().connections, how));
    }

    /// Spoils all connections, also new ones, until [`spoil_old`](Self::spoil_old) leaves it at those
    /// that there are.
    pub(crate) fn spoil_all(&self, how: Spoiled) {
        *lock(&self.state.spoiled) = Some((u64::MAX, how));
    }

    pub(crate) fn seen(&self) -> Seen {
        // Relaxed: counts of what is over by the time that they are looked at.
        Seen {
            connections: self.state.connections.load(Ordering::Relaxed),
            bytes: self.state.bytes_up.load(Ordering::Relaxed),
        }
    }

    /// Ends all connections; new ones are welcome.
    pub(crate) fn close_all(&self) {
        for stream in lock(&self.state.streams).drain().flat_map(|(_, streams)| streams) {
            // It may have ended by itself.
            _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends all connections, and nobody listens from now on.
    pub(crate) fn refuse(&mut self) {
        self.acceptor = None;
        self.close_all();
        // A server that another test is starting has this listener, too, from its fork to its exec.
        eventually("nobody listens", || {
            let connected = TcpStream::connect(at(self.port));
            connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        });
    }

    /// Ends all connections, and from now on those who connect wait for an answer in vain, until
    /// the value is dropped: the queue of connections to be accepted is full, and who is next has
    /// its packets dropped by the system.
    pub(crate) fn hang(&mut self) -> Hanging {
        self.refuse();
        Hanging::listen(self.port)
    }

    /// Listens again.
    pub(crate) fn accept(&mut self) {
        let mut listener = None;
        // The system may take a moment to let go of connections that were never accepted.
        eventually("the port is free", || {
            listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).ok();
            listener.is_some()
        });
        let listener = listener.expect("it is free");
        self.acceptor = Some(Acceptor::start(listener, Arc::clone(&self.state)));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.refuse();
        // Wakes who still waits before it hands a reply on.
        self.set(Fault::None);
    }
}

/// A thread that accepts connections until the value is dropped.
struct Acceptor {
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
    stop: Arc<Mutex<bool>>,
}

impl Acceptor {
    fn start(listener: TcpListener, state: Arc<State>) -> Self {
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(Mutex::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            for client in listener.incoming() {
                if *lock(&stopped) {
                    return;
                }
                // A client that has gone again is of no interest.
                let Ok(client) = client else { continue };
                let number = state.connections.fetch_add(1, Ordering::Relaxed); // A count.
                let upstream = *lock(&state.upstream);
                match TcpStream::connect(upstream) {
                    Ok(server) => join(&state, number, client, server),
                    // As the server would have it: the connection is there, and ends.
                    Err(_) => _ = client.shutdown(Shutdown::Both),
                }
            }
        });
        Self { address, thread: Some(thread), stop }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        *lock(&self.stop) = true;
        // Wakes it. If that fails, it is gone.
        _ = TcpStream::connect(self.address);
        self.thread.take().map(JoinHandle::join);
    }
}

/// Hands on in both directions, until either side ends.
fn join(state: &Arc<State>, number: u64, client: TcpStream, server: TcpStream) {
    let both = [&client, &server].map(|stream| {
        stream.set_nodelay(true).unwrap();
        stream.try_clone().unwrap()
    });
    lock(&state.streams).insert(number, both);
    let (up, down) = (Arc::clone(state), Arc::clone(state));
    let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        pump(&from_client, &to_server, |bytes, to| {
            if up.spoiled(number) == Some(Spoiled::Swallowed) {
                return true;
            }
            up.bytes_up.fetch_add(bytes.len() as u64, Ordering::Relaxed); // A count.
            to.write_all(&up.rewrite(bytes)).is_ok()
        });
    });
    thread::spawn(move || {
        pump(&server, &client, |bytes, to| match down.spoiled(number) {
            None => down.hand_on(bytes, to),
            Some(Spoiled::Swallowed) => true,
            Some(Spoiled::Saying(text)) => to.write_all(text.as_bytes()).is_ok(),
        });
        // The other direction ends with this one.
        lock(&down.streams).remove(&number);
    });
}

/// Until one of the two ends, or `hand_on` says so; then both are ended.
fn pump(from: &TcpStream, to: &TcpStream, hand_on: impl Fn(&[u8], &mut &TcpStream) -> bool) {
    let mut buffer = [0; 64 << 10];
    while let Ok(count @ 1..) = (&*from).read(&mut buffer) {
        if !hand_on(&buffer[..count], &mut &*to) {
            break;
        }
    }
    _ = from.shutdown(Shutdown::Both);
    _ = to.shutdown(Shutdown::Both);
}

impl State {
    fn set(&self, fault: Fault) {
        *lock(&self.fault) = fault;
        self.fault_changed.notify_all();
    }

    fn rewrite(&self, request: &[u8]) -> Vec<u8> {
        let mut request = request.to_vec();
        if let Some((text, by)) = *lock(&self.rewritten) {
            let found = request.windows(text.len()).enumerate();
            let found = found.filter(|(_, piece)| *piece == text.as_bytes());
            for index in found.map(|(index, _)| index).collect::<Vec<_>>() {
                request[index..index + by.len()].copy_from_slice(by.as_bytes());
            }
        }
        request
    }

    fn spoiled(&self, connection: u64) -> Option<Spoiled> {
        lock(&self.spoiled).filter(|(end, _)| connection < *end).map(|(_, how)| how)
    }

    /// Hands a reply on as the fault has it, and says whether the connection goes on.
    fn hand_on(&self, reply: &[u8], to: &mut &TcpStream) -> bool {
        let fault = *lock(&self.fault);
        match fault {
            Fault::None => to.write_all(reply).is_ok(),
            Fault::Close => false,
            Fault::CutOnce(count) => {
                self.set(Fault::None);
                _ = to.write_all(&reply[..count.min(reply.len())]);
                false
            }
            Fault::Late(by) => {
                self.wait(by, fault);
                to.write_all(reply).is_ok()
            }
            Fault::Drip(pause) => reply.chunks(1).all(|byte| {
                self.wait(pause, fault);
                to.write_all(byte).is_ok()
            }),
        }
    }

    /// Waits, or until the fault is another.
    fn wait(&self, length: Duration, fault: Fault) {
        let guard = lock(&self.fault);
        let waited = self.fault_changed.wait_timeout_while(guard, length, |now| *now == fault);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// A listener that accepts nobody, with its queue full.
pub(crate) struct Hanging {
    _listener: OwnedFd,
    _queued: Vec<TcpStream>,
}

impl Hanging {
    fn listen(port: u16) -> Self {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let listener = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        // Connections that have just ended keep the port for a minute otherwise.
        rustix::net::sockopt::set_socket_reuseaddr(&listener, true).unwrap();
        rustix::net::bind(&listener, &address).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let mut queued = Vec::new();
        // How many fit is the system's business: as many as it takes until one does not.
        while let Ok(stream) =
            TcpStream::connect_timeout(&address.into(), Duration::from_millis(200))
        {
            queued.push(stream);
            assert!(queued.len() < 100, "the queue has no end");
        }
        Self { _listener: listener, _queued: queued }
    }
}

fn at(port: u16) -> SocketAddr {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
