//! Suppressed, provider and model side by side: the same operations, and the same draws.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use trypema::RateLimit;

use super::Case;
use super::ops::{self, Count, Op, Step};
use super::thinned::{Ask, Fate, HardFactor, Thinned, same_factor};
use super::thinned_provider::{Settings, ThinnedProvider, Told};
use super::trial::duration;

/// A case, and what else Suppressed depends on.
#[derive(Clone)]
pub(crate) struct ThinnedCase {
    pub(crate) case: Case,
    pub(crate) hard_factor: HardFactor,
    pub(crate) refresh: Refresh,
    /// Draws follow from it.
    pub(crate) seed: u64,
}

impl fmt::Debug for ThinnedCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { case, hard_factor, refresh, seed } = self;
        write!(f, "{hard_factor:?}, {refresh:?}, seed: {seed}, {case:?}")
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Refresh {
    Nanos(u64),
    /// So many eighths of the window.
    Windows(u8),
}

impl ThinnedCase {
    pub(crate) fn settings(&self) -> Settings {
        let Self { hard_factor, refresh, case: Case { grid, .. }, .. } = *self;
        let refresh = match refresh {
            Refresh::Nanos(nanos) => Duration::from_nanos(nanos),
            Refresh::Windows(eighths) => {
                Duration::from_millis(grid.window_ms) * u32::from(eighths) / 8
            }
        };
        Settings { grid, hard_factor, refresh }
    }

    pub(crate) fn draws(&self) -> Draws {
        Draws::new(self.seed)
    }
}

/// Draws without pattern (Steele, Lea and Flood's SplitMix64), one in eight at an end of the range.
#[derive(Debug, Clone)]
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let mixed = mixed ^ (mixed >> 31);
        match mixed % 16 {
            0 => 0.0,
            1 => 1.0 - f64::EPSILON / 2.0,
            _ => (mixed >> 11) as f64 / (1_u64 << 53) as f64,
        }
    }
}

pub(crate) fn thin(cases: impl Strategy<Value = Case>) -> impl Strategy<Value = ThinnedCase> {
    let refresh = prop_oneof![
        2 => Just(Refresh::Nanos(0)),
        4 => Just(Refresh::Nanos(100_000_000)),
        1 => (1..=2_000_000_000_u64).prop_map(Refresh::Nanos),
        2 => (1..=24_u8).prop_map(Refresh::Windows),
        1 => Just(Refresh::Nanos(u64::MAX)),
    ];
    let fraction = |over, under| HardFactor { over, under };
    let hard_factor = prop_oneof![
        1 => Just(HardFactor::NONE),
        4 => Just(fraction(3, 2)),
        4 => (11..=30_u64).prop_map(move |tenths| fraction(tenths, 10)),
        2 => (1..=64_u64).prop_map(move |whole| fraction(whole, 1)),
        1 => (65..=128_u64).prop_map(move |parts| fraction(parts, 64)),
        1 => Just(fraction(1 << 60, 1)),
    ];
    (cases, hard_factor, refresh, any::<u64>()).prop_map(|(case, hard_factor, refresh, seed)| {
        ThinnedCase { case, hard_factor, refresh, seed }
    })
}

/// What a run met with, so that a property can tell whether its cases were worth running.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) allowed: u64,
    pub(crate) let_through: u64,
    pub(crate) thinned_out: u64,
    pub(crate) above_hard: u64,
    pub(crate) by_kept_rate: u64,
    pub(crate) refunds: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.allowed += other.allowed;
        self.let_through += other.let_through;
        self.thinned_out += other.thinned_out;
        self.above_hard += other.above_hard;
        self.by_kept_rate += other.by_kept_rate;
        self.refunds += other.refunds;
    }
}

pub(crate) struct ThinnedTrial<'a, P> {
    provider: P,
    model: Thinned,
    told: Arc<Told>,
    draws: Draws,
    most: u64,
    case: &'a Case,
    rates: Vec<(RateLimit, Option<u64>)>,
    tally: Tally,
}

impl<'a, P: ThinnedProvider> ThinnedTrial<'a, P> {
    /// Runs all of the case, and fails where provider and model differ.
    pub(crate) fn run(thinned: &'a ThinnedCase) -> Result<Tally, TestCaseError> {
        let (settings, case) = (thinned.settings(), &thinned.case);
        let most = P::most(case.grid);
        let refresh_ns = u64::try_from(settings.refresh.as_nanos()).unwrap_or(u64::MAX);
        let told = Arc::new(Told::default());
        let mut trial = Self {
            provider: P::start(settings, Arc::clone(&told)),
            model: Thinned::new(case.grid, settings.hard_factor, refresh_ns, most),
            told,
            draws: thinned.draws(),
            most,
            case,
            rates: case.rates.iter().map(|rate| rate.resolve(case.grid)).collect(),
            tally: Tally::default(),
        };
        trial.go_to(case.start_ns.into());
        for (index, op) in case.ops.iter().enumerate() {
            let started_ns = trial.model.now_ns();
            trial.apply(*op).and_then(|()| trial.compare_keys()).map_err(|error| {
                TestCaseError::fail(format!(
                    "op {index}, {op:?}, begun at {started_ns} ns: {error}"
                ))
            })?;
        }
        Ok(trial.tally)
    }

