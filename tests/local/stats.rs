//! A limiter's statistics and its observer, and that both are the same through the [`Limiter`] trait.

// each proves: stats

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use trypema::{
    Event, Key, Limiter, LocalRateLimiter, LocalRateLimiterBuilder, ManualClock, RateLimit,
    RateLimitDecision, Stats, Strategy, TrypemaError,
};

fn builder() -> LocalRateLimiterBuilder {
    LocalRateLimiter::builder().window(Duration::from_secs(1)).clock(ManualClock::new())
}

fn rate() -> RateLimit {
    RateLimit::per_second(10.0).unwrap()
}

/// The counts of outcomes, in the order: allowed, rejected, let through, declined, turned away.
fn outcomes(stats: &Stats) -> [u64; 5] {
    [
        stats.allowed,
        stats.rejected,
        stats.suppressed_admitted,
        stats.suppressed_declined,
        stats.turned_away,
    ]
}

#[test]
fn decisions_are_counted_by_outcome_and_strategy() {
    let limiter = builder().max_keys(1).build().unwrap();
    assert_eq!(limiter.stats(), Stats::default());
    let (absolute, suppressed, rate) = (limiter.absolute(), limiter.suppressed(), rate());
    assert!(absolute.inc("key", &rate, 10).is_allowed());
    for _ in 0..3 {
        assert!(!absolute.inc("key", &rate, 1).is_allowed());
    }
    for count in [10, 5] {
        // Nothing was observed before, so the factor is 0 in between the limits too.
        assert!(suppressed.inc("key", &rate, count).is_allowed());
    }
    for _ in 0..4 {
        assert!(!suppressed.inc("key", &rate, 1).is_allowed());
    }
    // No room: an answer, and a key turned away.
    assert!(!absolute.inc("other", &rate, 1).is_allowed());
    assert!(!absolute.record("other", &RateLimit::unlimited(), 1));

    // Calls that decide on no units are not counted.
    let _ = absolute.is_allowed("key", &rate, 1);
    let _ = suppressed.is_allowed("key", &rate, 1);
    assert_eq!(absolute.usage("key", &RateLimit::unlimited()), 10);
    assert_eq!(absolute.refund("key", &RateLimit::unlimited(), 1), 1);
    assert!(absolute.record("key", &RateLimit::unlimited(), 1));

    assert_eq!(outcomes(&absolute.stats()), [1, 4, 0, 0, 2]);
    let held_back = suppressed.stats();
    assert_eq!(outcomes(&held_back), [1, 0, 1, 4, 0]);
    assert_eq!(outcomes(&limiter.stats()), [2, 4, 1, 4, 2]);
    assert_eq!((absolute.stats().keys, held_back.keys, limiter.stats().keys), (1, 1, 2));
}

/// From many threads, some of which are gone when the sum is taken.
#[test]
fn decisions_of_all_threads_are_counted() {
    const THREADS: u64 = 16;
    const CALLS: u64 = 2_000;
    let limiter = builder().hard_limit_factor(1.0).build().unwrap();
    for round in 1..=3 {
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..CALLS {
                        let _ = limiter.absolute().inc("shared", &rate(), 1);
                        let _ = limiter.suppressed().inc("shared", &rate(), 1);
                    }
                });
            }
        });
        let all = round * THREADS * CALLS;
        assert_eq!(outcomes(&limiter.absolute().stats()), [10, all - 10, 0, 0, 0]);
        assert_eq!(outcomes(&limiter.suppressed().stats()), [10, 0, 0, all - 10, 0]);
        assert_eq!(outcomes(&limiter.stats()), [20, all - 10, 0, all - 10, 0]);
    }
}

#[test]
fn memory_is_told_and_returns() {
    let limiter = builder().build().unwrap();
    assert_eq!(limiter.stats().memory_bytes, 0);
    let mut before = 0;
    for step in 1..=10 {
        for key in 0..100 {
            assert!(limiter.absolute().record(
                &format!("{step} {key}"),
                &RateLimit::unlimited(),
                1
            ));
        }
        let stats = limiter.stats();
        assert_eq!(stats.keys, step * 100);
        assert!(stats.memory_bytes > before);
        before = stats.memory_bytes;
    }
    limiter.clear();
    assert_eq!((limiter.stats().keys, limiter.stats().memory_bytes), (0, 0));
}

type Seen = (Strategy, String, u64, RateLimitDecision);

/// A builder with an observer that keeps all that it is told.
fn observed() -> (LocalRateLimiterBuilder, Arc<Mutex<Vec<Seen>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let observer = move |event: &Event<'_, Key>| {
        let told = (event.strategy, event.key.to_string(), event.count, *event.decision);
        log.lock().unwrap_or_else(PoisonError::into_inner).push(told);
    };
    (builder().observer(observer), seen)
}

