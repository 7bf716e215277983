//! Limiters whose state is kept in Redis, so that processes and hosts share it.
//!
//! What a key has used is one value on the server, and every decision one script there (`lua/`, where
//! the protocol is told at the top of `window.lua`). What is here asks it:
//!
//! - `absolute`, `suppressed`: the strategies; `answer` and `command` are what they say and hear;
//! - `core`: what they share, with what is made of an outage;
//! - `denials`: rejections that need not be asked for again;
//! - `directory`: which server has a key;
//! - `net`: servers, their pools and connections, each call under one deadline;
//! - `breaker`, `epochs`: the parts with atomics, which import `crate::sync` alone.

mod absolute;
mod answer;
mod any;
mod away;
mod breaker;
mod builder;
mod command;
mod core;
mod denials;
mod directory;
mod epochs;
mod limiter;
mod net;
mod script;
mod side;
mod stats;
mod suppressed;
mod tally;

pub use absolute::RedisAbsolute;
pub use away::OnUnavailable;
pub use builder::RedisRateLimiterBuilder;
pub use limiter::RedisRateLimiter;
pub use stats::RedisStats;
pub use suppressed::RedisSuppressed;

/// Its examples have to run.
#[cfg(doctest)]
#[doc = include_str!("../../docs/redis.md")]
struct Documentation;
