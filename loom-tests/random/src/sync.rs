//! The library's `sync` module, over the memory of a run, and smaller sizes.

pub(crate) mod atomic;
pub(crate) mod epoch;
mod once;
#[path = "../../src/sync/rings.rs"]
pub(crate) mod rings;

pub(crate) use once::OnceBox;

/// Marks that are inline, and slots of the smallest ring. Small sizes make rings frequent; with the
/// library's own, marks that are inline come and go under a look at them.
pub(crate) const INLINE_MARKS: usize = if REAL_SIZES { 4 } else { 2 };
pub(crate) const SMALLEST_RING: usize = if REAL_SIZES { 8 } else { 4 };
pub(crate) const ROOMY: usize = 8;
pub(crate) const STRIPES: usize = 2;
pub(crate) const CONTENTION: u32 = 1;

const REAL_SIZES: bool = cfg!(feature = "real-sizes");

thread_local! {
    static TAKES_SHORT_WAY: core::cell::Cell<bool> = const { core::cell::Cell::new(false) };
}

/// Whether calls of this run take the fast path where there is one, see `window::fast_path`.
pub(crate) fn fast_path_enabled() -> bool {
    TAKES_SHORT_WAY.get()
}

pub(crate) fn take_short_way(takes: bool) {
    TAKES_SHORT_WAY.set(takes);
}
