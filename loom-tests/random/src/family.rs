//! Families of runs, each named for the part of the protocol that it is about.

use std::env::{self, VarError};

use fastrand::Rng;

use crate::act::Act;
use crate::key::Layout;
use crate::memory::Pace;
use crate::run::{Planned, Shape, run};

const RUNS: &str = "TRYPEMA_RANDOM_RUNS";
const SEED: &str = "TRYPEMA_RANDOM_SEED";
const FROM: &str = "TRYPEMA_RANDOM_FROM";

/// What the runs of a family have in common. Numbers are bounds, which a run draws below.
#[derive(Clone, Copy)]
struct Family {
    /// Bits of a mark's index, one of these: few make ticks wrap early, many make counts wrap.
    index_bits: &'static [u32],
    spans: (u64, u64),
    limit: u64,
    threads: usize,
    calls: usize,
    before: usize,
    /// While racing, one access in so many takes a tick, or up to `jump` ticks.
    tick: (u32, u32),
    jump: u64,
    /// In the set-up: one call in eight comes up to so many ticks after the last.
    gap: u64,
    /// Clock readings are up to so many ticks old.
    lag: u64,
    /// And one in eight up to so many.
    ancient: u64,
    clock: u64,
    /// What is called besides `Add`, and how often in 20.
    acts: &'static [(u32, Kind)],
}

#[derive(Clone, Copy)]
enum Kind {
    Look,
    Refund,
    Record,
    /// Records of nearly all that a window can hold, and more.
    Huge,
    Retire,
    Kill,
}

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
};

impl Family {
    fn draw(&self, seed: u64) -> Shape {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let span = rng.u64(self.spans.0..=self.spans.1);
        let layout =
            Layout::with_index_bits(self.index_bits[rng.usize(..self.index_bits.len())], span);
        let limit = rng.u64(1..=self.limit).min(layout.most());
        let planned = |rng: &mut Rng, lag: u64| self.planned(rng, &layout, limit, lag);
        let before = (0..rng.usize(..=self.before))
            .map(|_| {
                let ticks = match rng.u32(0..16) {
                    0..8 => 0,
                    8..14 => 1,
                    _ => rng.u64(0..=self.gap),
                };
                (ticks, planned(rng, self.lag))
            })
            .collect();
        let threads = rng.usize(self.threads.min(2)..=self.threads);
        let racing = (0..threads)
            .map(|_| (0..rng.usize(1..=self.calls)).map(|_| planned(rng, self.lag)).collect())
            .collect();
        let pace = Pace {
            switch: rng.u32(1..8),
            tick: rng.u32(self.tick.0..=self.tick.1),
            jump: self.jump,
            stale: if rng.bool() { rng.u32(5..50) } else { 0 },
        };
        Shape { layout, limit, clock: self.clock, before, racing, pace }
    }

    fn planned(&self, rng: &mut Rng, layout: &Layout, limit: u64, lag: u64) -> Planned {
        let age = match rng.u32(0..8) {
            0 if self.ancient > 0 => rng.u64(0..self.ancient),
            1..4 => rng.u64(0..lag),
            _ => 0,
        };
        Planned { act: self.act(rng, layout, limit), age }
    }

    fn act(&self, rng: &mut Rng, layout: &Layout, limit: u64) -> Act {
        let some = rng.u64(1..=limit.min(4));
        let mut left = rng.u32(0..20);
        for &(weight, kind) in self.acts {
            if left >= weight {
                left -= weight;
                continue;
            }
            return match kind {
                Kind::Look => match rng.u32(0..8) {
                    0..4 => Act::Peek(some),
                    4 => Act::Idle(rng.u64(0..2 * layout.span())),
                    5 => Act::Recent(rng.u64(1..=layout.span())),
                    _ => Act::Usage,
                },
                Kind::Refund => {
                    Act::Refund(if rng.u32(0..6) == 0 { u64::MAX } else { rng.u64(0..6) })
                }
                Kind::Record => Act::Record(some),
                Kind::Huge => Act::Record(match rng.u32(0..5) {
                    0 => u64::MAX,
                    1 => layout.most(),
                    2 => layout.most() - rng.u64(0..4),
                    3 => layout.most() / 2,
                    _ => rng.u64(1..=layout.most()),
                }),
                Kind::Retire => Act::Retire(rng.u64(0..layout.span())),
                Kind::Kill => Act::Kill,
            };
        }
        // More than the limit now and then: that never fits.
        let count = if rng.u32(0..40) == 0 { limit + 1 } else { some };
        if rng.u32(0..4) == 0 { Act::Insist(count) } else { Act::Add(count) }
    }
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    match env::var(name) {
        Ok(text) => {
            Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
        }
        Err(VarError::NotPresent) => None,
        Err(error) => panic!("{name}: {error}"),
    }
}

/// Runs a family: so many times, unless the environment says otherwise.
fn check(name: &str, runs: u64, family: &Family) {
    if let Some(seed) = number(SEED) {
        let outcome = run(seed, &family.draw(seed), true);
        eprintln!("{name}, seed {seed}: {outcome:?}");
        assert_eq!(outcome, Ok(()));
        return;
    }
    let (from, runs) = (number(FROM).unwrap_or(1), number(RUNS).unwrap_or(runs));
    let begun = std::time::Instant::now();
    for seed in from..from.saturating_add(runs) {
        if let Err(wrong) = run(seed, &family.draw(seed), false) {
            panic!("{name}, run {}: {wrong}\nto see it: {SEED}={seed}", seed - from + 1);
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    // Tabs: `loom-tests/results.sh` makes a table of these lines.
    eprintln!("random-result\t{name}\t{runs}\t{seconds:.2}");
}

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
fn retire() {
    let family =
        Family { tick: (3, 10), lag: 3, acts: &[(3, Kind::Look), (4, Kind::Retire)], ..PLAIN };
    check("retire", 8_000, &family);
}

#[test]
fn retire_refund() {
    let family = Family {
        tick: (3, 16),
        lag: 2,
        acts: &[(3, Kind::Look), (3, Kind::Retire), (1, Kind::Kill), (4, Kind::Refund)],
        ..PLAIN
    };
    check("retire_refund", 4_000, &family);
}

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
        acts: &[(3, Kind::Look), (4, Kind::Retire), (1, Kind::Kill)],
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
    acts: &[(5, Kind::Look), (3, Kind::Refund), (1, Kind::Record), (1, Kind::Retire)],
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
fn alone_wrapping_counts() {
    let family = Family {
        index_bits: &[28, 29, 30],
        acts: &[(4, Kind::Look), (3, Kind::Refund), (3, Kind::Huge), (1, Kind::Kill)],
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
        jump: WRAPPING_GAP,
        acts: &[(4, Kind::Look), (3, Kind::Refund)],
        ..ALONE
    };
    check("alone_wrapping_all", 1_000, &family);
}
