//! Rings of marks: growth, copying, reuse of slots, shrinking. Here a window has the two newest marks inside,
//! and the smallest ring has four slots.

// each proves: G1 G3 G5

use super::Additions;
use crate::explore::explore;
use crate::judge::rejected;
use crate::scene::Act::{Add, Look};
use crate::scene::{Answer, Lone};
use crate::window::Outcome;

/// Fills the slots inside the window.
const FULL: &[(u64, u64)] = &[(10, 1), (11, 1)];

#[test]
fn grow_same_tick() {
    Additions::new(5, 3, FULL, &[Add(12, 1), Add(12, 1)]).explore(
        "growth, two threads at one new tick",
        |scene, answers| {
            assert_eq!(rejected(answers), 1, "exactly one fits: {answers:?}");
            assert_eq!(scene.window.capacity(), 4);
        },
    );
}

#[test]
fn grow_two_ticks() {
    Additions::new(6, 4, FULL, &[Add(12, 1), Add(13, 1)])
        .explore("growth, two threads at different ticks", |_, _| {});
}

#[test]
fn grow_three_threads() {
    Additions::new(6, 4, FULL, &[Add(12, 1), Add(13, 1), Add(11, 1)])
        .explore_one_too_many("growth, three threads");
}

#[test]
fn grow_beside_the_last_tick() {
    Additions::new(6, 3, FULL, &[Add(12, 1), Add(11, 1)])
        .explore_one_too_many("growth beside an admission at the old tick");
}

#[test]
fn full_ring_of_expired_marks() {
    // Both marks have left the window at 14, but whoever has read the state still reads them.
    Additions::new(3, 2, FULL, &[Add(14, 2), Add(12, 1)])
        .explore("a full ring whose marks have left the window", |_, _| {});
}

#[test]
fn slots_are_reused() {
    // A ring of four; the racing marks go round it.
    Additions::new(
        3,
        3,
        &[(10, 1), (11, 1), (12, 1), (14, 1)],
        &[Add(15, 1), Add(17, 1), Add(14, 1)],
    )
    .explore("slots reused beside a reader of the old marks", |_, _| {});
}

#[test]
fn slots_are_reused_beside_a_rejection() {
    // One that goes round the ring, and one that finds the window of 16 full.
    Additions::new(3, 3, &[(10, 1), (11, 1), (12, 1), (14, 1)], &[Add(16, 3), Add(18, 2)])
        .explore("slots reused beside a rejection", |_, _| {});
}

/// More than the ring of four has slots for, when the two newest are to be copied to it.
const SIX: &[(u64, u64)] = &[(10, 1), (11, 1), (12, 1), (13, 1), (14, 1), (15, 1)];

#[test]
fn grow_a_ring_same_tick() {
    Additions::new(8, 7, SIX, &[Add(16, 1), Add(16, 1)]).explore(
        "growth of a ring, two threads at one new tick",
        |scene, answers| {
            assert_eq!(rejected(answers), 1, "exactly one fits: {answers:?}");
            assert_eq!(scene.window.capacity(), 8);
        },
    );
}

#[test]
fn grow_a_ring_two_ticks() {
    Additions::new(8, 8, SIX, &[Add(16, 1), Add(17, 1)])
        .explore("growth of a ring, two threads at different ticks", |_, _| {});
}

#[test]
fn grow_a_ring_beside_a_look() {
    // The look has to find the mark whose slot was announced in, whatever ring it has found before.
    let prepare = || Lone::new(8, 7, SIX);
    explore("growth of a ring beside a look", &[Look(15, 6), Add(16, 1)], prepare, |_, all| {
        match all[0] {
            Answer::Decision(Outcome::Rejected { usage: 6, retry_hint: Some(hint) }) => {
                assert_eq!((hint.tick, hint.remaining), (14, 1));
            }
            Answer::Decision(Outcome::Rejected { usage: 7, retry_hint: Some(hint) }) => {
                assert_eq!((hint.tick, hint.remaining), (15, 1));
            }
            other => panic!("{other:?}"),
        }
        assert!(all[1].is_admitted());
    });
}

#[test]
fn copying_beside_a_look() {
    // As above, where the ring is large enough.
    const FOUR: &[(u64, u64)] = &[(10, 1), (11, 1), (12, 1), (13, 1)];
    let prepare = || Lone::new(6, 5, FOUR);
    explore("copying beside a look", &[Look(13, 4), Add(14, 1)], prepare, |_, all| {
        match all[0] {
            Answer::Decision(Outcome::Rejected { usage: 4, retry_hint: Some(hint) }) => {
                assert_eq!((hint.tick, hint.remaining), (12, 1));
            }
            Answer::Decision(Outcome::Rejected { usage: 5, retry_hint: Some(hint) }) => {
                assert_eq!((hint.tick, hint.remaining), (13, 1));
            }
            other => panic!("{other:?}"),
        }
        assert!(all[1].is_admitted());
    });
}

/// Seven marks make a ring of eight; the one at 40 leaves it with a single mark.
const BURST_AND_AFTER: &[(u64, u64)] =
    &[(10, 1), (11, 1), (12, 1), (13, 1), (14, 1), (15, 1), (16, 1), (40, 1)];

#[test]
fn shrink_same_tick() {
    Additions::new(8, 7, BURST_AND_AFTER, &[Add(41, 1), Add(41, 1)])
        .explore("shrinking, two threads at one new tick", |scene, _| {
            assert_eq!(scene.window.capacity(), 4)
        });
}

#[test]
fn shrink_two_ticks() {
    Additions::new(8, 7, BURST_AND_AFTER, &[Add(41, 6), Add(42, 1)])
        .explore_one_too_many("shrinking, two threads at different ticks");
}

#[test]
fn shrink_beside_the_last_tick() {
    Additions::new(8, 7, BURST_AND_AFTER, &[Add(41, 1), Add(40, 2), Add(40, 4)])
        .explore_one_too_many("shrinking beside admissions at the old tick");
}
