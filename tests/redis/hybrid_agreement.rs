//! Leases against the naive models, with a clock that the tests move for the server and for all processes.
//!
//! Where no lease lasts until the next moment, each call is answered as Redis alone would over a window longer by
//! a lease: decision by decision. With longer leases, and with several limiters that stand for as many
//! processes, no call is admitted beyond the capacity in any window, to the nanosecond.

// each proves: G1 G2 G3 G9

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use trypema::{HybridRateLimiter, Limiter, ManualClock, RateLimit, TrypemaError};

use crate::agreement::SHRINK_ITERS;
use crate::common::admissions::Admissions;
use crate::common::check::{asked_for, check};
use crate::common::draws::{Draws, Told};
use crate::common::model::Ask;
use crate::common::ops::{Case, Count, Op, Step, additions, cases, suppressed};
use crate::common::provider::{ANY, HardFactor, Settings, Side};
use crate::common::trial::{Tally, duration};
use crate::common::until::FOREVER;
use crate::common::{Answer, Grid, Model};
use crate::over_redis::{LATEST_NS, MOST, NAMES, flushed};

const MILLI: u128 = 1_000_000;
/// The lease of the exact comparisons. Their clock moves by whole milliseconds, so that no lease lasts until
/// the next moment.
const LEASE_MS: u64 = 1;

fn limiter(
    url: String,
    settings: Settings,
    lease_ms: u64,
    clock: &ManualClock,
    draws: &Arc<Told>,
) -> HybridRateLimiter {
    let Settings { grid: Grid { window_ms, bucket_ms }, hard_factor, refresh } = settings;
    HybridRateLimiter::builder(url)
        .window(Duration::from_millis(window_ms))
        .bucket(Duration::from_millis(bucket_ms))
        .lease(Duration::from_millis(lease_ms))
        .hard_limit_factor(hard_factor.as_f64())
        .suppression_refresh(refresh)
        .random(Arc::clone(draws))
        .denial_cache(Duration::ZERO)
        .deadline(FOREVER)
        .server_time(clock.clone())
        .build()
        .unwrap()
}

/// A limiter and the model of it, over a window that is longer by a lease.
struct Exact {
    side: Side,
    limiter: HybridRateLimiter,
    clock: ManualClock,
    model: Model,
    rates: Vec<(RateLimit, Option<u64>)>,
    told: Arc<Told>,
    draws: Draws,
    admissions: Admissions,
    tally: Tally,
}

impl Exact {
    fn run(side: Side, case: &Case) -> Result<Tally, TestCaseError> {
        let mut exact = Self::new(side, case);
        exact.go_to(case.start_ns.into());
        for (index, op) in case.ops.iter().enumerate() {
            exact.apply(case, *op).and_then(|()| exact.compare(case)).map_err(|error| {
                let now_ms = exact.model.now_ns() / MILLI;
                TestCaseError::fail(format!("op {index}, {op:?}, at {now_ms} ms: {error}"))
            })?;
        }
        Ok(exact.tally)
    }

    fn new(side: Side, case: &Case) -> Self {
        let (clock, told) = (ManualClock::new(), Arc::<Told>::default());
        let settings = case.settings();
        let limiter = limiter(flushed(), settings, LEASE_MS, &clock, &told);
        let window_ms = case.grid.window_ms + LEASE_MS;
        let counted = Settings { grid: Grid { window_ms, ..case.grid }, ..settings };
        let model = match side {
            Side::Absolute => Model::new(counted.grid, MOST),
            Side::Suppressed => Model::suppressed(counted, MOST),
        };
        let rates = case.rates.iter().map(|rate| rate.resolve(case.grid)).collect();
        let draws = Draws::new(case.suppression.seed);
        let (admissions, tally) = (Admissions::default(), Tally::default());
        let exact = Self { side, limiter, clock, model, rates, told, draws, admissions, tally };
        have_undo_known(exact.handle());
        exact
    }

