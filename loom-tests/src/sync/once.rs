//! The part of `once_cell::race` that the library uses.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicUsize as Plain, Ordering::Relaxed};

use loom::sync::atomic::{AtomicUsize, Ordering};

/// Made once; who comes second drops what it has made.
pub(crate) struct OnceBox<T> {
    /// The address, or 0.
    made: AtomicUsize,
    /// The same, for when it is dropped: loom's atomics are not to be read then.
    owned: Plain,
    marker: PhantomData<Box<T>>,
}

impl<T> OnceBox<T> {
    pub(crate) fn new() -> Self {
        Self { made: AtomicUsize::new(0), owned: Plain::new(0), marker: PhantomData }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        let address = self.made.load(Ordering::Acquire); // pairs with the CAS below
        // SAFETY: the address of what is owned by this box from the CAS on.
        (address != 0).then(|| unsafe { &*(address as *const T) })
    }

    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> Box<T>) -> &T {
        if let Some(made) = self.get() {
            return made;
        }
        let made = Box::into_raw(make());
        let address = made as usize;
        // As in once_cell. Release publishes what was made.
        if self.made.compare_exchange(0, address, Ordering::Release, Ordering::Acquire).is_ok() {
            self.owned.store(address, Relaxed); // loom's threads are one
        } else {
            // SAFETY: made above, and nobody else has its address.
            drop(unsafe { Box::from_raw(made) });
        }
        self.get().expect("made by this thread or another")
    }
}

impl<T> Drop for OnceBox<T> {
    fn drop(&mut self) {
        let made = *self.owned.get_mut() as *mut T;
        if !made.is_null() {
            // SAFETY: owned by this box, which nobody borrows any more.
            drop(unsafe { Box::from_raw(made) });
        }
    }
}
