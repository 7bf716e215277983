//! Asking the server that has a key, and following redirects. The calls of a batch go to each server
//! together, also after redirects.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use crate::redis::net::failure::Kind;
use crate::redis::net::node::Answer;
use crate::redis::net::url::Deployment;
use crate::redis::net::{Deadline, Failure, Node};
use crate::redis::request::Request;
use crate::redis::router::{Router, cluster, no_answer};

/// The most redirects of a call: with more, the cluster contradicts itself.
const MOST_HOPS: usize = 5;

impl Router {
    /// Asks the server that has the key.
    pub(crate) fn ask<T>(
        &self,
        request: &Request<'_, T>,
        deadline: Deadline,
    ) -> Result<T, Failure> {
        let topology = self.topology(deadline)?;
        let mut node = topology.owner(&request.key).cloned().ok_or_else(|| self.nobody())?;
        drop(topology);
        let mut asking = false;
        let mut hop = 0;
        loop {
            let kind = match node.ask(&[request], asking, self.until(&node, deadline)) {
                Ok(mut answers) => match answers.pop() {
                    Some(Ok(parsed)) => return Ok(parsed),
                    Some(Err(kind)) => kind,
                    None => no_answer(),
                },
                Err(failure) => failure.kind,
            };
            match self.next(&request.key, &node, &kind, hop, deadline) {
                Some(next) => (node, asking) = next,
                None => return Err(node.failure(kind)),
            }
            hop += 1;
        }
    }

    /// Asks for many keys, each server once; the calls that are redirected then go out again, likewise.
    pub(crate) fn ask_many<T: Send>(
        &self,
        requests: &[Request<'_, T>],
        deadline: Deadline,
    ) -> Vec<Result<T, Failure>> {
        let topology = match self.topology(deadline) {
            Ok(topology) => topology,
            Err(failure) => return requests.iter().map(|_| Err(failure.clone())).collect(),
        };
        let mut results = requests.iter().map(|_| None).collect::<Vec<_>>();
        let mut groups = Groups::default();
        for (index, request) in requests.iter().enumerate() {
            match topology.owner(&request.key) {
                Some(node) => groups.add(Arc::clone(node), false, index),
                None => results[index] = Some(Err(self.nobody())),
            }
        }
        drop(topology);
        for hop in 0.. {
            let asked = std::mem::take(&mut groups);
            if asked.0.is_empty() {
                break;
            }
            let answers = self.ask_each(&asked.0, requests, deadline);
            for (group, answers) in asked.0.into_iter().zip(answers) {
                for (index, answer) in group.which.into_iter().zip(answers) {
                    let kind = match answer {
                        Ok(parsed) => {
                            results[index] = Some(Ok(parsed));
                            continue;
                        }
                        Err(kind) => kind,
                    };
                    match self.next(&requests[index].key, &group.node, &kind, hop, deadline) {
                        Some((node, asking)) => groups.add(node, asking, index),
                        None => results[index] = Some(Err(group.node.failure(kind))),
                    }
                }
            }
        }
        let unasked =
            |result: Option<_>| result.unwrap_or_else(|| Err(no_answer().at(self.name())));
        results.into_iter().map(unasked).collect()
    }

    /// The node to ask instead after a failure, and whether for this once; `None`: the failure is final. Marks
    /// the topology as doubtful if the failure contradicts it.
    fn next(
        &self,
        key: &str,
        node: &Arc<Node>,
        kind: &Kind,
        hop: usize,
        deadline: Deadline,
    ) -> Option<(Arc<Node>, bool)> {
        if matches!(self.deployment, Deployment::Single(_)) {
            return None;
        }
        let map = self.address_map.as_ref();
        let next = match cluster::redirection(kind, &node.address, map) {
            Some((address, asking)) => {
                let next = self.node(&address);
                if !asking {
                    self.doubt();
                    self.learn(key, &next);
                }
                (next, asking)
            }
            None => {
                let is_gone = kind.opens_breaker() || kind.is_wrong_server();
                if is_gone {
                    self.doubt();
                }
                if !(is_gone && kind.is_known_undone()) {
                    return None;
                }
                (self.owner_now(key, node, kind, hop, deadline)?, false)
            }
        };
        // Without time left no other node is asked, so that none is blamed for it.
        (hop < MOST_HOPS && deadline.left().is_some()).then_some(next)
    }

    /// The node that has the key, if not the one that has failed, after another look if one is due.
    fn owner_now(
        &self,
        key: &str,
        failed: &Arc<Node>,
        kind: &Kind,
        hop: usize,
        deadline: Deadline,
    ) -> Option<Arc<Node>> {
        deadline.left()?;
        let is_other = |node: &Arc<Node>| node.address != failed.address;
        let topology = self.topology(deadline).ok()?;
        if let Some(owner) = topology.owner(key).filter(|owner| is_other(owner)) {
            return Some(Arc::clone(owner));
        }
        // The Sentinel that named it may know less than the others. If the server is known to be down, the others
        // have been asked already.
        let sentinels = self.sentinels.as_ref()?;
        if hop + 1 >= sentinels.count() || matches!(kind, Kind::BreakerOpen { .. }) {
            return None;
        }
        sentinels.turn();
        let topology = self.look(deadline).ok()?;
        topology.owner(key).filter(|owner| is_other(owner)).cloned()
    }

    /// The deadline for asking a node. If one Sentinel named a server that has never answered, time is kept for
    /// another Sentinel to name a better one.
    fn until(&self, node: &Node, deadline: Deadline) -> Deadline {
        let others = self.sentinels.as_ref().is_some_and(|sentinels| sentinels.count() > 1);
        if others && !node.is_proven() { deadline.halfway() } else { deadline }
    }

    /// Asks each node for its part of the requests, all at the same time, so that a node that hangs does not
    /// delay the others.
    fn ask_each<T: Send>(
        &self,
        groups: &[Group],
        requests: &[Request<'_, T>],
        deadline: Deadline,
    ) -> Vec<Vec<Answer<T>>> {
        let ask = |group: &Group| {
            let asked = group.which.iter().map(|index| &requests[*index]).collect::<Vec<_>>();
            match group.node.ask(&asked, group.asking, self.until(&group.node, deadline)) {
                Ok(answers) => answers,
                Err(failure) => group.which.iter().map(|_| Err(failure.kind.clone())).collect(),
            }
        };
        let Some((here, elsewhere)) = groups.split_first() else { return Vec::new() };
        thread::scope(|scope| {
            let started = elsewhere.iter().map(|group| {
                let named = thread::Builder::new().name("trypema-batch".into());
                (group, named.spawn_scoped(scope, || ask(group)))
            });
            let started = started.collect::<Vec<_>>();
            let mut answers = vec![ask(here)];
            for (group, started) in started {
                // If no thread can be started, one after the other.
                answers.push(match started {
                    Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                    Err(_) => ask(group),
                });
            }
            answers
        })
    }
}

/// Requests, by their index, for one node.
struct Group {
    node: Arc<Node>,
    asking: bool,
    which: Vec<usize>,
}

/// One group for each node: few, so that a linear search is quick.
#[derive(Default)]
struct Groups(Vec<Group>);

impl Groups {
    fn add(&mut self, node: Arc<Node>, asking: bool, index: usize) {
        let is_same =
            |group: &&mut Group| Arc::ptr_eq(&group.node, &node) && group.asking == asking;
        match self.0.iter_mut().find(is_same) {
            Some(group) => group.which.push(index),
            None => self.0.push(Group { node, asking, which: vec![index] }),
        }
    }
}
