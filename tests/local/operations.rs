//! Everything that can be done to a limiter, both strategies together, on many keys, with cleanup
//! at any time. The models know nothing of cleanup: it may never change an answer, only `len`.
//!
//! `PROPTEST_CASES` is the number of cases. Cases that have failed are kept in
//! `tests/proptest-regressions/` and are run again first. For cleanup against real threads see
//! `sweeping.rs`.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use trypema::{LocalRateLimiter, ManualClock};

use crate::common::check::{asked_for, check};
use crate::common::draws::Told;
use crate::common::ops::{Case, Count, Op, Stale};
use crate::common::plans::{Act, KEYS, plans};
use crate::common::provider::{ANY, Side, in_process};
use crate::common::trial::{LATEST_NS, Trial, duration};
use crate::common::{LocalAbsolute, LocalSuppressed};

const CASES: u32 = 10_000;

/// Whether there is state for a key that was added to at this time, as far as is certain: removal
/// goes by buckets, so near the edge it may go either way.
#[derive(Debug, Clone, Copy)]
struct Trace {
    /// When it was added to last; or, where it may have been removed and begun afresh since, what
    /// its first state says of that, and what its second does.
    earliest_ns: u128,
    added_ns: u128,
    certain: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Met {
    removed: u64,
    kept: u64,
    unclear: u64,
    begun_afresh: u64,
    undone: u64,
}

/// Both strategies of a limiter.
struct Both<'a> {
    case: &'a Case<Act>,
    limiter: LocalRateLimiter,
    clock: ManualClock,
    absolute: Trial<LocalAbsolute>,
    suppressed: Trial<LocalSuppressed>,
    traces: BTreeMap<(Side, u8), Trace>,
    met: Met,
}

/// The same call of either trial.
macro_rules! of {
    ($both:expr, $side:expr, $trial:ident => $call:expr) => {
        match $side {
            Side::Absolute => {
                let $trial = &mut $both.absolute;
                $call
            }
            Side::Suppressed => {
                let $trial = &mut $both.suppressed;
                $call
            }
        }
    };
}

impl<'a> Both<'a> {
    fn run(case: &'a Case<Act>) -> Result<Met, TestCaseError> {
        let told = Arc::new(Told::default());
        let (limiter, clock) = in_process(case.settings(), Arc::clone(&told));
        let (of_absolute, of_suppressed) = (limiter.clone(), limiter.clone());
        let absolute = LocalAbsolute { limiter: of_absolute, clock: clock.clone(), any: ANY };
        let suppressed = LocalSuppressed { limiter: of_suppressed, clock: clock.clone(), any: ANY };
        let mut both = Self {
            case,
            limiter,
            clock,
            absolute: Trial::new(absolute, Arc::clone(&told), case),
            suppressed: Trial::new(suppressed, told, case),
            traces: BTreeMap::new(),
            met: Met::default(),
        };
        for (index, act) in case.ops.iter().enumerate() {
            both.perform(*act)
                .and_then(|()| both.compare())
                .map_err(|error| TestCaseError::fail(format!("act {index}, {act:?}: {error}")))?;
        }
        let undone = both.absolute.tally.times("undone") + both.suppressed.tally.times("undone");
        Ok(Met { undone, ..both.met })
    }

