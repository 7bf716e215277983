//! The servers, with a proxy in front of each that limiters go through.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::load::Load;
use crate::cluster::{Cluster, eventually};
use crate::common::draws::Draws;
use crate::common::until::FOREVER;
use crate::processes::now;
use crate::proxy::Proxy;
use crate::sentinel::Watched;
use crate::server::{RedisServer, Setup};

/// Field order is drop order: the callers first.
pub(super) struct Stage {
    pub(super) load: Load,
    pub(super) cluster: Cluster,
    pub(super) cluster_proxies: Vec<Proxy>,
    pub(super) watched: Watched,
    pub(super) watched_proxies: Vec<Proxy>,
    pub(super) clocked: RedisServer,
    pub(super) draws: Draws,
    /// At the end of the last round.
    pub(super) seen: Seen,
    _directory: TempDir,
}

/// A server that keeps what it has acknowledged, also when it is killed: written before the reply is,
/// and never put off, since nothing is synced to the disk.
fn setup() -> Setup {
    Setup::new().set("appendonly", ["yes"]).set("appendfsync", ["no"])
}

/// Who is a primary, and numbers that grow with each failover, also with one that is undone by the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) primaries: Vec<usize>,
    pub(super) cluster_epoch: u64,
    pub(super) watched_epoch: u64,
    pub(super) at: u64,
}

