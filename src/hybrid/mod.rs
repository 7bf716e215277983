//! Limiters that decide in this process, by leases from Redis: local speed, limits that processes and hosts
//! share, and no overshoot.
//!
//! A *lease* is some units of a key that the server has counted already, and that this process may spend
//! until the lease ends. Everything that needs the server is done by an engine of `redis/`, over windows
//! in which units count for a lease longer; this module spends without asking:
//!
//! - `limiter`, `builder`: what users build, and the settings behind it;
//! - `absolute`, `suppressed`: the strategies; `engine`: every call of theirs, once;
//! - `lease`: one key's units, and why nothing overshoots;
//! - `stats`: what came from leases.

mod absolute;
mod builder;
mod engine;
#[expect(dead_code, reason = "the engine is about to spend by it")]
mod lease;
mod limiter;
mod stats;
mod suppressed;

pub use absolute::HybridAbsolute;
pub use builder::HybridRateLimiterBuilder;
pub use limiter::HybridRateLimiter;
pub use stats::HybridStats;
pub use suppressed::HybridSuppressed;
