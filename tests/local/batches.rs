//! `inc_many` in process: the answers and the counts are those of one `inc` after the other, whatever
//! is in a batch and with or without an observer, and batches of many threads are no way round a
//! limit.

// each proves: G1 G3

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use trypema::{
    Event, Key, Limiter, LocalRateLimiter, LocalRateLimiterBuilder, ManualClock, RateLimit,
    RateLimitDecision, SeededRandom, TrypemaError,
};

/// A call: which key, how many units, and whether its rate is unlimited.
type Call = (u8, u64, bool);

/// Calls that are made at one time, and the milliseconds that pass afterwards.
type Batch = (Vec<Call>, u64);

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    // Up to more than the hard limit.
    let count = prop_oneof![9 => 0..8_u64, 1 => 18..70_u64];
    let call = (0..12_u8, count, prop::bool::weighted(0.05));
    // Batches of more calls than are fetched at once, too.
    let calls = prop_oneof![4 => vec(call.clone(), 0..6), 1 => vec(call, 30..80)];
    vec((calls, 0..400_u64), 1..12)
}

#[derive(Debug, Clone, Copy)]
struct Settings {
    max_keys: Option<usize>,
    /// Hard limit's factor, and what to draw from. Without a seed the factor is 1: then nothing is
    /// drawn.
    drawn: Option<(f64, u64)>,
    is_observed: bool,
}

fn settings() -> impl Strategy<Value = Settings> {
    let drawn = prop::option::of((1.0..3.0_f64, any::<u64>()));
    (prop::option::of(1..12_usize), drawn, any::<bool>())
        .prop_map(|(max_keys, drawn, is_observed)| Settings { max_keys, drawn, is_observed })
}

fn builder(clock: &ManualClock) -> LocalRateLimiterBuilder {
    LocalRateLimiter::builder()
        .window(Duration::from_secs(1))
        .bucket(Duration::from_millis(50))
        .clock(clock.clone())
}

type Events = Arc<Mutex<Vec<String>>>;

fn build(settings: Settings, clock: &ManualClock, events: &Events) -> LocalRateLimiter {
    let mut builder = builder(clock);
    if settings.is_observed {
        let events = Arc::clone(events);
        builder = builder.observer(move |event: &Event<'_, Key>| {
            events.lock().unwrap().push(format!("{event:?}"));
        });
    }
    if let Some(max_keys) = settings.max_keys {
        builder = builder.max_keys(max_keys);
    }
    builder = match settings.drawn {
        Some((factor, seed)) => builder.hard_limit_factor(factor).random(SeededRandom::new(seed)),
        None => builder.hard_limit_factor(1.0),
    };
    builder.build().unwrap()
}

/// The same calls in batches and one by one, and all that can be seen of it.
fn agree(
    settings: Settings,
    batches: &[Batch],
    strategy: impl Fn(&LocalRateLimiter) -> &dyn Limiter,
) {
    let clock = ManualClock::new();
    let (batched_events, single_events) = (Events::default(), Events::default());
    let batched = build(settings, &clock, &batched_events);
    let single = build(settings, &clock, &single_events);
    let (finite, unlimited) = (RateLimit::per_second(20.0).unwrap(), RateLimit::unlimited());
    for (calls, pause) in batches {
        let names: Vec<String> = calls.iter().map(|(key, ..)| format!("key {key}")).collect();
        let calls: Vec<(&str, &RateLimit, u64)> = names
            .iter()
            .zip(calls)
            .map(|(name, &(_, count, free))| {
                (name.as_str(), if free { &unlimited } else { &finite }, count)
            })
            .collect();
        let answers = strategy(&batched).inc_many(&calls);
        assert_eq!(answers.len(), calls.len());
        for (index, (answer, (key, rate, count))) in answers.iter().zip(&calls).enumerate() {
            let expected = strategy(&single).inc(key, rate, *count);
            let call = format!("call {index} of {}: {count} on {key} at {rate}", calls.len());
            assert_eq!(format!("{answer:?}"), format!("{expected:?}"), "{call}");
        }
        clock.advance(Duration::from_millis(*pause));
    }
    for key in (0..12).map(|key| format!("key {key}")) {
        let usage = |limiter| strategy(limiter).usage(&key, &RateLimit::unlimited()).unwrap();
        assert_eq!(usage(&batched), usage(&single), "{key}");
        let declined = |limiter: &LocalRateLimiter| {
            limiter.suppressed().usage(key.as_str(), &RateLimit::unlimited())
        };
        assert_eq!(declined(&batched), declined(&single), "{key}");
    }
    assert_eq!(batched.stats(), single.stats());
    assert_eq!(*batched_events.lock().unwrap(), *single_events.lock().unwrap());
}

