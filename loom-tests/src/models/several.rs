//! Additions to two windows, all or nothing: look at both, then add to each, and undo the first if the second
//! is full by then.

// each proves: G1

use crate::explore::explore;
use crate::scene::Act::{self, Add, Both};
use crate::scene::{Answer, Pair};

/// Explores, and asserts that neither window holds anything but the units that were admitted.
fn explore_pair(
    name: &str,
    limit: u64,
    before: &'static [(u64, u64)],
    acts: &'static [Act],
    least: u64,
) {
    let prepare = move || Pair::new(3, limit, before);
    explore(name, acts, prepare, move |scene: &Pair, answers: &[Answer]| {
        let now = 12;
        let admitted = |counts: fn(&Act) -> u64| -> u64 {
            let before: u64 = before.iter().map(|(_, count)| count).sum();
            let racing = acts.iter().zip(answers).filter(|(_, answer)| answer.is_admitted());
            before + racing.map(|(act, _)| counts(act)).sum::<u64>()
        };
        let both = |act: &Act| if let Both(_, count, _) = *act { count } else { 0 };
        let second = |act: &Act| match *act {
            Both(_, count, _) | Add(_, count) => count,
            _ => 0,
        };
        let (first, second) = (admitted(both), admitted(second));
        assert_eq!(scene.first.usage(now), first, "{answers:?}");
        assert_eq!(scene.second.usage(now), second, "{answers:?}");
        assert!(first <= limit && second <= limit, "{answers:?}");
        assert!(second >= least, "{answers:?}");
    });
}

#[test]
fn both_beside_an_addition_to_one() {
    explore_pair(
        "both beside an addition to one",
        2,
        &[(10, 1)],
        // There is room for one of them, and the addition asks for no other window.
        &[Both(10, 1, false), Add(10, 1)],
        2,
    );
}

#[test]
fn both_in_a_new_bucket() {
    explore_pair(
        "both in a new bucket beside an addition to one",
        2,
        &[(10, 1)],
        &[Both(11, 1, false), Add(11, 1)],
        2,
    );
}

#[test]
fn both_beside_both_the_other_way_round() {
    explore_pair(
        "both beside both the other way round",
        2,
        &[(10, 1)],
        // Each may take the room that the other needs, and be undone.
        &[Both(10, 1, false), Both(10, 1, true)],
        1,
    );
}
