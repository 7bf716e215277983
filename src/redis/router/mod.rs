//! Which server to ask for a key: the only one; the one that the Sentinels call the master; or the
//! one that has the key's slot in a cluster.
//!
//! What is known is a *topology*, and is used until something contradicts it: a failure, or a server
//! that sends us elsewhere. Then the next call looks again first, one at a time and not too often;
//! others go on with the topology that there is.
//!
//! Calls are sent again to another server only if the first one has certainly not done what it was
//! asked for: it said so, or nothing was sent.

mod cluster;
mod sentinel;
mod topology;

use core::time::Duration;
use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::Instant;

use crate::redis::net::address::list;
use crate::redis::net::failure::Kind;
use crate::redis::net::node::{Answer, Guard, Health, Limits};
use crate::redis::net::url::Deployment;
use crate::redis::net::{Address, Connector, Deadline, Failure, Node};
use crate::redis::request::Request;
use crate::redis::router::topology::Topology;

/// Calls look again at most this often, while there is a topology to go on with.
const LOOK_PAUSE: Duration = Duration::from_millis(200);
/// How often a call may be sent elsewhere: more is a cluster at odds with itself.
const MOST_HOPS: usize = 5;

pub(crate) struct Router {
    deployment: Deployment,
    limits: Limits,
    connector: Arc<Connector>,
    /// To Sentinels, which have passwords of their own.
    scouts: Arc<Connector>,
    /// All that was ever in a topology, with their pools. Few: servers do not change address often.
    nodes: Mutex<HashMap<Address, Arc<Node>>>,
    topology: RwLock<Option<Arc<Topology>>>,
    /// Something has contradicted the topology.
    doubtful: AtomicBool,
    looking: Mutex<Looking>,
    looked: Condvar,
    /// For as long as there is no topology.
    guard: Guard,
}

#[derive(Default)]
struct Looking {
    now: bool,
    last: Option<Instant>,
}

impl Router {
    pub(crate) fn new(
        deployment: Deployment,
        limits: Limits,
        connector: Connector,
        scouts: Connector,
    ) -> Self {
        let connector = Arc::new(connector);
        let topology = match &deployment {
            Deployment::Single(address) => {
                let node = Node::new(address.clone(), Arc::clone(&connector), &limits);
                Some(Arc::new(Topology::of_one(Arc::new(node))))
            }
            _ => None,
        };
        Self {
            deployment,
            limits,
            connector,
            scouts: Arc::new(scouts),
            nodes: Mutex::new(HashMap::new()),
            topology: RwLock::new(topology),
            doubtful: AtomicBool::new(false),
            looking: Mutex::new(Looking::default()),
            looked: Condvar::new(),
            guard: Guard::new(&limits),
        }
    }

    /// Asks the server of a key.
    pub(crate) fn ask<T>(
        &self,
        request: &Request<'_, T>,
        deadline: Deadline,
    ) -> Result<T, Failure> {
        let topology = self.topology(deadline)?;
        let node = topology.owner(&request.key).ok_or_else(|| self.nobody())?;
        let answer = match node.ask(&[request], false, deadline) {
            Ok(mut answers) => answers.pop().unwrap_or_else(|| Err(no_answer())),
            Err(failure) => Err(failure.kind),
        };
        self.settle(request, Arc::clone(node), answer, deadline)
    }

