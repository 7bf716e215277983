//! Units taken out of the very bucket that they were counted in: beside whatever else goes on.
//!
//! A number in `Undo` is that of an addition of the set-up, whose bucket is meant.

// each proves: G1 G2

use crate::explore::explore;
use crate::judge::Admissions;
use crate::scene::Act::{self, Add, All, Fill, HoldUp, Look, Refund, Regret, Reset, Sweep, Undo};
use crate::scene::{Answer, Lone, OneKeyMap, Scene};
use crate::window::{Layout, Outcome};

/// Units admitted in all, before and while racing.
fn units(before: &[(u64, u64)], acts: &[Act], answers: &[Answer]) -> u64 {
    Admissions::new(before, acts, answers).0.iter().map(|(_, count)| count).sum()
}

#[test]
fn undo_beside_admissions() {
    let before = &[(10, 2)];
    let acts = &[Undo(10, 0, 1), Add(10, 1), Add(10, 1)];
    let prepare = || Lone::new(3, 2, before);
    explore("undo beside admissions at a full window", acts, prepare, |scene, answers| {
        assert_eq!(answers[0].units(), 1);
        let admitted = answers.iter().filter(|answer| answer.is_admitted()).count();
        assert!(admitted <= 1, "one for one: {answers:?}");
        assert_eq!(scene.usage(10), units(before, acts, answers) - 1);
    });
}

#[test]
fn undo_beside_a_new_bucket() {
    // Of the bucket that is not the oldest, whose units expire first.
    let before = &[(10, 1), (11, 1)];
    let acts = &[Undo(11, 1, 1), Add(12, 1)];
    let prepare = || Lone::new(3, 2, before);
    explore("undo beside a new bucket at a full window", acts, prepare, |scene, answers| {
        assert_eq!(answers[0].units(), 1);
        let added = u64::from(answers[1].is_admitted());
        let usage = [12, 13, 14, 15].map(|now| scene.usage(now));
        assert_eq!(usage, [1 + added, added, added, 0], "{answers:?}");
    });
}

#[test]
fn undo_beside_expiry() {
    let before = &[(10, 1), (11, 1)];
    let acts = &[Undo(12, 0, 1), Add(13, 1)];
    let prepare = || Lone::new(3, 2, before);
    explore("undo beside the unit's expiry", acts, prepare, |scene, answers| {
        // Undone or expired: at 13 that unit counts no more, and no other was taken for it.
        assert!(answers[1].is_admitted(), "{answers:?}");
        assert_eq!([13, 14, 16].map(|now| scene.usage(now)), [2, 1, 0], "{answers:?}");
    });
}

#[test]
fn undo_and_an_old_reading() {
    // It was undone already. At 13 its bucket has left; a thread that reads 12 must not be told that
    // it has undone it once more.
    let before = &[(10, 1), (11, 2)];
    let prepare = || {
        let scene = Lone::new(3, 3, before);
        assert_eq!(scene.act(Undo(11, 0, 1)).units(), 1);
        scene
    };
    let acts = &[Undo(12, 0, 1), All(&[Undo(13, 1, 1), Add(13, 1)])];
    explore("undo by an old clock reading", acts, prepare, |scene, answers| {
        assert_eq!(answers[0].units(), 0, "{answers:?}");
        assert_eq!(scene.usage(13), 2, "{answers:?}");
    });
}

#[test]
fn undos_and_a_refund_share() {
    let before = &[(10, 1), (11, 1)];
    let acts = &[Undo(11, 0, 1), Undo(11, 0, 1), Refund(11, 1)];
    let prepare = || Lone::new(3, 2, before);
    explore("two undos and a refund of the same unit", acts, prepare, |scene, answers| {
        let [first, second, refund] = [0, 1, 2].map(|index| answers[index].units());
        assert_eq!(refund, 1, "there was a unit at any moment");
        // The refund took the unit that nobody had undone, or that of 11.
        assert!(first + second <= 1, "{answers:?}");
        assert_eq!(scene.usage(11), 1 - (first + second), "{answers:?}");
        assert_eq!(scene.usage(13), 1 - (first + second), "{answers:?}");
    });
}