#[test]
fn an_observer_is_told_of_every_decision() {
    let (builder, seen) = observed();
    let limiter = builder.max_keys(2).build().unwrap();
    let (absolute, suppressed, rate) = (limiter.absolute(), limiter.suppressed(), rate());
    let mut expected = Vec::new();
    for (key, count) in [("a", 4), ("b", 11), ("a", 7), ("c", 1), ("d", 1), ("a", 6)] {
        let decision = absolute.inc(key, &rate, count);
        expected.push((Strategy::Absolute, key.to_owned(), count, decision));
        let decision = suppressed.inc(key, &rate, count);
        expected.push((Strategy::Suppressed, key.to_owned(), count, decision));
    }
    // Of each kind one at least, or this shows little.
    let kinds: [fn(&RateLimitDecision) -> bool; 4] = [
        |decision| matches!(decision, RateLimitDecision::Allowed { .. }),
        |decision| matches!(decision, RateLimitDecision::Rejected { retry_after_ms: None, .. }),
        |decision| matches!(decision, RateLimitDecision::Rejected { retry_after_ms: Some(_), .. }),
        |decision| matches!(decision, RateLimitDecision::Suppressed { .. }),
    ];
    for kind in kinds {
        assert!(expected.iter().any(|(_, _, _, decision)| kind(decision)));
    }

    // An admitted wait is a decision too; what only looks or fails is none.
    assert!(absolute.reset("a"));
    assert!(absolute.acquire("a", &rate, 2, Duration::ZERO).is_ok());
    expected.push((Strategy::Absolute, "a".to_owned(), 2, RateLimitDecision::allowed(8)));
    assert!(absolute.acquire("a", &rate, 9, Duration::ZERO).is_err());
    let _ = absolute.is_allowed("a", &rate, 1);
    assert!(absolute.record("a", &RateLimit::unlimited(), 1));
    assert_eq!(*seen.lock().unwrap(), expected);
}

/// From many threads, each event once, whole.
#[test]
fn an_observer_misses_nothing_of_what_many_threads_do() {
    let (builder, seen) = observed();
    let limiter = builder.build().unwrap();
    thread::scope(|scope| {
        for thread in 0..8_u64 {
            let limiter = &limiter;
            scope.spawn(move || {
                for call in 1..=200 {
                    let key = format!("key {}", call % 7);
                    let _ = limiter.absolute().inc(&key, &rate(), thread * 1_000 + call);
                }
            });
        }
    });
    let mut counts = seen.lock().unwrap().iter().map(|seen| seen.2).collect::<Vec<_>>();
    counts.sort_unstable();
    let all = (0..8).flat_map(|thread| (1..=200).map(move |call| thread * 1_000 + call));
    assert!(counts.into_iter().eq(all));
    for (_, key, count, _) in &*seen.lock().unwrap() {
        assert_eq!(*key, format!("key {}", count % 1_000 % 7));
    }
    assert_eq!(limiter.stats().allowed + limiter.stats().rejected, 1_600);
}

/// "Every `inc`": one that asks for nothing is an `inc`, and its answer is an answer.
#[test]
fn an_inc_of_nothing_is_counted_and_observed_like_any_other() {
    let (builder, seen) = observed();
    let limiter = builder.build().unwrap();
    assert!(limiter.absolute().inc("a", &rate(), 0).is_allowed());
    assert_eq!(limiter.stats().allowed, 1);
    assert_eq!(seen.lock().unwrap().len(), 1);
}

/// All that the trait offers, the same for whatever implements it.
fn is_a_limiter(limiter: impl Limiter) -> Result<(), TrypemaError> {
    let rate = rate();
    assert!(limiter.is_allowed("key", &rate, 10)?.is_allowed());
    assert_eq!(limiter.usage("key", &RateLimit::unlimited())?, 0);
    assert!(limiter.inc("key", &rate, 4)?.is_allowed());
    assert!(limiter.record("key", &RateLimit::unlimited(), 5)?);
    assert_eq!(limiter.usage("key", &RateLimit::unlimited())?, 9);
    assert_eq!(limiter.acquire("key", &rate, 1, Duration::ZERO)?.waited, Duration::ZERO);
    assert!(!limiter.inc("key", &rate, 6)?.is_allowed());
    assert!(!limiter.is_allowed("key", &rate, 6)?.is_allowed());
    let late = limiter.acquire("key", &rate, 6, Duration::ZERO);
    assert!(matches!(late, Err(TrypemaError::Timeout { .. })));
    let never = limiter.acquire("key", &rate, 1_000, Duration::ZERO);
    assert!(matches!(never, Err(TrypemaError::ExceedsCapacity { .. })));
    assert_eq!(limiter.refund("key", &RateLimit::unlimited(), 100)?, 10);
    assert_eq!(limiter.usage("key", &RateLimit::unlimited())?, 0);
    assert!(limiter.reset("key")?);
    assert!(!limiter.reset("key")?);
    Ok(())
}

#[test]
fn whatever_points_to_a_limiter_is_one() -> Result<(), TrypemaError> {
    // A higher hard limit would let six more through.
    let limiter = builder().hard_limit_factor(1.0).build()?;
    is_a_limiter(limiter.absolute())?;
    is_a_limiter(limiter.suppressed())?;
    let borrowed: &dyn Limiter = limiter.absolute();
    is_a_limiter(borrowed)?;
    is_a_limiter(limiter.absolute().clone())?;
    is_a_limiter(limiter.suppressed().clone())?;
    is_a_limiter(Box::new(limiter.absolute().clone()))?;
    is_a_limiter(Arc::new(limiter.suppressed().clone()))?;
    let boxed: Box<dyn Limiter> = Box::new(limiter.suppressed().clone());
    is_a_limiter(&boxed)?;
    is_a_limiter(&*boxed)?;
    is_a_limiter(boxed)?;
    let shared: Arc<dyn Limiter> = Arc::new(limiter.absolute().clone());
    is_a_limiter(Arc::clone(&shared))?;
    // Kept and used elsewhere, as one that was picked by configuration would be.
    thread::spawn(move || is_a_limiter(shared)).join().unwrap()
}