proptest! {
    // proves (property): G1 G3
    #[test]
    fn a_batch_is_one_call_after_the_other(settings in settings(), batches in batches()) {
        agree(settings, &batches, |limiter| limiter.absolute());
        agree(settings, &batches, |limiter| limiter.suppressed());
    }
}

/// The states of a batch are looked up before the first call is decided: what a call does to the
/// state of a later one, that one must notice.
#[test]
fn a_key_that_is_forgotten_in_the_middle_of_a_batch_begins_afresh() {
    let clock = ManualClock::new();
    let limiter: Arc<Mutex<Option<LocalRateLimiter>>> = Arc::default();
    let observed = Arc::clone(&limiter);
    let observer = move |event: &Event<'_, Key>| {
        if event.key.as_str() == "forget" {
            let observed = observed.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let observed = observed.unwrap();
            assert!(observed.absolute().reset("key") | observed.suppressed().reset("key"));
        }
    };
    let built = builder(&clock).hard_limit_factor(1.0).observer(observer).build().unwrap();
    *limiter.lock().unwrap() = Some(built.clone());

    let rate = RateLimit::per_second(3.0).unwrap();
    let calls = [("key", &rate, 3), ("key", &rate, 1), ("forget", &rate, 1), ("key", &rate, 2)];
    for strategy in [built.absolute() as &dyn Limiter, built.suppressed()] {
        // So that all of them are found.
        assert!(strategy.inc("key", &rate, 1).unwrap().is_allowed());
        assert_eq!(strategy.refund("key", &RateLimit::unlimited(), 1).unwrap(), 1);
        let answers = strategy.inc_many(&calls);
        let allowed: Vec<bool> =
            answers.into_iter().map(|answer| answer.unwrap().is_allowed()).collect();
        assert_eq!(allowed, [true, false, true, true]);
        assert_eq!(strategy.usage("key", &RateLimit::unlimited()).unwrap(), 2);
    }
    // The limiter holds its observer, which holds the limiter.
    *limiter.lock().unwrap() = None;
}

#[test]
fn nothing_asked_for_is_nothing_answered() {
    let limiter = LocalRateLimiter::builder().build().unwrap();
    assert_eq!(limiter.absolute().inc_many::<str>(&[]), []);
    assert_eq!(limiter.suppressed().inc_many::<str>(&[]), []);
    assert!(limiter.is_empty());
}

#[test]
fn batches_of_many_threads_admit_no_more_than_the_capacity() {
    let clock = ManualClock::new();
    let limiter = builder(&clock).hard_limit_factor(1.0).build().unwrap();
    let rate = RateLimit::per_second(1_000.0).unwrap();
    let calls: Vec<(&str, &RateLimit, u64)> =
        (0..100).map(|number| (if number % 2 == 0 { "a" } else { "b" }, &rate, 3)).collect();
    let admitted = |strategy: &dyn Limiter| -> u64 {
        thread::scope(|scope| {
            let work = || {
                let answers = (0..20).flat_map(|_| strategy.inc_many(&calls));
                answers.filter(|answer| answer.as_ref().unwrap().is_allowed()).count() as u64 * 3
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        })
    };
    // Batches ask for 12,000 units of each key, in threes: the last unit fits nobody.
    assert_eq!(admitted(limiter.absolute()), 2 * 999);
    assert_eq!(admitted(limiter.suppressed()), 2 * 999);
    for key in ["a", "b"] {
        assert_eq!(limiter.absolute().usage(key, &RateLimit::unlimited()), 999);
        let usage = limiter.suppressed().usage(key, &RateLimit::unlimited());
        assert_eq!((usage.admitted, usage.declined), (999, 12_000 - 999));
    }
    assert_eq!(limiter.absolute().stats().rejected, 8_000 - 2 * 333);
}

#[test]
fn a_batch_through_the_trait_is_one_by_one_where_nothing_else_is_said() {
    /// Admits even counts, and is not asked for anything else here.
    struct Even;

    impl Limiter for Even {
        fn inc(
            &self,
            _: &str,
            _: &RateLimit,
            count: u64,
        ) -> Result<RateLimitDecision, TrypemaError> {
            Ok(if count.is_multiple_of(2) {
                RateLimitDecision::allowed(0)
            } else {
                RateLimitDecision::rejected(None, 0)
            })
        }

        fn is_allowed(
            &self,
            key: &str,
            rate: &RateLimit,
            count: u64,
        ) -> Result<RateLimitDecision, TrypemaError> {
            self.inc(key, rate, count)
        }
    }

    let rate = RateLimit::unlimited();
    let limiter: Box<dyn Limiter> = Box::new(Even);
    let answers = limiter.inc_many(&[("a", &rate, 2), ("b", &rate, 1), ("c", &rate, 0)]);
    let allowed: Vec<bool> =
        answers.into_iter().map(|answer| answer.unwrap().is_allowed()).collect();
    assert_eq!(allowed, [true, false, true]);
}
