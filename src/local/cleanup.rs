//! The background thread that forgets idle keys.

use core::mem;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::process;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};

use crate::sync::OnceBox;

/// The thread's name, as debuggers and `top -H` show it.
const NAME: &str = "trypema-cleanup";
/// No shorter pause between sweeps.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// At most one thread in each process. The lock is taken to start and stop it, never by a decision.
///
/// `fork` copies this struct but not the threads: neither the one that was started, which cannot be joined in
/// the child, nor one that has the lock at that moment, and will never give it back there. So each process
/// has a lock of its own, and leaves those of its ancestors alone.
#[derive(Debug)]
pub(crate) struct Cleaner {
    first: Process,
}

/// What one process has started.
#[derive(Debug)]
struct Process {
    id: u32,
    running: Mutex<Option<Running>>,
    /// That of its child, made there.
    child: OnceBox<Process>,
}

#[derive(Debug)]
struct Running {
    stop: Arc<AtomicBool>,
    /// Nothing is ever sent: dropping it wakes the thread.
    wake: Sender<()>,
    thread: JoinHandle<()>,
}

impl Default for Cleaner {
    fn default() -> Self {
        Self { first: Process::this() }
    }
}

impl Cleaner {
    /// Starts a thread that calls `sweep` on `subject` at every `interval`, until it is stopped or
    /// the subject is gone. Does nothing if one is running.
    ///
    /// `sweep` is given a function that says whether to go on, to be called after each step, while no state
    /// is protected.
    pub(crate) fn start<T: Send + Sync + 'static>(
        &self,
        subject: Weak<T>,
        interval: Duration,
        sweep: impl Fn(&T, &dyn Fn() -> bool) + Send + 'static,
    ) {
        let mut running = self.lock();
        if running.as_ref().is_some_and(|running| !running.thread.is_finished()) {
            return;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (wake, woken) = mpsc::channel::<()>();
        let stopped = Arc::clone(&stop);
        let interval = interval.max(SHORTEST_PAUSE);
        let work = move || {
            while let Err(RecvTimeoutError::Timeout) = woken.recv_timeout(interval) {
                let Some(subject) = subject.upgrade() else { return };
                let go_on = || {
                    // Callers come first on a machine with few cores.
                    thread::yield_now();
                    // Relaxed: a flag that carries nothing. With no other handle left there is
                    // nothing to sweep for.
                    !stopped.load(Ordering::Relaxed) && Arc::strong_count(&subject) > 1
                };
                sweep(&subject, &go_on);
            }
        };
        #[expect(clippy::expect_used, reason = "documented to panic, as `std::thread::spawn` is")]
        let thread = thread::Builder::new()
            .name(NAME.to_owned())
            .spawn(work)
            .expect("the system can start a thread");
        *running = Some(Running { stop, wake, thread });
    }

    /// Stops the thread, if one is running, and waits until it has ended.
    pub(crate) fn stop(&self) {
        let taken = self.lock().take();
        let Some(Running { stop, wake, thread }) = taken else { return };
        // Relaxed: as where it is read.
        stop.store(true, Ordering::Relaxed);
        drop(wake);
        // The thread itself may come here, by way of an observer or a clock; it does not wait for
        // its own end. A panic of that thread does not concern the caller.
        if thread.thread().id() != thread::current().id() {
            let _ = thread.join();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        let mut process = &self.first;
        while process.id != process::id() {
            process = process.child.get_or_init(|| Box::new(Process::this()));
        }
        process.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Process {
    fn this() -> Self {
        Self { id: process::id(), running: Mutex::new(None), child: OnceBox::new() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.id != process::id() {
            // Dropping it would detach a thread of another process, and wake it on a channel that nobody
            // reads here.
            mem::forget(mem::take(&mut self.running));
        }
    }
}
