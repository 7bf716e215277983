//! A primary, its replica, and the sentinels that decide which of the two is the primary.

use crate::cluster::eventually;
use crate::server::{RedisServer, Setup};

pub(crate) const SERVICE: &str = "limits";

/// Field order is drop order: sentinels first, lest they see the others die.
pub(crate) struct Watched {
    pub(crate) sentinels: Vec<RedisServer>,
    pub(crate) servers: [RedisServer; 2],
}

impl Watched {
    /// The first of the two servers is the primary.
    pub(crate) fn start() -> Self {
        let primary = RedisServer::start();
        let replica = Setup::new().replica_of(&primary).start();
        eventually("the replica has all of the primary", || {
            let info: String = replica.ask("INFO replication");
            info.contains("master_link_status:up")
        });
        let lines = format!(
            "sentinel monitor {SERVICE} 127.0.0.1 {} 2\n\
             sentinel down-after-milliseconds {SERVICE} 500\n\
             sentinel failover-timeout {SERVICE} 5000\n",
            primary.port()
        );
        let sentinels = (0..3).map(|_| Setup::new().sentinel(&lines).start()).collect::<Vec<_>>();
        let watched = Self { sentinels, servers: [primary, replica] };
        eventually("all sentinels know of each other and of the replica", || {
            watched.sentinels.iter().all(|sentinel| {
                let [others, replicas] = ["SENTINELS", "REPLICAS"].map(|whom| {
                    let list: Vec<redis::Value> =
                        sentinel.ask(&format!("SENTINEL {whom} {SERVICE}"));
                    list.len()
                });
                (others, replicas) == (2, 1)
            })
        });
        watched
    }

    /// `redis-sentinel://host:port,host:port,host:port/service`
    pub(crate) fn url(&self) -> String {
        let addresses = self.sentinels.iter().map(RedisServer::address).collect::<Vec<_>>();
        format!("redis-sentinel://{}/{SERVICE}", addresses.join(","))
    }

    /// The port of the primary, as the sentinels have it.
    pub(crate) fn primary(&self) -> u16 {
        let question = format!("SENTINEL GET-MASTER-ADDR-BY-NAME {SERVICE}");
        let (_, port): (String, u16) = self.sentinels[0].ask(&question);
        port
    }

    /// Returns when the second server is the primary, for all sentinels and by its own account.
    pub(crate) fn until_failed_over(&self) {
        let question = format!("SENTINEL GET-MASTER-ADDR-BY-NAME {SERVICE}");
        eventually("the replica is the primary", || {
            let info = self.servers[1].try_ask::<String>("INFO replication");
            info.is_some_and(|info| info.contains("role:master"))
                && self.sentinels.iter().all(|sentinel| {
                    let (_, port): (String, u16) = sentinel.ask(&question);
                    port == self.servers[1].port()
                })
        });
    }
}
