//! Faults that were found in use, of limiters in this process: each has a test that failed before it
//! was mended.
#![expect(clippy::unwrap_used, reason = "in a test a panic is a failure, and says where")]

mod alone;
mod clones;
mod exceeding;
#[cfg(unix)]
mod fork;
mod observed;
mod panicking;
mod room;
mod sweeps;
mod thread_ends;
mod unwind;
mod waiting;
