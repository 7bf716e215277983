//! The library's `sync` module, over the memory of a run, and smaller sizes.

pub(crate) mod atomic;
pub(crate) mod epoch;

pub(crate) const INLINE_MARKS: usize = 2;
pub(crate) const SMALLEST_RING: usize = 4;
pub(crate) const ROOMY: usize = 8;
