//! The background thread that forgets idle keys.

use core::mem;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::process;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};

/// The thread's name, as debuggers and `top -H` show it.
const NAME: &str = "trypema-cleanup";
/// No shorter pause between sweeps.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// At most one thread. The lock is taken to start and stop it, never by a decision.
///
/// `fork` copies this struct but not the thread. So a child process never touches a thread that its parent
/// started: it cannot be joined there.
#[derive(Debug, Default)]
pub(crate) struct Cleaner {
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    /// The process that has the thread: a child made by `fork` has not.
    process: u32,
    stop: Arc<AtomicBool>,
    /// Nothing is ever sent: dropping it wakes the thread.
    wake: Sender<()>,
    thread: JoinHandle<()>,
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
        take_if_inherited(&mut running);
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
        *running = Some(Running { process: process::id(), stop, wake, thread });
    }

    /// Stops the thread, if one is running, and waits until it has ended.
    pub(crate) fn stop(&self) {
        let mut running = self.lock();
        take_if_inherited(&mut running);
        let taken = running.take();
        drop(running);
        let Some(Running { stop, wake, thread, .. }) = taken else { return };
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
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        take_if_inherited(self.running.get_mut().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Forgets a thread that was started in another process.
fn take_if_inherited(running: &mut Option<Running>) {
    if let Some(inherited) = running.take_if(|running| running.process != process::id()) {
        // Dropping it would detach a thread of another process, and send on a channel that nobody reads here.
        mem::forget(inherited);
    }
}
