//! `max_keys`, step by step, on a clock that is moved by hand: who is displaced, who is turned
//! away, and that no room is ever lost. Races are in `max_keys_races.rs`.

// each proves: G6

use std::time::Duration;

use trypema::{LocalRateLimiter, ManualClock, RateLimit, RateLimitDecision, TrypemaError};

const WINDOW: Duration = Duration::from_millis(1_050);
/// The window in whole buckets, and the bucket that a unit came in.
const EXPIRED: Duration = Duration::from_millis(1_200);
const BUCKET: Duration = Duration::from_millis(100);

fn limiter(max_keys: usize) -> (LocalRateLimiter, ManualClock) {
    let clock = ManualClock::new();
    let builder = LocalRateLimiter::builder().window(WINDOW).bucket(BUCKET).clock(clock.clone());
    (builder.max_keys(max_keys).build().unwrap(), clock)
}

/// Plenty: no key under test ever reaches it.
fn plenty() -> RateLimit {
    RateLimit::per_second(1_000.0).unwrap()
}

fn absolute_inc(limiter: &LocalRateLimiter, key: &str) -> bool {
    limiter.absolute().inc(key, &plenty(), 1).is_allowed()
}

fn suppressed_inc(limiter: &LocalRateLimiter, key: &str) -> bool {
    limiter.suppressed().inc(key, &plenty(), 1).is_allowed()
}

/// How many of these new keys are let in: with all in use, as many as there is room for.
fn let_in(limiter: &LocalRateLimiter, prefix: &str, tries: usize) -> usize {
    (0..tries).filter(|number| absolute_inc(limiter, &format!("{prefix}{number}"))).count()
}

