//! Faults of those who know where the servers are.

use std::time::{Duration, Instant};

use super::scene::{Asked, KEY, ask, builder, describe, then, warm_up};
use super::{DEADLINE, Row};
use crate::any;
use crate::cluster::{Cluster, eventually};
use crate::lookups::Stale;
use crate::proxy::Proxy;
use crate::sentinel::{SERVICE, Watched};
use crate::server::{RedisServer, Setup};

/// The other Sentinel is asked in the same call, whichever of the two is asked first.
pub(super) fn stale_sentinel() -> Row {
    let watched = Watched::start();
    let stale = Stale::naming(watched.servers[1].port());
    let sentinel = watched.sentinel.port();
    let url = format!("redis-sentinel://127.0.0.1:{},127.0.0.1:{sentinel}/{SERVICE}", stale.port());
    let mut rows = (0..8).map(|number| {
        let limiter = builder(url.clone()).build().unwrap();
        let key = format!("{KEY} {number}");
        let Asked { answer, took } = ask(&limiter, &key);
        Row {
            fault: "one Sentinel of two names an old master, the first call of 8 limiters",
            gets: describe(&answer),
            took,
            counted: limiter.absolute().usage(&key, &any()).unwrap(),
            then: then(&limiter),
        }
    });
    let first = rows.next().unwrap();
    rows.fold(first, |first, row| {
        assert_eq!((&row.gets, row.counted), (&first.gets, first.counted));
        Row { took: row.took.max(first.took), ..first }
    })
}

/// The first call waits for the deadline; each of the thousands after it answers at once. The time told is one
/// that a call in a thousand exceeds, since now and then a thread does not run at all.
pub(super) fn all_hangs() -> Row {
    let watched = Watched::start();
    let mut proxies = [(); 2].map(|()| Proxy::to(watched.sentinel.port()));
    let [one, other] = proxies.each_ref().map(Proxy::port);
    let url = format!("redis-sentinel://127.0.0.1:{one},127.0.0.1:{other}/{SERVICE}");
    let hanging = proxies.each_mut().map(Proxy::hang);
    let limiter = builder(url).breaker(5, Duration::from_millis(500)).build().unwrap();
    assert!(ask(&limiter, KEY).answer.is_err());
    let begun = Instant::now();
    let mut asked = Vec::new();
    while begun.elapsed() < DEADLINE * 4 {
        asked.push(ask(&limiter, KEY));
    }
    asked.sort_by_key(|asked| asked.took);
    let longest = &asked[asked.len() - 1 - asked.len() / 1_000];
    drop(hanging);
    proxies.iter_mut().for_each(Proxy::accept);
    let then_ = match then(&limiter).as_str() {
        "the next call works" => "the next call works".to_owned(),
        _ => "works when the breaker's pause is over".to_owned(),
    };
    Row {
        fault: "both Sentinels hang, after the first call: 99.9 % of the calls of 1.2 s",
        gets: describe(&longest.answer).replace(&format!("127.0.0.1:{one},"), "127.0.0.1:PORT,"),
        took: longest.took,
        counted: limiter.absolute().usage(KEY, &any()).unwrap(),
        then: then_,
    }
}

/// A node that has never joined and one that was removed are asked who has what, as likely as not.
pub(super) fn seeds_that_know_nothing() -> Row {
    let cluster = Cluster::start();
    let strangers = [(); 2].map(|()| Setup::new().cluster_node().start());
    let addresses = [&strangers[0], &strangers[1], &cluster.nodes[0]].map(RedisServer::address);
    let url = format!("redis-cluster://{}", addresses.join(","));
    let limiter = builder(url).build().unwrap();
    let asked = ask(&limiter, KEY);
    Row {
        fault: "two seeds of three are not of the cluster",
        gets: describe(&asked.answer),
        took: asked.took,
        counted: limiter.absolute().usage(KEY, &any()).unwrap(),
        then: then(&limiter),
    }
}

/// A call is sent on once, and what it counts is counted at the new node.
pub(super) fn slot_moved() -> Row {
    let cluster = Cluster::start();
    let limiter = builder(cluster.url()).build().unwrap();
    eventually("all nodes are connected to", || {
        (0..30).for_each(|number| warm_up_on(&limiter, number));
        limiter.stats().connections_opened >= 3
    });
    warm_up(&limiter);
    let slot = cluster.slot_of(&format!("trypema:a:60000.100:{KEY}"));
    let from = cluster.owner_of(slot);
    let to = (from + 1) % 3;
    cluster.begin_move(slot, from, to);
    cluster.move_keys(slot, from, to);
    cluster.end_move(slot, to);
    let asked = ask(&limiter, KEY);
    Row {
        fault: "the key's slot has moved to another node",
        gets: describe(&asked.answer),
        took: asked.took,
        counted: limiter.absolute().usage(KEY, &any()).unwrap(),
        then: then(&limiter),
    }
}

fn warm_up_on(limiter: &trypema::RedisRateLimiter, number: u32) {
    assert!(ask(limiter, &format!("warm {number}")).answer.is_ok());
}
