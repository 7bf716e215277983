//! Everything concurrent that the modelled parts build on, in one place.
//!
//! `src/window`, `local/slot_pool` and `wait/queue` import nothing but this module. The loom models compile
//! them against a module of the same name and shape that hands out loom's types instead, so the
//! modelled code is the shipped code, to the letter, and needs no `cfg`.

pub(crate) use crossbeam_epoch as epoch;
pub(crate) use once_cell::race::OnceBox;
pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError};
pub(crate) use std::thread::Thread;

pub(crate) mod rings;

pub(crate) mod atomic {
    pub(crate) use core::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
}

/// Marks kept inside the window itself: the newest, which are copied to a ring by so many. A power of
/// two.
pub(crate) const INLINE_MARKS: usize = 4;

/// The smallest ring that is allocated. A power of two, at least twice [`INLINE_MARKS`].
pub(crate) const SMALLEST_RING: usize = 8;

/// A ring this many times larger than its marks is exchanged for a smaller one. At least 8: twice
/// the marks, and one, rounded up to a power of two, must come out smaller.
pub(crate) const ROOMY: usize = 8;

/// Windows that share one contended count, see `window::striped`. They take 1 KiB, little for a key whose
/// rejected calls keep that many processors busy.
pub(crate) const STRIPES: usize = 8;

/// Stripes of lines of waiting threads, see `wait::queue`. Two keys that are waited for at a time rarely
/// share one.
pub(crate) const WAIT_STRIPES: usize = 64;

/// Stripes are made when one addition has lost this many compare-and-swaps. Losing one is normal on any
/// key with more than one caller.
pub(crate) const CONTENTION: u32 = 2;

/// Whether calls take the fast path where there is one, see `window::fast_path`. Models turn it off to
/// explore all of the code behind it.
#[inline]
pub(crate) const fn fast_path_enabled() -> bool {
    true
}
