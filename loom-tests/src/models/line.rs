//! The line of `acquire`: one at a time, in order, and nobody is left sleeping. A thread that
//! nobody wakes is a deadlock, which loom reports.

// each proves: acquire

use loom::sync::Arc;
use loom::thread;

use crate::explore::explore_model;
use crate::line::Line;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const KEY: u32 = 7;

#[test]
fn one_at_a_time() {
    explore_model("line: three threads, one turn at a time", || {
        let shared = Arc::new((Line::new(), AtomicU64::new(0)));
        let threads = [(); 2].map(|()| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || wait_and_leave(&shared.0, &shared.1))
        });
        wait_and_leave(&shared.0, &shared.1);
        for thread in threads {
            thread.join().expect("no thread panics");
        }
        assert!(shared.0.is_empty());
    });
}

fn wait_and_leave(line: &Line<u32>, inside: &AtomicU64) {
    let place = line.join(KEY, thread::current());
    while !place.is_first() {
        thread::park();
    }
    // Relaxed: the turn orders them, that is what is tested.
    assert_eq!(inside.load(Ordering::Relaxed), 0, "two threads have the turn");
    inside.store(1, Ordering::Relaxed);
    inside.store(0, Ordering::Relaxed);
    drop(place);
}

#[test]
fn leaving_passes_the_turn_on() {
    explore_model("line: who gives up passes the turn on", || {
        let line = Arc::new(Line::new());
        let waiter = {
            let line = Arc::clone(&line);
            thread::spawn(move || {
                let place = line.join(KEY, thread::current());
                while !place.is_first() {
                    thread::park();
                }
            })
        };
        // Leaves at once, wherever in the line it is.
        drop(line.join(KEY, thread::current()));
        waiter.join().expect("no thread panics");
        assert!(line.is_empty());
    });
}

#[test]
fn freed_units_wake_the_first() {
    explore_model("line: freed units are not missed", || {
        let shared = Arc::new((Line::new(), AtomicBool::new(false)));
        let waiter = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (line, freed) = &*shared;
                let place = line.join(KEY, thread::current());
                assert!(place.is_first());
                // Relaxed: stands for the window's words, which the line knows nothing of.
                while !freed.load(Ordering::Relaxed) {
                    thread::park();
                }
            })
        };
        let (line, freed) = &*shared;
        // Relaxed: as above.
        freed.store(true, Ordering::Relaxed);
        line.units_freed(|| KEY);
        waiter.join().expect("no thread panics");
    });
}
