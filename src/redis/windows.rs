//! The windows of a strategy, and which of them a rate is judged over. A key has a separate usage in
//! each.

use core::fmt;
use core::time::Duration;
use std::sync::OnceLock;

use crate::RateLimit;
use crate::key::Key;
use crate::policy::Grid;
use crate::policy::suppressed::Suppression;
use crate::redis::request::MAX_COUNT;
use crate::redis::script::{Family, Script, Scripts, Settings};
use crate::settings::{Windowing, nearest, own_grid};
use crate::wait::{Closed, Waiting};

/// The periods that rates are usually written with, up to a week, in milliseconds.
const USUAL_MS: [u64; 5] = [1_000, 60_000, 3_600_000, 86_400_000, 604_800_000];

/// The windows that were set; else those of the rates' own periods, each made when it is first used.
pub(crate) struct Windows {
    plan: Plan,
    family: Family,
    set: Vec<Window>,
    own: OnceLock<Box<Own>>,
    reset: OnceLock<Script>,
}

/// How windows are made.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) prefix: String,
    pub(crate) windowing: Windowing,
    pub(crate) hard_limit_factor: f64,
    pub(crate) suppression_refresh: Duration,
    /// Whether tests set the server's time.
    pub(crate) told_time: bool,
    pub(crate) max_waiting: usize,
    pub(crate) closed: Closed,
    /// Whether processes lease units, and for how long.
    pub(crate) leasing: Leasing,
}

/// For how long a process may spend units after the server has counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leasing {
    /// Units are counted when they are spent.
    Never,
    /// For the hundredth part of each window, but no less than 10 ms and no more than a second.
    ByWindow,
    /// For so many milliseconds, or for the whole of a shorter window.
    Millis(u64),
}

impl Leasing {
    /// The longest lease there may be.
    pub(crate) const fn longest(self) -> Duration {
        match self {
            Self::Never | Self::ByWindow => Duration::from_secs(1),
            Self::Millis(lease_ms) => Duration::from_millis(lease_ms),
        }
    }

    /// The window, for units that are leased.
    fn of(self, grid: Grid) -> Grid {
        match self {
            Self::Never => grid,
            Self::ByWindow => {
                let lease_ms = (grid.window_ms() / 100).clamp(10, 1_000);
                grid.with_lease(lease_ms.min(grid.window_ms()))
            }
            Self::Millis(lease_ms) => grid.with_lease(lease_ms.min(grid.window_ms())),
        }
    }
}

impl Plan {
    /// The shortest lease there may be: where each rate has a window of its own, that of a window of a
    /// millisecond.
    pub(crate) fn shortest_lease(&self) -> Duration {
        let leases = self.windowing.fixed().iter().map(|grid| self.leasing.of(*grid).lease());
        leases.min().unwrap_or(Duration::from_millis(1))
    }

    fn settings(&self, grid: Grid) -> Settings {
        let grid = self.leasing.of(grid);
        let suppression = Suppression::new(&grid, self.hard_limit_factor, self.suppression_refresh);
        Settings { grid, suppression, told_time: self.told_time }
    }
}

/// A link of the chain of windows. A program has few periods, so that it is short; and it only ever
/// grows, so that a window can be borrowed.
struct Own {
    window: Window,
    next: OnceLock<Box<Self>>,
}

pub(crate) struct Window {
    pub(crate) settings: Settings,
    pub(crate) scripts: Scripts,
    pub(crate) waiting: Waiting<Key>,
    /// The prefix of its keys' names.
    name: String,
}

impl Windows {
    pub(crate) fn new(plan: Plan, family: Family) -> Self {
        let set = plan.windowing.fixed().iter().map(|grid| Window::new(&plan, family, *grid));
        Self { set: set.collect(), plan, family, own: OnceLock::new(), reset: OnceLock::new() }
    }

    /// The window that judges this rate.
    pub(crate) fn of(&self, rate: &RateLimit) -> &Window {
        match &self.set[..] {
            [] => self.of_period(rate.period_ms()),
            [only] => only,
            set => {
                let windows_ms = set.iter().map(|window| window.settings.grid.window_ms());
                let nearest = nearest(windows_ms.clone(), rate);
                let is_it = |window_ms: u64| window_ms == nearest;
                &set[windows_ms.into_iter().position(is_it).unwrap_or_default()]
            }
        }
    }

    fn of_period(&self, period_ms: u64) -> &Window {
        let mut next = &self.own;
        loop {
            let own = next.get_or_init(|| {
                let window = Window::new(&self.plan, self.family, own_grid(period_ms));
                Box::new(Own { window, next: OnceLock::new() })
            });
            if own.window.settings.grid.window_ms() == period_ms {
                return &own.window;
            }
            next = &own.next;
        }
    }

    /// The window and the bucket that judge this rate, whether they are in use yet or not.
    pub(crate) fn grid_of(&self, rate: &RateLimit) -> Grid {
        if self.set.is_empty() {
            self.plan.leasing.of(own_grid(rate.period_ms()))
        } else {
            self.of(rate).settings.grid
        }
    }

