//! Which windows `reset` forgets a key in.

use std::time::Duration;

use trypema::{RateLimit, RedisRateLimiter};

use crate::common::until::FOREVER;
use crate::server::RedisServer;

fn limiter(server: &RedisServer) -> RedisRateLimiter {
    RedisRateLimiter::builder(server.url()).deadline(FOREVER).build().unwrap()
}

/// A program that has limited nothing itself, such as a support tool, resets what others have counted.
#[test]
fn a_fresh_limiter_forgets_in_the_usual_windows() {
    let server = RedisServer::start();
    let odd = RateLimit::per(5, Duration::from_secs(7 * 3_600)).unwrap();
    let rates = ["5/s", "5/minute", "5/hour", "5/day", "5/week"].map(|rate| rate.parse().unwrap());
    let counts = limiter(&server);
    for rate in rates.iter().chain([&odd]) {
        assert!(counts.absolute().inc("alice", rate, 5).unwrap().is_allowed());
        assert!(counts.suppressed().inc("alice", rate, 5).unwrap().is_allowed());
    }
    let resets = limiter(&server);
    assert_eq!(resets.absolute().reset("alice"), Ok(true));
    for rate in &rates[1..] {
        assert_eq!(counts.absolute().usage("alice", rate), Ok(0), "{rate}");
        assert_eq!(counts.suppressed().usage("alice", rate).unwrap().admitted, 5, "{rate}");
    }
    assert_eq!(resets.absolute().reset("alice"), Ok(false), "nothing else is known");
    // Of other periods it knows those that it was asked about.
    assert_eq!(resets.absolute().usage("alice", &odd), counts.absolute().usage("alice", &odd));
    resets.absolute().reset("alice").unwrap();
    assert_eq!(counts.absolute().usage("alice", &odd), Ok(0));
    assert_eq!(resets.suppressed().reset("alice"), Ok(true));
}

#[test]
fn windows_that_were_set_are_the_only_ones() {
    let server = RedisServer::start();
    let per_minute = RateLimit::per_minute(5).unwrap();
    assert!(limiter(&server).absolute().inc("alice", &per_minute, 5).unwrap().is_allowed());
    let windows = [Duration::from_secs(60), Duration::from_secs(3_600)];
    let set = RedisRateLimiter::builder(server.url()).windows(windows).deadline(FOREVER);
    assert_eq!(set.build().unwrap().absolute().reset("alice"), Ok(true), "it has the same window");
    let set = RedisRateLimiter::builder(server.url()).window(windows[1]).deadline(FOREVER);
    let set = set.build().unwrap();
    assert!(limiter(&server).absolute().inc("alice", &per_minute, 5).unwrap().is_allowed());
    assert_eq!(set.absolute().reset("alice"), Ok(false));
}
