//! The traces of limiters in Redis: one small value for each key, which expires by itself.

// each proves: G5

use std::time::Duration;

use redis::Commands;
use trypema::{RateLimit, RedisRateLimiter};

use crate::any;
use crate::cluster::eventually;
use crate::server::RedisServer;

const WINDOW: Duration = Duration::from_millis(300);
const BUCKET: Duration = Duration::from_millis(20);

fn keys(connection: &mut redis::Connection) -> Vec<String> {
    let found = connection.scan::<String>().unwrap().collect::<redis::RedisResult<Vec<_>>>();
    found.unwrap()
}

fn limiter(server: &RedisServer, window: Duration, bucket: Duration) -> RedisRateLimiter {
    let builder = RedisRateLimiter::builder(server.url()).window(window).bucket(bucket);
    builder.deadline(Duration::from_secs(10)).build().unwrap()
}

#[test]
fn an_idle_server_forgets_everything() {
    let server = RedisServer::start();
    let limiter = limiter(&server, WINDOW, BUCKET);
    let (absolute, suppressed) = (limiter.absolute(), limiter.suppressed());
    let (rate, none) = (RateLimit::per_second(10.0).unwrap(), RateLimit::per_day(1.0).unwrap());
    let mut connection = server.connection();

    // A look leaves no trace, nor does a call that Absolute rejects or that asks for nothing.
    assert!(absolute.is_allowed("looked at", &rate, 1).unwrap().is_allowed());
    absolute.usage("looked at", &any()).unwrap();
    absolute.refund("looked at", &any(), 1).unwrap();
    absolute.reset("looked at").unwrap();
    assert!(absolute.inc("looked at", &rate, 0).unwrap().is_allowed());
    absolute.record("looked at", &any(), 0).unwrap();
    assert!(!absolute.inc("looked at", &rate, 4).unwrap().is_allowed());
    assert!(!absolute.inc("looked at", &none, 1).unwrap().is_allowed());
    assert!(suppressed.is_allowed("looked at", &rate, 1).unwrap().is_allowed());
    suppressed.usage("looked at", &any()).unwrap();
    suppressed.suppression_factor("looked at", &rate).unwrap();
    suppressed.refund("looked at", &any(), 1).unwrap();
    suppressed.reset("looked at").unwrap();
    assert!(suppressed.inc("looked at", &rate, 0).unwrap().is_allowed());
    assert_eq!(keys(&mut connection), [""; 0]);

    let mut expected = Vec::new();
    for number in 0..30 {
        let name = format!("user {number}");
        assert!(absolute.inc(&name, &rate, 1).unwrap().is_allowed());
        absolute.record(&name, &any(), 2).unwrap();
        absolute.refund(&name, &any(), 1).unwrap();
        assert!(suppressed.inc(&name, &rate, 3).unwrap().is_allowed());
        assert!(!suppressed.inc(&name, &rate, 3).unwrap().is_allowed());
        suppressed.record(&name, &any(), 1).unwrap();
        suppressed.refund(&name, &any(), 1).unwrap();
        expected.extend([format!("trypema:a:300.20:{name}"), format!("trypema:s:300.20:{name}")]);
    }
    for call in absolute.inc_many(&[("one", &rate, 1), ("two", &rate, 1)]) {
        assert!(call.unwrap().is_allowed());
    }
    expected.extend(["trypema:a:300.20:one", "trypema:a:300.20:two"].map(str::to_owned));
    // One by one, so that no state is without an end for however short a time.
    for name in ["inc", "record", "declined"] {
        match name {
            "inc" => assert!(absolute.inc(name, &rate, 1).unwrap().is_allowed()),
            "record" => assert!(absolute.record(name, &any(), 1).unwrap()),
            _ => assert!(!suppressed.inc(name, &none, 1).unwrap().is_allowed()),
        }
    }
    expected.extend(
        ["trypema:a:300.20:inc", "trypema:a:300.20:record", "trypema:s:300.20:declined"]
            .map(str::to_owned),
    );
    let mut found = keys(&mut connection);
    // On a machine so slow that some have expired by now, they may be gone.
    found.retain(|key| !expected.contains(key));
    assert_eq!(found, [""; 0], "nothing but a key per limited key and strategy");
    let longest = WINDOW + 3 * BUCKET;
    for key in expected {
        let left: i64 = connection.pttl(&key).unwrap();
        // -2: it is gone.
        assert!(left == -2 || (0..=longest.as_millis() as i64).contains(&left), "{key}: {left}");
    }
    eventually("nothing is left", || keys(&mut connection).is_empty());
    assert_eq!(connection.scan::<String>().unwrap().count(), 0);
}

/// Renewed with every new bucket, not with the first alone.
#[test]
fn a_key_in_use_stays() {
    let server = RedisServer::start();
    let limiter = limiter(&server, WINDOW, BUCKET);
    let rate = RateLimit::per_second(1e6).unwrap();
    let mut connection = server.connection();
    let begun = std::time::Instant::now();
    let mut admitted = std::collections::VecDeque::new();
    while begun.elapsed() < 3 * WINDOW {
        let called = std::time::Instant::now();
        assert!(limiter.absolute().inc("key", &rate, 1).unwrap().is_allowed());
        admitted.push_back(called);
        // All calls of the last window count.
        let usage = limiter.absolute().usage("key", &any()).unwrap();
        let returned = std::time::Instant::now();
        while admitted.front().is_some_and(|&called| returned - called > WINDOW) {
            admitted.pop_front();
        }
        assert!(usage >= admitted.len() as u64, "{usage} of {}", admitted.len());
    }
    let length: usize = connection.strlen("trypema:a:300.20:key").unwrap();
    eprintln!("{length} bytes for a window of {} buckets", WINDOW.as_millis() / BUCKET.as_millis());
    eventually("nothing is left", || keys(&mut connection).is_empty());
}

/// The bytes that a key costs the server with one bucket in use, its name included.
#[test]
fn a_key_is_small() {
    let server = RedisServer::start();
    let limiter = limiter(&server, Duration::from_secs(60), Duration::from_millis(100));
    let rate = RateLimit::per_minute(100.0).unwrap();
    let mut connection = server.connection();
    let mut sizes = Vec::new();
    for number in 0..100 {
        let name = format!("user:{number:08}");
        assert!(limiter.absolute().inc(&name, &rate, 1).unwrap().is_allowed());
        assert!(limiter.suppressed().inc(&name, &rate, 1).unwrap().is_allowed());
        for side in ['a', 's'] {
            let key = format!("trypema:{side}:60000.100:{name}");
            let usage = redis::cmd("MEMORY").arg("USAGE").arg(&key).query::<u64>(&mut connection);
            sizes.push((side, usage.unwrap()));
        }
    }
    let most = |side| sizes.iter().filter(|(its, _)| *its == side).map(|(_, size)| *size).max();
    let (absolute, suppressed) = (most('a').unwrap(), most('s').unwrap());
    eprintln!(
        "MEMORY USAGE of a key with one live bucket: Absolute {absolute} B, Suppressed {suppressed} B"
    );
    assert!(absolute <= 170, "{absolute} bytes");
    assert!(suppressed <= 250, "{suppressed} bytes");
}
