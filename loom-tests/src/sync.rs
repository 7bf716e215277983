//! Loom's stand-in for the library's `sync` module, and smaller sizes.

pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
}

pub(crate) use loom::sync::{Mutex, MutexGuard};
pub(crate) use loom::thread::Thread;
pub(crate) use std::sync::PoisonError;

pub(crate) const INLINE_MARKS: usize = 2;
pub(crate) const SMALLEST_RING: usize = 4;
pub(crate) const ROOMY: usize = 8;

/// The part of crossbeam-epoch's interface that the library uses, with nothing freed while a model
/// runs. Models run about a hundred times faster than with the real one.
#[cfg(not(crossbeam_loom))]
pub(crate) mod epoch;
#[cfg(crossbeam_loom)]
pub(crate) use crossbeam_epoch as epoch;

#[cfg(crossbeam_loom)]
#[path = "../../src/sync/rings.rs"]
pub(crate) mod rings;
#[cfg(not(crossbeam_loom))]
pub(crate) mod rings;

mod once;
pub(crate) use once::OnceBox;

/// See the library's `sync`.
pub(crate) const STRIPES: usize = 2;
pub(crate) const WAIT_STRIPES: usize = 2;
pub(crate) const CONTENTION: u32 = 1;

thread_local! {
    static TAKES_SHORT_WAY: core::cell::Cell<bool> = const { core::cell::Cell::new(false) };
}

/// Whether the model being explored takes the fast path, see `window::fast_path`; see `explore`.
pub(crate) fn fast_path_enabled() -> bool {
    TAKES_SHORT_WAY.get()
}

/// For the models that this thread explores from now on.
pub(crate) fn take_short_way(takes: bool) {
    TAKES_SHORT_WAY.set(takes);
}
