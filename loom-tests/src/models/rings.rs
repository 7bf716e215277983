//! Rings of marks: growth, reuse of slots, shrinking. Here a window has two inline marks, and the
//! smallest ring four.

// each proves: G1 G3 G5

use super::Additions;
use crate::judge::rejected;
use crate::scene::Act::Add;

/// Fills the inline marks.
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

/// Five marks make a ring of eight; the one at 30 leaves it with a single mark.
const BURST_AND_AFTER: &[(u64, u64)] = &[(10, 1), (11, 1), (12, 1), (13, 1), (14, 1), (30, 1)];

#[test]
fn shrink_same_tick() {
    Additions::new(6, 6, BURST_AND_AFTER, &[Add(31, 1), Add(31, 1)])
        .explore("shrinking, two threads at one new tick", |scene, _| {
            assert_eq!(scene.window.capacity(), 4)
        });
}

#[test]
fn shrink_two_ticks() {
    Additions::new(6, 5, BURST_AND_AFTER, &[Add(31, 4), Add(32, 1)])
        .explore_one_too_many("shrinking, two threads at different ticks");
}

#[test]
fn shrink_beside_the_last_tick() {
    Additions::new(6, 5, BURST_AND_AFTER, &[Add(31, 1), Add(30, 1), Add(30, 3)])
        .explore_one_too_many("shrinking beside admissions at the old tick");
}
