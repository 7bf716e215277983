//! Threads that fall asleep, each at every point where it could: for races that take several
//! threads, each of which sleeps at one particular place, which chance would not find.
//!
//! A script says in which order threads run, and where each is woken again. How far it gets each
//! time, counted in accesses to memory, is varied: every combination is run. So a script stays good
//! when the code between the accesses, or their number, changes.

// each proves: G1 G2

use std::time::Instant;

use crate::act::Act;
use crate::family::{fail, is_over, runs_asked_for};
use crate::memory::Pace;
use crate::run::{Planned, Shape, Turns, run};
use crate::size::Size;

struct Script {
    name: &'static str,
    size: Size,
    limit: u64,
    clock: u64,
    /// Calls of the set-up, each so many ticks after the last.
    before: &'static [(u64, Act)],
    /// The calls of each thread, and how many ticks after `clock` each reading is.
    threads: Vec<Vec<(Act, u64)>>,
    /// The threads that run, one after the other, until they fall asleep. Those with the same
    /// second number get equally far.
    order: &'static [(usize, usize)],
    /// The accesses that a thread makes before it falls asleep: at least and at most, for each of the
    /// second numbers of `order`. An addition makes about ten before it commits.
    naps: &'static [(usize, usize)],
    /// Whether calls take the fast path where there is one.
    fast_path: bool,
    /// How often each combination is run, and how many loads in a hundred may see an old value.
    repeats: u64,
    stale: u32,
}

/// Runs to its end, in the place of a number of an order.
const END: usize = usize::MAX;

impl Script {
    fn check(&self) {
        let begun = Instant::now();
        let runs = self.explore();
        report(self.name, runs, begun);
    }

    /// Returns how many runs that took: every combination, or so many at least, if the environment
    /// asks for fewer.
    fn explore(&self) -> u64 {
        let repeats = self.repeats.min(runs_asked_for().unwrap_or(self.repeats));
        let choices = |naps: &[(usize, usize)]| {
            naps.iter().map(|(least, most)| most - least + 1).product::<usize>()
        };
        let combinations = choices(self.naps);
        let asked_for = runs_asked_for().map_or(combinations, |runs| runs as usize);
        let step = (combinations / asked_for.max(1)).max(1);
        for combination in (0..combinations).step_by(step) {
            let distance = |number: usize| {
                if number == END {
                    return END;
                }
                let (least, _) = self.naps[number];
                let rest = combination / choices(&self.naps[..number]);
                least + rest % choices(&self.naps[number..=number])
            };
            let stops = self.order.iter().map(|(thread, number)| (*thread, distance(*number)));
            let shape = Shape {
                size: self.size,
                limit: self.limit,
                clock: self.clock,
                before: self
                    .before
                    .iter()
                    .map(|&(ticks, act)| (ticks, Planned { act, age: 0, later: 0 }))
                    .collect(),
                racing: self
                    .threads
                    .iter()
                    .map(|calls| calls.iter().map(|&(act, later)| Planned { act, age: 0, later }))
                    .map(Iterator::collect)
                    .collect(),
                pace: Pace { switch: 1, tick: 0, jump: 0, stale: self.stale },
                turns: Turns::Told(stops.collect()),
                fast_path: self.fast_path,
            };
            for seed in 0..repeats {
                if is_over() {
                    return 0;
                }
                if let Err(wrong) = run(seed, &shape, false) {
                    let _ = run(seed, &shape, true);
                    fail(&format!("{}: {wrong}", self.name));
                }
            }
        }
        combinations.div_ceil(step) as u64 * repeats
    }
}

/// Tabs: `loom-tests/results.sh` makes a table of these lines.
fn report(name: &str, runs: u64, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("random-result\tsleepers: {name}\t{runs}\t{seconds:.2}");
}

/// Ticks of 7 bits: a quarter of their range is 32.
const NARROW: Size = Size { index_bits: 4, span: 3 };

/// Ticks that never wrap within usage.
const WIDE: Size = Size { index_bits: 12, span: 6 };