    /// The full names of a key in all windows that were set or are in use, with their settings. Without any
    /// that were set, the windows of the usual periods come on top: other processes may use them.
    pub(crate) fn names_of(&self, key: &str) -> Vec<(String, Settings)> {
        let usual = if self.set.is_empty() { &USUAL_MS[..] } else { &[] };
        let windows = usual.iter().map(|ms| {
            let grid = own_grid(*ms);
            (prefix(&self.plan, self.family, grid), self.plan.settings(grid))
        });
        let mut windows = windows.collect::<Vec<_>>();
        windows.extend(self.iter().map(|window| (window.name.clone(), window.settings)));
        windows.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        windows.dedup_by(|(one, _), (other, _)| one == other);
        windows.iter_mut().for_each(|(name, _)| name.push_str(key));
        windows
    }

    /// The script that forgets a key. `None`: nobody leases units, so that it can be deleted.
    pub(crate) fn reset(&self) -> Option<&Script> {
        match self.plan.leasing {
            Leasing::Never => None,
            _ => Some(self.reset.get_or_init(|| Script::reset(self.family))),
        }
    }

    /// The most threads that may wait for a key.
    pub(crate) fn max_waiting(&self) -> usize {
        self.plan.max_waiting
    }

    /// The windows that were set, or are in use.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Window> {
        let first = self.own.get();
        let own = core::iter::successors(first, |own| own.next.get());
        self.set.iter().chain(own.map(|own| &own.window))
    }
}

impl Window {
    fn new(plan: &Plan, family: Family, grid: Grid) -> Self {
        let settings = plan.settings(grid);
        Self {
            settings,
            scripts: Scripts::new(family, settings),
            waiting: Waiting::new(plan.closed.clone(), plan.max_waiting),
            name: prefix(plan, family, grid),
        }
    }

    /// The full name of a key. Limiters of other windows or buckets never meet there.
    pub(crate) fn name_of(&self, key: &str) -> String {
        let mut name = String::with_capacity(self.name.len() + key.len());
        name.push_str(&self.name);
        name.push_str(key);
        name
    }

    /// The units that a finite rate allows, at most as many as can be counted.
    pub(crate) fn capacity(&self, rate: &RateLimit) -> u64 {
        rate.capacity_of_millis(self.settings.grid.window_ms()).min(MAX_COUNT)
    }

    /// The same as a hard limit.
    pub(crate) fn hard_limit(&self, rate: &RateLimit) -> u64 {
        self.settings.suppression.hard_limit(self.capacity(rate), MAX_COUNT)
    }
}

/// The prefix of the names of all keys in a window.
fn prefix(plan: &Plan, family: Family, grid: Grid) -> String {
    let grid = plan.leasing.of(grid);
    let (window_ms, bucket_ms) = (grid.window_ms(), grid.bucket().as_millis());
    // Units of one lease's length must not be judged by windows made for another.
    let (letter, lease) = match (family, plan.leasing) {
        (Family::Absolute, Leasing::Never) => ("a", String::new()),
        (Family::Suppressed, Leasing::Never) => ("s", String::new()),
        (Family::Absolute, _) => ("h", format!(".{}", grid.lease().as_millis())),
        (Family::Suppressed, _) => ("hs", format!(".{}", grid.lease().as_millis())),
    };
    format!("{}:{letter}:{window_ms}.{bucket_ms}{lease}:", plan.prefix)
}

impl fmt::Debug for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|window| window.settings.grid)).finish()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "in a test a panic is a failure, and says where")]
mod tests {
    use core::time::Duration;

    use super::{Leasing, Plan, Windows};
    use crate::RateLimit;
    use crate::redis::script::Family;
    use crate::settings;
    use crate::wait::Closed;

    /// The clock of leases may be wrong by a thousandth of it, and a lease's margin is a 64th of its own.
    #[test]
    fn no_lease_is_shorter_than_the_shortest() {
        let window_ms = [1, 3, 10, 500, 1_000, 60_000];
        let set =
            window_ms.map(|ms| Some(vec![Duration::from_millis(ms), Duration::from_secs(90)]));
        for windows in set.into_iter().chain([None]) {
            for leasing in [Leasing::ByWindow, Leasing::Millis(1), Leasing::Millis(100)] {
                let settings =
                    settings::Settings { windows: windows.clone(), ..Default::default() };
                let plan = Plan {
                    prefix: "p".to_owned(),
                    windowing: settings.windowing().unwrap(),
                    hard_limit_factor: 1.5,
                    suppression_refresh: Duration::from_millis(100),
                    told_time: false,
                    max_waiting: 1,
                    closed: Closed::default(),
                    leasing,
                };
                let shortest = plan.shortest_lease();
                let windows = Windows::new(plan, Family::Absolute);
                for ms in window_ms {
                    let rate = RateLimit::per(5, Duration::from_millis(ms)).unwrap();
                    let lease = windows.grid_of(&rate).lease();
                    assert!(shortest <= lease, "{shortest:?}, but {lease:?} of {windows:?}");
                }
            }
        }
    }
}
