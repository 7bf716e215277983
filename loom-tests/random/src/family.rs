//! A family of runs: what they have in common, and how a seed draws one of them.

// each proves: G1 G3

use std::env::{self, VarError};
use std::sync::atomic::{AtomicBool, Ordering};

use fastrand::Rng;

use crate::act::Act;
use crate::memory::Pace;
use crate::run::{Planned, Shape, Turns, run};
use crate::size::Size;

const RUNS: &str = "TRYPEMA_RANDOM_RUNS";
const SEED: &str = "TRYPEMA_RANDOM_SEED";
const FROM: &str = "TRYPEMA_RANDOM_FROM";
const FAIL_FAST: &str = "TRYPEMA_RANDOM_FAIL_FAST";

/// The calls besides `Add`, and how often in 20.
pub(crate) type Acts = &'static [(u32, Kind)];

/// The settings that the runs of a family share. Numbers are bounds, which a run draws below.
#[derive(Clone, Copy)]
pub(crate) struct Family {
    /// Bits of a mark's index, one of these: few make ticks wrap early, many make counts wrap.
    pub(crate) index_bits: &'static [u32],
    pub(crate) spans: (u64, u64),
    pub(crate) limit: u64,
    pub(crate) threads: usize,
    pub(crate) calls: usize,
    pub(crate) before: usize,
    /// While racing, one access in so many takes a tick, or up to `jump` ticks.
    pub(crate) tick: (u32, u32),
    pub(crate) jump: u64,
    /// In the set-up: one call in eight comes up to so many ticks after the last.
    pub(crate) gap: u64,
    /// Clock readings are up to so many ticks old.
    pub(crate) lag: u64,
    /// And one in eight up to so many.
    pub(crate) ancient: u64,
    pub(crate) clock: u64,
    pub(crate) acts: Acts,
    /// The same for threads that race, if that is something else.
    pub(crate) racing_acts: Option<Acts>,
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Look,
    Refund,
    Undo,
    Record,
    /// Records of nearly all that a window can hold, and more.
    Huge,
    Retire,
    HoldUp,
    Kill,
    Insist,
}

impl Family {
    fn draw(&self, seed: u64) -> Shape {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let span = rng.u64(self.spans.0..=self.spans.1);
        let index_bits = self.index_bits[rng.usize(..self.index_bits.len())];
        let size = Size { index_bits, span };
        let limit = rng.u64(1..=self.limit).min(size.most());
        let planned = |rng: &mut Rng, acts| self.planned(rng, acts, size, limit);
        let before = (0..rng.usize(..=self.before))
            .map(|_| {
                let ticks = match rng.u32(0..16) {
                    0..8 => 0,
                    8..14 => 1,
                    _ => rng.u64(0..=self.gap),
                };
                (ticks, planned(rng, self.acts))
            })
            .collect();
        let racing = self.racing_acts.unwrap_or(self.acts);
        let threads = rng.usize(self.threads.min(2)..=self.threads);
        let racing = (0..threads)
            .map(|_| (0..rng.usize(1..=self.calls)).map(|_| planned(rng, racing)).collect())
            .collect();
        let pace = Pace {
            switch: rng.u32(1..8),
            tick: rng.u32(self.tick.0..=self.tick.1),
            jump: self.jump,
            stale: if rng.bool() { rng.u32(5..50) } else { 0 },
        };
        Shape {
            size,
            limit,
            clock: self.clock,
            before,
            racing,
            pace,
            turns: Turns::Random,
            // Every second run: what is behind it is to be seen, too.
            fast_path: seed.is_multiple_of(2),
        }
    }

    fn planned(&self, rng: &mut Rng, acts: Acts, size: Size, limit: u64) -> Planned {
        let age = match rng.u32(0..8) {
            0 if self.ancient > 0 => rng.u64(0..self.ancient),
            1..4 => rng.u64(0..self.lag),
            _ => 0,
        };
        Planned { act: some_act(rng, acts, size, limit), age, later: 0 }
    }
}

fn some_act(rng: &mut Rng, acts: Acts, size: Size, limit: u64) -> Act {
    let some = rng.u64(1..=limit.min(4));
    let mut left = rng.u32(0..20);
    for &(weight, kind) in acts {
        if left >= weight {
            left -= weight;
            continue;
        }
        return match kind {
            Kind::Look => match rng.u32(0..8) {
                0..4 => Act::Peek(some),
                4 => Act::Idle(rng.u64(0..2 * size.span)),
                5 => Act::Recent(rng.u64(1..=size.span)),
                _ => Act::Usage,
            },
            Kind::Refund => Act::Refund(if rng.u32(0..6) == 0 { u64::MAX } else { rng.u64(0..6) }),
            Kind::Undo => {
                let count = if rng.u32(0..6) == 0 { u64::MAX } else { rng.u64(0..4) };
                Act::Undo(rng.usize(0..4), count)
            }
            Kind::Record => Act::Record(some),
            Kind::Huge => Act::Record(match rng.u32(0..5) {
                0 => u64::MAX,
                1 => size.most(),
                2 => size.most() - rng.u64(0..4),
                3 => size.most() / 2,
                _ => rng.u64(1..=size.most()),
            }),
            Kind::Retire => Act::Retire(rng.u64(0..size.span)),
            Kind::HoldUp => Act::HoldUp,
            Kind::Kill => Act::Kill,
            Kind::Insist => Act::Insist(some),
        };
    }
    // More than the limit now and then: that never fits.
    let count = if rng.u32(0..40) == 0 { limit + 1 } else { some };
    if rng.u32(0..4) == 0 { Act::Insist(count) } else { Act::Add(count) }
}

/// Whether some check has failed, and the environment says that this ends the others.
static IS_OVER: AtomicBool = AtomicBool::new(false);

pub(crate) fn is_over() -> bool {
    // Relaxed: nothing is read through it.
    IS_OVER.load(Ordering::Relaxed)
}

/// Fails, and ends the other checks if the environment says so.
pub(crate) fn fail(message: &str) -> ! {
    // Relaxed: as above.
    IS_OVER.store(env::var_os(FAIL_FAST).is_some(), Ordering::Relaxed);
    panic!("{message}");
}

/// How many runs are asked for, if the environment says so.
pub(crate) fn runs_asked_for() -> Option<u64> {
    number(RUNS)
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
pub(crate) fn check(name: &str, runs: u64, family: &Family) {
    if let Some(seed) = number(SEED) {
        let outcome = run(seed, &family.draw(seed), true);
        eprintln!("{name}, seed {seed}: {outcome:?}");
        assert_eq!(outcome, Ok(()));
        return;
    }
    let (from, runs) = (number(FROM).unwrap_or(1), runs_asked_for().unwrap_or(runs));
    let begun = std::time::Instant::now();
    for seed in from..from.saturating_add(runs) {
        if is_over() {
            return;
        }
        if let Err(wrong) = run(seed, &family.draw(seed), false) {
            fail(&format!("{name}, run {}: {wrong}\nto see it: {SEED}={seed}", seed - from + 1));
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    // Tabs: `loom-tests/results.sh` makes a table of these lines.
    eprintln!("random-result\t{name}\t{runs}\t{seconds:.2}");
}
