//! Limiters in this process: what they answer, to one thread and to many.
#![expect(clippy::unwrap_used, reason = "in a test a panic is a failure, and says where")]

#[path = "../common/mod.rs"]
mod common;

mod acquire;
mod acquire_order;
mod acquire_room;
mod agreement;
mod batches;
mod closing;
#[cfg(feature = "serde")]
mod config;
mod counts;
mod for_each;
mod fuzz_corpus;
mod headers;
mod keys;
mod linearizability;
mod max_keys;
mod max_keys_races;
#[cfg(feature = "metrics")]
mod metrics;
mod operations;
mod overload;
mod pauses;
mod periods;
mod rates;
mod settings;
mod several;
mod stats;
mod suppressed;
mod sweeping;
mod threads;
mod time;
mod undo;
mod windows;
