//! The strategies' decisions near the limit: pure arithmetic on plain integers. No atomics, no clock, no key.

pub(crate) mod absolute;
mod grid;
pub(crate) mod suppressed;

pub(crate) use grid::{Grid, NANOS_PER_MILLI};
