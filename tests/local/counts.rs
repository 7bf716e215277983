//! Counts and capacities at their ends: none, too many, all there are. For every provider.

use core::time::Duration;

use trypema::RateLimit;

use crate::common::{Answer, Grid, LocalAbsolute, Provider};

const GRID: Grid = Grid { window_ms: 1_000, bucket_ms: 100 };

fn per_second(count: f64) -> RateLimit {
    RateLimit::per_second(count).unwrap()
}

fn never(usage: u64) -> Answer {
    Answer::Rejected { retry_after_ms: None, remaining_after_waiting: usage }
}

fn later(ms: u64, usage: u64) -> Answer {
    Answer::Rejected { retry_after_ms: Some(ms), remaining_after_waiting: usage }
}

/// Asks both ways, which must say the same.
fn ask<P: Provider>(limiter: &P, key: u8, rate: &RateLimit, count: u64) -> Answer {
    let looked = Answer::from(limiter.is_allowed(key, rate, count));
    let answer = Answer::from(limiter.inc(key, rate, count));
    assert_eq!(looked, answer, "is_allowed and inc differ: {count} at {rate}");
    answer
}

// proves: input
fn nothing_asked_is_allowed_and_leaves_no_trace<P: Provider>() {
    let limiter = P::start(GRID);
    let rates = [per_second(f64::from_bits(1)), per_second(5.0), RateLimit::unlimited()];
    for rate in &rates {
        assert_eq!(ask(&limiter, 0, rate, 0), Answer::Allowed);
    }
    assert!(limiter.record(0, 0));
    assert_eq!(limiter.refund(0, 0), 0);
    assert_eq!(limiter.refund(0, u64::MAX), 0);
    assert_eq!(limiter.usage(0), 0);
    assert!(!limiter.reset(0));
    assert_eq!(limiter.len(), 0);
    // Nor is anything changed by it where the key is full.
    assert!(limiter.record(0, 1_000));
    assert_eq!(ask(&limiter, 0, &rates[1], 0), Answer::Allowed);
    assert_eq!((limiter.usage(0), limiter.len()), (1_000, 1));
}

// proves: G1 G3
fn more_than_the_capacity_is_never_allowed<P: Provider>() {
    let limiter = P::start(GRID);
    let rate = per_second(5.0);
    for count in [6, 1_000, u64::MAX] {
        assert_eq!(ask(&limiter, 0, &rate, count), never(0));
    }
    assert_eq!(limiter.len(), 0, "a rejection makes no state");
    assert_eq!(ask(&limiter, 0, &rate, 3), Answer::Allowed);
    for count in [6, u64::MAX] {
        assert_eq!(ask(&limiter, 0, &rate, count), never(3));
    }
    assert_eq!(ask(&limiter, 0, &rate, 5), later(1_100, 0));
    assert_eq!(ask(&limiter, 0, &rate, 2), Answer::Allowed);
    assert_eq!(limiter.usage(0), 5);
}

// proves: G1 G3
fn a_capacity_of_zero_allows_nothing<P: Provider>() {
    let limiter = P::start(GRID);
    for rate in [per_second(0.5), per_second(0.999), RateLimit::per_day(86_399.0).unwrap()] {
        for count in [1, u64::MAX] {
            assert_eq!(ask(&limiter, 0, &rate, count), never(0));
        }
    }
    assert_eq!(limiter.len(), 0);
}

// proves: G1
fn every_call_is_judged_by_its_own_rate<P: Provider>() {
    let limiter = P::start(GRID);
    assert_eq!(ask(&limiter, 0, &per_second(10.0), 8), Answer::Allowed);
    assert_eq!(ask(&limiter, 0, &per_second(5.0), 1), later(1_100, 0));
    assert_eq!(ask(&limiter, 0, &per_second(10.0), 2), Answer::Allowed);
    assert_eq!(ask(&limiter, 0, &per_second(5.0), 6), never(10));
    assert_eq!(ask(&limiter, 0, &RateLimit::unlimited(), 7), Answer::Allowed);
    assert_eq!(ask(&limiter, 0, &per_second(18.0), 1), Answer::Allowed);
    assert_eq!(limiter.usage(0), 18);
}

