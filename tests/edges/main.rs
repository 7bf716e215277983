//! Answers to bad and extreme input, as documented.
#![expect(clippy::unwrap_used, reason = "in a test a panic is a failure, and says where")]

#[path = "../common/mod.rs"]
mod common;

mod counts;
mod keys;
mod periods;
mod rates;
mod settings;
mod time;
