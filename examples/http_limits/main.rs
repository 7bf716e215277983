//! Limits around a blocking HTTP server: 10 requests a second and 100 a minute for each address, 5,000 a
//! day for each API key.
//!
//! `cargo run --example http_limits`
//!
//! A request counts against all of its limits or against none, in one step: `inc_all`. Every reply tells
//! the client where it stands, those that go ahead as well as those that do not. The client is found
//! behind proxies by what they vouch for, and no further; see `address.rs`.

#![expect(clippy::print_stdout, reason = "an example prints")]

mod address;
mod client;
mod limits;
mod server;

use std::error::Error;
use std::time::{Duration, Instant};

use address::TrustedProxies;
use limits::{Limits, Rates};
use server::{ANY_PORT, LOCAL, Limited, Running, text};
use trypema::{LocalRateLimiter, RateLimit};

fn main() -> Result<(), Box<dyn Error>> {
    let rates = Rates {
        burst: RateLimit::per_second(10)?,
        steady: RateLimit::per_minute(100)?,
        quota: RateLimit::per_day(5_000)?,
    };
    // Addresses cost nothing to make up; past so many, newcomers are turned away.
    let builder = LocalRateLimiter::builder().max_keys(100_000);
    let limited = Limited {
        limits: Limits::new(builder, rates)?,
        proxies: TrustedProxies::parse(LOCAL)?,
        api_keys: vec!["k-17".into()],
        handler: |_: &_| text(200, "hello\n"),
    };
    let server = Running::start(ANY_PORT, limited)?;
    let address = server.address().ok_or("no address")?;

    let show = |who: &str, reply: &client::Reply| {
        println!("{who}: {}", reply.status);
        for name in ["RateLimit-Policy", "RateLimit", "Retry-After"] {
            if let Some(value) = reply.header(name) {
                println!("  {name}: {value}");
            }
        }
    };
    let begun = Instant::now();
    let first = client::get(address, None, "203.0.113.7", None)?;
    show("a client without a key", &first);
    let mut replies = Vec::new();
    for number in 0..14 {
        // It claims to be somebody else each time.
        let claimed = format!("198.51.100.{number}");
        replies.push(client::get(address, Some(&claimed), "203.0.113.7", None)?);
    }
    let turned_away = replies.iter().filter(|reply| reply.status == 429).count();
    println!("14 more, with made-up addresses in front: {turned_away} turned away");
    show("the last of them", replies.last().ok_or("no reply")?);
    show("a neighbour with a key", &client::get(address, None, "203.0.113.8", Some("k-17"))?);
    show("with a key that is none", &client::get(address, None, "203.0.113.9", Some("k-18"))?);
    server.stop();

    assert!(turned_away == 5 || begun.elapsed() > Duration::from_secs(1));
    Ok(())
}