    fn handle(&self) -> &dyn Limiter {
        match self.side {
            Side::Absolute => self.limiter.absolute(),
            Side::Suppressed => self.limiter.suppressed(),
        }
    }

    fn apply(&mut self, case: &Case, op: Op) -> Result<(), TestCaseError> {
        let known = |key: u8| key % case.keys;
        match op {
            Op::Inc { key, rate, count } | Op::IsAllowed { key, rate, count } => {
                self.inc(known(key), rate, self.count(rate, count))?;
            }
            Op::IncPatiently { key, rate, count } => {
                self.inc_patiently(known(key), rate, self.count(rate, count))?;
            }
            Op::Spread { key, rate, count, buckets } => {
                for _ in 0..buckets {
                    self.inc(known(key), rate, self.count(rate, count))?;
                    self.advance(case, Step::Edge { buckets: 1, off_ns: 0 });
                }
            }
            Op::Advance(step) => self.advance(case, step),
            Op::Record { key, count } => {
                let (key, count) = (known(key), self.count(0, count));
                if self.holds(key, count) {
                    self.model.record(key, count);
                    prop_assert!(self.handle().record(name(key), &ANY, count).unwrap());
                }
            }
            Op::Refund { key, count } => {
                let (key, count) = (known(key), self.count(0, count).min(MOST));
                let refunded = self.handle().refund(name(key), &ANY, count).unwrap();
                prop_assert_eq!(refunded, self.model.refund(key, count), "refunded");
                self.tally.met("refunded", u64::from(refunded > 0));
            }
            Op::Undo { key, back, count } => {
                self.undo(known(key), back, self.count(0, count).min(MOST))?;
            }
            Op::Reset { key } => {
                // Until the next bucket begins, units that are counted after it are counted there.
                let bucket_ns = u128::from(case.grid.bucket_ms) * MILLI;
                let next_ns = (self.model.tick() + 1) * bucket_ns;
                if next_ns > LATEST_NS {
                    return Ok(());
                }
                let key = known(key);
                self.admissions.begun_afresh(key);
                self.model.reset(key);
                self.handle().reset(name(key)).unwrap();
                prop_assert_eq!(self.handle().usage(name(key), &ANY), Ok(0));
                self.go_to(next_ns);
            }
            other => unreachable!("{other:?} is for both strategies at once"),
        }
        if let Op::Record { .. } | Op::Refund { .. } | Op::Undo { .. } = op {
            // A lease in hand does not know of these.
            self.go_to(self.model.now_ns() + MILLI);
        }
        Ok(())
    }

    fn inc(&mut self, key: u8, rate: u8, count: u64) -> Result<Answer, TestCaseError> {
        let (limit, capacity) = self.rate(rate);
        let ask = self.next_ask(key, &limit, capacity, count);
        if !self.holds(key, count) {
            return Ok(self.model.judge(key, ask));
        }
        let left = self.model.remaining(key, capacity, 0);
        let decision = self.handle().inc(name(key), &limit, count).unwrap();
        let expected = self.model.add(key, ask);
        let answer = Answer::from(decision);
        if decision.is_never() {
            // That is told without a look at what this process holds, which counts until then.
            let never = capacity.is_some_and(|capacity| count > capacity);
            prop_assert!(never && !expected.is_allowed(), "{:?}, not {:?}", answer, expected);
            self.tally.met("never", 1);
            return Ok(expected);
        }
        prop_assert_eq!(answer, expected, "inc({}, {}, {})", key, limit, count);
        let left = if answer.is_allowed() { left.saturating_sub(count) } else { left };
        let left = if capacity.is_none() { u64::MAX } else { left };
        // A call for nothing is told what is on the server.
        let is_right = decision.remaining() == left || count == 0;
        prop_assert!(is_right, "{:?}, but {} are left", decision, left);
        if let Some(bucket) = decision.bucket() {
            self.admissions.note(key, bucket, self.model.tick());
        }
        prop_assert_eq!(decision.bucket().is_some(), answer.is_allowed() && count > 0);
        self.tally.met(if answer.is_allowed() { "allowed" } else { "rejected" }, 1);
        if capacity.is_none() {
            // Nor does a lease in hand know of units without a limit.
            self.go_to(self.model.now_ns() + MILLI);
        }
        Ok(answer)
    }

