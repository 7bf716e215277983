//! A blocking HTTP server with the limits around its handler.

use std::io::Cursor;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tiny_http::{Header, Request, Response, Server};

use super::address::TrustedProxies;
use super::limits::{Limits, Verdict};

type Reply = Response<Cursor<Vec<u8>>>;

/// The middleware: who asks, whether that may go ahead, and what every reply tells of it.
pub(crate) struct Limited<H> {
    pub(crate) limits: Limits,
    pub(crate) proxies: TrustedProxies,
    /// Keys that we gave out. An unknown one would be a way to get a fresh quota with each request.
    pub(crate) api_keys: Vec<String>,
    pub(crate) handler: H,
}

impl<H: Fn(&Request) -> Reply> Limited<H> {
    fn reply(&self, request: &Request) -> Reply {
        let Some(peer) = request.remote_addr() else {
            return text(400, "no address\n");
        };
        let client = self.proxies.client(peer.ip(), values(request, "X-Forwarded-For"));
        let given = values(request, "X-Api-Key").next();
        let known = given.filter(|given| self.api_keys.iter().any(|key| key == given));
        let Verdict { is_allowed, headers } = self.limits.admit(client, known);
        // A client that guesses keys is limited by address, too, and is told so before that the key is none.
        let reply = match (is_allowed, given, known) {
            (false, ..) => text(429, "too many requests\n"),
            (true, Some(_), None) => text(401, "unknown key\n"),
            (true, ..) => (self.handler)(request),
        };
        headers.iter().fold(reply, |reply, (name, value)| reply.with_header(header(name, value)))
    }
}

/// The values of all headers of that name, in order.
fn values<'a>(
    request: &'a Request,
    name: &'static str,
) -> impl DoubleEndedIterator<Item = &'a str> {
    let named = move |header: &&Header| header.field.equiv(name);
    request.headers().iter().filter(named).map(|header| header.value.as_str())
}

fn header(name: &str, value: &str) -> Header {
    Header::from_str(&format!("{name}: {value}")).expect("names and values are plain text")
}

pub(crate) fn text(status: u16, text: &str) -> Reply {
    Response::from_string(text).with_status_code(status)
}

pub(crate) struct Running {
    server: Arc<Server>,
    workers: Vec<JoinHandle<()>>,
}

impl Running {
    pub(crate) fn start<H>(address: SocketAddr, limited: Limited<H>) -> Result<Self, String>
    where
        H: Fn(&Request) -> Reply + Send + Sync + 'static,
    {
        let server = Server::http(address).map_err(|error| error.to_string())?;
        let (server, limited) = (Arc::new(server), Arc::new(limited));
        let worker = |_| {
            let (server, limited) = (Arc::clone(&server), Arc::clone(&limited));
            thread::spawn(move || {
                // Ends when it is unblocked, and passes that on.
                while let Ok(request) = server.recv() {
                    let reply = limited.reply(&request);
                    // A client that has left is no concern of the others.
                    let _ = request.respond(reply);
                }
                server.unblock();
            })
        };
        Ok(Self { workers: (0..4).map(worker).collect(), server })
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.server.server_addr().to_ip()
    }

    pub(crate) fn stop(self) {
        self.server.unblock();
        for worker in self.workers {
            worker.join().expect("workers do not panic");
        }
    }
}

/// Loopback counts as a proxy where everything runs on one machine.
pub(crate) const LOCAL: [&str; 2] = ["127.0.0.0/8", "::1"];

pub(crate) const ANY_PORT: SocketAddr =
    SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
