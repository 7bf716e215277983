//! Undo: those very units, out of their very bucket. And several limits at once, which rest on it.

use std::thread;
use std::time::Duration;

use trypema::{Bucket, Limiter, LocalRateLimiter, ManualClock, RateLimit, RateLimitDecision};

const SECOND: Duration = Duration::from_secs(1);
/// The longest that a unit counts: a window of a second, and a bucket.
const EXPIRED: Duration = Duration::from_millis(1_002);

fn limiter() -> (LocalRateLimiter, ManualClock) {
    let clock = ManualClock::new();
    clock.set(1_000 * SECOND);
    (LocalRateLimiter::builder().clock(clock.clone()).build().unwrap(), clock)
}

fn per_second(count: u32) -> RateLimit {
    RateLimit::per_second(count).unwrap()
}

// proves: G5
#[test]
fn a_key_that_is_tried_and_undone_for_ever_empties() {
    let (limiter, clock) = limiter();
    let rate = RateLimit::per_minute(5).unwrap();
    let both: [&dyn Limiter; 2] = [limiter.absolute(), limiter.suppressed()];
    for limiter in both {
        assert!(limiter.inc("key", &rate, 4).unwrap().is_allowed());
    }
    for _ in 0..=61 {
        clock.advance(SECOND);
        for limiter in both {
            let decision = limiter.inc("key", &rate, 1).unwrap();
            let bucket = decision.bucket().expect("it was counted");
            assert_eq!(limiter.undo("key", &rate, bucket, 1).unwrap(), 1);
        }
    }
    for limiter in both {
        assert_eq!(limiter.usage("key", &rate).unwrap(), 0);
    }
}

#[test]
fn an_undo_takes_no_more_than_is_there() {
    let (limiter, clock) = limiter();
    let (absolute, rate) = (limiter.absolute(), per_second(10));
    let bucket = absolute.inc("key", &rate, 3).bucket().unwrap();
    assert_eq!(absolute.undo("other", &rate, bucket, 1), 0);
    assert_eq!(absolute.undo("key", &per_second(9), bucket, 1), 1, "the same window");
    assert_eq!(absolute.undo("key", &RateLimit::per_minute(9).unwrap(), bucket, 1), 0);
    assert_eq!(absolute.undo("key", &rate, Bucket::NONE, 1), 0);
    assert_eq!(absolute.undo("key", &rate, bucket, 0), 0);
    assert_eq!(absolute.refund("key", &rate, 1), 1);
    assert_eq!(absolute.undo("key", &rate, bucket, 5), 1, "one was refunded, one undone");
    assert_eq!((absolute.undo("key", &rate, bucket, 5), absolute.usage("key", &rate)), (0, 0));
    let late = absolute.inc("key", &rate, 1).bucket().unwrap();
    clock.advance(EXPIRED);
    assert_eq!(absolute.undo("key", &rate, late, 1), 0, "it has expired");
}

#[test]
fn admissions_alone_have_a_bucket() {
    let (limiter, _) = limiter();
    let rate = per_second(2);
    let both: [&dyn Limiter; 2] = [limiter.absolute(), limiter.suppressed()];
    for limiter in both {
        assert!(limiter.is_allowed("key", &rate, 1).unwrap().bucket().is_none());
        assert!(limiter.inc("key", &rate, 0).unwrap().bucket().is_none());
        assert!(limiter.inc("key", &rate, 100).unwrap().bucket().is_none());
        let admitted = limiter.acquire("key", &rate, 1, Duration::ZERO).unwrap();
        assert_eq!(limiter.undo("key", &rate, admitted.bucket, 9).unwrap(), 1);
        let unlimited = limiter.inc("key", &RateLimit::unlimited(), 5).unwrap();
        assert_eq!(unlimited.remaining(), u64::MAX);
        let bucket = unlimited.bucket().unwrap();
        assert_eq!(limiter.undo("key", &RateLimit::unlimited(), bucket, 9).unwrap(), 5);
    }
}

