use core::cell::RefCell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};

use loom::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    /// Rings that were retired in this execution. Loom runs its threads as coroutines of one
    /// thread, so that a thread-local is seen by all of them and by no other model.
    static RETIRED: RefCell<Vec<Box<dyn core::any::Any>>> = const { RefCell::new(Vec::new()) };
}

/// Frees what earlier executions retired. To be called between executions only.
pub(crate) fn free_retired() {
    RETIRED.with_borrow_mut(Vec::clear);
}

#[derive(Debug)]
pub(crate) struct Guard(());

pub(crate) fn pin() -> Guard {
    Guard(())
}

/// # Safety
/// As in crossbeam-epoch.
pub(crate) unsafe fn unprotected() -> &'static Guard {
    &Guard(())
}

impl Guard {
    /// Nothing is freed while a model runs.
    pub(crate) fn flush(&self) {}

    /// # Safety
    /// As in crossbeam-epoch.
    pub(crate) unsafe fn defer_destroy<T: 'static>(&self, ptr: Shared<'_, [MaybeUninit<T>]>) {
        // SAFETY: the caller's promise; nobody reads a retired ring after the execution.
        let owned = unsafe { ptr.into_owned() };
        RETIRED.with_borrow_mut(|retired| retired.push(owned.0));
    }
}

/// Owned memory behind a thin pointer, as in crossbeam-epoch: here, boxed once more.
pub(crate) struct Owned<T: ?Sized>(Box<Box<T>>);

impl<T> Owned<[MaybeUninit<T>]> {
    pub(crate) fn init(len: usize) -> Self {
        Self(Box::new((0..len).map(|_| MaybeUninit::uninit()).collect()))
    }
}

impl<T: ?Sized> Deref for Owned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized> DerefMut for Owned<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

pub(crate) struct Shared<'g, T: ?Sized> {
    address: usize,
    marker: PhantomData<(&'g (), *const T)>,
}

impl<T: ?Sized> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: ?Sized> Copy for Shared<'_, T> {}

impl<'g, T: ?Sized> Shared<'g, T> {
    fn at(address: usize) -> Self {
        Self { address, marker: PhantomData }
    }

    pub(crate) fn null() -> Self {
        Self::at(0)
    }

    pub(crate) fn is_null(&self) -> bool {
        self.address == 0
    }

    /// # Safety
    /// As in crossbeam-epoch.
    pub(crate) unsafe fn deref(&self) -> &'g T {
        // SAFETY: the caller's promise; the address came from `Box::into_raw`.
        unsafe { &*(self.address as *const Box<T>) }
    }

    /// # Safety
    /// As in crossbeam-epoch.
    pub(crate) unsafe fn into_owned(self) -> Owned<T> {
        // SAFETY: the caller's promise; the address came from `Box::into_raw`.
        Owned(unsafe { Box::from_raw(self.address as *mut Box<T>) })
    }
}

/// A pointer as a number, as in crossbeam-epoch.
pub(crate) trait Pointer<T: ?Sized> {
    fn into_usize(self) -> usize;
    /// # Safety
    /// As in crossbeam-epoch.
    unsafe fn from_usize(address: usize) -> Self;
}

impl<T: ?Sized> Pointer<T> for Owned<T> {
    fn into_usize(self) -> usize {
        Box::into_raw(self.0) as usize
    }

    unsafe fn from_usize(address: usize) -> Self {
        // SAFETY: the caller's promise; the address came from `Box::into_raw`.
        Self(unsafe { Box::from_raw(address as *mut Box<T>) })
    }
}

impl<T: ?Sized> Pointer<T> for Shared<'_, T> {
    fn into_usize(self) -> usize {
        self.address
    }

    unsafe fn from_usize(address: usize) -> Self {
        Self::at(address)
    }
}

pub(crate) struct Atomic<T: ?Sized> {
    address: AtomicUsize,
    marker: PhantomData<*mut T>,
}

impl<T: ?Sized> Atomic<T> {
    pub(crate) fn null() -> Self {
        Self { address: AtomicUsize::new(0), marker: PhantomData }
    }

    pub(crate) fn load<'g>(&self, order: Ordering, _: &'g Guard) -> Shared<'g, T> {
        Shared::at(self.address.load(order))
    }

    pub(crate) fn compare_exchange(
        &self,
        current: Shared<'_, T>,
        new: Owned<T>,
        success: Ordering,
        failure: Ordering,
        _: &Guard,
    ) -> Result<(), Owned<T>> {
        let address = Box::into_raw(new.0);
        match self.address.compare_exchange(current.address, address as usize, success, failure) {
            Ok(_) => Ok(()),
            // SAFETY: the address is that of the box taken apart above; nobody else saw it.
            Err(_) => Err(Owned(unsafe { Box::from_raw(address) })),
        }
    }
}

// SAFETY: the address is shared by atomic operations only, as in crossbeam-epoch.
unsafe impl<T: ?Sized + Send + Sync> Send for Atomic<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for Atomic<T> {}