/// Sums that a window cannot hold are clipped to the most that it can.
// proves: G1 input
fn counts_without_measure_are_clipped<P: Provider>() {
    let most = P::most(GRID);
    let limiter = P::start(GRID);
    assert_eq!(ask(&limiter, 0, &RateLimit::unlimited(), u64::MAX), Answer::Allowed);
    assert_eq!(ask(&limiter, 0, &RateLimit::unlimited(), u64::MAX), Answer::Allowed);
    assert_eq!(limiter.usage(0), most);
    assert!(limiter.record(1, u64::MAX));
    assert!(limiter.record(1, 1));
    assert_eq!(limiter.usage(1), most);
    assert!(limiter.record(2, most - 1));
    assert_eq!(limiter.usage(2), most - 1);
    // A rate without measure is held to what can be counted.
    let huge = per_second(f64::MAX);
    assert_eq!(ask(&limiter, 2, &huge, most + 1), never(most - 1));
    assert_eq!(ask(&limiter, 2, &huge, u64::MAX), never(most - 1));
    assert_eq!(ask(&limiter, 2, &huge, 2), later(1_100, 0));
    assert_eq!(ask(&limiter, 2, &huge, 1), Answer::Allowed);
    assert_eq!(limiter.usage(2), most);
    // They are given back like any other, as many as count.
    assert_eq!(limiter.refund(0, 1), 1);
    assert_eq!(limiter.refund(0, u64::MAX), most - 1);
    assert_eq!(limiter.refund(0, u64::MAX), 0);
    assert_eq!(limiter.usage(0), 0);
    assert_eq!(ask(&limiter, 0, &per_second(5.0), 5), Answer::Allowed);
    assert_eq!(limiter.usage(0), 5);
    assert_eq!(limiter.len(), 3);
}

/// A refund takes from those that would expire first, hence it puts off the next room.
// proves: G2
fn refunds_take_the_oldest_first<P: Provider>() {
    let limiter = P::start(GRID);
    let rate = per_second(4.0);
    for at in [0, 250, 500] {
        limiter.set_time(Duration::from_millis(at));
        assert_eq!(ask(&limiter, 0, &rate, 1), Answer::Allowed);
    }
    assert_eq!(ask(&limiter, 0, &rate, 2), later(600, 2));
    assert_eq!(limiter.refund(0, 1), 1);
    assert_eq!(limiter.usage(0), 2);
    assert_eq!(ask(&limiter, 0, &rate, 2), Answer::Allowed);
    // Left are one unit of 250 ms, until 1,300 ms, and three of 500 ms, until 1,600 ms.
    assert_eq!(ask(&limiter, 0, &rate, 1), later(800, 3));
    assert_eq!(ask(&limiter, 0, &rate, 2), later(1_100, 0));
}

/// Ticks are packed into fewer than 64 bits, and begin anew every few hours or days. What follows
/// is tried in each sixteenth of their range, for windows of 10 ms in buckets of 1 ms.
fn at_all_times<P: Provider>(test: impl Fn(&P, &dyn Fn(u64), u64)) {
    for part in 0..16 {
        let limiter = P::start(Grid { window_ms: 10, bucket_ms: 1 });
        let at = |ms: u64| limiter.set_time(Duration::from_millis((part << 19) + ms));
        at(0);
        test(&limiter, &at, part);
    }
}

// proves: G5
fn a_key_filled_to_the_brim_is_not_forgotten<P: Provider>() {
    let most = P::most(Grid { window_ms: 10, bucket_ms: 1 });
    at_all_times::<P>(|limiter, at, part| {
        assert!(limiter.record(0, u64::MAX));
        at(5);
        assert_eq!(limiter.usage(0), most, "part {part}");
        assert!(limiter.record(0, 1));
        assert_eq!(limiter.usage(0), most, "part {part}: what was recorded at 0 ms is gone");
        assert_eq!(ask(limiter, 0, &per_second(300.0), 1), later(11, 0), "part {part}");
    });
}

