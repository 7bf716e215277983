//! Threads that fall asleep, each at every point where it could: for races that take several
//! threads, each of which sleeps at one particular place, which chance would not find.
//!
//! A script says in which order threads run, and where each is woken again. How far it gets each
//! time, counted in accesses to memory, is varied: every combination is run. So a script stays good
//! when the code between the accesses, or their number, changes.

use crate::act::Act;
use crate::key::Layout;
use crate::memory::Pace;
use crate::run::{Planned, Shape, Turns, run};

struct Script {
    name: &'static str,
    layout: Layout,
    limit: u64,
    clock: u64,
    before: &'static [Act],
    /// What each thread calls, and how many ticks after `clock` its reading is.
    threads: Vec<(Act, u64)>,
    /// The threads that run, one after the other, until they fall asleep. Those with the same
    /// second number get equally far.
    order: &'static [(usize, usize)],
    /// The most accesses that a thread makes before it falls asleep. An addition makes about ten
    /// before it commits.
    furthest: usize,
}

impl Script {
    fn check(&self) {
        let distances = 1 + self.order.iter().map(|(_, distance)| *distance).max().expect("some");
        let combinations = self.furthest.pow(u32::try_from(distances).expect("few"));
        for combination in 0..combinations {
            let distance = |number: usize| {
                let place = self.furthest.pow(u32::try_from(number).expect("few"));
                1 + combination / place % self.furthest
            };
            let stops = self.order.iter().map(|(thread, number)| (*thread, distance(*number)));
            let shape = Shape {
                layout: self.layout,
                limit: self.limit,
                clock: self.clock,
                before: self
                    .before
                    .iter()
                    .map(|act| (0, Planned { act: *act, age: 0, later: 0 }))
                    .collect(),
                racing: self
                    .threads
                    .iter()
                    .map(|(act, later)| vec![Planned { act: *act, age: 0, later: *later }])
                    .collect(),
                pace: Pace { switch: 1, tick: 0, jump: 0, stale: 0 },
                turns: Turns::Told(stops.collect()),
            };
            if let Err(wrong) = run(0, &shape, false) {
                let _ = run(0, &shape, true);
                panic!("{}: {wrong}", self.name);
            }
        }
        eprintln!("random-result\tsleepers: {}\t{combinations}\t", self.name);
    }
}

/// Ticks of 7 bits: a quarter of their range is 32.
const NARROW: Layout = Layout::with_index_bits(4, 3);

#[test]
fn latest_is_raised_in_steps() {
    // Each reading is a quarter turn past the last, less one tick, and each of the first two threads
    // may sleep between raising `latest` and announcing its mark. The third is more than half a
    // turn past the newest mark.
    let script = Script {
        name: "`latest` raised in steps beside a mark",
        layout: NARROW,
        limit: 2,
        clock: 5_000,
        before: &[Act::Add(2)],
        threads: vec![(Act::Add(1), 31), (Act::Add(1), 62), (Act::Add(1), 93)],
        order: &[(1, 0), (2, 1), (3, 2)],
        furthest: 22,
    };
    script.check();
}

#[test]
fn latest_runs_away_from_an_announcement() {
    // The first two threads find the slot of a fresh window free and sleep; the third announces
    // a mark there and sleeps; the first two raise `latest` by a quarter turn each, and sleep. For the
    // fourth that mark is almost a whole turn old.
    let script = Script {
        name: "`latest` runs away from an announcement",
        layout: NARROW,
        limit: 2,
        clock: 5_000,
        // Turned away, by a window that is made for it.
        before: &[Act::Add(3)],
        threads: vec![(Act::Add(1), 31), (Act::Add(1), 62), (Act::Add(1), 0), (Act::Add(1), 93)],
        order: &[(1, 0), (2, 0), (3, 1), (1, 2), (2, 2), (4, 3)],
        furthest: 14,
    };
    script.check();
}

#[test]
fn a_refund_sleeps_for_half_a_turn() {
    // What it gives back has left the window long before it says so, and its tick looks later than
    // those of the marks that are there by then.
    for later in [60, 70, 90, 120] {
        let script = Script {
            name: "a refund sleeps for half a turn of the ticks",
            layout: NARROW,
            limit: 3,
            clock: 5_000,
            before: &[Act::Add(3)],
            threads: vec![(Act::Refund(2), 0), (Act::Add(1), later)],
            order: &[(1, 0), (2, 1)],
            furthest: 22,
        };
        script.check();
    }
}
