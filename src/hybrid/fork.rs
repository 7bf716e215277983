//! Notices `fork`, for no more than a load where it is asked.
//!
//! A child made by `fork` has its parent's memory, and so its parent's leases: if both spent them, their
//! units would be spent twice. So the states of keys, and everything that asks the server, carry the
//! number of forks that this process came out of, and count for nothing in a process of another number.
//! A thread's own memory cannot tell, since the thread that forks goes on in the child; to ask for the process's
//! number is a system call. So the C library is asked to count, in each child, before `fork` returns.
//!
//! A child made by a bare system call, past the C library's `fork`, is not noticed. It must not use limiters of its
//! parent.

use core::sync::atomic::{AtomicU64, Ordering};

use once_cell::race::OnceBox;

/// Forks between the first process and this one, once somebody watches.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// The number of this process's memory: a child made by `fork` has another one.
#[inline]
pub(crate) fn epoch() -> u64 {
    // Relaxed: it changes while a child has one thread, and other threads are started after that.
    FORKS.load(Ordering::Relaxed)
}

/// From now on, forks are noticed. To be called before anything is leased. `false`: the system refuses.
#[cfg(unix)]
pub(crate) fn watch() -> bool {
    use core::ffi::c_int;
    use core::sync::atomic::AtomicBool;

    // SAFETY: declared as POSIX has it. It only keeps the functions that it is given, which live for ever.
    unsafe extern "C" {
        safe fn pthread_atfork(
            prepare: Option<extern "C" fn()>,
            parent: Option<extern "C" fn()>,
            child: Option<extern "C" fn()>,
        ) -> c_int;
    }

    extern "C" fn count() {
        // Relaxed: as in `epoch`.
        FORKS.fetch_add(1, Ordering::Relaxed);
    }

    static WATCHED: AtomicBool = AtomicBool::new(false);
    // Acquire: pairs with the store below. Two threads that come first both ask, and forks count twice: that
    // does no harm, and no lock is held that a child could find locked.
    if !WATCHED.load(Ordering::Acquire) {
        if pthread_atfork(None, None, Some(count)) != 0 {
            return false;
        }
        // Release: pairs with the load above.
        WATCHED.store(true, Ordering::Release);
    }
    true
}

/// There is no `fork`.
#[cfg(not(unix))]
pub(crate) fn watch() -> bool {
    true
}

/// A value for each process: a forked child has a new one.
pub(crate) struct PerProcess<T> {
    epoch: u64,
    value: T,
    forked: OnceBox<Self>,
}

impl<T: Default> PerProcess<T> {
    pub(crate) fn new() -> Self {
        Self { epoch: epoch(), value: T::default(), forked: OnceBox::new() }
    }

    /// That of this process. Takes no lock.
    pub(crate) fn here(&self) -> &T {
        let mut found = self;
        while found.epoch != epoch() {
            found = found.forked.get_or_init(|| Box::new(Self::new()));
        }
        &found.value
    }
}
