//! Asking Sentinels which server is the master.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::redis::{Value, cmd};

use crate::redis::net::address::list;
use crate::redis::net::failure::Kind;
use crate::redis::net::node::Limits;
use crate::redis::net::{Address, Connector, Deadline, Failure, Node};

/// The Sentinels of a service, in the order of the URL.
pub(crate) struct Sentinels {
    nodes: Vec<Arc<Node>>,
    service: String,
    /// The index of the Sentinel to ask first.
    first: AtomicUsize,
}

impl Sentinels {
    pub(crate) fn new(
        addresses: &[Address],
        service: &str,
        connector: &Arc<Connector>,
        limits: &Limits,
    ) -> Self {
        // One timeout is enough to skip a Sentinel for a while: the others know as much.
        let limits = Limits { is_impatient: true, ..*limits };
        let node = |address: &Address| {
            Arc::new(Node::new(address.clone(), Arc::clone(connector), &limits))
        };
        let nodes = addresses.iter().map(node).collect::<Vec<_>>();
        // A random one, so that processes do not all ask the same one.
        let first = AtomicUsize::new(fastrand::usize(..nodes.len().max(1)));
        Self { nodes, service: service.to_owned(), first }
    }

    /// See `Router::abandon`.
    pub(crate) fn abandon(&self) {
        self.nodes.iter().for_each(|node| node.abandon());
    }

    pub(crate) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// Ask the next one first: the one that answered last may know least.
    pub(crate) fn turn(&self) {
        // Relaxed: a hint.
        self.first.fetch_add(1, Ordering::Relaxed);
    }

    /// The address that the first Sentinel to answer names. The connection then checks that the server itself
    /// says it is the master.
    pub(crate) fn master(&self, deadline: Deadline) -> Result<Address, Failure> {
        let Self { nodes, service, first } = self;
        let mut problems = Vec::new();
        let mut outage = false;
        // Relaxed: a hint.
        let begin = first.load(Ordering::Relaxed) % nodes.len().max(1);
        for nth in 0..nodes.len() {
            let index = (begin + nth) % nodes.len();
            let sentinel = &nodes[index];
            let is_last = nth + 1 == nodes.len();
            let until = if is_last { deadline.rest() } else { deadline.halfway() };
            let question = cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(service).to_owned();
            let address = &sentinel.address;
            match sentinel.ask_plainly(&question, until) {
                Ok(Value::Array(answer)) => match &answer[..] {
                    [Value::BulkString(host), Value::BulkString(port)] => {
                        let host = String::from_utf8_lossy(host).into_owned();
                        let port = String::from_utf8_lossy(port).parse();
                        if let Ok(port) = port {
                            // Relaxed: a hint.
                            first.store(index, Ordering::Relaxed);
                            return Ok(Address::Tcp { host, port });
                        }
                        problems.push(format!("{address}: {answer:?}"));
                    }
                    other => problems.push(format!("{address}: {other:?}")),
                },
                Ok(Value::Nil) => problems.push(format!("{address} knows no {service}")),
                Ok(other) => problems.push(format!("{address}: {other:?}")),
                Err(failure) => {
                    outage |= failure.kind.is_outage();
                    problems.push(format!("{address}: {}", failure.kind));
                }
            }
        }
        let cause = format!("no Sentinel knows the master of {service}: {}", problems.join("; "));
        let kind = if outage { Kind::Io { cause, sent: false } } else { Kind::Protocol { cause } };
        let addresses = nodes.iter().map(|node| node.address.clone()).collect::<Vec<_>>();
        Err(kind.at(list(&addresses)))
    }
}
