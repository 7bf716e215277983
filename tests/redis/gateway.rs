//! The gateway example in two processes that share their limits, flooded at once.
//!
//! The processes are this very test binary, started again for [`child`] alone.

// each proves: G1

// The example's files, as they are.
#[path = "../../examples/gateway/answer.rs"]
#[allow(dead_code)]
mod answer;
#[path = "../../examples/gateway/history.rs"]
#[allow(dead_code)]
mod history;
#[path = "../../examples/gateway/http.rs"]
#[allow(dead_code)]
mod http;
#[path = "../../examples/gateway/limits.rs"]
#[allow(dead_code)]
mod limits;
#[path = "../../examples/gateway/rules.rs"]
#[allow(dead_code)]
mod rules;
#[path = "../../examples/gateway/server.rs"]
#[allow(dead_code)]
mod server;
#[path = "../../examples/gateway/settings.rs"]
#[allow(dead_code)]
mod settings;

use std::env;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use trypema::MonotonicClock;

use crate::cluster::eventually;
use crate::common::Grid;
use crate::common::spans::{Span, Ticks, most_within};
use crate::processes::{Own, now, start_again};
use crate::server::RedisServer;

const TOLD: &str = "TRYPEMA_TEST_GATEWAY";
/// A gateway that admits too little for this long has hung.
const HUNG: Duration = Duration::from_secs(60);
/// Of the client `greedy`, in a window of a second and buckets of 20 ms.
const CAPACITY: u64 = 20;
const GRID: Grid = Grid { window_ms: 1_000, bucket_ms: 20 };

/// No test of its own: a gateway that serves until its standard input ends.
#[test]
fn child() {
    let Ok(told) = env::var(TOLD) else { return };
    let (how, told) = told.split_once(' ').expect("how, a URL and a file");
    let (url, file) = told.split_once(' ').expect("a URL and a file");
    let settings = settings::Settings::standard(Duration::ZERO);
    assert_eq!(settings.window, Duration::from_millis(GRID.window_ms));
    assert_eq!(settings.bucket, Duration::from_millis(GRID.bucket_ms));
    let rules = rules::Rules::of(&settings).unwrap();
    let limits = match how {
        "hybrid" => limits::Limits::by_leases(&rules, url).unwrap(),
        _ => limits::Limits::in_redis(&rules, url).unwrap(),
    };
    let free_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let clock = Arc::new(MonotonicClock::new());
    let gateway = server::Gateway::start_with(limits, free_port, rules, clock, None).unwrap();
    // Whole, or not there at all.
    let part = format!("{file}.part");
    std::fs::write(&part, gateway.address().to_string()).unwrap();
    std::fs::rename(part, file).unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    gateway.stop().unwrap();
}

/// Asks as `greedy` over one connection until windows were used up one after the other, and returns
/// when each of the admissions was made. `admitted` counts those of all who flood.
fn flood(gateway: SocketAddr, admitted: &AtomicU64) -> Vec<Span> {
    let mut connection = http::Connection::open(gateway).unwrap();
    let (begun, mut spans) = (Instant::now(), Vec::new());
    // Relaxed: only counts.
    while admitted.load(Ordering::Relaxed) <= 3 * CAPACITY {
        assert!(begun.elapsed() < HUNG, "{} admitted", spans.len());
        let called = now();
        let reply = connection.get(Some("greedy")).unwrap();
        match reply.status {
            200 => {
                spans.push(Span { called, returned: now(), units: 1 });
                // Relaxed: as above.
                admitted.fetch_add(1, Ordering::Relaxed);
            }
            429 => assert!(reply.retry_after_ms.is_some()),
            other => panic!("status {other}"),
        }
        // As a client of the example would: it is the limit that is tried, not the machine.
        thread::sleep(Duration::from_millis(2));
    }
    spans
}

#[test]
fn two_gateways_share_their_limits() {
    let spans = two_gateways("redis");
    assert_eq!(Ticks::of(GRID).excess(&spans, &[], CAPACITY), 0);
}

#[test]
fn two_gateways_share_their_limits_by_leases() {
    let spans = two_gateways("hybrid");
    assert!(most_within(&spans, GRID.window_ms * 1_000_000) <= CAPACITY);
}

/// Floods them, and returns the admissions. They go on after Redis was away.
fn two_gateways(how: &str) -> Vec<Span> {
    let _alone = crate::alone();
    let mut redis = RedisServer::start();
    let directory = tempfile::tempdir().unwrap();
    let start = |number: u8| {
        let file = directory.path().join(number.to_string());
        let told = format!("{how} {} {}", redis.url(), file.display());
        let own = start_again("gateway::child", TOLD, &told, Stdio::piped());
        eventually("it serves", || file.exists());
        let address = std::fs::read_to_string(file).unwrap().parse::<SocketAddr>().unwrap();
        (own, address)
    };
    let mut gateways = [start(0), start(1)];
    // One after the other: of connections that arrive at the same moment, tiny_http 0.12 may leave
    // one without a thread until another one closes.
    let admitted = AtomicU64::new(0);
    let spans = thread::scope(|scope| {
        let flooding = gateways.iter().flat_map(|(_, address)| [*address; 3]).map(|address| {
            thread::sleep(Duration::from_millis(20));
            let admitted = &admitted;
            scope.spawn(move || flood(address, admitted))
        });
        let flooding = flooding.collect::<Vec<_>>();
        flooding.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let fullest = most_within(&spans, GRID.window_ms * 1_000_000);
    eprintln!(
        "{how}: two gateways admitted {}, at most {fullest} in any second for certain",
        spans.len()
    );

    redis.kill();
    for (_, address) in &gateways {
        let mut connection = http::Connection::open(*address).unwrap();
        let reply = connection.get(Some("polite")).unwrap();
        assert_eq!(reply.status, 503, "that is not the client's fault");
    }
    redis.restart();
    for (Own(child), address) in &mut gateways {
        let mut connection = http::Connection::open(*address).unwrap();
        eventually("it goes on", || connection.get(Some("polite")).unwrap().status == 200);
        drop(connection);
        // Ends it, in good order.
        child.stdin.take().unwrap().flush().unwrap();
        assert!(child.wait().unwrap().success());
    }
    spans
}
