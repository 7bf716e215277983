//! Which server to ask for a key: the only one; the one that the Sentinels call the master; or the
//! one that has the key's slot in a cluster.
//!
//! The router keeps the last known *topology* until something contradicts it: a failure, or a redirect.
//! Then the next call first looks for a new one, one call at a time and not too often; other calls go on
//! with the old topology.
//!
//! A call is sent to another server only if the first one has certainly not carried it out: it said so, or
//! nothing was sent.

mod ask;
mod cluster;
mod process;
mod sentinel;
mod topology;

use core::time::Duration;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use crate::redis::net::address::list;
use crate::redis::net::failure::Kind;
use crate::redis::net::guard::{Guard, Health};
use crate::redis::net::node::Limits;
use crate::redis::net::url::Deployment;
use crate::redis::net::{Address, Connector, Deadline, Failure, Node};
pub(crate) use crate::redis::router::process::{Recipe, Routers};
use crate::redis::router::sentinel::Sentinels;
use crate::redis::router::topology::Topology;

/// Calls look again at most this often, while there is a topology to go on with.
const LOOK_PAUSE: Duration = Duration::from_millis(200);
/// Maps an address that servers announce to one that leads there from here; `None`: the same address.
pub(crate) type AddressMap = Arc<dyn Fn(&str, u16) -> Option<(String, u16)> + Send + Sync>;

pub(crate) struct Router {
    deployment: Deployment,
    limits: Limits,
    connector: Arc<Connector>,
    sentinels: Option<Sentinels>,
    address_map: Option<AddressMap>,
    /// The nodes of the topology, with their pools.
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
    pub(crate) fn new(recipe: Recipe) -> Self {
        let Recipe { deployment, limits, connector, scouts, address_map } = recipe;
        let sentinels = match &deployment {
            // Sentinels have passwords of their own.
            Deployment::Sentinel { sentinels, service } => {
                Some(Sentinels::new(sentinels, service, &scouts, &limits))
            }
            _ => None,
        };
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
            sentinels,
            address_map,
            nodes: Mutex::new(HashMap::new()),
            topology: RwLock::new(topology),
            doubtful: AtomicBool::new(false),
            looking: Mutex::new(Looking::default()),
            looked: Condvar::new(),
            guard: Guard::new(&limits),
        }
    }

    /// For a forked child: closes its copies of sockets, and waits for no lock.
    fn abandon(&self) {
        if let Ok(nodes) = self.nodes.try_lock() {
            nodes.values().for_each(|node| node.abandon());
        }
        if let Ok(topology) = self.topology.try_read()
            && let Some(topology) = &*topology
        {
            topology.nodes().iter().for_each(|node| node.abandon());
        }
        if let Some(sentinels) = &self.sentinels {
            sentinels.abandon();
        }
    }

    fn doubt(&self) {
        // Relaxed: a hint; the topology itself is behind a lock.
        self.doubtful.store(true, Ordering::Relaxed);
    }

    fn current(&self) -> Option<Arc<Topology>> {
        self.topology.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, topology: Arc<Topology>) -> Arc<Topology> {
        *self.topology.write().unwrap_or_else(PoisonError::into_inner) =
            Some(Arc::clone(&topology));
        topology
    }

    /// Notes that a key belongs to another node than the topology says.
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

    /// The topology, after a look if there is none or it is in doubt.
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
            Err(failure) if failure.kind.opens_breaker() => {
                Health::Down { cause: failure.kind.to_string(), is_slow: false }
            }
            _ => Health::Up,
        };
        let found = match &self.sentinels {
            // Each has a breaker of its own.
            Some(_) => Ok(self.look(deadline)),
            None => self.guard.run(|| self.look(deadline), health),
        };
        self.done_looking(matches!(found, Ok(Ok(_))));
        found.unwrap_or_else(|open| Err(open.at(self.name())))
    }

    fn look(&self, deadline: Deadline) -> Result<Arc<Topology>, Failure> {
        let topology = match (&self.deployment, &self.sentinels) {
            (Deployment::Cluster { seeds }, _) => {
                let (known, map) = (self.current(), self.address_map.as_ref());
                cluster::topology(known, seeds, map, |address| self.node(address), deadline)?
            }
            (_, Some(sentinels)) => {
                let master = match sentinels.master(deadline)? {
                    Address::Tcp { host, port } => mapped(self.address_map.as_ref(), host, port),
                    unix @ Address::Unix(_) => unix,
                };
                Arc::new(Topology::of_one(self.node(&master)))
            }
            // There is only one server, known from the beginning.
            (_, None) => return self.current().ok_or_else(|| no_answer().at(self.name())),
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

/// An address as it is reached from here.
pub(crate) fn mapped(map: Option<&AddressMap>, host: String, port: u16) -> Address {
    let (host, port) = map.and_then(|map| map(&host, port)).unwrap_or((host, port));
    Address::Tcp { host, port }
}

fn no_answer() -> Kind {
    Kind::Protocol { cause: "fewer replies than requests".into() }
}
