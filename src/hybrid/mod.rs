//! Limiters that decide in this process, by leases from Redis: local speed, limits that processes and hosts
//! share, and no overshoot.
//!
//! A *lease* is some units of a key that the server has counted already, and that this process may spend
//! until the lease ends. Everything that needs the server is done by an engine of `redis/`, over windows
//! in which units count for a lease longer; this module spends without asking:
//!
//! - `limiter`, `builder`: what users build, and the settings behind it;
//! - `absolute`, `suppressed`: the strategies; `engine`: every call of theirs, once;
//! - `units`: calls that ask for no decision, and those that forget a key;
//! - `flight`: a round trip, which keys share; `queue`: who asks for which key, and who waits for the answer;
//!   `caller`: a call that does; `in_line`: its thread;
//! - `claims`: keys that a thread has for itself; `gifts`: units that are given back;
//! - `keeper`: the thread that renews leases, and gives back those that have ended;
//! - `key_state`: a key's lease, and how much is asked of it; `lease`: its units, and why nothing overshoots;
//! - `fork`: notices that a child process must not spend its parent's leases;
//! - `stats`: what came from leases.

mod absolute;
mod builder;
mod caller;
mod claims;
mod engine;
mod flight;
mod fork;
mod gifts;
mod in_line;
mod keeper;
mod key_state;
mod lease;
mod limiter;
mod queue;
mod stats;
mod suppressed;
mod units;

pub use absolute::HybridAbsolute;
pub use builder::HybridRateLimiterBuilder;
pub use limiter::HybridRateLimiter;
pub use stats::HybridStats;
pub use suppressed::HybridSuppressed;