    /// The hint as a caller would use it: one millisecond earlier is too early, then it fits.
    fn inc_patiently(&mut self, key: u8, rate: u8, count: u64) -> Result<(), TestCaseError> {
        let Answer::Rejected { retry_after_ms: Some(ms), .. } = self.inc(key, rate, count)? else {
            return Ok(());
        };
        let then_ns = self.model.now_ns() + u128::from(ms) * MILLI;
        if then_ns > LATEST_NS || !self.holds(key, count) {
            return Ok(());
        }
        self.go_to(then_ns - MILLI);
        prop_assert!(!self.inc(key, rate, count)?.is_allowed(), "a ms too late");
        self.go_to(then_ns);
        prop_assert!(self.inc(key, rate, count)?.is_allowed());
        self.tally.met("waited for", 1);
        Ok(())
    }

    fn undo(&mut self, key: u8, back: u8, count: u64) -> Result<(), TestCaseError> {
        let Some((admission, _)) = self.admissions.latest_but(key, back) else { return Ok(()) };
        let undone = self.handle().undo(name(key), &ANY, admission.bucket, count).unwrap();
        let expected = self.model.undo(key, admission.tick, count);
        prop_assert_eq!(undone, expected, "undone of {:?}", admission);
        self.tally.met("undone", u64::from(undone > 0));
        Ok(())
    }

    /// The usage that the server tells includes what this process has leased, and a look goes by it.
    fn compare(&self, case: &Case) -> Result<(), TestCaseError> {
        for key in 0..case.keys {
            let usage = self.handle().usage(name(key), &ANY).unwrap();
            prop_assert!(usage >= self.model.usage(key), "{} counted of {}", usage, key);
            if self.side == Side::Absolute {
                let (limit, capacity) = self.rate(0);
                let looked = self.handle().is_allowed(name(key), &limit, 1).unwrap();
                let expected = self.model.is_allowed(key, capacity, 1);
                let is_right = !looked.is_allowed() || expected.is_allowed();
                prop_assert!(is_right, "{:?}, not {:?}", looked, expected);
                prop_assert!(looked.bucket().is_none(), "a look counts nothing: {:?}", looked);
            }
        }
        Ok(())
    }

    /// Suppressed has a moment for each call: a call that spends from a lease is judged by what was
    /// perceived when that was granted.
    fn next_ask(&mut self, key: u8, limit: &RateLimit, capacity: Option<u64>, count: u64) -> Ask {
        if self.side == Side::Suppressed {
            self.go_to(self.model.now_ns() + MILLI);
        }
        let per_second = limit.as_per_second();
        let mut ask = Ask { per_second, capacity, count, draw: self.draws.next() };
        if self.model.in_zone(key, ask) {
            // Not so near the factor that rounding would decide.
            let factor = self.model.zone_factor(key, per_second);
            if (ask.draw - factor).abs() < 1e-9 {
                ask.draw = if factor < 0.5 { factor + 0.25 } else { factor - 0.25 };
            }
            self.tally.met("drawn for", 1);
        }
        self.told.next_is(ask.draw);
        ask
    }

    /// Whether all of it can be counted, leases included. What becomes of more is another suite's.
    fn holds(&self, key: u8, count: u64) -> bool {
        let (admitted, declined) = self.model.counts(key);
        count <= MOST / 4 && admitted.max(declined) <= MOST / 4
    }

    fn rate(&self, rate: u8) -> (RateLimit, Option<u64>) {
        self.rates[usize::from(rate) % self.rates.len()]
    }