    fn perform(&mut self, (side, op): Act) -> Result<(), TestCaseError> {
        match op {
            Op::Inc { key, rate, count } => {
                let count = self.count(rate, count);
                let answer = of!(self, side, trial => trial.inc(key, rate, count))?;
                if count > 0 && answer.is_allowed() {
                    self.added(side, key);
                } else if side == Side::Suppressed && !answer.is_allowed() {
                    self.declined(key);
                }
            }
            Op::IsAllowed { key, rate, count } => {
                let count = self.count(rate, count);
                of!(self, side, trial => trial.is_allowed(key, rate, count))?;
            }
            Op::Record { key, count } => {
                let count = self.count(0, count);
                of!(self, side, trial => trial.record(key, count))?;
                if count > 0 {
                    self.added(side, key);
                }
            }
            Op::Refund { key, count } => {
                let count = self.count(0, count);
                of!(self, side, trial => trial.refund(key, count))?;
            }
            Op::Undo { key, back, count } => {
                let count = self.count(0, count);
                of!(self, side, trial => trial.undo(key, back, count))?;
            }
            Op::Reset { key } => {
                let known = self.reset(side, key);
                match self.traces.remove(&(side, key)) {
                    None => prop_assert!(!known, "nothing was known of it"),
                    Some(trace) => prop_assert!(known || !trace.certain, "it was known"),
                }
            }
            Op::Clear => {
                self.limiter.clear();
                self.absolute.model.clear();
                self.suppressed.model.clear();
                for key in 0..KEYS {
                    self.absolute.admissions.begun_afresh(key);
                    self.suppressed.admissions.begun_afresh(key);
                }
                self.traces.clear();
            }
            Op::Cleanup(stale) => self.cleanup(stale)?,
            Op::Advance(step) => {
                let (absolute, suppressed) = (&self.absolute.model, &self.suppressed.model);
                let expiries = |key| absolute.expiries(key).or(suppressed.expiries(key));
                let then_ns = step.resolve(self.case.grid, self.now_ns(), expiries);
                if then_ns < LATEST_NS {
                    self.absolute.go_to(then_ns);
                    self.suppressed.go_to(then_ns);
                }
            }
            Op::SetBack(ms) => {
                let then_ns = self.now_ns().saturating_sub(u128::from(ms) * 1_000_000);
                self.clock.set(duration(then_ns));
            }
            other @ (Op::IncPatiently { .. } | Op::Spread { .. }) => {
                unreachable!("{other:?} is for one strategy")
            }
        }
        Ok(())
    }

    /// Whether the limiter knew the key.
    fn reset(&mut self, side: Side, key: u8) -> bool {
        of!(self, side, trial => {
            trial.model.reset(key);
            trial.reset(key)
        })
    }

    /// A decline makes a state where there was none, but keeps none from going stale: that goes by
    /// admissions.
    fn declined(&mut self, key: u8) {
        let now_ns = self.now_ns();
        let begun = Trace { earliest_ns: now_ns, added_ns: now_ns, certain: true };
        let trace = self.traces.entry((Side::Suppressed, key)).or_insert(begun);
        if !trace.certain {
            *trace = Trace { earliest_ns: trace.earliest_ns, ..begun };
        }
    }

    fn added(&mut self, side: Side, key: u8) {
        let now_ns = self.now_ns();
        let trace = Trace { earliest_ns: now_ns, added_ns: now_ns, certain: true };
        if self.traces.insert((side, key), trace).is_none_or(|trace| !trace.certain) {
            self.met.begun_afresh += 1;
        }
    }

