//! The generations of the denial cache: a reply from before a change is never taken for one that holds
//! after it.

// each proves: G3

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use crate::explore::explore_model;
use crate::generations::Generations;

const HASH: u64 = 5;

/// Asks the server between two looks at the epoch: what it learned holds by the second.
fn learn(epochs: &Generations, server: &AtomicU64) -> (u64, u64) {
    let epoch = epochs.current(HASH);
    (epoch, server.load(Ordering::Relaxed))
}

/// Changes the server's mind, and then says so.
fn change(epochs: &Generations, server: &AtomicU64) {
    server.store(1, Ordering::Relaxed);
    epochs.begin(HASH);
}

/// The learner is started first or last: loom finds some races in one order only.
fn nothing_outlives_a_change(name: &str, learner_first: bool) {
    explore_model(name, move || {
        let (epochs, server) = (Arc::new(Generations::new(2)), Arc::new(AtomicU64::new(0)));
        let (others, mind) = (Arc::clone(&epochs), Arc::clone(&server));
        let (epoch, learned) = if learner_first {
            let thread = thread::spawn(move || learn(&others, &mind));
            change(&epochs, &server);
            thread.join().expect("no thread panics")
        } else {
            let thread = thread::spawn(move || change(&others, &mind));
            let learned = learn(&epochs, &server);
            thread.join().expect("no thread panics");
            learned
        };
        assert!(
            epoch != epochs.current(HASH) || learned == 1,
            "what was learned before the change is of the epoch after it"
        );
        assert_eq!(epochs.current(HASH + 1), 0, "other keys have nothing to do with it");
    });
}

#[test]
fn nothing_outlives_a_change_learner_first() {
    nothing_outlives_a_change("an epoch begins beside a learner, started first", true);
}

#[test]
fn nothing_outlives_a_change_learner_last() {
    nothing_outlives_a_change("an epoch begins beside a learner, started last", false);
}
