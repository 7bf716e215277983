//! What a pool gives that is smaller than the number of callers: figures for the documentation, which hang on
//! the machine, so that they are printed and not compared.
//!
//! ```sh
//! cargo test --features redis --test redis throughput:: -- --ignored --nocapture --test-threads 1
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use trypema::{RedisRateLimiter, RedisRateLimiterBuilder, TrypemaError};

use crate::any;
use crate::proxy::{Fault, Proxy};
use crate::server::{RedisServer, ask};

/// Good answers, full pools, open breakers, and other failures, of so many callers in so much time.
fn call(limiter: &RedisRateLimiter, callers: usize, length: Duration) -> [u64; 4] {
    let counts = [const { AtomicU64::new(0) }; 4];
    // Relaxed, all of them: counts that are read when the threads have been joined.
    thread::scope(|scope| {
        for caller in 0..callers {
            let (limiter, counts) = (&limiter, &counts);
            scope.spawn(move || {
                let (begun, key) = (Instant::now(), format!("caller {caller}"));
                while begun.elapsed() < length {
                    let which = match limiter.absolute().inc(&key, &any(), 1) {
                        Ok(_) => 0,
                        Err(TrypemaError::PoolTimeout { .. }) => 1,
                        Err(TrypemaError::Unavailable { .. }) => 2,
                        Err(_) => 3,
                    };
                    counts[which].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    counts.map(AtomicU64::into_inner)
}

fn builder(proxy: &Proxy) -> RedisRateLimiterBuilder {
    RedisRateLimiter::builder(proxy.url()).denial_cache(Duration::ZERO)
}

#[test]
#[ignore = "prints a figure"]
fn of_a_pool_that_is_too_small() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let limiter = builder(&proxy).pool_size(4).deadline(Duration::from_millis(50)).build().unwrap();
    assert!(limiter.absolute().usage("warm", &any()).is_ok());
    proxy.set(Fault::Late(Duration::from_millis(6)));
    let [good, full, open, failed] = call(&limiter, 64, Duration::from_secs(4));
    proxy.set(Fault::None);
    eprintln!(
        "64 callers, 4 connections, deadline 50 ms, replies 6 ms late, 4 s: {good} decisions of at most \
         {}; {full} found no connection in time, {open} an open breaker, {failed} failed otherwise",
        4 * 4_000 / 6,
    );
}

#[test]
#[ignore = "prints a figure"]
fn of_a_server_with_fewer_connections() {
    let server = RedisServer::start();
    let mut own = server.connection();
    // One is the test's own.
    let _: () = ask(&mut own, "CONFIG SET maxclients 13");
    let proxy = Proxy::to(server.port());
    let limiter = builder(&proxy).pool_size(32).build().unwrap();
    proxy.set(Fault::Late(Duration::from_millis(1)));
    let [good, full, open, failed] = call(&limiter, 32, Duration::from_secs(4));
    proxy.set(Fault::None);
    eprintln!(
        "32 callers, pool_size 32, 12 connections to be had, replies 1 ms late, 4 s: {good} decisions; \
         {full} found no connection in time, {open} an open breaker, {failed} failed otherwise",
    );
}
