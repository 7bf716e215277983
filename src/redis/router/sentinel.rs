//! Asking Sentinels who is the master.

use core::time::Duration;
use std::sync::Arc;

use ::redis::{Value, cmd};

use crate::redis::net::address::list;
use crate::redis::net::failure::Kind;
use crate::redis::net::node::Limits;
use crate::redis::net::pool::Bounds;
use crate::redis::net::{Address, Connector, Deadline, Failure, Node};

/// Sentinels are asked so seldom that nothing is kept of them: each time a connection of its own, and
/// no breaker.
const ONCE: Limits = Limits {
    pool: Bounds { size: 1, max_idle: Duration::ZERO, max_lifetime: Duration::ZERO },
    failures: u32::MAX,
    pause: Duration::ZERO,
};

/// The first answer counts. Whether the master still sees itself as one is asked when it is connected
/// to.
pub(crate) fn master(
    sentinels: &[Address],
    service: &str,
    scouts: &Arc<Connector>,
    deadline: Deadline,
) -> Result<Address, Failure> {
    let mut problems = Vec::new();
    let mut outage = false;
    let offset = if sentinels.is_empty() { 0 } else { fastrand::usize(..sentinels.len()) };
    let (late, early) = sentinels.split_at(offset);
    for (index, sentinel) in early.iter().chain(late).enumerate() {
        let is_last = index + 1 == sentinels.len();
        let until = if is_last { deadline } else { deadline.halfway() };
        let scout = Node::new(sentinel.clone(), Arc::clone(scouts), &ONCE);
        let question = cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(service).to_owned();
        match scout.ask_plainly(&question, until) {
            Ok(Value::Array(answer)) => match &answer[..] {
                [Value::BulkString(host), Value::BulkString(port)] => {
                    let host = String::from_utf8_lossy(host).into_owned();
                    let port = String::from_utf8_lossy(port).parse();
                    if let Ok(port) = port {
                        return Ok(Address::Tcp { host, port });
                    }
                    problems.push(format!("{sentinel}: {answer:?}"));
                }
                other => problems.push(format!("{sentinel}: {other:?}")),
            },
            Ok(Value::Nil) => problems.push(format!("{sentinel} knows no {service}")),
            Ok(other) => problems.push(format!("{sentinel}: {other:?}")),
            Err(failure) => {
                outage |= failure.kind.is_outage();
                problems.push(format!("{sentinel}: {}", failure.kind));
            }
        }
    }
    let cause = format!("no Sentinel knows the master of {service}: {}", problems.join("; "));
    let kind = if outage { Kind::Io { cause, sent: false } } else { Kind::Protocol { cause } };
    Err(kind.at(list(sentinels)))
}
