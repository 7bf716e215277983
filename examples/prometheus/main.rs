//! Statistics of limiters for Prometheus, over HTTP.
//!
//! `cargo run --example prometheus`
//!
//! Limiters count what they decide in counters of each thread, which are summed when somebody asks: a
//! scrape costs something, a decision does not. Programs that use the `metrics` facade already have
//! an exporter, and call `publish_metrics` instead (feature `metrics`).

#![expect(clippy::print_stdout, reason = "an example prints")]

mod exporter;

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use exporter::{Exporter, scrape};
use trypema::{LocalRateLimiter, RateLimit};

fn main() -> Result<(), Box<dyn Error>> {
    let logins = LocalRateLimiter::builder().max_keys(10_000).build()?;
    let searches = LocalRateLimiter::builder().build()?;
    let limiters = vec![("logins", logins.clone()), ("searches", searches.clone())];
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let exporter = Exporter::start(any_port, limiters)?;

    let (few, many) = (RateLimit::per_minute(5)?, RateLimit::per_second(50)?);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for user in 0..100 {
                    let user = format!("user {user}");
                    let _ = logins.absolute().inc(&user, &few, 2);
                    let _ = searches.suppressed().inc(&user, &many, 20);
                }
            });
        }
    });

    println!("GET http://{}/metrics\n", exporter.address());
    let (status, metrics) = scrape(exporter.address(), "/metrics")?;
    println!("{status}\n{metrics}");
    exporter.stop()?;
    assert!(metrics.contains("trypema_allowed_total{limiter=\"logins\"} 200\n"));
    Ok(())
}
