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

use crate::common::acts::{Act, KEYS, Plan, Side, Stale, plans};
use crate::common::ops::Count;
use crate::common::thinned::{Ask, Fate, HardFactor, Thinned};
use crate::common::thinned_provider::Told;
use crate::common::thinned_trial::Draws;
use crate::common::trial::{LATEST_NS, duration};
use crate::common::{Answer, Local, Model, Provider};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};
use trypema::{LocalRateLimiter, ManualClock, RateLimit};

const CASES: u32 = 10_000;
const HARD_FACTOR: HardFactor = HardFactor { over: 3, under: 2 };

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
}

struct Trial<'a> {
    plan: &'a Plan,
    limiter: LocalRateLimiter,
    clock: ManualClock,
    told: Arc<Told>,
    draws: Draws,
    absolute: Model,
    suppressed: Thinned,
    traces: BTreeMap<(Side, u8), Trace>,
    most: u64,
    met: Met,
}

impl<'a> Trial<'a> {
    fn run(plan: &'a Plan) -> Result<Met, TestCaseError> {
        let (window, most) = (Duration::from_millis(plan.grid.window_ms), Local::most(plan.grid));
        let (clock, told) = (ManualClock::new(), Arc::new(Told::default()));
        let refresh = window * plan.refresh / 8;
        let limiter = LocalRateLimiter::builder()
            .window(window)
            .bucket(Duration::from_millis(plan.grid.bucket_ms))
            .hard_limit_factor(HARD_FACTOR.as_f64())
            .suppression_refresh(refresh)
            .clock(clock.clone())
            .random(Arc::clone(&told))
            .build()
            .unwrap();
        let refresh_ns = u64::try_from(refresh.as_nanos()).unwrap();
        let mut trial = Self {
            plan,
            limiter,
            clock,
            told,
            draws: Draws::new(plan.seed),
            absolute: Model::new(plan.grid, most),
            suppressed: Thinned::new(plan.grid, HARD_FACTOR, refresh_ns, most),
            traces: BTreeMap::new(),
            most,
            met: Met::default(),
        };
        for (index, act) in plan.acts.iter().enumerate() {
            trial
                .perform(*act)
                .and_then(|()| trial.compare())
                .map_err(|error| TestCaseError::fail(format!("act {index}, {act:?}: {error}")))?;
        }
        Ok(trial.met)
    }

    fn perform(&mut self, act: Act) -> Result<(), TestCaseError> {
        match act {
            Act::Inc(side, key, rate, count) => {
                let count = self.count(rate, count);
                if self.ask(side, key, rate, count, true)? && count > 0 {
                    self.added(side, key);
                }
            }
            Act::IsAllowed(side, key, rate, count) => {
                self.ask(side, key, rate, self.count(rate, count), false)?;
            }
            Act::Record(side, key, count) => {
                let count = self.count(0, count);
                let recorded = match side {
                    Side::Absolute => {
                        self.absolute.record(key, count);
                        self.limiter.absolute().record(&name(key), count)
                    }
                    Side::Suppressed => {
                        self.suppressed.record(key, count);
                        self.limiter.suppressed().record(&name(key), count)
                    }
                };
                prop_assert!(recorded);
                if count > 0 {
                    self.added(side, key);
                }
            }
            Act::Refund(side, key, count) => {
                let count = self.count(0, count);
                let (given, expected) = match side {
                    Side::Absolute => (
                        self.limiter.absolute().refund(&name(key), count),
                        self.absolute.refund(key, count),
                    ),
                    Side::Suppressed => (
                        self.limiter.suppressed().refund(&name(key), count),
                        self.suppressed.refund(key, count),
                    ),
                };
                prop_assert_eq!(given, expected, "units refunded");
            }
            Act::Reset(side, key) => {
                let known = match side {
                    Side::Absolute => {
                        self.absolute.reset(key);
                        self.limiter.absolute().reset(&name(key))
                    }
                    Side::Suppressed => {
                        self.suppressed.reset(key);
                        self.limiter.suppressed().reset(&name(key))
                    }
                };
                match self.traces.remove(&(side, key)) {
                    None => prop_assert!(!known, "nothing was known of it"),
                    Some(trace) => prop_assert!(known || !trace.certain, "it was known"),
                }
            }
            Act::Clear => {
                self.limiter.clear();
                (0..KEYS).for_each(|key| _ = self.absolute.reset(key));
                self.suppressed.clear();
                self.traces.clear();
            }
            Act::Cleanup(stale) => self.cleanup(stale)?,
            Act::Advance(step) => {
                let expiries = |key| self.absolute.expiries(key).or(self.suppressed.expiries(key));
                let then_ns = step.resolve(self.plan.grid, self.now_ns(), expiries);
                if (self.now_ns()..LATEST_NS).contains(&then_ns) {
                    self.clock.set(duration(then_ns));
                    self.absolute.set_time(then_ns);
                    self.suppressed.set_time(then_ns);
                }
            }
            Act::SetBack(ms) => {
                let then_ns = self.now_ns().saturating_sub(u128::from(ms) * 1_000_000);
                self.clock.set(duration(then_ns));
            }
        }
        Ok(())
    }

