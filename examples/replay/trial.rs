//! A log under several limits at once, each by a limiter of its own, under a clock that the log drives.

use std::collections::HashMap;
use std::time::Duration;

use trypema::{LocalRateLimiter, ManualClock, RateLimit, SeededRandom, TrypemaError};

use super::log::Call;
use super::timeline::Timeline;

/// No log is longer.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Calls and units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) calls: u64,
    pub(crate) units: u64,
}

impl Sum {
    fn add(&mut self, units: u64) {
        self.calls += 1;
        self.units = self.units.saturating_add(units);
    }
}

/// What a key asked for under a limit, and did not get.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct UnderLimit {
    pub(crate) rejected: Sum,
    /// The most units that were asked for within one window.
    pub(crate) peak: u64,
}

/// One candidate.
pub(crate) struct Trial {
    pub(crate) rate: RateLimit,
    limiter: LocalRateLimiter<usize>,
    /// Counts whatever is asked for, admitted or not.
    demand: LocalRateLimiter<usize>,
    pub(crate) rejected: Sum,
    /// Calls for more than the limit ever allows.
    pub(crate) never: u64,
    pub(crate) keys: Vec<UnderLimit>,
    pub(crate) over_time: Timeline,
}

/// The whole log, as far as it was read.
pub(crate) struct Replay {
    clock: ManualClock,
    is_suppressed: bool,
    pub(crate) trials: Vec<Trial>,
    numbers: HashMap<Box<str>, usize>,
    /// By the numbers of the keys: their names, and what they asked for.
    pub(crate) names: Vec<Box<str>>,
    pub(crate) asked_by_key: Vec<Sum>,
    pub(crate) asked: Sum,
    pub(crate) over_time: Timeline,
    began: Option<Duration>,
    now: Duration,
    /// Lines that are earlier than one before them, and by how much at most.
    pub(crate) late: u64,
    pub(crate) latest_by: Duration,
}

impl Replay {
    pub(crate) fn new(limits: &[RateLimit], is_suppressed: bool) -> Result<Self, TrypemaError> {
        let clock = ManualClock::new();
        // Keys are numbers here, which take less to look up than names.
        let limiter = || {
            let builder = LocalRateLimiter::builder().keys::<usize>().clock(clock.clone());
            builder.random(SeededRandom::new(1)).build()
        };
        let trial = |&rate: &RateLimit| {
            Ok(Trial {
                rate,
                limiter: limiter()?,
                demand: limiter()?,
                rejected: Sum::default(),
                never: 0,
                keys: Vec::new(),
                over_time: Timeline::new(),
            })
        };
        Ok(Self {
            trials: limits.iter().map(trial).collect::<Result<_, TrypemaError>>()?,
            clock,
            is_suppressed,
            numbers: HashMap::new(),
            names: Vec::new(),
            asked_by_key: Vec::new(),
            asked: Sum::default(),
            over_time: Timeline::new(),
            began: None,
            now: Duration::ZERO,
            late: 0,
            latest_by: Duration::ZERO,
        })
    }

    /// How long the log is so far.
    pub(crate) fn length(&self) -> Duration {
        self.now
    }

    /// Asks every limiter. The error says why the call is left out.
    pub(crate) fn call(&mut self, call: &Call<'_>) -> Result<(), String> {
        let began = *self.began.get_or_insert(call.time);
        let time = call.time.saturating_sub(began);
        if time > LONGEST {
            return Err("the time is more than 100 years after the first one".into());
        }
        if time < self.now || call.time < began {
            // Judged at the time of the line before: a clock does not go back.
            self.late += 1;
            self.latest_by = self.latest_by.max((began + self.now).saturating_sub(call.time));
        }
        self.now = self.now.max(time);
        self.clock.set(self.now);

        let key = self.number(&call.key);
        self.asked.add(call.count);
        self.asked_by_key[key].add(call.count);
        self.over_time.add(self.now, call.count);
        for trial in &mut self.trials {
            trial.call(key, call.count, self.now, self.is_suppressed);
        }
        Ok(())
    }

    fn number(&mut self, name: &str) -> usize {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.names.len();
        self.numbers.insert(name.into(), number);
        self.names.push(name.into());
        self.asked_by_key.push(Sum::default());
        number
    }
}

impl Trial {
    fn call(&mut self, key: usize, count: u64, now: Duration, is_suppressed: bool) {
        let decision = if is_suppressed {
            self.limiter.suppressed().inc(&key, &self.rate, count)
        } else {
            self.limiter.absolute().inc(&key, &self.rate, count)
        };
        self.demand.absolute().record(&key, &self.rate, count);
        let usage = self.demand.absolute().usage(&key, &self.rate);

        if self.keys.len() <= key {
            self.keys.resize(key + 1, UnderLimit::default());
        }
        self.keys[key].peak = self.keys[key].peak.max(usage);
        if !decision.is_allowed() {
            self.keys[key].rejected.add(count);
            self.rejected.add(count);
            self.never += u64::from(decision.is_never());
            self.over_time.add(now, count);
        }
    }
}