    fn apply(&mut self, op: Op) -> Result<(), TestCaseError> {
        match op {
            // Suppressed gives no hint to be patient by.
            Op::Inc { key, rate, count } | Op::IncPatiently { key, rate, count } => {
                self.inc(self.key(key), rate, self.count(rate, count))?;
            }
            Op::IsAllowed { key, rate, count } => {
                self.is_allowed(self.key(key), rate, self.count(rate, count))?;
            }
            Op::Spread { key, rate, count, buckets } => {
                for _ in 0..buckets {
                    self.inc(self.key(key), rate, self.count(rate, count))?;
                    self.advance(Step::Edge { buckets: 1, off_ns: 0 });
                }
            }
            Op::Advance(step) => self.advance(step),
            Op::Record { key, count } => {
                let (key, count) = (self.key(key), self.count(0, count));
                prop_assert!(self.provider.record(key, count), "room for a new key");
                self.model.record(key, count);
            }
            Op::Refund { key, count } => {
                let (key, count) = (self.key(key), self.count(0, count));
                let expected = self.model.refund(key, count);
                self.tally.refunds += u64::from(expected > 0);
                prop_assert_eq!(self.provider.refund(key, count), expected, "units refunded");
            }
            Op::Reset { key } => {
                let key = self.key(key);
                prop_assert_eq!(self.provider.reset(key), self.model.reset(key), "known to reset");
            }
        }
        Ok(())
    }

    fn inc(&mut self, key: u8, rate: u8, count: u64) -> Result<(), TestCaseError> {
        let (limit, ask, in_zone) = self.ask(key, rate, count);
        let fresh = self.model.suppression_factor(key, ask.per_second);
        self.tally.by_kept_rate +=
            u64::from(in_zone && !same_factor(fresh, self.model.zone_factor(key, ask.per_second)));
        let answer = Fate::from(self.provider.inc(key, &limit, count));
        let expected = self.model.inc(key, ask);
        prop_assert_eq!(answer, expected, "inc({}, {}, {})", key, limit, count);
        self.check_draws(in_zone)?;
        match answer {
            Fate::Allowed => self.tally.allowed += 1,
            Fate::Suppressed { is_allowed: true, .. } => self.tally.let_through += 1,
            Fate::Suppressed { .. } if in_zone => self.tally.thinned_out += 1,
            Fate::Suppressed { .. } => self.tally.above_hard += 1,
        }
        Ok(())
    }

    fn is_allowed(&mut self, key: u8, rate: u8, count: u64) -> Result<(), TestCaseError> {
        let (limit, ask, in_zone) = self.ask(key, rate, count);
        let answer = Fate::from(self.provider.is_allowed(key, &limit, count));
        let expected = self.model.is_allowed(key, ask);
        prop_assert_eq!(answer, expected, "is_allowed({}, {}, {})", key, limit, count);
        self.check_draws(in_zone)
    }

    /// Settles the next draw: not one so near the factor that rounding would decide.
    fn ask(&mut self, key: u8, rate: u8, count: u64) -> (RateLimit, Ask, bool) {
        let (limit, capacity) = self.rate(rate);
        let per_second = limit.as_per_second();
        let mut ask = Ask { per_second, capacity, count, draw: self.draws.next() };
        let in_zone = self.model.in_zone(key, ask);
        let factor = self.model.zone_factor(key, per_second);
        if factor > 0.0 && (ask.draw - factor).abs() < 1e-9 {
            ask.draw = if factor < 0.5 { factor + 0.25 } else { factor - 0.25 };
        }
        self.told.next_is(ask.draw);
        self.told.take_draws();
        (limit, ask, in_zone)
    }

    /// One draw for a call, however it is tried; where nothing hangs on it, none is as good.
    fn check_draws(&self, in_zone: bool) -> Result<(), TestCaseError> {
        let draws = self.told.take_draws();
        prop_assert!(draws == 1 || draws == 0 && !in_zone, "{} draws", draws);
        Ok(())
    }

    /// What can be seen of every key without changing it.
    fn compare_keys(&mut self) -> Result<(), TestCaseError> {
        for key in 0..self.case.keys {
            prop_assert_eq!(self.provider.usage(key), self.model.usage(key), "usage of {}", key);
            for (limit, _) in &self.rates {
                let factor = self.provider.suppression_factor(key, limit);
                let expected = self.model.suppression_factor(key, limit.as_per_second());
                prop_assert!(
                    same_factor(factor, expected),
                    "suppression_factor({}, {}) = {}, not {}",
                    key,
                    limit,
                    factor,
                    expected
                );
            }
            self.is_allowed(key, 0, 1)?;
        }
        prop_assert_eq!(self.provider.len(), self.model.len(), "keys held");
        Ok(())
    }

    fn advance(&mut self, step: Step) {
        let expiries = |key| self.model.expiries(self.key(key));
        self.go_to(step.resolve(self.case.grid, self.model.now_ns(), expiries));
    }

    /// Steps back, and steps out of range, are not taken.
    fn go_to(&mut self, then_ns: u128) {
        let then_ns = then_ns / P::GRAIN_NS * P::GRAIN_NS;
        if (self.model.now_ns()..=P::LATEST_NS).contains(&then_ns) {
            self.model.set_time(then_ns);
            self.provider.set_time(duration(then_ns));
        }
    }

    fn key(&self, key: u8) -> u8 {
        key % self.case.keys
    }

    fn rate(&self, rate: u8) -> (RateLimit, Option<u64>) {
        self.rates[usize::from(rate) % self.rates.len()]
    }

    fn count(&self, rate: u8, count: Count) -> u64 {
        count.resolve(self.rate(rate).1.unwrap_or(self.most), self.most)
    }
}

/// Cases of all operations.
pub(crate) fn thinned_cases(most_ops: usize) -> impl Strategy<Value = ThinnedCase> {
    thin(ops::cases(most_ops))
}