#[test]
fn latest_is_raised_in_steps() {
    // Each reading is a quarter turn past the last, less one tick, and each of the first two threads
    // may sleep between raising `latest` and announcing its mark. The third is more than half a
    // turn past the newest mark.
    let script = Script {
        name: "`latest` raised in steps beside a mark",
        size: NARROW,
        limit: 2,
        clock: 5_000,
        before: &[(0, Act::Add(2))],
        threads: vec![vec![(Act::Add(1), 31)], vec![(Act::Add(1), 62)], vec![(Act::Add(1), 93)]],
        order: &[(1, 0), (2, 1), (3, 2)],
        naps: &[(1, 22); 3],
        fast_path: false,
        repeats: 1,
        stale: 0,
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
        size: NARROW,
        limit: 2,
        clock: 5_000,
        // Rejected, by a window that is made for it.
        before: &[(0, Act::Add(3))],
        threads: vec![
            vec![(Act::Add(1), 31)],
            vec![(Act::Add(1), 62)],
            vec![(Act::Add(1), 0)],
            vec![(Act::Add(1), 93)],
        ],
        order: &[(1, 0), (2, 0), (3, 1), (1, 2), (2, 2), (4, 3)],
        naps: &[(1, 12); 4],
        fast_path: false,
        repeats: 1,
        stale: 0,
    };
    script.check();
}

#[test]
fn a_refund_sleeps_for_half_a_turn() {
    // The units that it gives back have left the window long before it says so, and their tick looks later
    // than those of the marks that are there by then.
    for later in [60, 70, 90, 120] {
        let script = Script {
            name: "a refund sleeps for half a turn of the ticks",
            size: NARROW,
            limit: 3,
            clock: 5_000,
            before: &[(0, Act::Add(3))],
            threads: vec![vec![(Act::Refund(2), 0)], vec![(Act::Add(1), later)]],
            order: &[(1, 0), (2, 1)],
            naps: &[(1, 22); 2],
            fast_path: false,
            repeats: 1,
            stale: 0,
        };
        script.check();
    }
}

#[test]
fn latest_goes_round_beside_a_look() {
    // The look has read the state of before, and finds a `latest` that is almost a turn of the ticks
    // past its mark. If it may see that and yet the old state again, it places the mark wrongly.
    let script = Script {
        name: "`latest` goes round beside a look",
        size: NARROW,
        limit: 2,
        clock: 5_000,
        before: &[(0, Act::Add(2))],
        threads: vec![
            vec![(Act::Peek(1), 1)],
            [28, 56, 84, 104].map(|later| (Act::Add(1), later)).to_vec(),
        ],
        order: &[(1, 0), (2, END)],
        naps: &[(1, 10)],
        fast_path: false,
        repeats: 2_000,
        stale: 40,
    };
    script.check();
}

#[test]
fn a_note_is_of_its_own_half_turn() {
    // A note is kept for the tick that `latest` tells, too. Half a turn of the ticks later it looks
    // as if it were of that tick.
    let script = Script {
        name: "a note is of its own half turn",
        size: NARROW,
        limit: 5,
        clock: 5_000,
        before: &[
            (0, Act::Add(1)),
            (1, Act::Add(1)),
            (1, Act::Add(1)),
            (20, Act::Add(1)),
            (0, Act::Add(1)),
        ],
        threads: vec![vec![(Act::Add(1), 64)], vec![(Act::Insist(1), 65)]],
        order: &[(1, 0)],
        naps: &[(1, 2)],
        fast_path: true,
        repeats: 1,
        stale: 0,
    };
    script.check();
}

#[test]
fn a_turn_of_the_ticks_beside_a_glance() {
    // The first reads its clock a whole turn of the ticks after the mark that it sees. If a `latest`
    // of that time could go with the old state, the mark would look new.
    let script = Script {
        name: "a turn of the ticks beside a fast_path",
        size: NARROW,
        limit: 2,
        clock: 5_000,
        before: &[(0, Act::Add(2))],
        threads: vec![
            vec![(Act::Insist(1), 128)],
            [28, 56, 84, 112].map(|later| (Act::Add(1), later)).to_vec(),
        ],
        order: &[(1, 0), (2, END)],
        naps: &[(1, 10)],
        fast_path: true,
        repeats: 2_000,
        stale: 40,
    };
    script.check();
}

#[test]
fn a_full_state_beside_exchanges() {
    // Six marks are too many for a ring of four. The other thread has it grow, and shrink to four again: the
    // thread that has read the state of six must not take the new ring for that one, and exchange it, too.
    const ONE: Act = Act::Add(1);
    let script = Script {
        name: "a full state beside growth and shrinking",
        size: WIDE,
        limit: 100,
        clock: 5_000,
        before: &[(0, ONE), (1, ONE), (1, ONE), (1, ONE), (1, ONE), (1, ONE)],
        threads: vec![vec![(ONE, 35)], [1, 17, 34, 35].map(|later| (ONE, later)).to_vec()],
        order: &[(1, 0), (2, END)],
        naps: &[(1, 22)],
        fast_path: false,
        repeats: 1,
        stale: 0,
    };
    script.check();
}

