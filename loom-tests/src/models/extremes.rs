//! More units than a window can hold.

// each proves: G1

use crate::explore::explore;
use crate::scene::Act::{self, Add, Fill, Refund};
use crate::scene::{Answer, Lone, Scene};
use crate::window::{Layout, MarkId, Outcome};

/// Counts of 4 bits: a window holds 15 units.
const NARROW_COUNTS: Layout = Layout::with_index_bits(30, 3);

/// Full from the record on, until the tick it was counted at leaves the window.
fn assert_full(scene: &Lone, recorded: Answer, newest: u64) {
    let Answer::Decision(Outcome::Admitted { mark: MarkId { tick, .. }, .. }) = recorded else {
        panic!("a record is always counted: {recorded:?}");
    };
    for now in tick.max(newest)..tick + 3 {
        assert_eq!(scene.usage(now), 15, "at {now}: {recorded:?}");
        assert!(scene.act(Add(now, 1)).is_rejected());
    }
    assert_eq!(scene.usage(tick.max(newest) + 3), 0);
}

fn fill_beside_an_addition(
    name: &str,
    before: &'static [(u64, u64)],
    acts: &'static [Act],
    newest: u64,
) {
    let prepare = move || Lone::with_layout(NARROW_COUNTS, 15, before);
    explore(name, acts, prepare, move |scene, answers| assert_full(scene, answers[0], newest));
}

#[test]
fn fill_up_in_the_newest_tick() {
    let acts = &[Fill(11), Add(11, 1)];
    fill_beside_an_addition("clipping, in the newest tick", &[(10, 1), (11, 1)], acts, 11);
}

#[test]
fn fill_up_in_a_new_tick() {
    let acts = &[Fill(11), Add(10, 1)];
    fill_beside_an_addition("clipping, in a new tick", &[(10, 1)], acts, 11);
}

#[test]
fn fill_up_beside_a_roll() {
    let acts = &[Fill(11), Add(12, 1)];
    fill_beside_an_addition("clipping beside a roll", &[(10, 1), (11, 1)], acts, 12);
}

#[test]
fn fill_up_twice() {
    let acts = &[Fill(11), Fill(12)];
    fill_beside_an_addition("clipping, two threads", &[(10, 1)], acts, 12);
}

#[test]
fn fill_up_beside_a_refund() {
    let prepare = || Lone::with_layout(NARROW_COUNTS, 15, &[(10, 1), (11, 2)]);
    explore("clipping beside a refund", &[Fill(11), Refund(11, 3)], prepare, |scene, answers| {
        assert_eq!(answers[1].units(), 3);
        // A refund that came after the record takes three units off it, one before it none.
        let usage = scene.usage(11);
        assert!((12..=15).contains(&usage), "{usage}: {answers:?}");
        assert_eq!(scene.usage(14), 0);
    });
}
