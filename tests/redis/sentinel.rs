//! A primary, its replica, and a sentinel that decides which of the two is the primary.
//!
//! One sentinel, since several have to agree on who of them acts: where they vote at the same moment
//! they fail to, and try again after seconds, now and then many times.

use std::collections::HashMap;

use crate::cluster::eventually;
use crate::ports::free_port;
use crate::server::{RedisServer, Setup};

pub(crate) const SERVICE: &str = "limits";

/// Field order is drop order: the sentinel first, lest it see the others die.
pub(crate) struct Watched {
    pub(crate) sentinel: RedisServer,
    pub(crate) servers: [RedisServer; 2],
}

impl Watched {
    /// The first of the two servers is the primary.
    pub(crate) fn start() -> Self {
        Self::of(Setup::new)
    }

    /// The same, of servers with further settings.
    pub(crate) fn of(setup: impl Fn() -> Setup) -> Self {
        let primary = setup().start();
        // Told when it runs, so that it is a primary when it is started again: the sentinel decides then.
        let replica = setup().set("repl-ping-replica-period", ["1"]).start();
        let _: () = replica.ask(&format!("REPLICAOF 127.0.0.1 {}", primary.port()));
        eventually("the replica has all of the primary", || {
            let info: String = replica.ask("INFO replication");
            info.contains("master_link_status:up")
        });
        let lines = format!(
            "sentinel monitor {SERVICE} 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds {SERVICE} 500\n\
             sentinel failover-timeout {SERVICE} 5000\n",
            primary.port()
        );
        let sentinel = Setup::new().sentinel(&lines).start();
        let watched = Self { sentinel, servers: [primary, replica] };
        eventually("the sentinel knows that the replica would do", || {
            let replicas: Vec<HashMap<String, String>> =
                watched.sentinel.ask(&format!("SENTINEL REPLICAS {SERVICE}"));
            replicas.iter().any(|replica| replica["master-link-status"] == "ok")
        });
        watched
    }

    /// The sentinel, and one that is not there.
    ///
    /// `redis-sentinel://host:port,host:port/service`
    pub(crate) fn url(&self) -> String {
        let nobody = free_port();
        format!("redis-sentinel://127.0.0.1:{nobody},{}/{SERVICE}", self.sentinel.address())
    }

    /// The port of the primary, as the sentinel has it.
    pub(crate) fn primary(&self) -> u16 {
        let question = format!("SENTINEL GET-MASTER-ADDR-BY-NAME {SERVICE}");
        let (_, port): (String, u16) = self.sentinel.ask(&question);
        port
    }

    /// Returns when the second server is the primary, for the sentinel and by its own account.
    pub(crate) fn until_failed_over(&self) {
        eventually("the replica is the primary", || {
            let info = self.servers[1].try_ask::<String>("INFO replication");
            info.is_some_and(|info| info.contains("role:master"))
                && self.primary() == self.servers[1].port()
        });
    }
}
