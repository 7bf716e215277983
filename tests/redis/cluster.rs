//! A cluster of three nodes, all of them primaries.

use std::time::{Duration, Instant};

use crate::common::until::FOREVER;
use crate::server::{RedisServer, Setup, ask};

const SLOTS: u16 = 16_384;

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<RedisServer>,
}

impl Cluster {
    /// Three nodes that know each other, with a third of the slots each.
    pub(crate) fn start() -> Self {
        Self::of(Setup::new)
    }

    /// The same, of nodes with further settings.
    pub(crate) fn of(setup: impl Fn() -> Setup) -> Self {
        let nodes = (0..3).map(|_| setup().cluster_node().start()).collect::<Vec<_>>();
        for (index, node) in (0_u16..).zip(&nodes) {
            let (first, end) = (SLOTS * index / 3, SLOTS * (index + 1) / 3);
            // Version 7 has ranges; before, there are as many words as slots.
            let slots = (first..end).map(|slot| slot.to_string()).collect::<Vec<_>>();
            let _: () = node.ask(&format!("CLUSTER ADDSLOTS {}", slots.join(" ")));
            // Each its own epoch, else they spend seconds on agreeing who has which.
            let _: () = node.ask(&format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1));
        }
        for node in &nodes[1..] {
            let bus = node.bus_port().expect("nodes have a bus");
            let _: () = nodes[0].ask(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", node.port()));
        }
        let cluster = Self { nodes };
        eventually("all nodes see all slots", || {
            cluster.nodes.iter().all(|node| {
                let info: String = node.ask("CLUSTER INFO");
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            })
        });
        cluster
    }

    /// One more node, a replica of the first.
    pub(crate) fn add_replica(&mut self, setup: Setup) {
        let replica = setup.cluster_node().start();
        let bus = replica.bus_port().expect("nodes have a bus");
        let _: () = self.nodes[0].ask(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", replica.port()));
        let primary = self.id(0);
        eventually("the replica knows the primary, and all of its data", || {
            replica.try_ask::<()>(&format!("CLUSTER REPLICATE {primary}")).is_some()
                && replica.ask::<String>("INFO replication").contains("master_link_status:up")
        });
        self.nodes.push(replica);
    }

    /// `redis-cluster://host:port,host:port,host:port`
    pub(crate) fn url(&self) -> String {
        let addresses = self.nodes.iter().map(RedisServer::address).collect::<Vec<_>>();
        format!("redis-cluster://{}", addresses.join(","))
    }

    pub(crate) fn slot_of(&self, key: &str) -> u16 {
        self.nodes[0].ask(&format!("CLUSTER KEYSLOT {key}"))
    }

    /// The node that has the slot, by its own account.
    pub(crate) fn owner_of(&self, slot: u16) -> usize {
        let owns = |node: &RedisServer| {
            let nodes: String = node.ask("CLUSTER NODES");
            let own = nodes.lines().find(|line| line.contains("myself")).expect("it knows itself");
            own.split(' ').skip(8).filter(|word| !word.starts_with('[')).any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                (first.parse::<u16>().unwrap()..=last.parse().unwrap()).contains(&slot)
            })
        };
        self.nodes.iter().position(owns).expect("every slot has a node")
    }

    fn id(&self, node: usize) -> String {
        self.nodes[node].ask("CLUSTER MYID")
    }

    /// Begins to move a slot: keys that are not at its node any more are asked for at the other.
    pub(crate) fn begin_move(&self, slot: u16, from: usize, to: usize) {
        let (source, target) = (self.id(from), self.id(to));
        let _: () = self.nodes[to].ask(&format!("CLUSTER SETSLOT {slot} IMPORTING {source}"));
        let _: () = self.nodes[from].ask(&format!("CLUSTER SETSLOT {slot} MIGRATING {target}"));
    }

    /// Moves all keys of the slot, and returns how many.
    pub(crate) fn move_keys(&self, slot: u16, from: usize, to: usize) -> usize {
        let mut connection = self.nodes[from].connection();
        let keys: Vec<String> = ask(&mut connection, &format!("CLUSTER GETKEYSINSLOT {slot} 1000"));
        for key in &keys {
            let port = self.nodes[to].port();
            let _: String = ask(&mut connection, &format!("MIGRATE 127.0.0.1 {port} {key} 0 5000"));
        }
        keys.len()
    }

    /// The slot now belongs to the other node, and every node knows.
    pub(crate) fn end_move(&self, slot: u16, to: usize) {
        let target = self.id(to);
        // The new owner first, lest the slot be nobody's for a moment.
        let _: () = self.nodes[to].ask(&format!("CLUSTER SETSLOT {slot} NODE {target}"));
        for node in self.nodes.iter().filter(|node| !node.is_replica()) {
            let _: () = node.ask(&format!("CLUSTER SETSLOT {slot} NODE {target}"));
        }
    }
}

/// Looks until `holds` does, with pauses: what is looked at is another process, on the same cores.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < FOREVER, "in vain: until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
