//! `acquire` with many threads on one key: who is admitted, when, and in what order.
//!
//! The clock is moved by hand, and `common/line.rs` tells how the order of arrival is known. What
//! is to be admitted after each step of the clock is worked out beforehand by a naive model.

// each proves: acquire

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use crate::common::line::{Queue, SIDES, Side};
use crate::common::until::{FOREVER, until, was_woken};
use trypema::TrypemaError;

const SECOND: Duration = Duration::from_secs(1);
const TENTH: Duration = Duration::from_millis(100);
/// A unit counts for the window and the rest of its bucket: in eleven buckets, its own included.
const COUNTED: u64 = 11;

/// Threads with these counts join, in this order, while `filled` units count from bucket 0; then
/// the clock moves by buckets until all are served. The order has to be the naive one, bucket by
/// bucket.
fn served_as_the_model_says(side: Side, capacity: u32, filled: u64, counts: &[u64]) {
    let queue = Queue::new(side, SECOND, TENTH, capacity);
    queue.fill(filled);
    thread::scope(|scope| {
        let waiting = counts
            .iter()
            .enumerate()
            .map(|(index, &count)| queue.join(scope, &index.to_string(), count, FOREVER))
            .collect::<Vec<_>>();

        let mut line = counts.iter().copied().enumerate().collect::<VecDeque<_>>();
        let mut counted = vec![(0, filled)];
        let mut expected = Vec::new();
        let mut bucket = 0;
        while !line.is_empty() {
            // All that was expected by now has come, and nothing else, though others have looked
            // at the same time and later.
            assert_eq!(queue.admitted(), expected, "at bucket {bucket}");
            queue.clock.clock.advance(TENTH);
            bucket += 1;
            counted.retain(|&(then, _)| then + COUNTED > bucket);
            let mut usage = counted.iter().map(|&(_, units)| units).sum::<u64>();
            // The first in line, if it does not fit, holds up the others, whatever they ask for.
            while let Some(&(index, count)) = line.front()
                && usage + count <= u64::from(capacity)
            {
                line.pop_front();
                usage += count;
                counted.push((bucket, count));
                expected.push(index.to_string());
            }
            queue.until_admitted(expected.len());
            assert_eq!(queue.usage(), usage, "at bucket {bucket}");
        }
        for thread in waiting {
            assert!(was_woken(&thread.join().unwrap()));
        }
        assert_eq!(queue.admitted(), expected);
    });
}

#[test]
fn a_hundred_threads_are_admitted_at_the_rate_in_the_order_that_they_came() {
    for side in SIDES {
        served_as_the_model_says(side, 5, 5, &[1; 100]);
    }
}

#[test]
fn the_order_holds_whatever_each_asks_for() {
    for side in SIDES {
        let counts = (0..60).map(|index| 1 + index * 3 % 5).collect::<Vec<_>>();
        assert!(counts.contains(&5), "somebody asks for the whole capacity");
        served_as_the_model_says(side, 5, 5, &counts);
        // There is room for the last, which stands behind somebody for whom there is none.
        served_as_the_model_says(side, 5, 4, &[2, 1]);
    }
}

/// The first needs more than there is; the second would fit, and does as soon as the first gives
/// up. The clock stands still, so nothing else could wake it.
#[test]
fn who_gives_up_at_the_head_of_the_line_passes_the_turn_on() {
    for side in SIDES {
        let queue = Queue::new(side, SECOND, TENTH, 5);
        queue.fill(4);
        thread::scope(|scope| {
            let first = queue.join(scope, "first", 2, Duration::from_millis(300));
            let second = queue.join(scope, "second", 1, FOREVER);
            assert!(matches!(first.join().unwrap(), Err(TrypemaError::Timeout { .. })));
            assert!(was_woken(&second.join().unwrap()));
        });
        assert_eq!(queue.admitted(), ["second"]);
        assert_eq!(queue.usage(), 5);
    }
}

