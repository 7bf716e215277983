//! A strategy under the default windows, with rates of two periods: each is judged over its own, and a
//! key's units in one window say nothing of the other. A trial for each, over one limiter.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::draws::Told;
use super::ops::{self, Case, Grid, Op, Period, Rate, Refresh, Suppression};
use super::provider::{Provider, Settings};
use super::trial::{Tally, Trial};

/// The periods, and the windows that a limiter has for them.
const WINDOWS: [(Period, Grid); 2] = [
    (Period::Second, Grid { window_ms: 1_000, bucket_ms: 2 }),
    (Period::Minute, Grid { window_ms: 60_000, bucket_ms: 100 }),
];

/// A provider that can show a limiter under the default windows: as one strategy in windows of a second,
/// and in windows of a minute.
pub(crate) trait TwoWindows: Provider {
    fn build_two(settings: Settings, draws: Arc<Told>) -> [Self; 2];
}

/// An operation, and in which of the windows.
pub(crate) type Act = (usize, Op);

pub(crate) fn cases(most_ops: usize) -> impl Strategy<Value = Case<Act>> {
    let start = prop_oneof![Just(0), 0..(50 * 365 * 86_400_000_000_000_u64)];
    (start, 1..=3_u8, vec(ops::rate(), 1..=3), vec((0..=1_usize, ops::op()), 1..=most_ops))
        .prop_map(|(start_ns, keys, rates, ops)| {
            let suppression = Suppression::NONE;
            Case { grid: WINDOWS[0].1, start_ns, keys, rates, ops, suppression }
        })
}

/// Runs the case in both windows, and fails where one of them differs from its model.
pub(crate) fn run<P: TwoWindows>(case: &Case<Act>) -> Result<Tally, TestCaseError> {
    let told = Arc::new(Told::default());
    let cases = WINDOWS.map(|(period, grid)| within(case, period, grid));
    let [seconds, minutes] = P::build_two(case.settings(), Arc::clone(&told));
    let mut trials =
        [Trial::new(seconds, Arc::clone(&told), &cases[0]), Trial::new(minutes, told, &cases[1])];
    trials.iter_mut().for_each(|trial| trial.go_to(case.start_ns.into()));
    for (index, &(window, op)) in case.ops.iter().enumerate() {
        let acted = match op {
            Op::Reset { key } => reset(&mut trials, key % case.keys),
            op => trials[window].apply(&cases[window], op),
        };
        let now_ns = trials[window].model.now_ns();
        trials.iter_mut().for_each(|trial| trial.go_to(now_ns));
        acted.and_then(|()| compare(&mut trials, case.keys)).map_err(|error| {
            TestCaseError::fail(format!("act {index}, {op:?} in window {window}: {error}"))
        })?;
    }
    let [mut tally, other] = trials.map(|trial| trial.tally);
    tally.add(&other);
    Ok(tally)
}

/// The case, as it is in one of the windows.
fn within(case: &Case<Act>, period: Period, grid: Grid) -> Case {
    let rates = case.rates.iter().map(|rate| rate.of_period(period)).collect();
    let refresh = u64::try_from(case.settings().refresh.as_nanos()).unwrap_or(u64::MAX);
    let suppression = Suppression { refresh: Refresh::Nanos(refresh), ..case.suppression };
    let Case { start_ns, keys, .. } = *case;
    Case { grid, start_ns, keys, rates, ops: Vec::new(), suppression }
}

/// A reset is of all windows.
fn reset<P: Provider>(trials: &mut [Trial<P>; 2], key: u8) -> Result<(), TestCaseError> {
    let mut is_known = false;
    for trial in &mut *trials {
        is_known |= trial.model.reset(key);
        trial.admissions.begun_afresh(key);
    }
    prop_assert_eq!(trials[0].provider.reset(key), is_known, "known to reset");
    Ok(())
}

fn compare<P: Provider>(trials: &mut [Trial<P>; 2], keys: u8) -> Result<(), TestCaseError> {
    for key in 0..keys {
        for trial in &mut *trials {
            trial.compare_key(key)?;
            trial.is_allowed(key, 0, 1)?;
        }
    }
    let held = trials.iter().map(|trial| trial.model.len()).sum::<usize>();
    prop_assert_eq!(trials[0].provider.len(), held, "keys held, in all windows");
    Ok(())
}

impl Rate {
    /// The same in another period. Unlimited ones have a period of a minute.
    fn of_period(self, period: Period) -> Self {
        match self {
            Self::Allowing(units, _) => Self::Allowing(units, period),
            Self::Eighths(eighths, _) => Self::Eighths(eighths, period),
            Self::Tiny(_) => Self::Tiny(period),
            Self::Unlimited if period == Period::Minute => Self::Unlimited,
            Self::Huge(_) | Self::Unlimited => Self::Huge(period),
        }
    }
}