    fn count(&self, rate: u8, count: Count) -> u64 {
        count.resolve(self.rate(rate).1.unwrap_or(MOST), MOST)
    }

    fn advance(&mut self, case: &Case, step: Step) {
        let expiries = |key| self.model.expiries(key % case.keys);
        self.go_to(step.resolve(case.grid, self.model.now_ns(), expiries));
    }

    fn go_to(&mut self, then_ns: u128) {
        let then_ns = then_ns / MILLI * MILLI;
        if (self.model.now_ns()..=LATEST_NS).contains(&then_ns) {
            self.model.set_time(then_ns);
            self.clock.set(duration(then_ns));
        }
    }
}

/// A script that the server does not know yet runs after the others of its round trip; so a call would be
/// judged before the rest of a lease is given back.
fn have_undo_known(handle: &dyn Limiter) {
    let decision = handle.inc("known", &ANY, 1).unwrap();
    let bucket = decision.bucket().expect("it is counted");
    assert_eq!(handle.undo("known", &ANY, bucket, 1), Ok(1));
}

fn name(key: u8) -> &'static str {
    NAMES[usize::from(key)]
}

fn exact(number: u32, side: Side, kept_in: &'static str, cases: &impl Strategy<Value = Case>) {
    let tally = RefCell::new(Tally::default());
    let number = check(asked_for(number), kept_in, SHRINK_ITERS, cases, |case| {
        tally.borrow_mut().add(&Exact::run(side, case)?);
        Ok(())
    });
    if number >= 100 {
        let tally = tally.borrow();
        tally.assert_more_than(number, &["allowed", "rejected"]);
        let of_strategy = match side {
            Side::Absolute => "waited for",
            Side::Suppressed => "drawn for",
        };
        tally.assert_more_than(number / 8, &["refunded", "undone", of_strategy]);
    }
}

// proves (property): G1 G2 G3 G9
#[test]
fn leases_of_a_moment_agree_with_redis() {
    let kept_in = "tests/proptest-regressions/hybrid.txt";
    exact(400, Side::Absolute, kept_in, &cases(60));
}

// proves (property): G1 suppression G9
#[test]
fn leases_of_a_moment_agree_with_redis_under_suppressed() {
    let kept_in = "tests/proptest-regressions/hybrid-suppressed.txt";
    let cases = suppressed(cases(60)).prop_map(|mut case| {
        // "The last second" is that of the window, not of the window and a lease.
        case.grid.window_ms = case.grid.window_ms.max(1_000).next_multiple_of(case.grid.bucket_ms);
        case
    });
    exact(400, Side::Suppressed, kept_in, &cases);
}

/// One admission: when, and how many units.
type Logged = (u128, u64);

