//! The part of crossbeam-epoch's interface that the library uses, made to find mistakes.
//!
//! A retired ring is freed as soon as no guard is left that was there when it was retired. From
//! then on an access to it panics, and its address is handed out for the next ring of that size,
//! last in, first out, so that a compare-and-swap of addresses meets the same one again. A thread
//! that pins knows of everything that was retired before, as in crossbeam-epoch, where both pinning
//! and sealing what was retired are sequentially consistent fences: whichever of two such threads
//! is second knows what the other did before, and that is either the retirement or the pin.

use core::cell::RefCell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};

use super::atomic::{AtomicU64, Ordering};
use crate::memory;

type Ring = [MaybeUninit<AtomicU64>];

#[derive(Default)]
struct Collector {
    /// Guards that are held.
    pinned: Vec<u64>,
    /// Guards ever made.
    guards: u64,
    /// Retired rings, and the guards that each waits for.
    retired: Vec<(Vec<u64>, *mut Box<Ring>)>,
    /// Every ring there is, so that the next run has them again.
    rings: Vec<*mut Box<Ring>>,
    free: Vec<*mut Box<Ring>>,
}

thread_local! {
    static COLLECTOR: RefCell<Collector> = RefCell::default();
}

fn with<T>(f: impl FnOnce(&mut Collector) -> T) -> T {
    COLLECTOR.with_borrow_mut(f)
}

/// A new run begins: nothing is left of the last one.
pub(crate) fn reset() {
    with(|collector| {
        collector.pinned.clear();
        collector.retired.clear();
        collector.free.clone_from(&collector.rings);
    });
}

/// Rings that are neither free nor about to be.
pub(crate) fn live() -> usize {
    with(|collector| collector.rings.len() - collector.free.len() - collector.retired.len())
}

#[derive(Debug)]
pub(crate) struct Guard(u64);

/// The guard of those who need none.
static UNPROTECTED: Guard = Guard(0);

pub(crate) fn pin() -> Guard {
    memory::learn_of_retired();
    with(|collector| {
        collector.guards += 1;
        collector.pinned.push(collector.guards);
        Guard(collector.guards)
    })
}

impl Drop for Guard {
    fn drop(&mut self) {
        with(|collector| {
            collector.pinned.retain(|guard| *guard != self.0);
            for (awaited, _) in &mut collector.retired {
                awaited.retain(|guard| *guard != self.0);
            }
            collect(collector);
        });
    }
}

/// Frees what nobody may read any more.
fn collect(collector: &mut Collector) {
    let Collector { retired, free, .. } = collector;
    retired.retain(|&(ref awaited, ring)| {
        if !awaited.is_empty() {
            return true;
        }
        end(ring);
        free.push(ring);
        false
    });
}

/// Nobody may access the words of this ring any more.
fn end(ring: *mut Box<Ring>) {
    // SAFETY: rings live as long as their thread.
    for slot in unsafe { &**ring } {
        // SAFETY: the library initialises a ring before it does anything else with it.
        unsafe { slot.assume_init_ref() }.free();
    }
}

/// # Safety
/// As in crossbeam-epoch.
pub(crate) unsafe fn unprotected() -> &'static Guard {
    &UNPROTECTED
}

impl Guard {
    pub(crate) fn flush(&self) {}

    /// # Safety
    /// As in crossbeam-epoch.
    pub(crate) unsafe fn defer_destroy(&self, ring: Shared<'_, Ring>) {
        memory::retire();
        with(|collector| {
            assert!(collector.pinned.contains(&self.0), "retired without a pin");
            let ring = ring.address as *mut Box<Ring>;
            assert!(collector.retired.iter().all(|(_, other)| *other != ring), "retired twice");
            collector.retired.push((collector.pinned.clone(), ring));
        });
    }
}

/// A ring that is not shared. Its memory is there for the next one as soon as it is dropped.
pub(crate) struct Owned<T: ?Sized> {
    ring: *mut Box<T>,
    free: fn(*mut Box<T>),
}

