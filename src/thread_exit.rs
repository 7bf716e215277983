//! Whether the calling thread is ending, so that its thread-locals may be gone.
//!
//! Destructors of thread-locals run newest first. papaya (through seize) and `thread_local` keep a thread's
//! number in thread-locals with destructors, and panic if they are asked for a new number after
//! those have run; a panic in a destructor of a thread-local aborts the process. So when a thread is
//! first seen here, it is made to take both numbers, and only then registers a sentinel of ours: the
//! sentinel's destructor runs before theirs, and from then on the thread counts as ending, and does
//! without them.
//!
//! A thread whose numbers were gone before it was ever seen here (another user of those crates
//! came first in it) is found out by trying once, where panics unwind.

use core::cell::Cell;
use core::marker::PhantomData;
use std::panic::catch_unwind;

use once_cell::race::OnceBox;
use thread_local::ThreadLocal;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Unknown,
    Running,
    Ending,
}

thread_local! {
    // No destructor of its own: it can be read for as long as the thread runs.
    static PHASE: Cell<Phase> = const { Cell::new(Phase::Unknown) };
    static SENTINEL: Sentinel = const { Sentinel };
}

struct Sentinel;

impl Drop for Sentinel {
    fn drop(&mut self) {
        PHASE.set(Phase::Ending);
    }
}

/// Says that the calling thread is not ending, so that its own numbers may be asked for. It stays with
/// that thread, and lasts no longer than a call.
#[derive(Clone, Copy)]
pub(crate) struct Running(PhantomData<*const ()>);

/// `None` if the calling thread's own numbers must not be asked for any more.
#[inline]
pub(crate) fn running() -> Option<Running> {
    match PHASE.get() {
        Phase::Running => Some(Running(PhantomData)),
        Phase::Ending => None,
        Phase::Unknown => first_seen(),
    }
}

#[cold]
fn first_seen() -> Option<Running> {
    static NUMBERS: ThreadLocal<()> = ThreadLocal::new();
    static COLLECTOR: OnceBox<seize::Collector> = OnceBox::new();
    let takes_numbers = || {
        let collector = COLLECTOR.get_or_init(|| Box::new(seize::Collector::new()));
        drop(collector.enter());
        NUMBERS.get_or_default();
    };
    let is_well = catch_unwind(takes_numbers).is_ok() && SENTINEL.try_with(|_| ()).is_ok();
    PHASE.set(if is_well { Phase::Running } else { Phase::Ending });
    is_well.then_some(Running(PhantomData))
}
