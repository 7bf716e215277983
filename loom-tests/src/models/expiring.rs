//! The kept number of the Suppressed strategy: a thread that finds it good reads a good one.

// each proves: suppression

use loom::sync::Arc;
use loom::thread;

use crate::explore::explore_model;
use crate::window::Expiring;

/// Finds the number outdated at 10, and stores a fresh one, good until 20.
fn refresh(kept: &Expiring, number: u64) {
    if kept.get(10).is_none() {
        kept.put(number, 20);
    }
}

fn look(kept: &Expiring) {
    let seen = kept.get(10);
    assert!(matches!(seen, None | Some(2 | 3)), "an outdated number: {seen:?}");
}

/// The reader is started first or last: loom finds some races in one order only.
fn good_numbers_only(name: &str, reader_first: bool) {
    explore_model(name, move || {
        let kept = Arc::new(Expiring::new());
        kept.put(1, 10);
        let other = Arc::clone(&kept);
        let thread =
            thread::spawn(move || if reader_first { look(&other) } else { refresh(&other, 2) });
        let other = Arc::clone(&kept);
        let writer = thread::spawn(move || refresh(&other, 3));
        if reader_first {
            refresh(&kept, 2)
        } else {
            look(&kept)
        }
        thread.join().expect("no thread panics");
        writer.join().expect("no thread panics");
        assert!(matches!(kept.get(19), Some(2 | 3)));
        assert_eq!(kept.get(20), None);
    });
}

#[test]
fn good_numbers_only_reader_first() {
    good_numbers_only("kept number, reader started first", true);
}

#[test]
fn good_numbers_only_reader_last() {
    good_numbers_only("kept number, reader started last", false);
}
