//! Ticks and counts that wrap round, in layouts that are narrow enough to see it.

// each proves: G1 G2 G3

use super::Additions;
use crate::explore::explore;
use crate::judge::Admissions;
use crate::scene::Act::{self, Add, Look, Refund};
use crate::scene::{Answer, Lone};
use crate::window::{Layout, Outcome};

/// Ticks of 7 bits: a quarter of their range is 32.
const NARROW_TICKS: Layout = Layout::with_index_bits(4, 3);
/// Counts of 4 bits: a window holds 15 units.
const NARROW_COUNTS: Layout = Layout::with_index_bits(30, 3);

#[test]
fn long_idle_key() {
    Additions::new(3, 2, &[(10, 2)], &[Add(10 + 128, 1), Add(10 + 128, 2)])
        .with_layout(NARROW_TICKS)
        .explore_one_too_many("restart of a key idle for a whole turn of ticks");
}

#[test]
fn long_idle_key_two_ticks() {
    Additions::new(3, 2, &[(10, 2)], &[Add(10 + 127, 2), Add(10 + 129, 1)])
        .with_layout(NARROW_TICKS)
        .explore_one_too_many("restart of a long idle key, two ticks");
}

#[test]
fn long_idle_key_old_reading() {
    Additions::new(3, 2, &[(10, 1)], &[Add(11, 1), Add(10 + 70, 2)])
        .with_layout(NARROW_TICKS)
        .explore("restart beside a very old clock reading", |_, _| {});
}

#[test]
fn long_idle_key_beside_a_look() {
    // 240 is 230 ticks later, and 26 earlier the nearer way round: whoever places the old mark by a
    // `latest` of after the restart takes it for one of 266, at which its units still count.
    const ACTS: &[Act] = &[Add(240, 1), Look(13, 2)];
    let prepare = || Lone::with_layout(NARROW_TICKS, 2, &[(10, 2)]);
    explore("restart beside a look at an old reading", ACTS, prepare, |_, answers| {
        assert!(answers[0].is_admitted());
        // At 13 the two units of 10 have gone. Those who come after the restart are judged at 240.
        match answers[1] {
            Answer::Decision(Outcome::Admitted { usage: 0, .. }) => {}
            Answer::Decision(Outcome::Rejected { usage: 1, retry_hint: Some(retry_hint) }) => {
                assert_eq!(retry_hint.tick, 240, "{answers:?}");
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn very_old_reading() {
    // A hundred ticks old: the nearer way round that is 28 later. It is judged at the newest tick.
    Additions::new(3, 2, &[(200, 1)], &[Add(100, 1), Add(201, 1)])
        .with_layout(NARROW_TICKS)
        .explore_one_too_many("a very old clock reading beside a new tick");
}

#[test]
fn very_old_readings_on_a_fresh_key() {
    Additions::new(3, 1, &[], &[Add(100, 1), Add(200, 1)])
        .with_layout(NARROW_TICKS)
        .explore("first admission, clock readings far apart", |_, _| {});
}

#[test]
fn long_idle_key_full_ring() {
    Additions::new(3, 2, &[(10, 1), (11, 1)], &[Add(11 + 128, 2), Add(11 + 128, 1)])
        .with_layout(NARROW_TICKS)
        .explore_one_too_many("restart of a long idle key with a full ring");
}

#[test]
fn long_idle_key_beside_a_refund() {
    // Not exactly one turn later: who sleeps through that in the middle of a refund is the one
    // case that is not told apart, and then too much is counted for a window.
    let prepare = || Lone::with_layout(NARROW_TICKS, 2, &[(10, 2)]);
    let acts = &[Add(10 + 129, 2), Refund(11, 1)];
    explore("restart beside a refund of what it forgets", acts, prepare, |scene, answers| {
        assert!(answers[0].is_admitted(), "the old units have gone: {answers:?}");
        // The refund speaks of an old unit, or of a new one if it came after all of it.
        let usage = scene.usage(10 + 129);
        assert!(usage == 2 || (usage == 1 && answers[1].units() == 1), "{usage}: {answers:?}");
    });
}

#[test]
fn count_wraps() {
    // 1 + 12 units ever: the next few go past 15.
    const BEFORE: &[(u64, u64)] = &[(10, 6), (13, 6)];
    let acts = &[Add(14, 1), Add(16, 5), Add(16, 3)];
    Additions::new(3, 6, BEFORE, acts).with_layout(NARROW_COUNTS).explore(
        "cumulative count wraps round",
        |scene, answers| {
            let admissions = Admissions::new(BEFORE, acts, answers);
            assert!(admissions.usage(scene.timeline.layout(), 16) > 0, "{answers:?}");
        },
    );
}
