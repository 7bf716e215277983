//! The families of runs, each named for the part of the protocol that it is about.

// each proves: G1 G2 G3

use crate::family::{Family, Kind, check};

const PLAIN: Family = Family {
    index_bits: &[12],
    spans: (2, 6),
    limit: 6,
    threads: 4,
    calls: 3,
    before: 8,
    tick: (4, 24),
    jump: 6,
    gap: 6,
    lag: 1,
    ancient: 0,
    clock: 100,
    acts: &[(4, Kind::Look)],
    racing_acts: None,
};

#[test]
fn admit() {
    check("admit", 8_000, &PLAIN);
}

#[test]
fn clocks_apart() {
    let family = Family { lag: 4, tick: (3, 10), spans: (2, 9), before: 12, ..PLAIN };
    check("clocks_apart", 8_000, &family);
}

#[test]
fn rings() {
    let family = Family {
        spans: (8, 30),
        limit: 40,
        threads: 3,
        calls: 8,
        before: 40,
        tick: (3, 8),
        jump: 40,
        gap: 50,
        lag: 2,
        acts: &[(3, Kind::Look), (2, Kind::Record)],
        ..PLAIN
    };
    check("rings", 3_000, &family);
}

#[test]
fn refund() {
    let family = Family {
        tick: (6, 24),
        before: 12,
        lag: 3,
        acts: &[(3, Kind::Look), (5, Kind::Refund)],
        ..PLAIN
    };
    check("refund", 8_000, &family);
}

#[test]
fn refund_rings() {
    let family = Family {
        spans: (8, 30),
        limit: 40,
        threads: 3,
        calls: 5,
        before: 30,
        tick: (3, 8),
        jump: 20,
        gap: 50,
        lag: 2,
        acts: &[(3, Kind::Look), (2, Kind::Record), (4, Kind::Refund)],
        ..PLAIN
    };
    check("refund_rings", 2_000, &family);
}

#[test]
fn undo() {
    let family = Family {
        tick: (6, 24),
        before: 12,
        lag: 3,
        acts: &[(3, Kind::Look), (2, Kind::Refund), (6, Kind::Undo)],
        ..PLAIN
    };
    check("undo", 8_000, &family);
}

#[test]
fn undo_rings() {
    let family = Family {
        spans: (8, 30),
        limit: 40,
        threads: 3,
        calls: 5,
        before: 30,
        tick: (3, 8),
        jump: 20,
        gap: 50,
        lag: 2,
        acts: &[(3, Kind::Look), (2, Kind::Record), (1, Kind::Refund), (5, Kind::Undo)],
        ..PLAIN
    };
    check("undo_rings", 2_000, &family);
}

#[test]
fn clip() {
    let family = Family {
        index_bits: &[29, 30],
        limit: 15,
        acts: &[(3, Kind::Look), (3, Kind::Huge), (2, Kind::Record)],
        ..PLAIN
    };
    check("clip", 6_000, &family);
}

#[test]
fn clip_refund() {
    let family = Family {
        index_bits: &[28],
        limit: 15,
        threads: 3,
        acts: &[(3, Kind::Look), (3, Kind::Huge), (2, Kind::Record), (4, Kind::Refund)],
        ..PLAIN
    };
    check("clip_refund", 4_000, &family);
}

#[test]
fn clip_undo() {
    let family = Family {
        index_bits: &[28],
        limit: 15,
        threads: 3,
        acts: &[(3, Kind::Look), (3, Kind::Huge), (1, Kind::Record), (6, Kind::Undo)],
        ..PLAIN
    };
    check("clip_undo", 4_000, &family);
}

#[test]
fn wrapping_undo() {
    // Within a window, more is given back than a count can tell.
    let family = Family {
        index_bits: &[29, 30],
        limit: 15,
        threads: 3,
        before: 30,
        tick: (10, 40),
        acts: &[(3, Kind::Look), (2, Kind::Refund), (6, Kind::Undo)],
        ..PLAIN
    };
    check("wrapping_undo", 4_000, &family);
}

#[test]
fn restart() {
    let family = Family {
        index_bits: &[4, 5],
        spans: (2, 5),
        tick: (6, 16),
        jump: 400,
        gap: 1_500,
        clock: 5_000,
        ..PLAIN
    };
    check("restart", 8_000, &family);
}

