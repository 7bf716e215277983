//! An allocator that overwrites whatever is freed, so that a reader of freed memory does not find
//! it looking sound.

use std::alloc::{GlobalAlloc, Layout, System};

struct Poison;

#[global_allocator]
static ALLOCATOR: Poison = Poison;

// SAFETY: memory comes from and goes back to `System`, by the same layouts.
unsafe impl GlobalAlloc for Poison {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller gives back `layout.size()` bytes that nobody else may use.
        unsafe { memory.write_bytes(0xff, layout.size()) };
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}