/// Several limiters, as of so many processes, with leases of some part of the window, take turns.
fn never_over(side: Side, case: &Case, lease: u8, processes: u8) -> Result<Tally, TestCaseError> {
    let (clock, told, url) = (ManualClock::new(), Arc::<Told>::default(), flushed());
    let lease_ms = (case.grid.window_ms * u64::from(lease) / 255).max(1);
    let settings = case.settings();
    let limiters = (0..processes)
        .map(|_| limiter(url.clone(), settings, lease_ms, &clock, &told))
        .collect::<Vec<_>>();
    let handles = limiters.iter().map(|limiter| match side {
        Side::Absolute => limiter.absolute() as &dyn Limiter,
        Side::Suppressed => limiter.suppressed(),
    });
    let handles = handles.collect::<Vec<_>>();
    have_undo_known(handles[0]);
    let (limit, capacity) = case.rates[0].resolve(case.grid);
    let bound = capacity.map(|capacity| match side {
        Side::Absolute => capacity,
        Side::Suppressed => settings.hard_factor.of(capacity.min(MOST)),
    });
    let bound = bound.map_or(MOST, |bound| bound.min(MOST));
    let window_ns = u128::from(case.grid.window_ms) * MILLI;
    let (mut now_ns, mut turn, mut tally) = (0, 0_usize, Tally::default());
    let mut draws = Draws::new(case.suppression.seed);
    let mut logs = vec![Vec::<Logged>::new(); usize::from(case.keys)];
    let go_to = |now_ns: u128, then_ns: u128| {
        // The server tells microseconds.
        let then_ns = then_ns / 1_000 * 1_000;
        if !(now_ns..=LATEST_NS).contains(&then_ns) {
            return now_ns;
        }
        clock.set(duration(then_ns));
        then_ns
    };
    let step = |now_ns, step: Step| go_to(now_ns, step.resolve(case.grid, now_ns, |_| None));
    now_ns = go_to(now_ns, case.start_ns.into());
    for op in &case.ops {
        let (key, count, times) = match *op {
            Op::Inc { key, count, .. } => (key, count, 1),
            Op::Spread { key, count, buckets, .. } => (key, count, buckets),
            Op::Advance(by) => {
                now_ns = step(now_ns, by);
                continue;
            }
            other => unreachable!("{other:?} is no addition"),
        };
        let count = count.resolve(bound, MOST);
        for _ in 0..times {
            turn += 1;
            told.next_is(draws.next());
            let key = key % case.keys;
            let handle = handles[turn % handles.len()];
            let decision = match handle.inc(name(key), &limit, count) {
                Err(TrypemaError::CountTooLarge { .. }) => continue,
                decision => decision.unwrap(),
            };
            let log = &mut logs[usize::from(key)];
            // To the nanosecond, both ends included.
            let inside = log.iter().filter(|(then_ns, _)| then_ns + window_ns >= now_ns);
            let usage = inside.map(|(_, units)| u128::from(*units)).sum::<u128>();
            let total = usage + u128::from(count);
            if decision.is_allowed() {
                prop_assert!(
                    total <= bound.into(),
                    "{} of {:?} in a window at {} ns",
                    total,
                    bound,
                    now_ns
                );
                log.push((now_ns, count));
                tally.met("allowed", 1);
            } else {
                tally.met("rejected", 1);
                if side == Side::Absolute && processes == 1 {
                    // The longest that units may count on the server, after they were granted a lease before.
                    let counted = case.grid.window_ms + 2 * (lease_ms + case.grid.bucket_ms);
                    let counted_ns = u128::from(counted) * MILLI;
                    let counts = log.iter().filter(|(then_ns, _)| then_ns + counted_ns >= now_ns);
                    let usage = counts.map(|(_, units)| u128::from(*units)).sum::<u128>();
                    let is_full = usage + u128::from(count) > bound.into();
                    prop_assert!(is_full, "{:?}: {} counted of {:?}", decision, usage, bound);
                }
            }
            if times > 1 {
                now_ns = step(now_ns, Step::Edge { buckets: 1, off_ns: 0 });
            }
        }
    }
    for limiter in &limiters {
        tally.met("from leases", limiter.stats().from_leases);
    }
    Ok(tally)
}

fn several_never_over(number: u32, side: Side, kept_in: &'static str) {
    let tally = RefCell::new(Tally::default());
    let cases = (suppressed(additions(80)), any::<u8>(), 1..=3_u8);
    let number = check(asked_for(number), kept_in, SHRINK_ITERS, &cases, |case| {
        let (case, lease, processes) = case;
        tally.borrow_mut().add(&never_over(side, case, *lease, *processes)?);
        Ok(())
    });
    if number >= 100 {
        let tally = tally.borrow();
        tally.assert_more_than(number, &["allowed", "rejected"]);
        tally.assert_more_than(number / 4, &["from leases"]);
    }
}

// proves (property): G1 G9
#[test]
fn several_processes_never_exceed_the_capacity() {
    let kept_in = "tests/proptest-regressions/hybrid-several.txt";
    several_never_over(600, Side::Absolute, kept_in);
}

