//! Limiters whose state is kept in Redis, so that processes and hosts share it.
//!
//! A key's usage is one value on the server, and every decision one script there (`lua/`; the head of
//! `window.lua` tells the protocol). This module asks the server:
//!
//! - `limiter`, `builder`: what users build, and the settings behind it;
//! - `absolute`, `suppressed`: the strategies; `engine`: every call of theirs, once; `execute`: from a call to
//!   its decision;
//! - `all`, `acquire`, `units`: further calls of an engine, by what they are about;
//! - `windows`: a strategy's windows, each with its scripts and the names of its keys;
//! - `script`, `request`, `reply`: the scripts, the requests that run them, and the parsing of replies;
//! - `grant`: the request for a lease, and its reply;
//! - `connections`: pools and their settings, which limiters may share;
//! - `inner`: settings and connections that both strategies share; `outage` says how calls are answered
//!   while Redis is unavailable;
//! - `observer` is told of decisions; `counters` counts them;
//! - `denial_cache`: rejections that need not be asked for again; `generations` says which still hold;
//! - `router`: which server has a key;
//! - `net`: servers, their pools and connections, each call under one deadline.

pub(crate) mod absolute;
pub(crate) mod acquire;
mod all;
pub(crate) mod builder;
mod connections;
pub(crate) mod counters;
pub(crate) mod denial_cache;
pub(crate) mod engine;
pub(crate) mod execute;
mod generations;
pub(crate) mod grant;
pub(crate) mod inner;
mod limiter;
pub(crate) mod net;
pub(crate) mod observer;
mod outage;
pub(crate) mod reply;
pub(crate) mod request;
mod router;
pub(crate) mod script;
mod stats;
pub(crate) mod suppressed;
mod units;
pub(crate) mod windows;

pub use absolute::RedisAbsolute;
pub use builder::RedisRateLimiterBuilder;
pub use connections::{RedisConnectionSettings, RedisConnections};
pub use limiter::RedisRateLimiter;
pub use observer::{DecisionSource, RedisEvent};
pub use outage::OnUnavailable;
pub use stats::RedisStats;
pub use suppressed::RedisSuppressed;
