//! Faults that were found in use, of limiters in this process: each has a test that failed before it
//! was mended.
#![expect(clippy::unwrap_used, reason = "in a test a panic is a failure, and says where")]
#![expect(clippy::print_stdout, reason = "measured figures, and a child's word that it is well")]
#![expect(unused_must_use, reason = "that a call comes back is the point here, not its answer")]

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