#[test]
fn undos_of_two_buckets() {
    let before = &[(10, 1), (11, 1)];
    let acts = &[Undo(11, 0, 1), Undo(11, 1, 1)];
    let prepare = || Lone::new(3, 2, before);
    explore("undos of two buckets", acts, prepare, |scene, answers| {
        assert_eq!([0, 1].map(|index| answers[index].units()), [1, 1]);
        assert_eq!(scene.usage(11), 0);
    });
}

#[test]
fn what_is_regretted_leaves_no_trace() {
    // Two threads each add and undo in a bucket that others have units in.
    let before = &[(10, 1), (11, 1)];
    let acts = &[Regret(11, 1), Regret(12, 1)];
    let prepare = || Lone::new(3, 3, before);
    explore("additions that are undone", acts, prepare, |scene, answers| {
        for answer in answers {
            let is_undone = matches!(answer, Answer::Units(1));
            assert!(is_undone || answer.is_rejected(), "{answers:?}");
        }
        assert_eq!([12, 13, 14].map(|now| scene.usage(now)), [2, 1, 0], "{answers:?}");
    });
}

#[test]
fn undo_beside_a_look() {
    let prepare = || Lone::new(3, 3, &[(10, 1), (11, 2)]);
    let acts = &[Undo(11, 0, 1), Look(11, 1), Look(11, 2)];
    explore("undo beside looks", acts, prepare, |_, answers| {
        assert_eq!(answers[0].units(), 1);
        let hint = |index: usize| match answers[index] {
            Answer::Decision(Outcome::Rejected { retry_hint, .. }) => retry_hint,
            _ => None,
        };
        if let Some(hint) = hint(1) {
            assert_eq!((hint.tick, hint.remaining), (10, 2), "{answers:?}");
        }
        let hint = hint(2).expect("two more never fit beside the two of 11");
        assert_eq!((hint.tick, hint.remaining), (11, 0), "{answers:?}");
    });
}

#[test]
fn outdated_list_beside_a_new_one() {
    let prepare = || {
        let scene = Lone::new(3, 3, &[(10, 2), (12, 1)]);
        assert_eq!(scene.act(Undo(12, 0, 1)).units(), 1);
        scene
    };
    // At 13 the bucket of 10 has left, and so has what the list says of it.
    let acts = &[Undo(13, 1, 1), Add(13, 1)];
    explore("an outdated list beside a new one", acts, prepare, |scene, answers| {
        assert_eq!(answers[0].units(), 1);
        assert!(answers[1].is_admitted(), "{answers:?}");
        assert_eq!([13, 15, 16].map(|now| scene.usage(now)), [1, 1, 0]);
    });
}

#[test]
fn undo_beside_a_kept_note() {
    // Marks in a ring: whoever adds to a bucket for the second time keeps a note, which must not come
    // back when the list is gone.
    let before = &[(10, 1), (11, 1), (12, 1), (12, 1)];
    let acts = &[Undo(12, 2, 1), All(&[Add(12, 1), Add(13, 1), Add(13, 1)])];
    let prepare = || Lone::new(3, 6, before);
    explore("undo beside a note that is kept", acts, prepare, |scene, answers| {
        assert_eq!(answers[0].units(), 1);
        assert!(answers[1].is_admitted(), "{answers:?}");
        assert_eq!([13, 14, 15, 16].map(|now| scene.usage(now)), [5, 4, 2, 0], "{answers:?}");
        assert!(scene.act(Add(13, 2)).is_rejected() && scene.act(Add(13, 1)).is_admitted());
    });
}

#[test]
fn undo_beside_a_retirement() {
    let before = &[(10, 1)];
    let acts = &[Undo(10, 0, 1), Sweep(10), Add(10, 1)];
    let prepare = || OneKeyMap::new(3, 2, before);
    explore("undo beside a retirement and an addition", acts, prepare, |map, answers| {
        assert_eq!(answers[0].units(), 1, "nothing is retired while that unit counts");
        assert!(answers[2].is_admitted(), "{answers:?}");
        assert_eq!(map.act(Act::Usage(10)).units(), 1, "{answers:?}");
    });
}