#[test]
fn undone_units_leave_their_own_hint_and_no_other() {
    let (limiter, clock) = limiter();
    let (absolute, rate) = (limiter.absolute(), per_second(4));
    let _ = absolute.inc("key", &rate, 2);
    clock.advance(SECOND / 2);
    let newest = absolute.inc("key", &rate, 2).bucket().unwrap();
    assert_eq!(absolute.inc("key", &rate, 1), RateLimitDecision::rejected(Some(502), 2));
    assert_eq!(absolute.undo("key", &rate, newest, 2), 2);
    let rejected = absolute.inc("key", &rate, 3);
    assert_eq!(rejected, RateLimitDecision::rejected(Some(502), 0).with_remaining(2));
}

// --- several limits at once --------------------------------------------------------------------

#[test]
fn all_or_nothing() {
    let (limiter, _) = limiter();
    let (ten, hundred) = (per_second(10), RateLimit::per_minute(100).unwrap());
    let daily = RateLimit::per_day(20).unwrap();
    let absolute = limiter.absolute();
    let calls = [("ip", &ten, 1), ("ip", &hundred, 1), ("tenant", &daily, 3)];
    // The least of 10 less one, 100 less one, and 20 less three each time.
    for expected in [(0, 9), (0, 8), (0, 7), (0, 6), (0, 5), (2, 2)] {
        let combined = absolute.inc_all(&calls);
        assert_eq!((combined.tightest, combined.remaining()), expected);
        assert_eq!((combined.is_allowed(), combined.buckets.len()), (true, 3));
    }
    assert_eq!(absolute.usage("ip", &ten), 6);
    let refused = absolute.inc_all(&calls);
    assert_eq!((refused.is_allowed(), refused.tightest), (false, 2));
    assert_eq!(refused.remaining(), 2);
    assert_eq!((absolute.usage("ip", &ten), absolute.usage("ip", &hundred)), (6, 6));
    assert_eq!(absolute.usage("tenant", &daily), 18);
}

#[test]
fn the_tightest_and_the_longest_wait_are_named() {
    let (limiter, _) = limiter();
    let (second, minute) = (per_second(5), RateLimit::per_minute(5).unwrap());
    let absolute = limiter.absolute();
    let combined = absolute.inc_all(&[("a", &second, 1), ("b", &minute, 3)]);
    assert_eq!((combined.tightest, combined.remaining()), (1, 2));
    let tie = absolute.inc_all(&[("c", &minute, 1), ("d", &minute, 1)]);
    assert_eq!((tie.tightest, tie.remaining()), (0, 4));
    let refused = absolute.inc_all(&[("a", &second, 5), ("b", &minute, 3)]);
    assert_eq!(refused.tightest, 1, "it waits for a minute, and the other for a second");
    assert_eq!(refused.retry_after(), Some(Duration::from_millis(60_100)));
    let never = absolute.inc_all(&[("a", &second, 6), ("b", &minute, 3)]);
    assert_eq!((never.tightest, never.decision.is_never()), (0, true));
}

#[test]
fn the_same_key_twice_is_judged_by_the_sum() {
    let (limiter, _) = limiter();
    let (five, nine) = (per_second(5), per_second(9));
    for limiter in [limiter.absolute() as &dyn Limiter] {
        assert!(!limiter.inc_all(&[("key", &five, 3), ("key", &nine, 3)]).unwrap().is_allowed());
        let combined = limiter.inc_all(&[("key", &nine, 3), ("key", &five, 2)]).unwrap();
        assert_eq!((combined.tightest, combined.remaining()), (1, 0));
        assert_eq!(limiter.usage("key", &five).unwrap(), 5);
        for (count, bucket) in [3, 2].into_iter().zip(combined.buckets.to_vec()) {
            assert_eq!(limiter.undo("key", &five, bucket, count).unwrap(), count);
        }
        assert_eq!(limiter.usage("key", &five).unwrap(), 0);
    }
}

#[test]
fn nothing_asked_for_is_allowed() {
    let (limiter, _) = limiter();
    let rate = per_second(1);
    for calls in [&[][..], &[("a", &rate, 0), ("b", &rate, 0)][..]] {
        let combined = limiter.absolute().inc_all::<str>(calls);
        assert!(combined.is_allowed());
        assert_eq!(combined.buckets.to_vec(), vec![Bucket::NONE; calls.len()]);
    }
    assert!(limiter.is_empty());
}