    /// Asks both, and returns whether the call was admitted.
    fn ask(
        &mut self,
        side: Side,
        key: u8,
        rate: u8,
        count: u64,
        inc: bool,
    ) -> Result<bool, TestCaseError> {
        let (limit, capacity) = self.rate(rate);
        let (name, what) = (name(key), format!("{side:?} {inc} {key} {limit} {count}"));
        match side {
            Side::Absolute => {
                let handle = self.limiter.absolute();
                let (answer, expected) = if inc {
                    (handle.inc(&name, &limit, count), self.absolute.inc(key, capacity, count))
                } else {
                    let expected = self.absolute.is_allowed(key, capacity, count);
                    (handle.is_allowed(&name, &limit, count), expected)
                };
                prop_assert_eq!(Answer::from(answer), expected, "{}", what);
                Ok(expected == Answer::Allowed)
            }
            Side::Suppressed => {
                let per_second = limit.as_per_second();
                let mut ask = Ask { per_second, capacity, count, draw: self.draws.next() };
                ask.draw = clear_of(self.suppressed.zone_factor(key, per_second), ask.draw);
                self.told.next_is(ask.draw);
                let handle = self.limiter.suppressed();
                let (answer, expected) = if inc {
                    (handle.inc(&name, &limit, count), self.suppressed.inc(key, ask))
                } else {
                    let expected = self.suppressed.is_allowed(key, ask);
                    (handle.is_allowed(&name, &limit, count), expected)
                };
                prop_assert_eq!(Fate::from(answer), expected, "{}", what);
                let admitted =
                    matches!(expected, Fate::Allowed | Fate::Suppressed { is_allowed: true, .. });
                if inc && !admitted {
                    // A decline makes a state where there was none, but keeps none from going
                    // stale: that goes by admissions.
                    let now_ns = self.now_ns();
                    let begun = Trace { earliest_ns: now_ns, added_ns: now_ns, certain: true };
                    let trace = self.traces.entry((side, key)).or_insert(begun);
                    if !trace.certain {
                        *trace = Trace { earliest_ns: trace.earliest_ns, ..begun };
                    }
                }
                Ok(admitted)
            }
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
        let grid = self.plan.grid;
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
            // What was given back is gone, but its mark may stay until its time has come.
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
                && self.suppressed.keeps_perceived(key)
            {
                self.limiter.suppressed().reset(&name(key));
                self.suppressed.reset(key);
                self.traces.remove(&(Side::Suppressed, key));
            }
        }
    }

    /// Whether any units count on the key.
    fn counts(&self, side: Side, key: u8) -> bool {
        match side {
            Side::Absolute => self.absolute.usage(key) > 0,
            Side::Suppressed => self.suppressed.usage(key) != (0, 0),
        }
    }

    fn compare(&mut self) -> Result<(), TestCaseError> {
        for key in 0..KEYS {
            let name = name(key);
            let usage = self.limiter.suppressed().usage(&name);
            prop_assert_eq!((usage.admitted, usage.declined), self.suppressed.usage(key));
            prop_assert_eq!(self.limiter.absolute().usage(&name), self.absolute.usage(key));
        }
        let certain = self.traces.values().filter(|trace| trace.certain).count();
        let (len, held) = (self.limiter.len(), certain..=self.traces.len());
        prop_assert!(held.contains(&len), "{} keys held, not {:?}", len, held);
        prop_assert_eq!(self.limiter.is_empty(), len == 0);
        Ok(())
    }

    fn now_ns(&self) -> u128 {
        self.absolute.now_ns()
    }

    fn rate(&self, rate: u8) -> (RateLimit, Option<u64>) {
        self.plan.rates[usize::from(rate) % self.plan.rates.len()].resolve(self.plan.grid)
    }

    fn count(&self, rate: u8, count: Count) -> u64 {
        // Not to the brim of what a window can hold: that is what `suppressed.rs` tries.
        count.resolve(self.rate(rate).1.unwrap_or(9), self.most).min(1_000_000)
    }
}

/// A draw that rounding cannot put on the other side of the factor.
fn clear_of(factor: f64, draw: f64) -> f64 {
    match (draw - factor).abs() {
        near if near < 1e-9 && factor > 0.0 => (factor + 0.5) % 1.0,
        _ => draw,
    }
}

fn name(key: u8) -> String {
    format!("key {key}")
}

// proves (property): G1 G2 G3 G5 suppression
#[test]
fn cleanup_changes_no_answer() {
    let default = Config::default();
    let asked = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { CASES };
    let kept_in = FileFailurePersistence::Direct("tests/proptest-regressions/operations.txt");
    let mut runner = TestRunner::new(Config {
        cases: asked,
        failure_persistence: Some(Box::new(kept_in)),
        max_shrink_iters: 200_000,
        max_shrink_time: 120_000,
        ..default
    });
    let met = Cell::new(Met::default());
    let run = runner.run(&plans(), |plan| {
        let (case, sum) = (Trial::run(&plan)?, met.get());
        met.set(Met {
            removed: sum.removed + case.removed,
            kept: sum.kept + case.kept,
            unclear: sum.unclear + case.unclear,
            begun_afresh: sum.begun_afresh + case.begun_afresh,
        });
        Ok(())
    });
    if let Err(failure) = run {
        panic!("{failure}");
    }
    // A property whose cases never meet what it is about holds, and says nothing.
    let (met, cases) = (met.get(), u64::from(asked));
    if cases >= 100 {
        assert!(met.removed > 2 * cases && met.kept > 2 * cases, "{met:?}");
        assert!(met.begun_afresh > 2 * cases && met.unclear < met.removed, "{met:?}");
    }
}
