//! Rate limiters of other crates and ours behind one interface, and ways to load and measure them.
//!
//! The program `compare` measures all of them side by side; `sweeping` what callers notice of a
//! sweep; `instructions` counts the instructions of hot paths.

pub mod alloc;
pub mod keys;
pub mod load;
pub mod overshoot;
pub mod rivals;
pub mod rule;
pub mod spread;
pub mod workload;