impl Stage {
    pub(super) fn set(seed: u64) -> Self {
        let mut cluster = Cluster::of(setup);
        cluster.add_replica(setup());
        let watched = Watched::of(setup);
        let clocked = setup().start();
        let proxies = |servers: &[RedisServer]| {
            servers.iter().map(|server| Proxy::to(server.port())).collect::<Vec<_>>()
        };
        let (cluster_proxies, watched_proxies) =
            (proxies(&cluster.nodes), proxies(&watched.servers));
        let directory = tempfile::tempdir().unwrap();
        let map = |servers: &[RedisServer], proxies: &[Proxy]| {
            let pairs = servers.iter().zip(proxies);
            let pairs = pairs.map(|(server, proxy)| format!("{}>{}", server.port(), proxy.port()));
            pairs.collect::<Vec<_>>().join(",")
        };
        let mut addresses = String::new();
        let seeds = cluster_proxies.iter().map(|proxy| format!("127.0.0.1:{}", proxy.port()));
        let seeds = seeds.collect::<Vec<_>>().join(",");
        let mapped = map(&cluster.nodes, &cluster_proxies);
        writeln!(addresses, "redis-cluster://{seeds} {mapped}").unwrap();
        let mapped = map(&watched.servers, &watched_proxies);
        writeln!(addresses, "{} {mapped}", watched.url()).unwrap();
        writeln!(addresses, "{} ", clocked.url()).unwrap();
        let file = directory.path().join("addresses");
        fs::write(&file, addresses).unwrap();
        let load = Load::start(&file, &directory.path().join("socket"), seed);
        let nothing = Seen { primaries: Vec::new(), cluster_epoch: 0, watched_epoch: 0, at: 0 };
        let mut stage = Self {
            load,
            cluster,
            cluster_proxies,
            watched,
            watched_proxies,
            clocked,
            draws: Draws::new(seed),
            seen: nothing,
            _directory: directory,
        };
        stage.seen = stage.look();
        stage
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.draws.next() * limit as f64) as usize
    }

    /// A time of so many milliseconds.
    pub(super) fn between(&mut self, least_ms: usize, most_ms: usize) -> Duration {
        Duration::from_millis((least_ms + self.below(most_ms - least_ms)) as u64)
    }

    /// Which nodes of the cluster are primaries.
    pub(super) fn cluster_primaries(&self) -> Vec<usize> {
        let nodes = self.cluster.nodes.iter().enumerate();
        nodes.filter(|(_, node)| !node.is_replica()).map(|(index, _)| index).collect()
    }

    pub(super) fn until_cluster_is_well(&self) {
        eventually("all nodes of the cluster are well", || {
            let is_well = |node: &RedisServer| {
                let ask = |words| node.try_ask::<String>(words).unwrap_or_default();
                ask("CLUSTER INFO").contains("cluster_state:ok")
                    && !ask("CLUSTER NODES").contains("fail")
                    && !ask("INFO replication").contains("master_link_status:down")
            };
            self.cluster.nodes.iter().all(is_well) && self.cluster_primaries().len() == 3
        });
    }

    /// Which of the two servers is the primary, for the sentinel and by its own account.
    pub(super) fn primary(&self) -> Option<usize> {
        (0..2).find(|index| self.is_primary(*index))
    }

    /// Does not ask the other server: it may be frozen.
    fn is_primary(&self, index: usize) -> bool {
        let server = &self.watched.servers[index];
        let question = "SENTINEL GET-MASTER-ADDR-BY-NAME limits";
        let named = self.watched.sentinel.try_ask::<(String, u16)>(question);
        named.is_some_and(|(_, port)| port == server.port())
            && server
                .try_ask::<String>("INFO replication")
                .is_some_and(|info| info.contains("role:master"))
    }

    /// Whether the Sentinel brings that about, in a minute. Now and then it does not, on a busy machine:
    /// then its log is printed, and the soak goes on.
    pub(super) fn is_promoted(&self, index: usize) -> bool {
        let begun = Instant::now();
        while !self.is_primary(index) {
            if begun.elapsed() > FOREVER {
                eprintln!("no failover; the Sentinel's log: {}", self.watched.sentinel.log());
                return false;
            }
            sleep(Duration::from_millis(5));
        }
        true
    }

    pub(super) fn look(&self) -> Seen {
        let of_node = |node: &RedisServer| {
            let info: String = node.try_ask("CLUSTER INFO").unwrap_or_default();
            let line = info.lines().find_map(|line| line.strip_prefix("cluster_current_epoch:"));
            line.and_then(|epoch| epoch.trim().parse().ok()).unwrap_or(0)
        };
        let cluster_epoch = self.cluster.nodes.iter().map(of_node).max().expect("there are nodes");
        let master: HashMap<String, String> = self.watched.sentinel.ask("SENTINEL MASTER limits");
        let watched_epoch = master["config-epoch"].parse().unwrap();
        Seen { primaries: self.cluster_primaries(), cluster_epoch, watched_epoch, at: now() }
    }

    pub(super) fn until_well(&self) {
        self.until_cluster_is_well();
        self.until_watched_is_well();
    }

    /// Until the next failover could follow. A Sentinel that has been stopped for 2 s, as happens on a busy
    /// machine, does nothing for half a minute, and a replica may have to wait for its primary.
    pub(super) fn until_watched_is_well(&self) {
        let begun = Instant::now();
        while !self.is_watched_well() {
            let log = || self.watched.sentinel.log();
            assert!(begun.elapsed() < FOREVER * 5, "not well again; the Sentinel's log: {}", log());
            sleep(Duration::from_millis(5));
        }
    }

    fn is_watched_well(&self) -> bool {
        let Some(primary) = self.primary() else { return false };
        let replica = &self.watched.servers[1 - primary];
        let info = replica.try_ask::<String>("INFO replication").unwrap_or_default();
        let sentinel = &self.watched.sentinel;
        let is_tilted = sentinel.try_ask::<String>("INFO sentinel");
        let seen = sentinel.try_ask::<Vec<HashMap<String, String>>>("SENTINEL REPLICAS limits");
        let is_ok = |replica: &HashMap<String, String>| {
            replica["flags"] == "slave" && replica["master-link-status"] == "ok"
        };
        info.contains("master_link_status:up")
            && is_tilted.is_some_and(|info| info.contains("sentinel_tilt:0"))
            && seen.is_some_and(|replicas| replicas.iter().any(is_ok))
    }
}
