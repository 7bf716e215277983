//! Asking Sentinels who is the master.

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
    /// Whom to ask first.
    first: AtomicUsize,
}

impl Sentinels {
    pub(crate) fn new(
        addresses: &[Address],
        service: &str,
        connector: &Arc<Connector>,
        limits: &Limits,
    ) -> Self {
        // A look that has waited for one in vain is enough: the others know as much.
        let limits = Limits { is_impatient: true, ..*limits };
        let node = |address: &Address| {
            Arc::new(Node::new(address.clone(), Arc::clone(connector), &limits))
        };
        let nodes = addresses.iter().map(node).collect::<Vec<_>>();
        // Not always the same one, from process to process.
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

    /// The one that has answered last may be the one that knows least: ask the next one first.
    pub(crate) fn turn(&self) {
        // Relaxed: a hint.
        self.first.fetch_add(1, Ordering::Relaxed);
    }

    /// The first answer counts. Whether the master still sees itself as one is asked when it is connected
    /// to.
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
