//! Admission: in one tick, into new ticks, and over the window's edge.

// each proves: G1 G2 G3

use super::Additions;
use crate::explore::explore;
use crate::scene::Act::{Add, Look, Usage};
use crate::scene::{Answer, Lone};
use crate::window::{MarkId, Outcome};

#[test]
fn same_tick_two_threads() {
    Additions::new(3, 2, &[(10, 1)], &[Add(10, 1), Add(10, 1)])
        .explore_one_too_many("same tick, two threads, one unit left");
}

#[test]
fn same_tick_three_threads() {
    Additions::new(3, 3, &[(10, 1)], &[Add(10, 1), Add(10, 1), Add(10, 1)])
        .explore_one_too_many("same tick, three threads, two units left");
}

#[test]
fn first_admission_same_tick() {
    Additions::new(3, 1, &[], &[Add(10, 1), Add(10, 1)])
        .explore_one_too_many("first admission, same tick");
}

#[test]
fn first_admission_two_ticks() {
    Additions::new(3, 1, &[], &[Add(11, 1), Add(10, 1)])
        .explore_one_too_many("first admission, two ticks");
}

#[test]
fn first_admission_three_ticks() {
    Additions::new(4, 2, &[], &[Add(10, 1), Add(11, 1), Add(12, 1)])
        .explore_one_too_many("first admission, three ticks");
}

#[test]
fn same_new_tick() {
    Additions::new(3, 2, &[(10, 1)], &[Add(11, 1), Add(11, 1)])
        .explore_one_too_many("same new tick, one unit left");
}

#[test]
fn roll_two_ticks() {
    Additions::new(4, 2, &[(10, 1)], &[Add(11, 1), Add(12, 1)])
        .explore_one_too_many("roll, two different ticks");
}

#[test]
fn roll_three_ticks() {
    Additions::new(5, 3, &[(10, 1)], &[Add(11, 1), Add(12, 1), Add(13, 1)])
        .explore_one_too_many("roll, three different ticks");
}

#[test]
fn stale_clock() {
    Additions::new(3, 2, &[(10, 1)], &[Add(10, 1), Add(12, 1)])
        .explore_one_too_many("an old clock reading beside a new tick");
}

#[test]
fn window_edge() {
    // At 12 the unit of 10 still counts, at 13 it has gone.
    Additions::new(3, 1, &[(10, 1)], &[Add(12, 1), Add(13, 1)])
        .explore_one_too_many("window edge: the last tick in, the first out");
}

#[test]
fn window_edge_two_rollers() {
    Additions::new(3, 2, &[(10, 1), (11, 1)], &[Add(13, 1), Add(14, 2)])
        .explore("window edge: two units go at two ticks", |_, _| {});
}

#[test]
fn window_edge_same_tick() {
    Additions::new(3, 2, &[(10, 1), (11, 1)], &[Add(13, 1), Add(13, 1)])
        .explore_one_too_many("window edge: both at the first tick out");
}

#[test]
fn batches() {
    Additions::new(3, 7, &[(10, 2)], &[Add(10, 3), Add(11, 4), Add(11, 2)])
        .explore("batches of different sizes", |_, _| {});
}

#[test]
fn looking_while_another_adds() {
    let prepare = || Lone::new(3, 2, &[(10, 2)]);
    explore(
        "looks beside an admission",
        &[Look(12, 1), Usage(12), Add(13, 1)],
        prepare,
        |_, all| {
            // The two units of 10 count at 12 and not at 13. A look at 12 that comes after the
            // admission at 13 is judged there; both at once were never counted.
            match all[0] {
                Answer::Decision(Outcome::Rejected { usage, retry_hint }) => {
                    assert_eq!(usage, 2);
                    let retry_hint = retry_hint.expect("one unit fits once those of 10 have gone");
                    assert_eq!((retry_hint.tick, retry_hint.remaining), (10, 0));
                }
                Answer::Decision(Outcome::Admitted { mark: MarkId { tick, .. }, usage }) => {
                    assert!((tick, usage) == (13, 1) || (tick, usage) == (13, 0), "{all:?}");
                }
                other => panic!("{other:?}"),
            }
            assert!(all[1].units() <= 2, "{all:?}");
            assert!(all[2].is_admitted(), "{all:?}");
        },
    );
}
