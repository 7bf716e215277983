//! Limiters whose state is kept in this process.
//!
//! - `limiter`, `builder`: what users build, and the settings behind it;
//! - `absolute`, `suppressed`: the strategies' handles;
//! - `engine`: each of their calls, once: the quick way of nearly all of them, with `attempt` for the
//!   others and `acquire` for those that wait;
//! - `key_state`: a key's state as the engine sees it; `suppressed_state` is that of Suppressed;
//! - `call`: one call on its way to a decision;
//! - `units`: calls that are the same under every strategy, whatever the limit;
//! - `windows`: a strategy's engines, one for each window, and which of them a rate is judged by;
//! - `all`: several limits at once; `all_known` is the quick way of keys that have a state;
//! - `inner`: both strategies, and the cleanup thread; `config` holds the settings that all keys in a
//!   window share;
//! - `counters`, `clock_cache`: one thread's own counters and time; `observer` is told of decisions;
//! - `map`: from keys to their states, bounded by `bounded_map` with the slots of `slot_pool`;
//!   `key_ref` is a borrowed key;
//! - `cleanup`: the thread that forgets idle keys.

mod absolute;
mod acquire;
mod all;
mod all_known;
mod attempt;
mod bounded_map;
mod builder;
mod call;
mod cleanup;
mod clock_cache;
mod config;
mod counters;
mod engine;
pub(crate) mod guard;
mod inner;
mod key_ref;
mod key_state;
mod limiter;
pub(crate) mod map;
mod observer;
mod slot_pool;
mod suppressed;
mod suppressed_state;
mod units;
mod windows;

pub use absolute::LocalAbsolute;
pub use builder::LocalRateLimiterBuilder;
pub use counters::Stats;
pub use limiter::LocalRateLimiter;
pub use observer::{Event, Strategy};
pub use suppressed::{LocalSuppressed, SuppressedUsage};
