//! Units given back: never more than there are, never counted again, never let too much through.

// each proves: G1 G2

use crate::explore::explore;
use crate::judge::Admissions;
use crate::scene::Act::{self, Add, Look, Refund};
use crate::scene::{Answer, Lone, Scene};
use crate::window::Outcome;

/// Units admitted in all, before and while racing.
fn units(before: &[(u64, u64)], acts: &[Act], answers: &[Answer]) -> u64 {
    Admissions::new(before, acts, answers).0.iter().map(|(_, count)| count).sum()
}

#[test]
fn two_refunds_share() {
    let prepare = || Lone::new(3, 3, &[(10, 1), (11, 2)]);
    let acts = &[Refund(11, 2), Refund(11, 2)];
    explore("two refunds of more than there is", acts, prepare, |scene, answers| {
        assert_eq!(answers[0].units() + answers[1].units(), 3, "each unit goes back once");
        assert_eq!(scene.usage(11), 0);
    });
}

#[test]
fn refund_beside_admissions() {
    let before = &[(10, 2)];
    let acts = &[Refund(10, 1), Add(10, 1), Add(10, 1)];
    let prepare = || Lone::new(3, 2, before);
    explore("refund beside admissions at a full window", acts, prepare, |scene, answers| {
        assert_eq!(answers[0].units(), 1);
        let admitted = answers.iter().filter(|answer| answer.is_admitted()).count();
        assert!(admitted <= 1, "one for one: {answers:?}");
        let left = units(before, acts, answers) - 1;
        assert_eq!(scene.usage(10), left);
        assert!(left <= 2);
    });
}

#[test]
fn refund_beside_a_roll() {
    let before = &[(10, 1), (11, 1)];
    let acts = &[Refund(11, 2), Add(12, 1)];
    let prepare = || Lone::new(3, 2, before);
    explore("refund beside a new tick at a full window", acts, prepare, |scene, answers| {
        assert_eq!(answers[0].units(), 2);
        assert_eq!(scene.usage(12), units(before, acts, answers) - 2);
    });
}

#[test]
fn refund_beside_expiry() {
    let before = &[(10, 1), (11, 1)];
    let acts = &[Refund(12, 1), Add(13, 1)];
    let prepare = || Lone::new(3, 2, before);
    explore("refund beside the refunded unit's expiry", acts, prepare, |scene, answers| {
        // At 13 the unit of 10 has gone by itself, refunded or not; so it is the one that is given
        // back, or, after 13, that of 11 is.
        assert_eq!(answers[0].units(), 1, "there was one at any moment");
        assert!(answers[1].is_admitted(), "{answers:?}");
        let (soon, later) = (scene.usage(13), scene.usage(14));
        assert!((soon, later) == (2, 1) || (soon, later) == (1, 1), "{soon}, {later}");
        assert_eq!(scene.usage(16), 0);
    });
}

#[test]
fn refund_across_marks_beside_expiry() {
    let before = &[(10, 1), (11, 3)];
    let acts = &[Refund(12, 2), Add(13, 1)];
    let prepare = || Lone::new(3, 4, before);
    explore("refund across marks beside expiry", acts, prepare, |scene, answers| {
        assert_eq!(answers[0].units(), 2);
        assert!(answers[1].is_admitted(), "{answers:?}");
        // Of the three units of 11, one or two have been given back: one if the refund began
        // with that of 10.
        let usage = scene.usage(13);
        assert!(usage == 3 || usage == 2, "{usage}: {answers:?}");
    });
}

#[test]
fn outdated_refund_is_cleared_once() {
    let acts = &[Refund(13, 1), Add(13, 1)];
    let prepare = || {
        let scene = Lone::new(3, 3, &[(10, 2)]);
        assert_eq!(scene.act(Refund(10, 1)).units(), 1);
        assert!(scene.act(Add(12, 1)).is_admitted());
        scene
    };
    // At 13 the mark of 10 has gone, and the word that speaks of it is outdated.
    explore("an outdated refund, cleared beside a new one", acts, prepare, |scene, answers| {
        assert_eq!(answers[0].units(), 1);
        assert!(answers[1].is_admitted());
        assert_eq!(scene.usage(13), 1);
    });
}

#[test]
fn refund_at_a_later_reading() {
    // At 13 the units of 10 have gone, for a thread that reads 12 they have not: a refund of the
    // unit of 11 at 13 must not forgive those of 10 as well.
    let prepare = || Lone::new(3, 3, &[(10, 2), (11, 1)]);
    explore(
        "refund at a later clock reading",
        &[Refund(13, 1), Add(12, 3)],
        prepare,
        |scene, all| {
            assert!(scene.act(Add(15, 3)).is_rejected() || all[1].is_rejected(), "{all:?}");
        },
    );
}

#[test]
fn outdated_refund_and_an_old_reading() {
    // The unit of 10 was given back. Whoever reads 12 is rejected for that of 11 alone, if at all.
    let prepare = || {
        let scene = Lone::new(3, 2, &[(10, 1), (11, 1)]);
        assert_eq!(scene.act(Refund(11, 1)).units(), 1);
        scene
    };
    explore(
        "outdated refund and an old clock reading",
        &[Add(13, 1), Look(12, 1)],
        prepare,
        |_, all| {
            if let Answer::Decision(Outcome::Rejected { retry_hint: Some(retry_hint), .. }) = all[1]
            {
                assert_eq!(retry_hint.tick, 11, "{all:?}");
            }
        },
    );
}
