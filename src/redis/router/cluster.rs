//! Asking a cluster which node has which slots, and reading its redirects (`MOVED`, `ASK`).

use std::sync::Arc;

use ::redis::{Value, cmd};

use crate::redis::net::address::list;
use crate::redis::net::failure::Kind;
use crate::redis::net::{Address, Deadline, Failure, Node};
use crate::redis::router::topology::{SLOTS, Topology};
use crate::redis::router::{AddressMap, mapped};

/// The address that a node redirects to, and whether for this one request only (`ASK`).
pub(crate) fn redirection(
    kind: &Kind,
    from: &Address,
    map: Option<&AddressMap>,
) -> Option<(Address, bool)> {
    let Kind::Server { code, cause } = kind else { return None };
    let asking = match code.as_str() {
        "MOVED" => false,
        "ASK" => true,
        _ => return None,
    };
    // "MOVED 3999 127.0.0.1:6381"
    let (host, port) = cause.split_whitespace().nth(2)?.rsplit_once(':')?;
    Some((address(host, port.parse().ok()?, from, map)?, asking))
}

/// Asks one node after the other, known ones first, until one names an owner for every slot. A node that was
/// removed from the cluster, or never joined it, names owners for few slots or none. So if no node names all
/// owners, the answer that names most wins, the present topology included.
pub(crate) fn topology(
    known: Option<Arc<Topology>>,
    seeds: &[Address],
    map: Option<&AddressMap>,
    node: impl Fn(&Address) -> Arc<Node>,
    deadline: Deadline,
) -> Result<Arc<Topology>, Failure> {
    let nodes = known.as_ref().map_or(&[][..], |known| known.nodes());
    let mut candidates = nodes.iter().map(|node| node.address.clone()).collect::<Vec<_>>();
    for seed in seeds {
        if !candidates.contains(seed) {
            candidates.push(seed.clone());
        }
    }
    // Starting with a random one: a fixed first node may be down.
    let first = if candidates.is_empty() { 0 } else { fastrand::usize(..candidates.len()) };
    candidates.rotate_left(first);
    let (mut best, mut problem) = (None, None);
    for (index, candidate) in candidates.iter().enumerate() {
        let asked = node(candidate);
        let is_last = index + 1 == candidates.len();
        let until = if is_last { deadline.rest() } else { deadline.halfway() };
        let answer = asked.ask_plainly(cmd("CLUSTER").arg("SLOTS"), until).and_then(|reply| {
            let ranges = ranges(&reply, candidate, map, &node);
            ranges.ok_or_else(|| {
                let cause = format!("{reply:?} to CLUSTER SLOTS");
                asked.failure(Kind::Protocol { cause })
            })
        });
        match answer {
            Ok(ranges) => {
                let found = Topology::of_ranges(&ranges);
                let count = found.slots_owned();
                if count == usize::from(SLOTS) {
                    return Ok(Arc::new(found));
                }
                if best.as_ref().is_none_or(|(most, _)| *most < count) {
                    best = Some((count, found));
                }
            }
            Err(failure) => problem = Some(failure),
        }
    }
    match (best, known) {
        (Some((count, _)), Some(known)) if known.slots_owned() > count => Ok(known),
        (Some((1.., found)), _) => Ok(Arc::new(found)),
        (Some(_), _) if problem.is_none() => {
            let cause = "none of its nodes knows of any slot".to_owned();
            Err(Kind::Server { code: "CLUSTERDOWN".into(), cause }.at(list(seeds)))
        }
        _ => Err(problem.unwrap_or_else(|| {
            Kind::Protocol { cause: "a cluster of no nodes".into() }.at("a cluster")
        })),
    }
}

/// `None`: not a reply to `CLUSTER SLOTS`.
fn ranges(
    reply: &Value,
    from: &Address,
    map: Option<&AddressMap>,
    node: impl Fn(&Address) -> Arc<Node>,
) -> Option<Vec<(u16, u16, Arc<Node>)>> {
    let Value::Array(entries) = reply else { return None };
    let mut ranges = Vec::with_capacity(entries.len());
    for entry in entries {
        let Value::Array(entry) = entry else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = &entry[..] else {
            return None;
        };
        let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
        if first > last || last >= SLOTS {
            return None;
        }
        let host = match master.first()? {
            Value::BulkString(host) => str::from_utf8(host).ok()?,
            Value::Nil => "",
            _ => return None,
        };
        let Value::Int(port) = master.get(1)? else { return None };
        // A node may not know another's address; then neither do we.
        if let Some(address) = address(host, u16::try_from(*port).ok()?, from, map) {
            ranges.push((first, last, node(&address)));
        }
    }
    Some(ranges)
}

/// A node that does not know its own host leaves it out: it is the host that was asked.
fn address(host: &str, port: u16, from: &Address, map: Option<&AddressMap>) -> Option<Address> {
    let host = match (host, from) {
        ("?", _) => return None,
        ("", Address::Tcp { host, .. }) => host.clone(),
        ("", Address::Unix(_)) => return None,
        (host, _) => host.trim_matches(['[', ']']).to_owned(),
    };
    Some(mapped(map, host, port))
}
