//! A limiter over Redis from a file.

use trypema::{Limiter, LimiterConfig, RateLimit};

use crate::server::RedisServer;

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