    fn cleanup(&mut self, stale: Stale) -> Result<(), TestCaseError> {
        let grid = self.case.grid;
        let (window, bucket_ns) =
            (Duration::from_millis(grid.window_ms), u128::from(grid.bucket_ms) * 1_000_000);
        let stale_after = match stale {
            Stale::Zero => Duration::ZERO,
            Stale::Millis(ms) => Duration::from_millis(ms),
            Stale::Windows(eighths) => window * u32::from(eighths) / 8,
            Stale::Forever => Duration::MAX,
        };
        let stale_ns = stale_after.as_nanos();
        let held_ns = window.as_nanos().next_multiple_of(bucket_ns);
        let (mut certain, mut possible) = (0, 0);
        let now_ns = self.now_ns();
        let mut traces = std::mem::take(&mut self.traces);
        traces.retain(|&(side, key), trace| {
            let idle_ns = now_ns - trace.added_ns;
            // Units given back are gone, but their mark may stay until its time has come.
            let gone = idle_ns >= held_ns + bucket_ns;
            let longest_idle_ns = now_ns - trace.earliest_ns;
            if self.counts(side, key) || longest_idle_ns.saturating_add(bucket_ns) < stale_ns {
                self.met.kept += 1;
            } else if gone && idle_ns >= stale_ns.saturating_add(bucket_ns) {
                self.met.removed += 1;
                (certain, possible) =
                    (certain + usize::from(trace.certain), possible + usize::from(!trace.certain));
                return false;
            } else {
                self.met.unclear += 1;
                possible += 1;
                trace.certain = false;
                // If it is begun afresh within the tick, its bucket is another.
                of!(self, side, trial => trial.admissions.forget(key));
            }
            true
        });
        self.traces = traces;
        let before = self.limiter.len();
        let removed = self.limiter.cleanup(stale_after);
        let expected = certain..=certain + possible;
        prop_assert!(expected.contains(&removed), "{} removed, not {:?}", removed, expected);
        prop_assert_eq!(self.limiter.len(), before - removed, "keys held afterwards");
        self.settle_given_back();
        Ok(())
    }

    /// A key that was given back all that counted on it may be forgotten while its perceived rate
    /// would still have been used. Whether it was is not part of the contract: it begins afresh.
    fn settle_given_back(&mut self) {
        for key in 0..KEYS {
            let uncertain = |trace: Option<&Trace>| trace.is_some_and(|trace| !trace.certain);
            if uncertain(self.traces.get(&(Side::Suppressed, key)))
                && !self.counts(Side::Suppressed, key)
                && self.suppressed.model.keeps_perceived(key)
            {
                self.reset(Side::Suppressed, key);
                self.traces.remove(&(Side::Suppressed, key));
            }
        }
    }

    /// Whether any units count on the key.
    fn counts(&self, side: Side, key: u8) -> bool {
        let counts = match side {
            Side::Absolute => self.absolute.model.counts(key),
            Side::Suppressed => self.suppressed.model.counts(key),
        };
        counts != (0, 0)
    }

    fn compare(&mut self) -> Result<(), TestCaseError> {
        for key in 0..KEYS {
            self.suppressed.compare_key(key)?;
            self.absolute.compare_key(key)?;
        }
        let certain = self.traces.values().filter(|trace| trace.certain).count();
        let (len, held) = (self.limiter.len(), certain..=self.traces.len());
        prop_assert!(held.contains(&len), "{} keys held, not {:?}", len, held);
        prop_assert_eq!(self.limiter.is_empty(), len == 0);
        Ok(())
    }

    fn now_ns(&self) -> u128 {
        self.absolute.model.now_ns()
    }

    fn count(&self, rate: u8, count: Count) -> u64 {
        // Not to the brim of what a window can hold: that is what `agreement.rs` tries.
        self.absolute.count_or(9, rate, count).min(1_000_000)
    }
}

// proves (property): G1 G2 G3 G5 suppression
#[test]
fn cleanup_changes_no_answer() {
    let met = Cell::new(Met::default());
    let kept_in = "tests/proptest-regressions/operations.txt";
    let cases = check(asked_for(CASES), kept_in, 200_000, &plans(), |case| {
        let (case, sum) = (Both::run(case)?, met.get());
        met.set(Met {
            removed: sum.removed + case.removed,
            kept: sum.kept + case.kept,
            unclear: sum.unclear + case.unclear,
            begun_afresh: sum.begun_afresh + case.begun_afresh,
            undone: sum.undone + case.undone,
        });
        Ok(())
    });
    // A property whose cases never meet what it is about holds, and says nothing.
    let met = met.get();
    if cases >= 100 {
        assert!(met.removed > 2 * cases && met.kept > 2 * cases, "{met:?}");
        assert!(met.begun_afresh > 2 * cases && met.unclear < met.removed, "{met:?}");
        assert!(met.undone > cases / 2, "{met:?}");
    }
}
