//! An allocator that knows how many bytes are in use, while it is asked to; and a tidy heap.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

/// The system's allocator, counting. Outside of [`counting`](CountingAlloc::counting) it adds one
/// load and one branch to each call, so that timed runs are not distorted.
#[derive(Debug)]
pub struct CountingAlloc {
    on: AtomicBool,
    live: AtomicIsize,
}

impl CountingAlloc {
    /// For a `#[global_allocator]`.
    #[must_use]
    pub const fn new() -> Self {
        Self { on: AtomicBool::new(false), live: AtomicIsize::new(0) }
    }

    /// Counts from here on, starting at zero.
    pub fn count(&self) {
        // Relaxed, here and below: a tally that one thread reads after it has joined the others.
        self.live.store(0, Ordering::Relaxed);
        self.on.store(true, Ordering::Relaxed);
    }

    /// Bytes asked for less bytes given back since [`count`](CountingAlloc::count).
    #[must_use]
    pub fn live(&self) -> isize {
        self.live.load(Ordering::Relaxed)
    }

    #[inline]
    fn add(&self, bytes: isize) {
        if self.on.load(Ordering::Relaxed) {
            self.live.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

// SAFETY: every call is handed to `System` as it came.
unsafe impl GlobalAlloc for CountingAlloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.add(layout.size() as isize);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.add(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.add(layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.add(size as isize - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Joins what is free and gives it back to the system, so that a rival does not inherit the gaps of
/// the one before. Does nothing where the allocator is not glibc's.
pub fn tidy() {
    // SAFETY: may be called at any time, by any thread.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0);
    }
}