impl<T: ?Sized> Drop for Owned<T> {
    fn drop(&mut self) {
        (self.free)(self.ring);
    }
}

impl Owned<Ring> {
    fn new(ring: *mut Box<Ring>) -> Self {
        let free = |ring| {
            end(ring);
            with(|collector| collector.free.push(ring));
        };
        Self { ring, free }
    }

    pub(crate) fn init(len: usize) -> Self {
        with(|collector| {
            // SAFETY: rings live as long as their thread.
            let fits = |ring: &*mut Box<Ring>| unsafe { &**ring }.len() == len;
            if let Some(index) = collector.free.iter().rposition(fits) {
                return Self::new(collector.free.remove(index));
            }
            let slots: Box<Ring> = (0..len).map(|_| MaybeUninit::uninit()).collect();
            let ring = Box::into_raw(Box::new(slots));
            collector.rings.push(ring);
            Self::new(ring)
        })
    }
}

impl<T: ?Sized> Deref for Owned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: rings live as long as their thread, and this one is nobody else's.
        unsafe { &*self.ring }
    }
}

impl<T: ?Sized> DerefMut for Owned<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.ring }
    }
}

pub(crate) struct Shared<'g, T: ?Sized> {
    address: u64,
    marker: PhantomData<(&'g (), *const T)>,
}

impl<T: ?Sized> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: ?Sized> Copy for Shared<'_, T> {}

impl Shared<'_, Ring> {
    /// # Safety
    /// As in crossbeam-epoch.
    pub(crate) unsafe fn into_owned(self) -> Owned<Ring> {
        Owned::new(self.address as *mut Box<Ring>)
    }
}

impl<'g, T: ?Sized> Shared<'g, T> {
    pub(crate) fn null() -> Self {
        Self { address: 0, marker: PhantomData }
    }

    pub(crate) fn is_null(&self) -> bool {
        self.address == 0
    }

    /// # Safety
    /// As in crossbeam-epoch.
    pub(crate) unsafe fn deref(&self) -> &'g T {
        // SAFETY: the address is that of a ring, and rings live as long as their thread.
        unsafe { &*(self.address as *const Box<T>) }
    }
}

/// A pointer as a number, as in crossbeam-epoch.
pub(crate) trait Pointer<T: ?Sized> {
    fn into_usize(self) -> usize;
    /// # Safety
    /// As in crossbeam-epoch.
    unsafe fn from_usize(address: usize) -> Self;
}

impl Pointer<Ring> for Owned<Ring> {
    fn into_usize(self) -> usize {
        let address = self.ring as usize;
        // It is owned by whoever has the number.
        core::mem::forget(self);
        address
    }

    unsafe fn from_usize(address: usize) -> Self {
        Self::new(address as *mut Box<Ring>)
    }
}

impl<T: ?Sized> Pointer<T> for Shared<'_, T> {
    fn into_usize(self) -> usize {
        self.address as usize
    }

    unsafe fn from_usize(address: usize) -> Self {
        Self { address: address as u64, marker: PhantomData }
    }
}

pub(crate) struct Atomic<T: ?Sized> {
    address: AtomicU64,
    marker: PhantomData<Box<T>>,
}

impl Atomic<Ring> {
    pub(crate) fn null() -> Self {
        Self { address: AtomicU64::new(0), marker: PhantomData }
    }

    pub(crate) fn load<'g>(&self, order: Ordering, _: &'g Guard) -> Shared<'g, Ring> {
        Shared { address: self.address.load(order), marker: PhantomData }
    }

    pub(crate) fn compare_exchange(
        &self,
        current: Shared<'_, Ring>,
        new: Owned<Ring>,
        success: Ordering,
        failure: Ordering,
        _: &Guard,
    ) -> Result<(), Owned<Ring>> {
        match self.address.compare_exchange(current.address, new.ring as u64, success, failure) {
            Ok(_) => {
                // It is owned by this word now.
                core::mem::forget(new);
                Ok(())
            }
            Err(_) => Err(new),
        }
    }
}