#[test]
fn quarter_turns() {
    // Each thread reads a clock that is up to a quarter turn of the ticks past the one before it.
    let family = Family {
        index_bits: &[4],
        spans: (2, 4),
        limit: 3,
        before: 2,
        calls: 2,
        tick: (2, 8),
        jump: 40,
        gap: 30,
        lag: 1,
        clock: 5_000,
        acts: &[(1, Kind::Look)],
        ..PLAIN
    };
    check("quarter_turns", 8_000, &family);
}

#[test]
fn turning_ticks() {
    // Ticks go round while a thread looks, by steps that are too short for a restart.
    let family = Family {
        index_bits: &[4],
        spans: (2, 6),
        limit: 3,
        threads: 3,
        before: 3,
        calls: 6,
        tick: (6, 20),
        jump: 40,
        gap: 30,
        lag: 2,
        clock: 5_000,
        ..PLAIN
    };
    check("turning_ticks", 6_000, &family);
}

#[test]
fn restart_rings() {
    let family = Family {
        index_bits: &[5, 6],
        spans: (5, 13),
        limit: 12,
        calls: 6,
        before: 30,
        tick: (4, 12),
        jump: 600,
        gap: 1_500,
        clock: 5_000,
        lag: 3,
        ..PLAIN
    };
    check("restart_rings", 2_000, &family);
}

#[test]
fn ancient_readings() {
    let family = Family {
        index_bits: &[4, 5],
        spans: (2, 5),
        gap: 300,
        jump: 40,
        lag: 3,
        ancient: 1_500,
        clock: 5_000,
        ..PLAIN
    };
    check("ancient_readings", 6_000, &family);
}

#[test]
fn restart_refund() {
    // Time moves on by less than a turn of ticks while threads race: see the top of `window`.
    let family = Family {
        index_bits: &[6],
        spans: (2, 9),
        tick: (6, 16),
        jump: 60,
        gap: 5_000,
        lag: 2,
        clock: 5_000,
        calls: 2,
        acts: &[(3, Kind::Look), (4, Kind::Refund)],
        ..PLAIN
    };
    check("restart_refund", 4_000, &family);
}

#[test]
fn restart_undo() {
    let family = Family {
        index_bits: &[4, 6],
        spans: (2, 5),
        tick: (6, 16),
        jump: 400,
        gap: 1_500,
        lag: 2,
        clock: 5_000,
        calls: 2,
        acts: &[(3, Kind::Look), (2, Kind::Refund), (4, Kind::Undo)],
        ..PLAIN
    };
    check("restart_undo", 4_000, &family);
}

#[test]
fn restart_past_refund() {
    let family = Family {
        index_bits: &[4],
        spans: (2, 6),
        tick: (6, 16),
        jump: 300,
        gap: 300,
        clock: 5_000,
        acts: &[(2, Kind::Look), (6, Kind::Refund)],
        racing_acts: Some(&[(8, Kind::Look)]),
        ..PLAIN
    };
    check("restart_past_refund", 6_000, &family);
}

// proves: G1 G3 G5
#[test]
fn retire() {
    let family = Family {
        tick: (3, 10),
        lag: 3,
        acts: &[(3, Kind::Look), (4, Kind::Retire), (2, Kind::HoldUp)],
        ..PLAIN
    };
    check("retire", 8_000, &family);
}

// proves: G1 G3 G5
#[test]
fn retire_insist() {
    let family = Family {
        spans: (2, 4),
        limit: 2,
        before: 4,
        calls: 2,
        tick: (3, 8),
        jump: 0,
        lag: 4,
        acts: &[(4, Kind::Retire), (16, Kind::Insist)],
        ..PLAIN
    };
    check("retire_insist", 14_000, &family);
}

// proves: G1 G3 G5
#[test]
fn retire_refund() {
    let family = Family {
        tick: (3, 16),
        lag: 2,
        acts: &[
            (3, Kind::Look),
            (3, Kind::Retire),
            (2, Kind::HoldUp),
            (1, Kind::Kill),
            (4, Kind::Refund),
        ],
        ..PLAIN
    };
    check("retire_refund", 4_000, &family);
}