#[test]
fn undo_beside_a_reset() {
    // The bucket of the same tick in a fresh window is another one.
    let before = &[(10, 1)];
    let acts = &[Undo(10, 0, 1), All(&[Reset, Add(10, 1)])];
    let prepare = || OneKeyMap::new(3, 2, before);
    explore("undo beside a key begun afresh", acts, prepare, |map, answers| {
        assert!(answers[1].is_admitted(), "{answers:?}");
        assert_eq!(map.act(Act::Usage(10)).units(), 1, "{answers:?}");
    });
}

#[test]
fn undo_beside_a_window_begun_afresh() {
    // Within the tick: the bucket named is gone, and its units were undone.
    let before = &[(10, 1)];
    let acts = &[Undo(10, 0, 1), All(&[Undo(10, 0, 1), HoldUp(10), Add(10, 1)])];
    let prepare = || Lone::new(3, 2, before);
    explore("undo beside a window begun afresh", acts, prepare, |scene, answers| {
        assert!(answers[0].units() <= 1);
        assert!(answers[1].is_admitted(), "{answers:?}");
        assert_eq!(scene.usage(10), 1, "{answers:?}");
        assert_eq!(scene.act(Undo(10, 0, 1)).units(), 0);
    });
}

/// Ticks of 7 bits: a quarter of their range is 32.
const NARROW_TICKS: Layout = Layout::with_index_bits(4, 3);

#[test]
fn undo_beside_a_restart() {
    let prepare = || {
        let scene = Lone::with_layout(NARROW_TICKS, 2, &[(10, 2)]);
        assert_eq!(scene.act(Undo(10, 0, 1)).units(), 1);
        scene
    };
    // A whole turn of the ticks later: the packed tick is the same.
    let acts = &[Undo(10, 0, 1), Add(138, 2)];
    explore("undo beside a restart", acts, prepare, |scene, answers| {
        assert!(answers[0].units() <= 1, "{answers:?}");
        assert!(answers[1].is_admitted(), "{answers:?}");
        assert_eq!([138, 140, 141].map(|now| scene.usage(now)), [2, 2, 0], "{answers:?}");
    });
}

/// Counts of 4 bits: a window holds 15 units.
const NARROW_COUNTS: Layout = Layout::with_index_bits(30, 3);

#[test]
fn undo_beside_a_fill_up() {
    let prepare = || {
        let scene = Lone::with_layout(NARROW_COUNTS, 15, &[(10, 1), (11, 4)]);
        assert_eq!(scene.act(Undo(11, 1, 1)).units(), 1);
        scene
    };
    let acts = &[Fill(11), Undo(11, 1, 2)];
    explore("clipping beside an undo", acts, prepare, |scene, answers| {
        assert_eq!(answers[1].units(), 2);
        // One unit was undone before, and is not missing from what is clipped now.
        let usage = scene.usage(11);
        assert!((13..=15).contains(&usage), "{usage}: {answers:?}");
        assert_eq!((scene.usage(13), scene.usage(14)), (usage, 0));
    });
}

#[test]
fn more_is_undone_than_counts_can_tell() {
    // Additions of 12 units and their undos: the second of them goes round.
    let prepare = || Lone::with_layout(NARROW_COUNTS, 15, &[(10, 3)]);
    let acts = &[Regret(10, 12), All(&[Regret(11, 12), Regret(11, 12)])];
    explore("more is undone than counts can tell", acts, prepare, |scene, answers| {
        for answer in answers {
            assert!(matches!(answer, Answer::Units(12)) || answer.is_rejected(), "{answers:?}");
        }
        assert_eq!([11, 12, 13].map(|now| scene.usage(now)), [3, 3, 0], "{answers:?}");
        assert!(scene.act(Add(12, 12)).is_admitted() && scene.act(Add(12, 1)).is_rejected());
    });
}