#[test]
fn a_head_comes_late() {
    // The first thread commits a mark with which the oldest leaves, and sleeps before it puts the head into
    // the note. Others leave meanwhile. The head that it puts there then must not be taken for that of now.
    const ONE: Act = Act::Add(1);
    let script = Script {
        name: "a head comes late",
        size: WIDE,
        limit: 3,
        clock: 5_000,
        before: &[(0, ONE), (1, ONE), (1, ONE)],
        threads: vec![
            vec![(ONE, 4), (Act::Insist(1), 6)],
            vec![(ONE, 5), (ONE, 6), (Act::Insist(1), 7)],
        ],
        order: &[(1, 0), (2, 1), (1, 2), (2, END)],
        naps: &[(1, 26), (1, 40), (1, 6)],
        fast_path: true,
        repeats: 1,
        stale: 0,
    };
    script.check();
}

#[test]
fn marks_are_copied_late() {
    // The first thread is about to copy two marks to a ring of four, and sleeps. The others go round the ring.
    // If it still copies then, it does so over later marks.
    const ONE: Act = Act::Add(1);
    for fast_path in [false, true] {
        let script = Script {
            name: "marks are copied late",
            size: WIDE,
            limit: 4,
            clock: 5_000,
            before: &[(0, ONE), (1, ONE), (1, ONE), (1, ONE)],
            threads: vec![
                vec![(ONE, 1)],
                [2, 4, 6, 8, 10, 12, 14, 15, 16, 17, 18].map(|later| (ONE, later)).to_vec(),
            ],
            order: &[(1, 0), (2, 1), (1, END), (2, END)],
            naps: &[(1, 30), (40, 140)],
            fast_path,
            repeats: 1,
            stale: 0,
        };
        script.check();
    }
}

#[test]
fn a_displaced_mark_is_in_another_ring() {
    // The look has found a ring that is too small. The second thread exchanges it, copies two marks, and
    // announces another in the slot of the first of them. The look must find that one in the new ring.
    const ONE: Act = Act::Add(1);
    let script = Script {
        name: "a displaced mark is in another ring",
        size: WIDE,
        limit: 6,
        clock: 5_000,
        before: &[(0, ONE), (1, ONE), (1, ONE), (1, ONE), (1, ONE), (1, ONE)],
        threads: vec![vec![(Act::Peek(5), 0)], vec![(ONE, 1)]],
        order: &[(1, 0), (2, 1), (1, END), (2, END)],
        naps: &[(1, 20), (1, 60)],
        fast_path: false,
        repeats: 1,
        stale: 0,
    };
    script.check();
}

#[test]
fn a_note_outlives_a_restart() {
    // A note is kept, and half a turn of the ticks later, where a note's tick looks the same, one
    // thread restarts the window and sleeps. The other must not take the note for one of now.
    let script = Script {
        name: "a note outlives a restart",
        size: NARROW,
        limit: 5,
        clock: 5_000,
        before: &[(0, Act::Add(1)), (1, Act::Add(1)), (1, Act::Add(1)), (0, Act::Add(1))],
        threads: vec![vec![(Act::Add(1), 64)], vec![(Act::Insist(1), 64)]],
        order: &[(1, 0), (2, END)],
        naps: &[(1, 40)],
        fast_path: true,
        repeats: 1,
        stale: 0,
    };
    script.check();
}

// proves: G4
#[test]
fn a_thread_stopped_anywhere_stops_nobody() {
    // A call that waits for the thread that sleeps would never end, and that fails a run.
    const NAME: &str = "a thread stops anywhere, another does everything";
    const ONE: Act = Act::Add(1);
    let (huge, idle) = (Act::Record(u64::MAX), Act::Idle(2));
    let acts =
        [ONE, huge, Act::Peek(1), Act::Refund(2), Act::Usage, idle, Act::Retire(0), Act::Kill];
    let (begun, mut runs) = (Instant::now(), 0);
    for (act, later) in acts.into_iter().flat_map(|act| [0, 1, 7, 40].map(|later| (act, later))) {
        for fast_path in [false, true] {
            let script = Script {
                name: NAME,
                size: NARROW,
                limit: 3,
                clock: 5_000,
                before: &[(0, ONE), (1, ONE), (1, ONE)],
                threads: vec![
                    vec![(act, later)],
                    acts.into_iter()
                        .chain([ONE; 4])
                        .zip([0, 0, 1, 1, 2, 3, 8, 20, 20, 21, 22, 60])
                        .collect(),
                ],
                order: &[(1, 0), (2, END)],
                naps: &[(1, 30)],
                fast_path,
                repeats: 2,
                stale: 20,
            };
            runs += script.explore();
        }
    }
    report(NAME, runs, begun);
}
