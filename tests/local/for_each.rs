//! A look at all keys.

// each proves: stats

use core::time::Duration;
use std::thread;

use proptest::prelude::*;
use trypema::{LocalRateLimiter, ManualClock, RateLimit, Strategy};

type Shown = (Strategy, String, Duration, u64);

fn shown(limiter: &LocalRateLimiter) -> Vec<Shown> {
    let mut shown = Vec::new();
    limiter.for_each(|strategy, key, window, usage| {
        shown.push((strategy, key.to_string(), window, usage));
    });
    shown.sort_unstable_by_key(|(strategy, key, window, _)| {
        (*strategy == Strategy::Suppressed, key.clone(), *window)
    });
    shown
}

#[test]
fn each_key_by_strategy_and_window() {
    use Strategy::{Absolute, Suppressed};
    let clock = ManualClock::new();
    for bounded in [false, true] {
        let builder = LocalRateLimiter::builder().clock(clock.clone());
        let builder = if bounded { builder.max_keys(10) } else { builder };
        let limiter = builder.build().unwrap();
        assert_eq!(shown(&limiter), []);

        let (second, day) = (RateLimit::per_second(10).unwrap(), RateLimit::per_day(10).unwrap());
        assert!(limiter.absolute().inc("alice", &second, 3).is_allowed());
        assert!(limiter.absolute().inc("alice", &day, 4).is_allowed());
        assert!(limiter.suppressed().inc("alice", &day, 5).is_allowed());
        assert!(limiter.absolute().record("bob", &day, 20));
        // A rejection and a look leave no key behind.
        assert!(!limiter.absolute().inc("carol", &day, 11).is_allowed());
        assert!(limiter.absolute().is_allowed("dave", &day, 1).is_allowed());
        let all = |fresh| {
            [
                (Absolute, "alice".to_owned(), second.period(), fresh),
                (Absolute, "alice".to_owned(), day.period(), 4),
                (Absolute, "bob".to_owned(), day.period(), 20),
                (Suppressed, "alice".to_owned(), day.period(), 5),
            ]
        };
        let kept = shown(&limiter);
        assert_eq!(kept.len(), limiter.len());
        assert_eq!(kept, all(3));
        // Expired, but not yet forgotten.
        clock.advance(Duration::from_secs(5));
        assert_eq!(shown(&limiter), all(0));
        assert!(limiter.absolute().reset("bob"));
        assert_eq!(shown(&limiter).len(), 3);
    }
}

#[test]
fn whoever_looks_may_call() {
    let limiter = LocalRateLimiter::builder().build().unwrap();
    let day = RateLimit::per_day(10).unwrap();
    for key in ["alice", "bob"] {
        assert!(limiter.absolute().inc(key, &day, 1).is_allowed());
    }
    let mut visited = 0;
    limiter.for_each(|_, key, _, usage| {
        assert_eq!(limiter.absolute().usage(key.as_str(), &day), usage);
        assert!(limiter.absolute().inc(key.as_str(), &day, 1).is_allowed());
        assert!(limiter.absolute().reset(key.as_str()));
        visited += 1;
    });
    assert_eq!((visited, limiter.len()), (2, 0));
}

/// Keys that stay are all shown, whoever comes and goes beside them.
#[test]
fn others_go_on_meanwhile() {
    let limiter = LocalRateLimiter::builder().build().unwrap();
    let day = RateLimit::per_day(1_000_000).unwrap();
    for key in 0..500 {
        assert!(limiter.absolute().inc(&*format!("stays {key}"), &day, 2).is_allowed());
    }
    thread::scope(|scope| {
        let others = scope.spawn(|| {
            for key in 0..20_000 {
                let key = &*format!("goes {}", key % 3_000);
                assert!(limiter.absolute().inc(key, &day, 1).is_allowed());
                limiter.absolute().reset(key);
            }
        });
        let mut looks = 0;
        while looks < 3 || !others.is_finished() {
            let mut staying = 0;
            limiter.for_each(|_, key, _, usage| {
                if key.as_str().starts_with("stays") {
                    assert_eq!(usage, 2);
                    staying += 1;
                }
            });
            assert_eq!(staying, 500);
            looks += 1;
        }
        others.join().unwrap();
    });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// `for_each` shows the usage that `usage` returns.
    #[test]
    fn shown_is_what_usage_says(
        calls in prop::collection::vec((0..5_u8, any::<bool>(), 1..4_u64, 0..40_u64), 0..30),
    ) {
        let clock = ManualClock::new();
        let limiter = LocalRateLimiter::builder().clock(clock.clone()).build().unwrap();
        let rates = [RateLimit::per(9, Duration::from_millis(60)), RateLimit::per_second(20)];
        let rates = rates.map(Result::unwrap);
        for (key, is_second, count, ms) in calls {
            let _ = limiter.absolute().inc(&*key.to_string(), &rates[usize::from(is_second)], count);
            clock.advance(Duration::from_millis(ms));
        }
        for (_, key, window, usage) in shown(&limiter) {
            let rate = rates.iter().find(|rate| rate.period() == window).unwrap();
            prop_assert_eq!(limiter.absolute().usage(&*key, rate), usage);
        }
    }
}
