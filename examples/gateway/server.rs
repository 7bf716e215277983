//! The server: one thread for each request in progress, and one call to the limiter in it.
//!
//! tiny_http reads the requests, in threads of its own. Where a peer resets its connection before
//! it was accepted, such a thread of tiny_http 0.12 panics: that is heard on stderr and hurts
//! nobody else. All other errors of a connection end with the connection.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use tiny_http::{Request, Server};
use trypema::Clock;

use super::answer::Answer;
use super::history::{Call, Ledger};
use super::limits::Limits;
use super::rules::Rules;

/// Requests in progress at once. A request here is done in microseconds, so that a few threads
/// which take one request after the other serve as well as a thread for each, and no flood of
/// requests can make them more.
const WORKERS: usize = 4;

/// A running server. It serves until it is stopped.
pub(crate) struct Gateway {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<io::Result<()>>>,
    address: SocketAddr,
}

/// The state that the workers share. The limits need no lock around them.
struct Shared {
    http: Server,
    limits: Limits,
    rules: Rules,
    /// The very clock that the limiter reads. The record of decisions is later checked against
    /// the limiter's window, and two clocks need not agree on how long a second is.
    clock: Arc<dyn Clock>,
    ledger: Option<Arc<Ledger>>,
    stopping: AtomicBool,
}

impl Gateway {
    /// Binds the address and starts to serve, with limits of its own. Every decision is written to
    /// the ledger, if there is one.
    pub(crate) fn start(
        address: SocketAddr,
        rules: Rules,
        clock: Arc<dyn Clock>,
        ledger: Option<Arc<Ledger>>,
    ) -> Result<Self, Box<dyn Error>> {
        let limits = Limits::here(&rules, &clock)?;
        Self::start_with(limits, address, rules, clock, ledger)
    }

    /// The same, with limits that may be shared with others.
    pub(crate) fn start_with(
        limits: Limits,
        address: SocketAddr,
        rules: Rules,
        clock: Arc<dyn Clock>,
        ledger: Option<Arc<Ledger>>,
    ) -> Result<Self, Box<dyn Error>> {
        let http = Server::http(address)
            .map_err(|error| format!("cannot listen on {address}: {error}"))?;
        let address = http.server_addr().to_ip().ok_or("the server has no address")?;
        let stopping = AtomicBool::new(false);
        let shared = Arc::new(Shared { http, limits, rules, clock, ledger, stopping });
        let mut gateway = Self { shared, workers: Vec::new(), address };
        for number in 0..WORKERS {
            let shared = Arc::clone(&gateway.shared);
            let worker = thread::Builder::new()
                .name(format!("gateway-{number}"))
                .spawn(move || shared.work())?;
            gateway.workers.push(worker);
        }
        Ok(gateway)
    }

    /// Where it listens: with the port that the system chose, if it was asked to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers what has been asked by now, then ends all workers.
    pub(crate) fn stop(self) -> io::Result<()> {
        // Relaxed: a worker looks at it after it was woken through the queue's lock, taken here
        // after the store.
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.shared.http.unblock();
        self.wait()
    }

    /// Waits for the workers. Unless stopped they end only with the listening socket's failure.
    pub(crate) fn wait(self) -> io::Result<()> {
        let mut ended = Ok(());
        for worker in self.workers {
            let result =
                worker.join().unwrap_or_else(|_| Err(io::Error::other("a worker panicked")));
            ended = ended.and(result);
        }
        self.shared.limits.stop();
        ended
    }
}

impl Shared {
    fn work(&self) -> io::Result<()> {
        loop {
            match self.http.recv() {
                Ok(request) => self.serve(request),
                // Woken to stop, or the listening socket is gone. Either way it is the end for
                // all workers, and only one of them was told: each passes the word on.
                Err(error) => {
                    self.http.unblock();
                    // Relaxed: see `stop`.
                    let stopping = self.stopping.load(Ordering::Relaxed);
                    return if stopping { Ok(()) } else { Err(error) };
                }
            }
        }
    }

    fn serve(&self, request: Request) {
        let answer = match client_of(&request) {
            // Not limited: who watches over a server should not be told that it is busy.
            _ if request.url() == "/health" => Answer::healthy(),
            Some(client) => self.decide(&client),
            None => Answer::unreadable_name(),
        };
        // A client that left without its answer is no concern of the others.
        let _ = request.respond(answer.into_response());
    }

    /// The reason for this example: may this client's request go ahead?
    fn decide(&self, client: &str) -> Answer {
        let rate = self.rules.rate(client);
        // Nothing comes between the readings and the call: the tighter they enclose it, the
        // more the check in the end can see.
        let before = self.clock.now();
        let decision = self.limits.limiter().inc(client, rate, 1);
        let after = self.clock.now();
        let answer = decision.and_then(|decision| {
            if let Some(ledger) = &self.ledger {
                ledger.note(client, Call::new(before, after, &decision));
            }
            Answer::to(&decision, client, &self.rules)
        });
        match answer {
            Ok(answer) => answer,
            // Nobody could say whether it may. Whom to let through then is for a gateway to
            // choose (`OnUnavailable`); this one says that it is not the client's fault.
            Err(error) => {
                eprintln!("gateway: {client} was not decided on: {error}");
                Answer::undecided()
            }
        }
    }
}

/// The key of the caller: the name given, or else the address. `None` if the name is no name.
///
/// A name is made of letters, digits, `-` and `_`, hence never looks like an address: nobody can
/// use up somebody else's limit by calling himself `127.0.0.1`. A gateway that faces the world
/// would go further and believe no name that has not been proved.
fn client_of(request: &Request) -> Option<String> {
    let given = request.headers().iter().find(|header| header.field.equiv("X-Client"));
    match (given, request.remote_addr()) {
        (Some(header), _) => {
            let name = header.value.as_str();
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            let valid = (1..=64).contains(&name.len()) && name.bytes().all(plain);
            valid.then(|| name.to_owned())
        }
        (None, Some(peer)) => Some(peer.ip().to_string()),
        (None, None) => None,
    }
}