// proves: G1 G3 G5
#[test]
fn retire_undo() {
    // Much is given back, so that keys are begun afresh within a tick.
    let family = Family {
        limit: 3,
        tick: (6, 24),
        lag: 2,
        acts: &[
            (2, Kind::Look),
            (2, Kind::Retire),
            (3, Kind::HoldUp),
            (1, Kind::Kill),
            (1, Kind::Refund),
            (5, Kind::Undo),
        ],
        ..PLAIN
    };
    check("retire_undo", 8_000, &family);
}

// proves: G1 G3 G5
#[test]
fn retire_restart() {
    let family = Family {
        index_bits: &[4, 5],
        spans: (2, 5),
        tick: (4, 16),
        jump: 100,
        gap: 1_500,
        clock: 5_000,
        lag: 2,
        acts: &[(3, Kind::Look), (4, Kind::Retire), (2, Kind::HoldUp), (1, Kind::Kill)],
        ..PLAIN
    };
    check("retire_restart", 4_000, &family);
}

/// Counts of 4 to 8 bits, and a quarter of the ticks' range: both wrap within a run.
const WRAPPING_BITS: &[u32] = &[28, 29, 30];
const WRAPPING_GAP: u64 = 1 << 58;

#[test]
fn wrapping_all() {
    let family = Family {
        index_bits: WRAPPING_BITS,
        spans: (2, 9),
        limit: 4,
        before: 30,
        threads: 3,
        calls: 2,
        tick: (4, 16),
        gap: WRAPPING_GAP,
        jump: WRAPPING_GAP,
        ..PLAIN
    };
    check("wrapping_all", 4_000, &family);
}

/// One thread, many calls: the window against the model, to the last unit.
const ALONE: Family = Family {
    threads: 1,
    calls: 200,
    before: 0,
    tick: (20, 60),
    spans: (2, 14),
    limit: 30,
    gap: 20,
    lag: 4,
    acts: &[
        (5, Kind::Look),
        (2, Kind::Refund),
        (3, Kind::Undo),
        (1, Kind::Record),
        (1, Kind::Retire),
        (1, Kind::HoldUp),
    ],
    ..PLAIN
};

#[test]
fn alone() {
    check("alone", 400, &ALONE);
}

#[test]
fn alone_wrapping_ticks() {
    let family = Family {
        index_bits: &[4, 5],
        spans: (2, 6),
        jump: 1_500,
        ancient: 3_000,
        clock: 5_000,
        ..ALONE
    };
    check("alone_wrapping_ticks", 400, &family);
}

#[test]
fn alone_turning_ticks() {
    // Time moves on by steps that are too short for a restart, and goes round many times.
    let family = Family {
        index_bits: &[4],
        spans: (2, 6),
        gap: 24,
        jump: 24,
        tick: (6, 20),
        acts: &[(5, Kind::Look), (2, Kind::Refund), (3, Kind::Undo), (1, Kind::Record)],
        ..ALONE
    };
    check("alone_turning_ticks", 1_000, &family);
}

#[test]
fn alone_wrapping_counts() {
    let family = Family {
        index_bits: &[28, 29, 30],
        acts: &[
            (4, Kind::Look),
            (2, Kind::Refund),
            (3, Kind::Undo),
            (3, Kind::Huge),
            (1, Kind::Kill),
        ],
        ..ALONE
    };
    check("alone_wrapping_counts", 400, &family);
}

#[test]
fn alone_at_the_end_of_time() {
    let family = Family { index_bits: &[5], spans: (2, 6), clock: u64::MAX - 20_000, ..ALONE };
    check("alone_at_the_end_of_time", 200, &family);
}

#[test]
fn alone_wrapping_all() {
    let family = Family {
        index_bits: WRAPPING_BITS,
        spans: (2, 9),
        limit: 6,
        tick: (6, 20),
        jump: WRAPPING_GAP,
        acts: &[(4, Kind::Look), (2, Kind::Refund), (3, Kind::Undo)],
        ..ALONE
    };
    check("alone_wrapping_all", 1_000, &family);
}
