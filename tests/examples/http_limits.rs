//! The example's server, over real sockets, with a clock of the test's own.

// each proves: input

#[path = "../../examples/http_limits/address.rs"]
pub(super) mod address;
#[path = "../../examples/http_limits/client.rs"]
mod client;
#[path = "../../examples/http_limits/limits.rs"]
mod limits;
#[path = "../../examples/http_limits/server.rs"]
mod server;

use std::net::SocketAddr;
use std::time::Duration;

use address::TrustedProxies;
use client::{Reply, get};
use limits::{Limits, Rates};
use server::{ANY_PORT, LOCAL, Limited, Running, text};
use trypema::{LocalRateLimiter, ManualClock};

const SECOND: Duration = Duration::from_secs(1);

/// 10 a second and 25 a minute for an address, 15 a day for a key.
fn start(clock: &ManualClock, proxies: TrustedProxies) -> (Running, SocketAddr) {
    let [burst, steady, quota] = ["10/s", "25/minute", "15/day"].map(|rate| rate.parse().unwrap());
    let builder = LocalRateLimiter::builder().clock(clock.clone());
    let limited = Limited {
        limits: Limits::new(builder, Rates { burst, steady, quota }).unwrap(),
        proxies,
        api_keys: vec!["k-17".into(), "k-18".into()],
        handler: |_: &_| text(200, "hello\n"),
    };
    let server = Running::start(ANY_PORT, limited).unwrap();
    let address = server.address().unwrap();
    (server, address)
}

fn behind_proxy(clock: &ManualClock) -> (Running, SocketAddr) {
    start(clock, TrustedProxies::parse(LOCAL).unwrap())
}

fn told(reply: &Reply) -> (u16, &str, Option<&str>) {
    (reply.status, reply.header("RateLimit").unwrap(), reply.header("Retry-After"))
}

#[test]
fn every_reply_tells_where_the_client_stands() {
    let clock = ManualClock::new();
    let (server, address) = behind_proxy(&clock);
    let ask = || get(address, None, "203.0.113.7", None).unwrap();
    let policies = r#""burst";q=10;w=1, "steady";q=25;w=60"#;
    for left in (0..10).rev() {
        let reply = ask();
        assert_eq!(reply.header("RateLimit-Policy"), Some(policies));
        assert_eq!(told(&reply), (200, &*format!("\"burst\";r={left}"), None));
    }
    let reply = ask();
    assert_eq!(reply.header("RateLimit-Policy"), Some(policies));
    let (status, limit, retry_after) = told(&reply);
    assert_eq!(status, 429);
    let seconds = retry_after.unwrap();
    assert_eq!(limit, format!("\"burst\";r=0;t={seconds}"));

    // A client that comes back then is let in, and meets the other limit in the end.
    clock.advance(SECOND * seconds.parse().unwrap());
    for _ in 0..10 {
        assert_eq!(ask().status, 200);
    }
    clock.advance(2 * SECOND);
    for left in (0..5).rev() {
        assert_eq!(told(&ask()), (200, &*format!("\"steady\";r={left}"), None));
    }
    let reply = ask();
    assert_eq!(reply.status, 429);
    assert!(reply.header("RateLimit").unwrap().starts_with("\"steady\";r=0;t="));
    server.stop();
}

#[test]
fn nobody_gets_more_by_what_he_makes_up() {
    let clock = ManualClock::new();
    let (server, address) = behind_proxy(&clock);
    let mut admitted = 0;
    for number in 0..15 {
        // Another name each time; proxies of ours among them; and a network's worth of addresses.
        let claimed = ["198.51.100.", "127.0.0."][number % 2].to_owned() + &number.to_string();
        let reply = get(address, Some(&claimed), &format!("2001:db8:1:2::{number}"), None).unwrap();
        admitted += u32::from(reply.status == 200);
    }
    assert_eq!(admitted, 10);
    // Nor does anybody suffer who was named.
    assert_eq!(get(address, None, "198.51.100.2", None).unwrap().status, 200);
    server.stop();

    // Without a proxy before us, all of them are the one that is connected.
    let (server, address) = start(&clock, TrustedProxies::default());
    for number in 0..12 {
        let reply = get(address, None, &format!("198.51.100.{number}"), None).unwrap();
        assert_eq!(reply.status, if number < 10 { 200 } else { 429 });
    }
    server.stop();
}

#[test]
fn a_key_has_a_quota_wherever_it_is_used() {
    let clock = ManualClock::new();
    let (server, address) = behind_proxy(&clock);
    let ask = |client: &str, key| get(address, None, client, Some(key)).unwrap();
    for number in 0..15 {
        let reply = ask(["203.0.113.1", "203.0.113.2"][number % 2], "k-17");
        let policies = reply.header("RateLimit-Policy").unwrap();
        assert!(policies.ends_with("\"quota\";q=15;w=86400"), "{policies}");
        assert_eq!(reply.status, 200);
    }
    let reply = ask("203.0.113.3", "k-17");
    assert_eq!(reply.status, 429);
    assert!(reply.header("RateLimit").unwrap().starts_with("\"quota\";r=0;t=86"));
    // It counted against none of the limits: the address has all of its burst.
    for left in (0..10).rev() {
        let reply = ask("203.0.113.3", "k-18");
        assert_eq!(told(&reply), (200, &*format!("\"burst\";r={left}"), None));
    }
    server.stop();
}

#[test]
fn keys_are_not_there_to_be_guessed() {
    let (server, address) = behind_proxy(&ManualClock::new());
    for number in 0..12 {
        let reply = get(address, None, "203.0.113.7", Some(&format!("k-{}", 90 + number))).unwrap();
        assert_eq!(reply.status, if number < 10 { 401 } else { 429 });
    }
    server.stop();
}
