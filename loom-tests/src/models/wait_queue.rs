//! The line of `acquire`: one at a time, in order, and nobody is left sleeping. A thread that
//! nobody wakes is a deadlock, which loom reports.

// each proves: acquire

use loom::sync::Arc;
use loom::thread;

use crate::explore::explore_model;
use crate::queue::{NotJoined, WaitQueue};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

const KEY: u32 = 7;
/// Any number: it picks the stripe.
const HASH: u64 = 3;
/// Threads in a line: no bound.
const MOST: usize = usize::MAX;

#[test]
fn one_at_a_time() {
    explore_model("line: three threads, one turn at a time", || {
        let shared = Arc::new((WaitQueue::new(), AtomicU64::new(0)));
        let threads = [(); 2].map(|()| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || wait_and_leave(&shared.0, &shared.1))
        });
        wait_and_leave(&shared.0, &shared.1);
        for thread in threads {
            thread.join().expect("no thread panics");
        }
        assert!(shared.0.is_surely_empty(HASH));
    });
}

fn wait_and_leave(line: &WaitQueue<u32>, inside: &AtomicU64) {
    let place = line.join(HASH, KEY, thread::current(), MOST).expect("there is no bound");
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
        let line = Arc::new(WaitQueue::new());
        let waiter = {
            let line = Arc::clone(&line);
            thread::spawn(move || {
                let place =
                    line.join(HASH, KEY, thread::current(), MOST).expect("there is no bound");
                while !place.is_first() {
                    thread::park();
                }
            })
        };
        // Leaves at once, wherever in the line it is.
        drop(line.join(HASH, KEY, thread::current(), MOST).expect("there is no bound"));
        waiter.join().expect("no thread panics");
        assert!(line.is_surely_empty(HASH));
    });
}

#[test]
fn freed_units_wake_the_first() {
    explore_model("line: freed units are not missed", || {
        let shared = Arc::new((WaitQueue::new(), AtomicBool::new(false)));
        let waiter = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (line, freed) = &*shared;
                let place =
                    line.join(HASH, KEY, thread::current(), MOST).expect("there is no bound");
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
        line.units_freed(HASH, || KEY);
        waiter.join().expect("no thread panics");
    });
}

/// Acts if it is its turn at once, and leaves.
fn act_if_first(line: &WaitQueue<u32>, inside: &AtomicU64, thread: thread::Thread) {
    let place = line.join(HASH, KEY, thread, MOST).expect("there is no bound");
    if place.is_first() {
        // Relaxed: the turn orders them, that is what is tested.
        assert_eq!(inside.load(Ordering::Relaxed), 0, "two threads have the turn");
        inside.store(1, Ordering::Relaxed);
        inside.store(0, Ordering::Relaxed);
    }
}

#[test]
fn the_turn_brings_what_it_was_used_for() {
    // Nobody parks, and one thread has the other woken in its place: loom has whoever is unparked
    // know what the waker knows, parked or not, and would see nothing of what the turn itself brings.
    explore_model("line: the turn brings what it was used for", || {
        let shared = Arc::new((WaitQueue::new(), AtomicU64::new(0)));
        let other = Arc::clone(&shared);
        let first = thread::spawn(move || act_if_first(&other.0, &other.1, thread::current()));
        // A thread of its own: this one would have to be stopped once more, beyond the bound.
        let (other, woken) = (Arc::clone(&shared), first.thread().clone());
        let second = thread::spawn(move || act_if_first(&other.0, &other.1, woken));
        first.join().expect("no thread panics");
        second.join().expect("no thread panics");
        assert!(shared.0.is_surely_empty(HASH));
    });
}

#[test]
fn an_empty_line_brings_what_was_done() {
    explore_model("line: an empty one brings what its last thread did", || {
        let shared = Arc::new((WaitQueue::new(), AtomicBool::new(false)));
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let place =
                other.0.join(HASH, KEY, thread::current(), MOST).expect("there is no bound");
            // Relaxed: that it is seen is what is tested.
            other.1.store(true, Ordering::Relaxed);
            drop(place);
        });
        let (line, is_done) = &*shared;
        if !line.is_surely_empty(HASH) && line.is_surely_empty(HASH) {
            // Relaxed: as above.
            assert!(is_done.load(Ordering::Relaxed), "it came and went");
        }
        thread.join().expect("no thread panics");
    });
}

#[test]
fn a_line_that_ends_is_not_joined() {
    // The one in line leaves while another joins only if there is a line: that one has the turn
    // sooner or later, or is told that there is none.
    explore_model("line: a line that ends is not joined", || {
        let shared = Arc::new((WaitQueue::new(), AtomicU64::new(0)));
        let place = shared.0.join(HASH, KEY, thread::current(), MOST).expect("there is no bound");
        let other = Arc::clone(&shared);
        let joins = thread::spawn(move || {
            let (line, inside) = &*other;
            match line.join_others(HASH, KEY, thread::current(), MOST) {
                Ok(place) => {
                    while !place.is_first() {
                        thread::park();
                    }
                    // Relaxed: the turn brings it, that is what is tested.
                    assert_eq!(inside.load(Ordering::Relaxed), 1, "the turn came too early");
                }
                Err(NotJoined::NoLine(key)) => assert_eq!(key, KEY),
                Err(NotJoined::Full) => panic!("there is no bound"),
            }
        });
        // Relaxed: the turn brings it to the next.
        shared.1.store(1, Ordering::Relaxed);
        drop(place);
        joins.join().expect("no thread panics");
        assert!(shared.0.is_surely_empty(HASH));
    });
}

#[test]
fn freed_units_wake_who_joined_a_line_of_others() {
    explore_model("line: freed units are not missed by who comes second", || {
        let shared = Arc::new((WaitQueue::new(), AtomicBool::new(false)));
        let place = shared.0.join(HASH, KEY, thread::current(), MOST).expect("there is no bound");
        let waiter = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (line, freed) = &*shared;
                let Ok(place) = line.join_others(HASH, KEY, thread::current(), MOST) else {
                    return;
                };
                while !place.is_first() {
                    thread::park();
                }
                // Relaxed: stands for the window's words, which the line knows nothing of.
                while !freed.load(Ordering::Relaxed) {
                    thread::park();
                }
            })
        };
        drop(place);
        let (line, freed) = &*shared;
        // Relaxed: as above.
        freed.store(true, Ordering::Relaxed);
        line.units_freed(HASH, || KEY);
        waiter.join().expect("no thread panics");
    });
}

/// As `Closed` has it: the flag, a fence, and then everybody is woken.
#[test]
fn nobody_sleeps_on_after_the_end() {
    explore_model("line: a limiter that is closed leaves nobody waiting", || {
        let shared = Arc::new((WaitQueue::new(), AtomicBool::new(false)));
        let waiters = [(); 2].map(|()| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (line, closed) = &*shared;
                let _place = line.join(HASH, KEY, thread::current(), MOST);
                // Acquire: as in `Closed::is_closed`.
                while !closed.load(Ordering::Acquire) {
                    thread::park();
                }
            })
        });
        let (line, closed) = &*shared;
        // Release: as in `Closed::close`.
        closed.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        line.wake_all();
        for waiter in waiters {
            waiter.join().expect("no thread panics");
        }
    });
}
