//! Finding the right server: Sentinels that are behind or hang, nodes that are no longer of the cluster, slots
//! that have moved under a batch, and addresses that hold elsewhere.

// each proves: G7

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fs, mem};

use trypema::{RateLimit, RedisRateLimiter, RedisRateLimiterBuilder, TrypemaError};

use crate::any;
use crate::cluster::{Cluster, eventually};
use crate::common::until::FOREVER;
use crate::ports::free_port;
use crate::proxy::Proxy;
use crate::sentinel::{SERVICE, Watched};
use crate::server::{RedisServer, Setup};

fn builder(url: impl Into<String>) -> RedisRateLimiterBuilder {
    RedisRateLimiter::builder(url).denial_cache(Duration::ZERO)
}

fn plenty() -> RateLimit {
    RateLimit::per_minute(1e6).unwrap()
}

/// A Sentinel that has heard of nothing since it was told of this master.
pub(crate) struct Stale {
    port: u16,
    stop: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Stale {
    pub(crate) fn naming(master: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let acceptor = thread::spawn(move || {
            for stream in listener.incoming() {
                // Relaxed: set before the connection that wakes this thread.
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(stream) = stream {
                    thread::spawn(move || serve(stream, master));
                }
            }
        });
        Self { port, stop, acceptor: Some(acceptor) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// Each request is small, and comes alone.
fn serve(mut stream: TcpStream, master: u16) {
    let master = master.to_string();
    let named = format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{master}\r\n", master.len());
    let mut heard = [0; 1_024];
    while let Ok(count @ 1..) = stream.read(&mut heard) {
        let asked = String::from_utf8_lossy(&heard[..count]);
        let reply = if asked.contains("SENTINEL") { named.as_str() } else { "+PONG\r\n" };
        if stream.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

impl Drop for Stale {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed); // As above.
        // Wakes it. If that fails, it is gone.
        _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        mem::take(&mut self.acceptor).map(JoinHandle::join);
    }
}

/// One Sentinel of two still names the server that was the master: gone, hanging, or a replica by now. Whom of
/// the two a limiter happens to ask first does not matter.
#[test]
fn a_sentinel_that_is_behind_is_made_up_for_by_the_next() {
    let watched = Watched::start();
    let gone = free_port();
    let mut hanging = Proxy::to(watched.servers[0].port());
    let _hanging = hanging.hang();
    for (what, named) in
        [("gone", gone), ("hanging", hanging.port()), ("a replica", watched.servers[1].port())]
    {
        let stale = Stale::naming(named);
        let sentinel = watched.sentinel.port();
        let url =
            format!("redis-sentinel://127.0.0.1:{},127.0.0.1:{sentinel}/{SERVICE}", stale.port);
        for _ in 0..12 {
            let limiter = builder(&url).deadline(Duration::from_secs(2)).build().unwrap();
            let answer = limiter.absolute().inc("key", &plenty(), 1);
            assert!(answer.is_ok(), "the old master is {what}: {answer:?}");
        }
    }
}

/// How many of the calls in such a time take as long as a call may, or half of that.
fn slow_calls(limiter: &RedisRateLimiter, deadline: Duration, time: Duration) -> (usize, usize) {
    let (mut slow, mut all) = (0, 0);
    let begun = Instant::now();
    while begun.elapsed() < time {
        let called = Instant::now();
        assert!(limiter.absolute().inc("key", &plenty(), 1).is_err());
        slow += usize::from(called.elapsed() >= deadline / 2);
        all += 1;
    }
    (slow, all)
}

/// Threads of this process that look something up or see whether a server is back.
fn lookers() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names
        .filter(|name| name.starts_with("trypema-resolve") || name.starts_with("trypema-probe"))
        .count()
}

/// All packets are lost, those to the Sentinels too.
#[test]
fn while_everything_hangs_calls_answer_at_once() {
    let _alone = crate::alone();
    let deadline = Duration::from_millis(400);
    let mut watched = Watched::start();
    let mut proxies = [(); 2].map(|()| Proxy::to(watched.sentinel.port()));
    let [one, other] = proxies.each_ref().map(Proxy::port);
    let url = format!("redis-sentinel://127.0.0.1:{one},127.0.0.1:{other}/{SERVICE}");
    let known = builder(&url).deadline(deadline).build().unwrap();
    eventually("it has answered", || known.absolute().inc("key", &plenty(), 1).is_ok());
    let _hanging = proxies.each_mut().map(Proxy::hang);
    watched.servers[0].pause();

    // Nothing is known: one call finds out, and nobody after it waits for anything.
    let fresh = builder(&url).deadline(deadline).build().unwrap();
    assert!(fresh.absolute().inc("key", &plenty(), 1).is_err());
    let (slow, all) = slow_calls(&fresh, deadline, deadline * 6);
    eprintln!("fresh: {slow} of {all} calls slow");
    // Where the machine stands still for so long, one may be.
    assert!(slow <= 1 && all > 100, "{slow} of {all} calls were slow");

    // The same once the breaker of the master has opened.
    while !matches!(
        known.absolute().inc("key", &plenty(), 1),
        Err(TrypemaError::Unavailable { .. })
    ) {}
    let (slow, all) = slow_calls(&known, deadline, deadline * 6);
    eprintln!("known: {slow} of {all} calls slow");
    assert!(slow <= 1 && all > 100, "{slow} of {all} calls were slow");
    assert!(lookers() <= 16, "{} threads", lookers());

    watched.servers[0].resume();
    drop(_hanging);
    proxies.iter_mut().for_each(Proxy::accept);
    for limiter in [fresh, known] {
        eventually("it answers again", || limiter.absolute().inc("key", &plenty(), 1).is_ok());
    }
    watched.servers[0].kill();
}

/// Keys of all nodes.
fn names() -> Vec<String> {
    (0..30).map(|number| format!("user {number}")).collect()
}

/// Nodes that were removed, or never joined, know nobody; limiters that are told of them too do not mind.
#[test]
fn nodes_that_know_nothing_are_not_believed() {
    let cluster = Cluster::start();
    let never_joined = Setup::new().cluster_node().start();
    let no_cluster = RedisServer::start();
    let addresses = [&never_joined, &no_cluster, &cluster.nodes[0]].map(RedisServer::address);
    let url = format!("redis-cluster://{}", addresses.join(","));
    for _ in 0..20 {
        let fresh = builder(&url).deadline(FOREVER).build().unwrap();
        let answer = fresh.absolute().inc("key", &plenty(), 1);
        assert!(answer.is_ok(), "{answer:?}");
    }
    // A node without slots is removed, without a word to anybody who knows it.
    let removed = Setup::new().cluster_node().start();
    let bus = removed.bus_port().expect("nodes have a bus");
    let _: () = cluster.nodes[0].ask(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", removed.port()));
    eventually("it has joined", || {
        removed.ask::<String>("CLUSTER INFO").contains("cluster_state:ok")
    });
    let url = format!("redis-cluster://{},{}", removed.address(), cluster.nodes[0].address());
    let limiter = builder(&url).deadline(FOREVER).build().unwrap();
    let every = |limiter: &RedisRateLimiter| {
        for name in &names() {
            let answer = limiter.absolute().inc(name, &plenty(), 1);
            assert!(answer.is_ok(), "{name}: {answer:?}");
        }
    };
    every(&limiter);
    let id: String = removed.ask("CLUSTER MYID");
    let _: () = removed.ask("CLUSTER RESET HARD");
    for node in &cluster.nodes {
        let _: () = node.ask(&format!("CLUSTER FORGET {id}"));
    }
    // Each move has it look again, at whomever it happens to ask.
    let slot = cluster.slot_of("trypema:a:60000.100:key");
    for _ in 0..6 {
        let from = cluster.owner_of(slot);
        let to = (from + 1) % 3;
        cluster.begin_move(slot, from, to);
        cluster.move_keys(slot, from, to);
        cluster.end_move(slot, to);
        assert!(limiter.absolute().inc("key", &plenty(), 1).is_ok());
        // As long as it takes for another look to be due.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(250) {
            every(&limiter);
        }
    }
}

/// All keys of a batch are of a slot that has moved: they are asked for together, at their new node.
#[test]
fn a_batch_whose_slot_has_moved_stays_together() {
    let cluster = Cluster::start();
    let slot = cluster.slot_of("trypema:a:60000.100:{tag}");
    let limiter = builder(cluster.url()).deadline(FOREVER).build().unwrap();
    let names = (0..200).map(|number| format!("{{tag}}{number}")).collect::<Vec<_>>();
    let rate = plenty();
    let calls = names.iter().map(|name| (name.as_str(), &rate, 1)).collect::<Vec<_>>();
    let all_good = |limiter: &RedisRateLimiter| {
        assert!(limiter.absolute().inc_many(&calls).iter().all(Result::is_ok));
    };
    // Twice: the second time the scripts are there already.
    for _ in 0..3 {
        all_good(&limiter);
        let from = cluster.owner_of(slot);
        let to = (from + 1) % 3;
        cluster.begin_move(slot, from, to);
        cluster.move_keys(slot, from, to);
        cluster.end_move(slot, to);
        let before = reads(&cluster.nodes[to]);
        all_good(&limiter);
        let read = reads(&cluster.nodes[to]) - before;
        eprintln!("{} calls moved, the new node has read {read} times", calls.len());
        assert!(read < 50, "{read} reads by the new node");
    }
    for name in &names {
        assert_eq!(limiter.absolute().usage(name, &any()).unwrap(), 6, "counted once each");
    }
}

/// How often a server has found something to read: about once for what comes in one piece.
fn reads(server: &RedisServer) -> u64 {
    let info: String = server.ask("INFO stats");
    let found = info.lines().find_map(|line| line.strip_prefix("total_reads_processed:"));
    found.expect("it is counted").parse().unwrap()
}

/// The nodes tell names that lead nowhere from here; the map knows where they are.
#[test]
fn addresses_are_mapped() {
    let cluster = Cluster::start();
    let proxies = cluster.nodes.iter().map(|node| Proxy::to(node.port())).collect::<Vec<_>>();
    for (number, node) in cluster.nodes.iter().enumerate() {
        let _: () =
            node.ask(&format!("CONFIG SET cluster-announce-hostname node-{number}.invalid"));
        let _: () = node.ask("CONFIG SET cluster-preferred-endpoint-type hostname");
    }
    eventually("all know all names", || {
        cluster.nodes.iter().all(|node| {
            let slots = format!("{:?}", node.ask::<redis::Value>("CLUSTER SLOTS"));
            (0..3).all(|number| slots.contains(&format!("node-{number}.invalid")))
        })
    });
    let ports = proxies.iter().map(Proxy::port).collect::<Vec<_>>();
    let map = move |host: &str, _: u16| {
        let number = host.strip_prefix("node-")?.strip_suffix(".invalid")?;
        let port = *ports.get(number.parse::<usize>().ok()?)?;
        Some(("127.0.0.1".to_owned(), port))
    };
    let url = proxies[0].url().replace("redis://", "redis-cluster://");
    let limiter = builder(url).deadline(FOREVER).address_map(map).build().unwrap();
    for name in names() {
        let answer = limiter.absolute().inc(&name, &plenty(), 1);
        assert!(answer.is_ok(), "{name}: {answer:?}");
    }
    // Redirections are mapped, too.
    let slot = cluster.slot_of("trypema:a:60000.100:key");
    for _ in 0..3 {
        let from = cluster.owner_of(slot);
        let to = (from + 1) % 3;
        cluster.begin_move(slot, from, to);
        cluster.move_keys(slot, from, to);
        cluster.end_move(slot, to);
        assert!(limiter.absolute().inc("key", &plenty(), 1).is_ok());
    }
    assert_eq!(limiter.absolute().usage("key", &any()).unwrap(), 3);
    assert!(proxies.iter().all(|proxy| proxy.seen().connections > 0));
}
