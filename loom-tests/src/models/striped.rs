//! Striped: what is added while they are made, from whichever side, is counted once; and a key on which
//! they count is not retired.

// each proves: suppression

use loom::sync::Arc;
use loom::thread;

use crate::explore::explore_model;
use crate::sync::take_short_way;
use crate::window::{Layout, Limit, Outcome, Striped, Timeline, Window};

const SPAN: u64 = 3;

/// Units added at some tick, by threads of whatever number.
struct Demand {
    timeline: Timeline,
    stripes: Striped,
}

impl Demand {
    fn new() -> Self {
        let timeline = Timeline::new(Layout::for_span(SPAN));
        Self { stripes: Striped::new(&timeline, 10), timeline }
    }

    fn add(&self, now: u64, count: u64, thread: usize) {
        self.stripes.add(&self.timeline, now, count, thread);
    }

    fn usage(&self, now: u64) -> u64 {
        self.stripes.usage(&self.timeline, now)
    }
}

/// Two threads add, both of which find it too crowded at some point; a third looks meanwhile.
fn nothing_is_lost(name: &str, is_crowded: bool) {
    for fast_path_enabled in [false, true] {
        let way = if fast_path_enabled { ", the short way" } else { "" };
        take_short_way(fast_path_enabled);
        explore_model(&format!("{name}{way}"), move || {
            let demand = Arc::new(Demand::new());
            demand.add(10, 1, 0);
            let adds = |number, count| {
                let demand = Arc::clone(&demand);
                thread::spawn(move || {
                    if is_crowded {
                        demand.stripes.widen(&demand.timeline, 11);
                    }
                    demand.add(11, count, number);
                })
            };
            let (first, second) = (adds(0, 10), adds(1, 100));
            let seen = demand.usage(11);
            assert!([1, 11, 101, 111].contains(&seen), "in between: {seen}");
            first.join().expect("no thread panics");
            second.join().expect("no thread panics");
            assert_eq!(demand.usage(11), 111);
            let recent = demand.stripes.usage_and_recent(&demand.timeline, 11, 1);
            assert_eq!(recent, (111, 110));
            assert!(!demand.stripes.is_idle(&demand.timeline, 11 + SPAN - 1));
            assert_eq!(demand.usage(11 + SPAN - 1), 110, "what was added at tick 10 has left");
            assert!(demand.stripes.is_idle(&demand.timeline, 11 + SPAN));
        });
    }
}

#[test]
fn nothing_is_lost_while_lanes_are_made() {
    nothing_is_lost("stripes made by two threads at once", true);
}

#[test]
fn nothing_is_lost_before_there_are_lanes() {
    nothing_is_lost("additions that may come to be crowded", false);
}

/// A key under the Suppressed strategy: declined units beside a window of admitted ones.
struct Key {
    demand: Demand,
    admitted: Window,
}

const NOW: u64 = 20;

impl Key {
    /// Nothing counts at [`NOW`]: `before` says when a unit was admitted, if any, which has expired by
    /// then, or is given back.
    fn idle(before: Option<u64>) -> Self {
        let demand = Demand::new();
        let admitted = Window::new(&demand.timeline, 10);
        if let Some(tick) = before {
            let timeline = &demand.timeline;
            let added = admitted.add(timeline, tick, 1, Limit::Within(1));
            assert!(matches!(added, Outcome::Admitted { .. }));
            if tick == NOW {
                assert_eq!(admitted.refund(timeline, NOW, 1), Some(1));
            }
        }
        Self { demand, admitted }
    }

    /// As the strategy declines. Whether it is counted.
    fn decline(&self, units: u64, thread: usize) -> bool {
        let Demand { timeline, stripes } = &self.demand;
        stripes.add(timeline, NOW, units, thread);
        self.admitted.hold_up(timeline, NOW).is_some()
    }

    /// As the strategy retires.
    fn retire(&self) -> bool {
        let Demand { timeline, stripes } = &self.demand;
        self.admitted.retire(timeline, NOW, 0, || stripes.is_idle(timeline, NOW))
    }
}

/// One thread declines while another retires, and maybe a third declines, too: either the retirement is
/// too late, or they are told. Either of the two is started first: loom finds some races in one order only.
fn no_decline_is_retired(name: &str, before: Option<u64>, has_third: bool) {
    for (fast_path_enabled, retires_first) in
        [(false, false), (false, true), (true, false), (true, true)]
    {
        if has_third && retires_first {
            // Half a million interleavings, and minutes.
            continue;
        }
        let way = if fast_path_enabled { ", the short way" } else { "" };
        let order = if retires_first { ", begun after it" } else { "" };
        take_short_way(fast_path_enabled);
        explore_model(&format!("{name}{order}{way}"), move || {
            let key = Arc::new(Key::idle(before));
            let decline = |thread| {
                let key = Arc::clone(&key);
                move || key.decline(5, thread)
            };
            let third = has_third.then(|| thread::spawn(decline(2)));
            let (is_retired, is_counted) = if retires_first {
                let other = Arc::clone(&key);
                let retires = thread::spawn(move || other.retire());
                let is_counted = decline(1)();
                (retires.join().expect("no thread panics"), is_counted)
            } else {
                let declines = thread::spawn(decline(1));
                let is_retired = key.retire();
                (is_retired, declines.join().expect("no thread panics"))
            };
            let third = third.map(|third| third.join().expect("no thread panics"));
            let counted = u64::from(is_counted) + u64::from(third == Some(true));
            assert_eq!(key.admitted.is_dead(), is_retired);
            if is_retired {
                assert_eq!(counted, 0, "counted on a key that was retired");
            } else {
                assert_eq!(counted, 1 + u64::from(has_third));
                assert_eq!(key.demand.usage(NOW), 5 * counted);
            }
            assert!(!key.retire() || is_retired, "declined units keep a key");
        });
    }
}

#[test]
fn no_decline_is_retired_with_a_key_of_old_marks() {
    no_decline_is_retired("a decline on a key of old marks beside its retirement", Some(10), false);
}

#[test]
fn no_decline_is_retired_with_a_key_without_marks() {
    no_decline_is_retired("a decline on a key without marks beside its retirement", None, false);
}

#[test]
fn no_decline_is_retired_with_a_key_of_refunds() {
    no_decline_is_retired("a decline on a key of refunds beside its retirement", Some(NOW), false);
}

#[test]
fn no_decline_of_two_is_retired() {
    no_decline_is_retired("two declines on a key beside its retirement", Some(10), true);
}
