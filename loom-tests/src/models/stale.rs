//! A thread that has read the state, and then sleeps while another goes on: what it reads of the
//! marks afterwards belongs to later states, and it must notice.
//!
//! The limits are so wide that any rejection is a spurious one.

// each proves: G1 G3 G4

use crate::explore::explore;
use crate::judge::Admissions;
use crate::scene::Act::{self, Add, All, Look, Refund, Usage};
use crate::scene::{Answer, Lone};

const WIDE: u64 = 100;

/// Explores one act beside several of another thread, then says what the usage at `now` must be.
fn sleep_beside(
    name: &str,
    before: &'static [(u64, u64)],
    acts: &'static [Act],
    judge: impl Fn(&Lone, &[Answer]) + Send + Sync + 'static,
) {
    explore(
        name,
        acts,
        move || Lone::new(3, WIDE, before),
        move |scene, answers| {
            assert!(!answers[0].is_rejected(), "spurious: {answers:?}");
            judge(scene, answers);
        },
    );
}

/// Three marks, of which the window itself has the two newest.
const THREE: &[(u64, u64)] = &[(10, 1), (11, 1), (12, 1)];
const ROUND: Act = All(&[Add(13, 1), Add(14, 1)]);
/// One more, so that the slot of the newest is taken twice.
const ALL_ROUND: Act = All(&[Add(13, 1), Add(14, 1), Add(15, 1)]);

#[test]
fn admission_beside_a_round() {
    let acts = &[Add(12, 1), ROUND];
    sleep_beside("admission while its marks are overwritten", THREE, acts, |scene, answers| {
        assert!(answers[0].is_admitted());
        let usage = scene.usage(14);
        assert_eq!(usage, 4, "12, 12, 13, 14, or 12, 13, 14, 14");
    });
}

#[test]
fn admission_at_a_new_tick_beside_a_round() {
    let acts = &[Add(13, 1), ROUND];
    sleep_beside("new tick while its marks are overwritten", THREE, acts, |scene, answers| {
        assert!(answers[0].is_admitted());
        assert_eq!(scene.usage(14), 4);
    });
}

#[test]
fn look_beside_a_round() {
    let acts = &[Look(13, 1), ALL_ROUND];
    sleep_beside("look while its marks are overwritten", THREE, acts, |_, _| {});
}

#[test]
fn usage_beside_a_round() {
    let acts = &[Usage(12), ROUND];
    sleep_beside("usage while its marks are overwritten", THREE, acts, |_, answers| {
        let usage = answers[0].units();
        assert!(usage <= 3, "never more than three in a window: {usage}");
        assert!(usage >= 2, "never fewer than two, at any time up to 14: {usage}");
    });
}

#[test]
fn refund_beside_a_round() {
    let acts = &[Refund(12, 1), ROUND];
    sleep_beside("refund while its marks are overwritten", THREE, acts, |scene, answers| {
        assert_eq!(answers[0].units(), 1);
        let usage = scene.usage(14);
        assert!(usage == 3 || usage == 2, "{usage} of 12, 13 and 14: {answers:?}");
        assert_eq!(scene.usage(17), 0);
    });
}

#[test]
fn admission_beside_a_later_refund() {
    // The refund reaches past what the sleeper's state has counted.
    let acts = &[Add(10, 1), All(&[Add(10, 2), Refund(10, 3)])];
    sleep_beside("admission beside a refund of later units", &[(10, 1)], acts, |scene, answers| {
        assert!(answers[0].is_admitted());
        assert_eq!(scene.usage(10), 1);
    });
}

#[test]
fn look_beside_a_later_refund() {
    let acts = &[Look(10, 1), All(&[Add(10, 2), Refund(10, 3)])];
    sleep_beside("look beside a refund of later units", &[(10, 1)], acts, |_, _| {});
}

#[test]
fn rejection_judged_at_a_later_mark() {
    // At 13 the three units of 10 have gone. A sleeper that takes the state of 12 for full, and
    // the mark of a later turn for the newest, would reject at 13.
    const BEFORE: &[(u64, u64)] = &[(10, 1), (11, 1), (12, WIDE - 2)];
    let acts = &[Look(15, WIDE), All(&[Add(13, 1), Add(14, 1), Add(15, 1)])];
    explore(
        "look at a full state beside a whole round",
        acts,
        || Lone::new(3, WIDE, BEFORE),
        |_, answers| {
            if let Answer::Decision(crate::window::Outcome::Rejected { usage, .. }) = answers[0] {
                assert!(usage <= 3, "98 units of 12 have gone at 15: {answers:?}");
            }
        },
    );
}

/// Too many for a ring of four: the next mark has it exchanged.
const SIX: &[(u64, u64)] = &[(10, 1), (11, 1), (12, 1), (13, 1), (14, 1), (15, 1)];

#[test]
fn full_state_beside_exchanges() {
    // The other thread has the ring grow to eight, and goes on: a sleeper whose state calls for that must not
    // exchange the new one.
    let acts = &[Add(40, 1), All(&[Add(16, 1), Add(40, 1)])];
    explore(
        "a full state beside growth",
        acts,
        || Lone::new(8, WIDE, SIX),
        |scene, answers| {
            assert!(answers[0].is_admitted() && answers[1].is_admitted(), "{answers:?}");
            // The addition of 16 counts at 16, or at 40 if the other one came first.
            let seen = [40, 47, 48].map(|now| scene.usage(now));
            assert!(seen == [2, 2, 0] || seen == [3, 3, 0], "{seen:?}");
        },
    );
}

#[test]
fn full_state_beside_exchanges_that_fit() {
    // As above, but the first mark of the new ring begins where the sleeper's state ends: to the
    // sleeper the window looks empty, and it goes on to exchange the ring.
    let acts = &[Add(41, 1), All(&[Add(40, 1), Add(41, 1)])];
    explore(
        "a full state beside growth, and room",
        acts,
        || Lone::new(8, WIDE, SIX),
        |scene, answers| {
            assert!(answers[0].is_admitted() && answers[1].is_admitted(), "{answers:?}");
            // The addition of 40 counts at 40, or at 41 if the other one came first.
            let seen = [41, 47, 48, 49].map(|now| scene.usage(now));
            assert!(seen == [3, 3, 2, 0] || seen == [3, 3, 3, 0], "{seen:?}");
        },
    );
}

#[test]
fn live_marks_keep_their_ticks() {
    // A sleeper that has seen an announcement must not take it for none, once the ring has gone
    // round and another mark is in the slot of the newest one.
    const BEFORE: &[(u64, u64)] = &[(10, 1)];
    const ACTS: &[Act] = &[Add(11, 1), Add(13, 2), Add(14, 1)];
    let prepare = || Lone::new(3, 4, BEFORE);
    explore("live marks keep their ticks", ACTS, prepare, |scene, answers| {
        let admissions = Admissions::new(BEFORE, ACTS, answers);
        for now in 14..18 {
            let expected = admissions.usage(scene.timeline.layout(), now);
            assert_eq!(scene.usage(now), expected, "at {now}: {answers:?}");
        }
    });
}