#[test]
fn who_gives_up_in_the_middle_of_the_line_leaves_the_order_of_the_others() {
    for side in SIDES {
        let queue = Queue::new(side, SECOND, TENTH, 1);
        queue.fill(1);
        thread::scope(|scope| {
            let names = ["a", "b", "c", "d", "e"];
            let mut waiting = Vec::new();
            for name in names {
                let brief = ["b", "d"].contains(&name);
                let timeout = if brief { Duration::from_millis(300) } else { FOREVER };
                waiting.push(queue.join(scope, name, 1, timeout));
            }
            until("two have given up", || waiting[1].is_finished() && waiting[3].is_finished());
            for admitted in 1..=3 {
                queue.clock.clock.advance(SECOND + TENTH);
                queue.until_admitted(admitted);
            }
            let results = waiting.into_iter().map(|thread| thread.join().unwrap().is_ok());
            assert!(results.eq([true, false, true, false, true]));
        });
        assert_eq!(queue.admitted(), ["a", "c", "e"]);
    }
}

/// All but the last give up, at about the same time, while nothing else happens: the turn goes
/// through the line, and reaches the last one whatever the order in which they leave.
#[test]
fn the_turn_survives_many_who_give_up_at_once() {
    for side in SIDES {
        for _ in 0..10 {
            let queue = Queue::new(side, SECOND, TENTH, 5);
            queue.fill(4);
            thread::scope(|scope| {
                let timeout = Duration::from_millis(100);
                let names = ["0", "1", "2", "3", "4", "5", "6", "7"];
                let impatient = names.map(|name| queue.join(scope, name, 2, timeout));
                let patient = scope.spawn(|| queue.acquire(1, FOREVER));
                for thread in impatient {
                    assert!(matches!(thread.join().unwrap(), Err(TrypemaError::Timeout { .. })));
                }
                assert!(was_woken(&patient.join().unwrap()));
            });
            assert_eq!(queue.usage(), 5);
        }
    }
}

/// Somebody waits for three units. Others come and take the two that are left, and later one that
/// was given back, as if nobody waited.
#[test]
fn inc_does_not_queue_behind_those_who_wait() {
    for side in SIDES {
        let queue = Queue::new(side, SECOND, TENTH, 5);
        queue.fill(3);
        thread::scope(|scope| {
            let waiting = queue.join(scope, "patient", 3, FOREVER);
            assert!(queue.inc(1));
            assert!(queue.inc(1));
            assert!(!queue.inc(1));
            assert_eq!(queue.refund(1), 1);
            assert!(queue.inc(1));
            assert_eq!(queue.refund(3), 3);
            assert!(was_woken(&waiting.join().unwrap()));
            assert_eq!(queue.usage(), 5);
        });
    }
}

/// Nobody who waits for one key is held up by those who wait for another.
#[test]
fn other_keys_have_lines_of_their_own() {
    use trypema::{LocalRateLimiter, ManualClock, RateLimit};
    let limiter = LocalRateLimiter::builder().clock(ManualClock::new()).build().unwrap();
    let rate = RateLimit::per_minute(1.0).unwrap();
    let absolute = limiter.absolute();
    assert!(absolute.inc("busy", &rate, 1).is_allowed());
    thread::scope(|scope| {
        let waiting = (0..4)
            .map(|_| scope.spawn(|| absolute.acquire("busy", &rate, 1, FOREVER)))
            .collect::<Vec<_>>();
        for key in 0..100 {
            assert!(was_woken(&absolute.acquire(&key.to_string(), &rate, 1, FOREVER)));
        }
        for _ in 0..waiting.len() {
            until("one is admitted, and refunded for", || {
                absolute.refund("busy", &RateLimit::unlimited(), 1) == 1
            });
        }
        for thread in waiting {
            assert!(was_woken(&thread.join().unwrap()));
        }
    });
}