#[test]
fn a_thousand_limits_at_once() {
    let (limiter, _) = limiter();
    let rate = per_second(2);
    let names = (0..1_000).map(|name| name.to_string()).collect::<Vec<_>>();
    let calls = names.iter().map(|name| (name.as_str(), &rate, 1)).collect::<Vec<_>>();
    for expected in [true, true, false] {
        assert_eq!(limiter.absolute().inc_all(&calls).is_allowed(), expected);
    }
    let usage = |name: &String| limiter.absolute().usage(name.as_str(), &rate);
    assert!(names.iter().all(|name| usage(name) == 2));
}

/// Overlapping sets of limits from many threads: none is overshot, and what was turned away has left
/// nothing behind.
// proves: G1
#[test]
fn threads_that_overlap_overshoot_nothing() {
    const KEYS: [&str; 4] = ["a", "b", "c", "d"];
    for round in 0..20 {
        let (limiter, _) = limiter();
        let rate = per_second(50);
        let admitted: u64 = thread::scope(|scope| {
            let threads = (0..8).map(|thread| {
                let limiter = &limiter;
                let rate = &rate;
                scope.spawn(move || {
                    let mut admitted = 0;
                    for turn in 0..100 {
                        let first = (thread + turn + round) % 4;
                        let calls = [0, 1, 2].map(|next| {
                            let back = if thread % 2 == 0 { next } else { 2 - next };
                            (KEYS[(first + back) % 4], rate, 1)
                        });
                        admitted += u64::from(limiter.absolute().inc_all(&calls).is_allowed());
                    }
                    admitted
                })
            });
            threads.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let usages = KEYS.map(|key| limiter.absolute().usage(key, &rate));
        assert!(usages.iter().all(|usage| *usage <= 50), "{usages:?}");
        assert_eq!(usages.iter().sum::<u64>(), 3 * admitted, "{usages:?}");
    }
}

#[test]
fn a_decline_undoes_what_was_admitted_before_it() {
    let (limiter, _) = limiter();
    let (suppressed, rate) = (limiter.suppressed(), per_second(4));
    assert!(suppressed.record("full", &rate, 6));
    let refused = suppressed.inc_all(&[("empty", &rate, 2), ("full", &rate, 1)]);
    assert_eq!((refused.is_allowed(), refused.tightest), (false, 1));
    assert_eq!(suppressed.usage("empty", &rate).admitted, 0);
    assert_eq!(suppressed.usage("full", &rate).declined, 1);
}

// --- what a review found -----------------------------------------------------------------------

/// A clipped admission moves all units into its own mark: to undo it would take others' with it.
// proves: G1
#[test]
fn nothing_is_undone_of_an_admission_that_was_clipped() {
    let (limiter, _) = limiter();
    let (absolute, rate, all) = (limiter.absolute(), per_second(10), RateLimit::unlimited());
    let window = LocalRateLimiter::builder().window(SECOND).build().unwrap();
    for absolute in [absolute, window.absolute()] {
        assert!(absolute.inc("key", &rate, 10).is_allowed());
        let clipped = absolute.inc("key", &all, u64::MAX);
        assert!(clipped.is_allowed());
        if let Some(bucket) = clipped.bucket() {
            assert_eq!(absolute.undo("key", &all, bucket, u64::MAX), 0);
        }
        assert!(absolute.usage("key", &rate) >= 10);
        assert!(!absolute.inc("key", &rate, 10).is_allowed());
    }
}

#[test]
fn a_call_without_room_is_turned_away_once() {
    let limiter = LocalRateLimiter::builder().max_keys(1).build().unwrap();
    let (absolute, rate) = (limiter.absolute(), RateLimit::per_hour(5).unwrap());
    assert!(absolute.inc("known", &rate, 1).is_allowed());
    let refused = absolute.inc_all(&[("known", &rate, 1), ("new", &rate, 1)]);
    assert_eq!((refused.is_allowed(), refused.tightest), (false, 1));
    let stats = absolute.stats();
    assert_eq!((stats.turned_away, stats.rejected, absolute.usage("known", &rate)), (1, 1, 1));
}
