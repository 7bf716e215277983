//! Limiters over Redis, against real servers: each test starts what it needs on free loopback ports
//! and in directories of its own (see [`server`]), so that tests run side by side, and nothing is
//! left when they end.
//!
//! `redis-server` has to be on the path, as `.ci/test` installs it. `TRYPEMA_REDIS_SERVER` names another
//! server by its path; `tests/redis/servers.sh` runs these tests over those of several versions.
#![allow(clippy::unwrap_used, reason = "what the machine refuses fails the test, with a location")]

#[path = "../common/mod.rs"]
mod common;

mod agreement;
mod away;
mod batches;
mod build;
mod certificates;
mod clocks;
mod closing;
mod cluster;
#[cfg(feature = "serde")]
mod config;
mod connections;
mod denials;
mod denials_of_several;
mod faults;
mod footprint;
mod gateway;
mod harness;
mod hybrid;
mod hybrid_agreement;
mod hybrid_fork;
mod hybrid_limits;
mod hybrid_processes;
mod lookups;
mod observers;
mod over_redis;
mod ports;
mod processes;
mod proxy;
mod resets;
mod scripts;
mod sentinel;
mod server;
mod several;
mod sharing;
mod soak;
mod thread_ends;
mod throughput;
mod tls;
mod topologies;
mod unfit;
mod urls;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// For tests that take times, and for those that keep all cores busy: one of them at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A rate for calls that need one only to say which window is meant: that of a minute, unless the
/// limiter has but one.
fn any() -> trypema::RateLimit {
    trypema::RateLimit::unlimited()
}