// proves: input G6
#[test]
fn only_bounds_that_can_be_kept_are_accepted() {
    for max_keys in [0, u32::MAX as usize, usize::MAX] {
        let refused = LocalRateLimiter::builder().max_keys(max_keys).build();
        match refused.unwrap_err() {
            TrypemaError::InvalidConfig { field, given, allowed, .. } => {
                assert_eq!((field, given), ("max_keys", max_keys.to_string()));
                assert!(allowed.contains("at least 1"), "{allowed}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn past_the_bound_a_new_key_is_turned_away() {
    let (limiter, _) = limiter(3);
    for key in ["a", "b", "c"] {
        assert!(absolute_inc(&limiter, key));
    }
    let refused = limiter.absolute().inc("d", &plenty(), 1);
    match refused {
        RateLimitDecision::Rejected { retry_after_ms, remaining_after_waiting, .. } => {
            assert_eq!((retry_after_ms, remaining_after_waiting), (Some(1_050), 0));
        }
        other => panic!("{other:?}"),
    }
    assert!(!limiter.absolute().record("d", &RateLimit::unlimited(), 1));
    assert_eq!(limiter.absolute().usage("d", &RateLimit::unlimited()), 0);
    // Room for "d" is not an exception that "d" is granted later, and the known are served on.
    assert!(!absolute_inc(&limiter, "d"));
    assert!(absolute_inc(&limiter, "a"));
    let stats = limiter.stats();
    assert_eq!((stats.allowed, stats.rejected, stats.turned_away), (4, 2, 3));
    assert_eq!((stats.keys, stats.evictions, limiter.len()), (3, 0, 3));
}

/// Room would not help a call for more than a key may ever have.
// proves: G3
#[test]
fn what_never_fits_is_not_for_want_of_room() {
    let (limiter, _) = limiter(1);
    let rate = RateLimit::per_second(4.0).unwrap();
    assert!(absolute_inc(&limiter, "a") && suppressed_inc(&limiter, "a"));
    let (absolute, suppressed) = (limiter.absolute(), limiter.suppressed());
    assert_eq!(absolute.inc("b", &rate, 5), RateLimitDecision::rejected(None, 0).with_remaining(4));
    let hopeless = RateLimitDecision::suppressed(1.0, false).with_remaining(4);
    assert_eq!(suppressed.inc("b", &rate, 7), hopeless);
    assert_eq!(suppressed.is_allowed("b", &rate, 7), hopeless);
    assert_eq!(suppressed.inc_many(&[("b", &rate, 7)]), [hopeless]);
    // Up to the hard limit of 6 it is.
    for count in [4, 6] {
        let refused = suppressed.inc("b", &rate, count);
        assert_eq!(refused, RateLimitDecision::rejected(Some(1_050), 0), "{count}");
    }
    assert_eq!((absolute.usage("b", &RateLimit::unlimited()), limiter.len()), (0, 2));
    assert_eq!((absolute.stats().turned_away, suppressed.stats().turned_away), (0, 2));
}

/// Each strategy has as much room as was asked for, and the other has no part in it.
#[test]
fn the_bound_is_one_for_each_strategy() {
    let (limiter, _) = limiter(2);
    for key in ["a", "b"] {
        assert!(absolute_inc(&limiter, key));
    }
    for key in ["c", "d"] {
        assert!(suppressed_inc(&limiter, key));
    }
    assert_eq!(limiter.len(), 4);
    assert!(!absolute_inc(&limiter, "c"));
    let refused = limiter.suppressed().inc("a", &plenty(), 1);
    let expected =
        matches!(refused, RateLimitDecision::Rejected { retry_after_ms: Some(1_050), .. });
    assert!(expected, "{refused:?}");
    assert!(!limiter.suppressed().record("a", &RateLimit::unlimited(), 1));
    assert_eq!(limiter.absolute().stats().turned_away, 1);
    assert_eq!(limiter.suppressed().stats().turned_away, 2);
}

/// Looking takes no room, and neither does what is never admitted under Absolute.
#[test]
fn only_what_is_counted_takes_room() {
    let (limiter, _) = limiter(1);
    let absolute = limiter.absolute();
    assert!(absolute.is_allowed("a", &plenty(), 1).is_allowed());
    assert!(absolute.inc("a", &plenty(), 0).is_allowed());
    assert!(!absolute.inc("a", &plenty(), u64::MAX).is_allowed());
    assert_eq!(
        (
            absolute.usage("a", &RateLimit::unlimited()),
            absolute.refund("a", &RateLimit::unlimited(), 1),
            absolute.reset("a")
        ),
        (0, 0, false)
    );
    assert!(absolute.record("a", &RateLimit::unlimited(), 0));
    assert!(limiter.is_empty());
    assert!(absolute_inc(&limiter, "b"));
}

#[test]
fn a_new_key_displaces_an_idle_one_and_no_other() {
    let (limiter, clock) = limiter(8);
    // Half of the keys are older than the other half by most of a window.
    assert_eq!(let_in(&limiter, "old", 4), 4);
    clock.advance(Duration::from_millis(1_000));
    assert_eq!(let_in(&limiter, "new", 4), 4);
    assert_eq!(let_in(&limiter, "none", 4), 0);
    clock.set(EXPIRED);

    assert_eq!(let_in(&limiter, "next", 10), 4);
    for number in 0..4 {
        assert_eq!(limiter.absolute().usage(&format!("old{number}"), &RateLimit::unlimited()), 0);
        assert_eq!(limiter.absolute().usage(&format!("new{number}"), &RateLimit::unlimited()), 1);
        assert_eq!(limiter.absolute().usage(&format!("next{number}"), &RateLimit::unlimited()), 1);
    }
    let stats = limiter.stats();
    assert_eq!((stats.keys, stats.evictions, stats.turned_away), (8, 4, 4 + 6));
}

/// Declines count too: a key under Suppressed is not idle while it has any.
// proves: G5 G6
#[test]
fn a_key_with_declines_only_is_in_use() {
    let (limiter, clock) = limiter(1);
    let rate = RateLimit::per_second(10.0).unwrap();
    let suppressed = limiter.suppressed();
    assert!(!suppressed.inc("a", &rate, 100).is_allowed());
    assert_eq!(suppressed.usage("a", &RateLimit::unlimited()).declined, 100);
    assert!(!suppressed.inc("b", &rate, 1).is_allowed());
    clock.set(EXPIRED);
    assert!(suppressed.inc("b", &rate, 1).is_allowed());
    assert_eq!(suppressed.usage("a", &RateLimit::unlimited()).declined, 0);
}

/// Keys in use keep their exact usage, and are served, whatever comes by.
// proves: G5 G6
#[test]
fn a_flood_leaves_keys_in_use_alone() {
    let (limiter, clock) = limiter(10);
    let known = ["alice", "bob", "carol", "dave", "eve"];
    let mut stranger = 0;
    for step in 0..200 {
        for key in known {
            assert!(absolute_inc(&limiter, key), "{key} is turned away at step {step}");
            assert!(suppressed_inc(&limiter, key));
        }
        // A new bucket for each step. The window touches eleven buckets, and the newest.
        let expected = (step + 1).min(12);
        for _ in 0..50 {
            stranger += 1;
            let key = format!("stranger {stranger}");
            let _ = absolute_inc(&limiter, &key) | suppressed_inc(&limiter, &key);
        }
        for key in known {
            assert_eq!(
                limiter.absolute().usage(key, &RateLimit::unlimited()),
                expected,
                "{key} at step {step}"
            );
            assert_eq!(limiter.suppressed().usage(key, &RateLimit::unlimited()).admitted, expected);
        }
        assert_eq!(limiter.len(), 20);
        clock.advance(Duration::from_millis(100));
    }
    let stats = limiter.stats();
    // Five strangers at a time, each for a window and a bucket, hence sixteen times and a bit.
    assert_eq!(stats.evictions, 2 * 5 * 16);
    assert_eq!(stats.turned_away, 2 * (200 * 50 - 5) - stats.evictions);
}

/// However keys were taken and given up before, there is room for exactly so many afterwards.
#[test]
fn room_is_never_lost() {
    const MOST: usize = 20;
    type Way = (&'static str, fn(&LocalRateLimiter, &ManualClock));
    let ways: [Way; 6] = [
        ("reset", |limiter, _| {
            for number in 0..MOST {
                assert!(limiter.absolute().reset(&format!("key{number}")));
            }
        }),
        ("clear", |limiter, _| limiter.clear()),
        ("cleanup", |limiter, clock| {
            clock.advance(EXPIRED);
            assert_eq!(limiter.cleanup(Duration::ZERO), MOST);
        }),
        ("time", |_, clock| clock.advance(EXPIRED)),
        ("displacement", |limiter, clock| {
            clock.advance(EXPIRED);
            assert_eq!(let_in(limiter, "other", 3 * MOST), MOST);
            clock.advance(EXPIRED);
        }),
        ("refusals", |limiter, clock| {
            assert_eq!(let_in(limiter, "refused", 1_000), 0);
            clock.advance(EXPIRED);
        }),
    ];
    for (name, give_up) in ways {
        let (limiter, clock) = limiter(MOST);
        for round in 0..20 {
            assert_eq!(let_in(&limiter, "key", 2 * MOST), MOST, "after {name}, {round} times");
            assert_eq!(limiter.len(), MOST);
            give_up(&limiter, &clock);
        }
    }
}

#[test]
fn one_key_is_enough_of_a_bound() {
    let (limiter, clock) = limiter(1);
    for round in 0..100 {
        let (in_use, refused) = if round % 2 == 0 { ("even", "odd") } else { ("odd", "even") };
        assert!(absolute_inc(&limiter, in_use));
        assert!(absolute_inc(&limiter, in_use));
        assert!(!absolute_inc(&limiter, refused));
        assert_eq!(limiter.absolute().usage(in_use, &RateLimit::unlimited()), 2);
        assert_eq!(limiter.len(), 1);
        clock.advance(EXPIRED);
    }
    assert_eq!(limiter.stats().evictions, 99);
}

/// Nothing counts on a key whose units were all given back, so it may go.
#[test]
fn a_key_that_was_fully_refunded_may_be_displaced() {
    let (limiter, _) = limiter(1);
    assert!(absolute_inc(&limiter, "a"));
    assert_eq!(limiter.absolute().refund("a", &RateLimit::unlimited(), 1), 1);
    assert_eq!(limiter.absolute().usage("a", &RateLimit::unlimited()), 0);
    assert!(absolute_inc(&limiter, "b"), "no room, though nothing counts on any key");
}

/// Two limiters of one configuration do not share room; two handles of one limiter do.
#[test]
fn handles_share_the_room() {
    let (limiter, _) = limiter(1);
    let handle = limiter.absolute().clone();
    assert!(handle.inc("a", &plenty(), 1).is_allowed());
    assert!(!absolute_inc(&limiter.clone(), "b"));
}