    /// Asks for many, each server once.
    pub(crate) fn ask_many<T: Send>(
        &self,
        requests: &[Request<'_, T>],
        deadline: Deadline,
    ) -> Vec<Result<T, Failure>> {
        let topology = match self.topology(deadline) {
            Ok(topology) => topology,
            Err(failure) => return requests.iter().map(|_| Err(failure.clone())).collect(),
        };
        let groups = topology.by_owner(requests.iter().map(|request| request.key.as_str()));
        let answers = ask_each(&groups, requests, deadline);
        let mut results = requests.iter().map(|_| None).collect::<Vec<_>>();
        for ((node, which), answers) in groups.into_iter().zip(answers) {
            for (index, answer) in which.into_iter().zip(answers) {
                let settled = self.settle(&requests[index], Arc::clone(node), answer, deadline);
                results[index] = Some(settled);
            }
        }
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(self.nobody()))).collect()
    }

    /// Follows where the server has sent us, and doubts the topology where it has failed.
    fn settle<T>(
        &self,
        request: &Request<'_, T>,
        mut node: Arc<Node>,
        mut answer: Answer<T>,
        deadline: Deadline,
    ) -> Result<T, Failure> {
        if matches!(self.deployment, Deployment::Single(_)) {
            return answer.map_err(|kind| node.failure(kind));
        }
        for _ in 0..MOST_HOPS {
            let kind = match answer {
                Ok(parsed) => return Ok(parsed),
                Err(kind) => kind,
            };
            let (next, asking) = match cluster::redirection(&kind, &node.address) {
                Some((address, asking)) => {
                    let next = self.node(&address);
                    if !asking {
                        self.doubt();
                        self.learn(&request.key, &next);
                    }
                    (next, asking)
                }
                None => {
                    if kind.is_outage() {
                        self.doubt();
                    }
                    let moved = kind.is_known_undone() && kind.is_outage();
                    match moved.then(|| self.owner_now(&request.key, deadline)).flatten() {
                        Some(next) if next.address != node.address => (next, false),
                        _ => return Err(node.failure(kind)),
                    }
                }
            };
            node = next;
            answer = match node.ask(&[request], asking, deadline) {
                Ok(mut answers) => answers.pop().unwrap_or_else(|| Err(no_answer())),
                Err(failure) => Err(failure.kind),
            };
        }
        answer.map_err(|kind| node.failure(kind))
    }

    /// Who has the key, after another look if one is due.
    fn owner_now(&self, key: &str, deadline: Deadline) -> Option<Arc<Node>> {
        deadline.left()?;
        let topology = self.topology(deadline).ok()?;
        topology.owner(key).cloned()
    }

    fn doubt(&self) {
        // Relaxed: a hint; the topology itself is behind a lock.
        self.doubtful.store(true, Ordering::Relaxed);
    }

    fn current(&self) -> Option<Arc<Topology>> {
        self.topology.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, topology: Topology) -> Arc<Topology> {
        let topology = Arc::new(topology);
        *self.topology.write().unwrap_or_else(PoisonError::into_inner) =
            Some(Arc::clone(&topology));
        topology
    }

    /// A key has been seen to belong elsewhere than the topology says.
    fn learn(&self, key: &str, node: &Arc<Node>) {
        let mut topology = self.topology.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = topology.as_deref()
            && let Some(better) = known.with_owner(key, node)
        {
            *topology = Some(Arc::new(better));
        }
    }

    /// The node at an address, which keeps its pool from topology to topology.
    fn node(&self, address: &Address) -> Arc<Node> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = nodes.get(address) {
            return Arc::clone(node);
        }
        let node = Node::new(address.clone(), Arc::clone(&self.connector), &self.limits);
        let node = Arc::new(node);
        nodes.insert(address.clone(), Arc::clone(&node));
        node
    }

    /// Forgets nodes that are in no topology any more, and closes their connections.
    fn keep_only(&self, topology: &Topology) {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.retain(|_, node| topology.nodes().iter().any(|known| Arc::ptr_eq(known, node)));
    }

    /// What is known, after a look if there is none or it is in doubt.
    fn topology(&self, deadline: Deadline) -> Result<Arc<Topology>, Failure> {
        let known = self.current();
        if let Some(known) = &known
            // Relaxed: see `doubt`.
            && !self.doubtful.load(Ordering::Relaxed)
        {
            return Ok(Arc::clone(known));
        }
        let mut looking = self.lock_looking();
        if let Some(known) = known {
            let due = looking.last.is_none_or(|last| last.elapsed() >= LOOK_PAUSE);
            if looking.now || !due {
                return Ok(known);
            }
            looking.now = true;
            drop(looking);
            // Half of the time, so that the old topology can still be tried.
            let found = self.look(deadline.halfway());
            self.done_looking(found.is_ok());
            return Ok(found.unwrap_or(known));
        }
        while looking.now {
            let Some(left) = deadline.left() else { break };
            (looking, _) =
                self.looked.wait_timeout(looking, left).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(found) = self.current() {
            return Ok(found);
        }
        if looking.now {
            let timed_out = std::io::ErrorKind::TimedOut.into();
            return Err(Kind::of_io(&timed_out, false).at(self.name()));
        }
        looking.now = true;
        drop(looking);
        let health = |found: &Result<Arc<Topology>, Failure>| match found {
            Err(failure) if failure.kind.opens_breaker() => Health::Down(failure.kind.to_string()),
            _ => Health::Up,
        };
        let found = self.guard.run(|| self.look(deadline), health);
        self.done_looking(matches!(found, Ok(Ok(_))));
        found.unwrap_or_else(|open| Err(open.at(self.name())))
    }

    fn look(&self, deadline: Deadline) -> Result<Arc<Topology>, Failure> {
        let topology = match &self.deployment {
            Deployment::Single(address) => Topology::of_one(self.node(address)),
            Deployment::Sentinel { sentinels, service } => {
                let master = sentinel::master(sentinels, service, &self.scouts, deadline)?;
                Topology::of_one(self.node(&master))
            }
            Deployment::Cluster { seeds } => {
                let known = self.current();
                let known = known.as_ref().map_or(&[][..], |topology| topology.nodes());
                cluster::topology(known, seeds, |address| self.node(address), deadline)?
            }
        };
        self.keep_only(&topology);
        Ok(self.replace(topology))
    }

    fn done_looking(&self, found: bool) {
        if found {
            // Relaxed: see `doubt`.
            self.doubtful.store(false, Ordering::Relaxed);
        }
        let mut looking = self.lock_looking();
        looking.now = false;
        looking.last = Some(Instant::now());
        drop(looking);
        self.looked.notify_all();
    }

    fn lock_looking(&self) -> MutexGuard<'_, Looking> {
        // Nothing that could panic runs while it is held.
        self.looking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self) -> String {
        match &self.deployment {
            Deployment::Single(address) => address.to_string(),
            Deployment::Sentinel { sentinels, service } => {
                format!("{} ({service} by Sentinel)", list(sentinels))
            }
            Deployment::Cluster { seeds } => format!("{} (cluster)", list(seeds)),
        }
    }

    /// No node has the slot.
    fn nobody(&self) -> Failure {
        self.doubt();
        let cause = "no node of the cluster has the key's slot".to_owned();
        Kind::Server { code: "CLUSTERDOWN".into(), cause }.at(self.name())
    }
}

/// Asks each node for its part of the requests, all at the same time: one that hangs takes the time
/// of no other.
fn ask_each<T: Send>(
    groups: &[(&Arc<Node>, Vec<usize>)],
    requests: &[Request<'_, T>],
    deadline: Deadline,
) -> Vec<Vec<Answer<T>>> {
    let ask = |(node, which): &(&Arc<Node>, Vec<usize>)| {
        let asked = which.iter().map(|index| &requests[*index]).collect::<Vec<_>>();
        match node.ask(&asked, false, deadline) {
            Ok(answers) => answers,
            Err(failure) => which.iter().map(|_| Err(failure.kind.clone())).collect(),
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
            // Where there is no thread to be had, one after the other.
            answers.push(match started {
                Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                Err(_) => ask(group),
            });
        }
        answers
    })
}

fn no_answer() -> Kind {
    Kind::Protocol { cause: "fewer replies than requests".into() }
}
