//! Lanes: what is added while they are made, from whichever side, is counted once.

// each proves: thinning

use loom::sync::Arc;
use loom::thread;

use crate::explore::explore_model;
use crate::key::{Lanes, Layout};
use crate::sync::atomic::AtomicU64;
use crate::sync::take_short_way;

const SPAN: u64 = 3;

/// Units added at some tick, by threads of whatever number.
struct Demand {
    layout: Layout,
    floor: AtomicU64,
    lanes: Lanes,
}

impl Demand {
    fn new() -> Self {
        let layout = Layout::for_span(SPAN);
        Self { layout, floor: AtomicU64::new(0), lanes: Lanes::new(&layout, 10) }
    }

    fn add(&self, now: u64, count: u64, thread: usize) {
        self.lanes.add(&self.layout, &self.floor, now, count, thread);
    }

    fn usage(&self, now: u64) -> u64 {
        self.lanes.usage(&self.layout, now)
    }
}

/// Two threads add, both of which find it too crowded at some point; a third looks meanwhile.
fn nothing_is_lost(name: &str, is_crowded: bool) {
    for takes_short_way in [false, true] {
        let way = if takes_short_way { ", the short way" } else { "" };
        take_short_way(takes_short_way);
        explore_model(&format!("{name}{way}"), move || {
            let demand = Arc::new(Demand::new());
            demand.add(10, 1, 0);
            let adds = |number, count| {
                let demand = Arc::clone(&demand);
                thread::spawn(move || {
                    if is_crowded {
                        demand.lanes.widen(&demand.layout, 11);
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
            let recent = demand.lanes.usage_and_recent(&demand.layout, 11, 1);
            assert_eq!(recent, (111, 110));
            assert!(!demand.lanes.is_idle(&demand.layout, 11 + SPAN - 1));
            assert_eq!(demand.usage(11 + SPAN - 1), 110, "what was added at tick 10 has left");
            assert!(demand.lanes.is_idle(&demand.layout, 11 + SPAN));
        });
    }
}

#[test]
fn nothing_is_lost_while_lanes_are_made() {
    nothing_is_lost("lanes made by two threads at once", true);
}

#[test]
fn nothing_is_lost_before_there_are_lanes() {
    nothing_is_lost("additions that may come to be crowded", false);
}