// proves (property): G1 G9
#[test]
fn several_processes_never_exceed_the_hard_limit() {
    let kept_in = "tests/proptest-regressions/hybrid-several-suppressed.txt";
    several_never_over(600, Side::Suppressed, kept_in);
}

/// Units that are spent at the end of a lease still count for a whole window from then.
#[test]
fn units_spent_late_count_for_a_window() {
    let (clock, told, url) = (ManualClock::new(), Arc::<Told>::default(), flushed());
    let grid = Grid { window_ms: 1_000, bucket_ms: 1 };
    let refresh = Duration::from_millis(100);
    let settings = Settings { grid, hard_factor: HardFactor::NONE, refresh };
    let processes = [(); 2].map(|()| limiter(url.clone(), settings, 500, &clock, &told));
    let rate = RateLimit::per_second(800).unwrap();
    let begun_ms = 100_000;
    let mut log = Vec::<(u64, usize)>::new();
    let mut spend = |process: usize, after_ms: u64, most: usize| {
        clock.set(Duration::from_millis(begun_ms + after_ms));
        let absolute = processes[process].absolute();
        let units = (0..most).take_while(|_| absolute.inc("key", &rate, 1).unwrap().is_allowed());
        let units = units.count();
        log.push((after_ms, units));
        let inside = log.iter().filter(|(then_ms, _)| then_ms + grid.window_ms >= after_ms);
        let usage = inside.map(|(_, units)| units).sum::<usize>();
        assert!(usage <= 800, "{usage} of 800 in a window: {log:?}");
        units
    };
    assert_eq!(spend(0, 0, 50), 50);
    let others = spend(1, 0, 1_000);
    let late = spend(0, 490, 1_000);
    assert!(late > 10, "{late} left in the lease");
    assert_eq!(50 + others + late, 800);
    // What was granted at first would have expired, if it were not for the lease.
    assert_eq!(spend(1, 1_002, 1_000), 0);
    assert_eq!(spend(1, 1_502, 1_000), 800);
}

/// One process takes all it can get, three others ask as often as each other: each gets its share by calls.
#[test]
fn a_greedy_process_leaves_others_their_share() {
    const WINDOWS: u64 = 6;
    /// Calls in a millisecond: of the greedy process, and of each other.
    const CALLS: [usize; 4] = [12, 2, 2, 2];
    let (clock, told, url) = (ManualClock::new(), Arc::<Told>::default(), flushed());
    let grid = Grid { window_ms: 1_000, bucket_ms: 2 };
    let refresh = Duration::from_millis(100);
    let settings = Settings { grid, hard_factor: HardFactor::NONE, refresh };
    for lease_ms in [10, 100] {
        let processes = [(); 4].map(|()| limiter(url.clone(), settings, lease_ms, &clock, &told));
        let rate = RateLimit::per_second(2_000).unwrap();
        let mut draws = Draws::new(7);
        let mut admitted = [0_usize; 4];
        for ms in 0..WINDOWS * grid.window_ms {
            clock.set(Duration::from_millis(lease_ms * 1_000_000 + ms));
            let mut left = CALLS;
            while let total @ 1.. = left.iter().sum::<usize>() {
                let mut draw = (draws.next() * total as f64) as usize;
                let next = left.iter().position(|left| match draw.checked_sub(*left) {
                    Some(rest) => {
                        draw = rest;
                        false
                    }
                    None => true,
                });
                let process = next.expect("one has calls left");
                left[process] -= 1;
                let absolute = processes[process].absolute();
                if absolute.inc("key", &rate, 1).unwrap().is_allowed() && ms >= 2 * grid.window_ms {
                    admitted[process] += 1;
                }
            }
        }
        let all = admitted.iter().sum::<usize>();
        for others in &admitted[1..] {
            let share = all * CALLS[1] / CALLS.iter().sum::<usize>();
            assert!(others * 2 > share, "{admitted:?}: {share} each by calls");
        }
    }
}
