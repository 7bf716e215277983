//! Forgetting idle keys: nothing that counts is lost, nothing is let through twice.

// each proves: G1 G5

use crate::explore::explore;
use crate::judge::Admissions;
use crate::scene::Act::{self, Add, Insist, Reset, Sweep};
use crate::scene::{Answer, OneKeyMap, Scene};

/// Explores a sweep beside additions, on a key of `span` 3 and limit 1 with a unit at 10. Then
/// no window has held more than one unit, and the map still knows of each that counts.
fn sweep_beside(name: &str, acts: &'static [Act], newest: u64) {
    const BEFORE: &[(u64, u64)] = &[(10, 1)];
    explore(
        name,
        acts,
        || OneKeyMap::new(3, 1, BEFORE),
        move |map, answers| {
            let admissions = Admissions::new(BEFORE, acts, answers);
            admissions.assert_within(map.timeline.layout(), map.limit);
            let room = admissions.usage(map.timeline.layout(), newest) == 0;
            let next = map.act(Add(newest, 1));
            assert_eq!(next.is_admitted(), room, "{next:?} after {answers:?}");
        },
    );
}

#[test]
fn sweep_beside_an_admission() {
    sweep_beside("retirement beside an admission", &[Sweep(13), Add(13, 1)], 13);
}

#[test]
fn sweep_beside_an_old_reading() {
    // The thread at 12 would be rejected by the old state; on a fresh one it must not be admitted
    // at 12, where the unit of 10 still counts.
    sweep_beside("retirement beside an old clock reading", &[Sweep(13), Add(12, 1)], 13);
}

#[test]
fn sweep_beside_two_admissions() {
    sweep_beside("retirement beside two ticks", &[Sweep(13), Add(12, 1), Add(14, 1)], 14);
}

#[test]
fn sweep_beside_an_insisting_thread() {
    // Rejected at 12 by the old window, and then finds that dead: whoever begins the fresh one must
    // know of the floor by then.
    sweep_beside("retirement beside one who asks again", &[Sweep(13), Insist(12, 1)], 13);
}

#[test]
fn two_sweeps() {
    sweep_beside("two retirements beside an admission", &[Sweep(13), Sweep(14), Add(13, 1)], 14);
}

#[test]
fn reset_beside_an_admission() {
    let acts = &[Reset, Add(10, 1)];
    let prepare = || OneKeyMap::new(3, 1, &[(10, 1)]);
    explore("reset beside an admission", acts, prepare, |map, answers| {
        assert!(matches!(answers[0], Answer::Done(true)), "the key was there: {answers:?}");
        // If the admission came first it was rejected, else the key has begun afresh with it.
        let next = map.act(Add(10, 1));
        assert_eq!(answers[1].is_admitted(), next.is_rejected(), "{next:?} after {answers:?}");
    });
}

#[test]
fn reset_beside_the_first_call() {
    let acts = &[Reset, Add(10, 1)];
    explore(
        "reset beside the first call",
        acts,
        || OneKeyMap::new(3, 1, &[]),
        |map, answers| {
            assert!(answers[1].is_admitted(), "{answers:?}");
            // A thread that found no key has forgotten nothing. The other may have come last, or
            // have forgotten the key before that was counted.
            let next = map.act(Add(10, 1));
            let was_known = matches!(answers[0], Answer::Done(true));
            assert!(was_known || next.is_rejected(), "{next:?} after {answers:?}");
        },
    );
}

#[test]
fn reset_beside_a_sweep() {
    let acts = &[Reset, Sweep(13), Add(13, 1)];
    let prepare = || OneKeyMap::new(3, 1, &[(10, 1)]);
    explore("reset beside a retirement", acts, prepare, |map, answers| {
        assert!(answers[2].is_admitted(), "{answers:?}");
        // The reset may have come last, and have forgotten that admission too.
        let _ = map.act(Add(13, 1));
        assert!(map.act(Add(13, 1)).is_rejected());
    });
}
