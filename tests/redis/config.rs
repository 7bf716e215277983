//! A limiter over Redis from a file.

use std::fs;
use std::sync::Arc;

use trypema::{Limiter, LimiterConfig, RateLimit, TrypemaError};

use crate::certificates::Certificates;
use crate::cluster::Cluster;
use crate::proxy::Proxy;
use crate::server::{RedisServer, Setup};

/// The limiter of a file with these lines, besides those that all have.
fn build(url: &str, lines: &str) -> Arc<dyn Limiter> {
    let text = format!("provider = \"redis\"\nurl = \"{url}\"\ndeadline = \"10s\"\n{lines}");
    toml::from_str::<LimiterConfig>(&text).unwrap().build().unwrap()
}

fn five() -> RateLimit {
    RateLimit::per_minute(5).unwrap()
}

// proves: input
#[test]
fn a_limiter_over_redis_from_a_file() {
    let server = RedisServer::start();
    for strategy in ["absolute", "suppressed"] {
        let text = format!(
            "provider = \"redis\"\nurl = \"{}\"\nstrategy = \"{strategy}\"\nwindow = \"1h\"\n\
             bucket = \"1min\"\nhard_limit_factor = 1.0\nprefix = \"shop\"\npool_size = 2\n\
             max_idle = \"30s\"\nmax_lifetime = \"10min\"\n\
             deadline = \"10s\"\non_unavailable = \"reject\"\ndenial_cache = \"0ms\"\n",
            server.url(),
        );
        let config: LimiterConfig = toml::from_str(&text).unwrap();
        let limiter = config.build().unwrap();
        let rate = RateLimit::per_hour(3).unwrap();
        assert!(limiter.inc("alice", &rate, 3).unwrap().is_allowed());
        assert!(!limiter.inc("alice", &rate, 1).unwrap().is_allowed());
    }
    let keys: Vec<String> = server.ask("KEYS shop:*:3600000.60000:alice");
    assert_eq!(keys.len(), 2, "{keys:?}");
}

// proves: input
#[test]
fn users_and_passwords_from_a_file() {
    let server = Setup::new().user("limits", "p@ss", "~trypema:* +@all").start();
    let named = build(&server.url(), "user = \"limits\"\npassword = \"p@ss\"\n");
    assert!(named.inc("alice", &five(), 1).unwrap().is_allowed());
    let wrong = build(&server.url(), "user = \"limits\"\npassword = \"pass\"\n");
    assert!(matches!(wrong.inc("alice", &five(), 1), Err(TrypemaError::Redis { .. })));
}

// proves: input
#[test]
fn certificates_from_a_file() {
    let certificates = Certificates::make();
    let server = Setup::new().tls(&certificates).start();
    let text = |path| fs::read_to_string(path).unwrap();
    let lines = format!(
        "tls_roots = \"\"\"{}\"\"\"\ntls_certificates = \"\"\"{}\"\"\"\ntls_key = \"\"\"{}\"\"\"\n",
        text(certificates.authority()),
        text(certificates.client_certificate()),
        text(certificates.client_key()),
    );
    assert!(build(&server.url(), &lines).inc("alice", &five(), 1).unwrap().is_allowed());
}

// proves: input
#[test]
fn addresses_from_a_file() {
    let cluster = Cluster::start();
    let proxies = cluster.nodes.iter().map(|node| Proxy::to(node.port())).collect::<Vec<_>>();
    let map = cluster.nodes.iter().zip(&proxies).map(|(node, proxy)| {
        format!("\"127.0.0.1:{}\" = \"127.0.0.1:{}\"\n", node.port(), proxy.port())
    });
    let lines = "[address_map]\n".to_owned() + &map.collect::<String>();
    let limiter = build(&proxies[0].url().replace("redis://", "redis-cluster://"), &lines);
    for key in 0..32 {
        assert!(limiter.inc(&key.to_string(), &five(), 1).unwrap().is_allowed());
    }
    assert!(proxies.iter().all(|proxy| proxy.seen().connections > 0));
}

/// One failure is enough, and then nobody asks for a day.
// proves: input
#[test]
fn breakers_from_a_file() {
    let limiter = build(
        "redis://127.0.0.1:1",
        "breaker_failures = 1\nbreaker_pause = \"1 day\"\ndenial_cache_keys = 0\n",
    );
    assert!(matches!(limiter.inc("alice", &five(), 1), Err(TrypemaError::Redis { .. })));
    let answer = limiter.inc("alice", &five(), 1);
    let Err(TrypemaError::Unavailable { retry_after, .. }) = answer else { panic!("{answer:?}") };
    assert!(retry_after.as_secs() > 80_000, "{retry_after:?}");
}