// proves: G2
fn a_key_that_was_filled_to_the_brim_has_its_capacity_again<P: Provider>() {
    at_all_times::<P>(|limiter, at, part| {
        assert!(limiter.record(0, u64::MAX));
        at(11);
        assert_eq!(limiter.usage(0), 0, "part {part}");
        assert_eq!(ask(limiter, 0, &per_second(300.0), 3), Answer::Allowed, "part {part}");
        assert_eq!(limiter.usage(0), 3, "part {part}: admitted but not counted");
        assert_eq!(ask(limiter, 0, &per_second(300.0), 1), later(11, 0), "part {part}");
    });
}

// proves: G2
fn a_key_that_was_filled_to_the_brim_is_not_stuck<P: Provider>() {
    at_all_times::<P>(|limiter, at, part| {
        assert!(limiter.record(0, u64::MAX));
        at(11);
        assert!(limiter.inc(0, &per_second(300.0), 3).is_allowed(), "part {part}");
        at(22);
        assert_eq!(limiter.usage(0), 0, "part {part}: what was admitted at 11 ms still counts");
    });
}

/// The same by `inc` alone, at a finite rate: with the most buckets a window holds few units, so a
/// call may take all of them.
// proves: G2 G5
fn a_window_taken_whole_is_neither_forgotten_nor_stuck<P: Provider>() {
    let grid = Grid { window_ms: 524_285, bucket_ms: 1 };
    let (rate, most) = (per_second(1e9), P::most(grid));
    for part in 0..16_u64 {
        // Sixteenths of 2^39 ticks.
        let limiter = P::start(grid);
        let at = |ms: u64| limiter.set_time(Duration::from_millis((part << 35) + ms));
        at(0);
        assert_eq!(ask(&limiter, 0, &rate, most), Answer::Allowed, "part {part}");
        at(1);
        assert_eq!(ask(&limiter, 0, &rate, 1), later(524_285, 0), "part {part}");
        at(524_286);
        assert_eq!(ask(&limiter, 0, &rate, 1), Answer::Allowed, "part {part}");
        assert_eq!(limiter.usage(0), 1, "part {part}: admitted but not counted");
        at(2 * 524_286);
        assert_eq!(limiter.usage(0), 0, "part {part}: still counts");
        assert_eq!(ask(&limiter, 0, &rate, most), Answer::Allowed, "part {part}");
    }
}

// proves: G3
#[test]
fn decisions_say_whether_and_when() {
    let limiter = LocalAbsolute::start(GRID);
    let rate = per_second(5.0);
    let (allowed, full, too_much) =
        (limiter.inc(0, &rate, 5), limiter.inc(0, &rate, 1), limiter.inc(0, &rate, 6));
    assert_eq!((allowed.is_allowed(), allowed.retry_after()), (true, None));
    assert_eq!(
        (full.is_allowed(), full.retry_after()),
        (false, Some(Duration::from_millis(1_100)))
    );
    assert_eq!((too_much.is_allowed(), too_much.retry_after()), (false, None));
    assert_eq!((allowed.remaining(), full.remaining(), too_much.remaining()), (0, 0, 0));
    assert_ne!(full, too_much);
    assert!(format!("{full:?}").contains("1100"), "{full:?}");
}

/// The table, for one provider.
macro_rules! suite {
    ($name:ident: $provider:ty: $($test:ident),+ $(,)?) => {
        mod $name {
            $(#[test]
            fn $test() {
                super::$test::<$provider>();
            })+
        }
    };
}

suite! { local: super::LocalAbsolute:
    nothing_asked_is_allowed_and_leaves_no_trace,
    more_than_the_capacity_is_never_allowed,
    a_capacity_of_zero_allows_nothing,
    every_call_is_judged_by_its_own_rate,
    counts_without_measure_are_clipped,
    refunds_take_the_oldest_first,
    a_key_filled_to_the_brim_is_not_forgotten,
    a_key_that_was_filled_to_the_brim_has_its_capacity_again,
    a_key_that_was_filled_to_the_brim_is_not_stuck,
    a_window_taken_whole_is_neither_forgotten_nor_stuck,
}
