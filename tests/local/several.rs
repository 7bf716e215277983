//! Several limits at once: the quick way to a decision and the way of rare calls give the same answers. A limiter
//! with an observer takes the latter.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use trypema::{Clock, Combined, Limiter, LocalRateLimiter, ManualClock, RateLimit};

const KEYS: [&str; 3] = ["a", "b", "a key of more bytes than fit into a node"];

/// Rates of three windows, of a fourth by a fraction, and some that are rare.
fn rates() -> [RateLimit; 8] {
    ["3/s", "5/s", "8/10s", "12/minute", "0.5/s", "2.5/10s", "zero", "unlimited"]
        .map(|rate| rate.parse().expect("a rate"))
}

#[derive(Debug, Clone)]
enum Act {
    All(Vec<(usize, usize, u64)>),
    /// Undoes a call of the last list that was admitted.
    Undo(usize),
    Inc(usize, usize, u64),
    Refund(usize, usize, u64),
    Reset(usize),
    Advance(u64),
    Cleanup,
}

fn act() -> impl Strategy<Value = Act> {
    let call = || (0..KEYS.len(), prop_oneof![9 => 0..6_usize, 1 => 6..8_usize], 0..4_u64);
    prop_oneof![
        8 => vec(call(), 0..6).prop_map(Act::All),
        1 => vec(call(), 14..20).prop_map(Act::All),
        3 => any::<prop::sample::Index>().prop_map(|index| Act::Undo(index.index(20))),
        2 => call().prop_map(|(key, rate, count)| Act::Inc(key, rate, count)),
        2 => call().prop_map(|(key, rate, count)| Act::Refund(key, rate, count)),
        1 => (0..KEYS.len()).prop_map(Act::Reset),
        6 => prop_oneof![0..5_u64, 100..400_u64, 900..1_100_u64, 5_000..70_000_u64]
            .prop_map(Act::Advance),
        1 => Just(Act::Cleanup),
    ]
}

/// One limiter, and the last list that it admitted.
struct Side<'a> {
    limiter: &'a LocalRateLimiter,
    strategy: &'a dyn Limiter,
    last: Vec<(usize, usize, u64)>,
    combined: Option<Combined>,
}

impl Side<'_> {
    fn act(&mut self, act: &Act, rates: &[RateLimit]) -> String {
        let strategy = self.strategy;
        match act {
            Act::All(list) => {
                let calls: Vec<_> =
                    list.iter().map(|&(key, rate, n)| (KEYS[key], &rates[rate], n)).collect();
                let combined = strategy.inc_all(&calls).unwrap();
                let told = format!("{:?} {:?}", combined, combined.buckets.len());
                if combined.is_allowed() {
                    assert_eq!(combined.buckets.len(), calls.len());
                    (self.last, self.combined) = (list.clone(), Some(combined));
                }
                told
            }
            Act::Undo(index) => {
                let bucket = self.combined.as_ref().and_then(|last| last.buckets.get(*index));
                let Some(bucket) = bucket else { return String::new() };
                let (key, rate, count) = self.last[*index];
                strategy.undo(KEYS[key], &rates[rate], *bucket, count).unwrap().to_string()
            }
            Act::Inc(key, rate, count) => {
                format!("{:?}", strategy.inc(KEYS[*key], &rates[*rate], *count).unwrap())
            }
            Act::Refund(key, rate, count) => {
                strategy.refund(KEYS[*key], &rates[*rate], *count).unwrap().to_string()
            }
            Act::Reset(key) => strategy.reset(KEYS[*key]).unwrap().to_string(),
            Act::Advance(_) => String::new(),
            Act::Cleanup => self.limiter.cleanup(Duration::ZERO).to_string(),
        }
    }

    fn usages(&self, rates: &[RateLimit]) -> Vec<u64> {
        let each = KEYS.iter().flat_map(|key| rates.iter().map(move |rate| (key, rate)));
        each.map(|(key, rate)| self.strategy.usage(key, rate).unwrap()).collect()
    }
}

fn ways_agree(
    acts: &[Act],
    strategy: impl Fn(&LocalRateLimiter) -> &dyn Limiter,
) -> Result<(), TestCaseError> {
    let clock = ManualClock::new();
    clock.set(Duration::from_secs(1_000));
    // A hard limit at the soft one: nothing is drawn between the two.
    let builder = || LocalRateLimiter::builder().hard_limit_factor(1.0).clock(clock.clone());
    let (quick, other) = (builder().build().unwrap(), builder().observer(|_| {}).build().unwrap());
    let mut sides = [&quick, &other].map(|limiter| Side {
        limiter,
        strategy: strategy(limiter),
        last: Vec::new(),
        combined: None,
    });
    let rates = rates();
    for act in acts {
        if let Act::Advance(ms) = act {
            clock.advance(Duration::from_millis(*ms));
        }
        let [one, same] = sides.each_mut().map(|side| side.act(act, &rates));
        prop_assert_eq!(one, same, "{:?}", act);
        prop_assert_eq!(sides[0].usages(&rates), sides[1].usages(&rates), "{:?}", act);
    }
    let counts = |limiter: &LocalRateLimiter| {
        let stats = limiter.stats();
        (stats.allowed, stats.rejected, stats.suppressed_declined, stats.keys)
    };
    prop_assert_eq!(counts(&quick), counts(&other));
    Ok(())
}

proptest! {
    // proves: G3
    #[test]
    fn both_ways_to_a_decision_agree_under_absolute(acts in vec(act(), 1..60)) {
        ways_agree(&acts, |limiter| limiter.absolute())?;
    }

    // proves: suppression
    #[test]
    fn both_ways_to_a_decision_agree_under_suppressed(acts in vec(act(), 1..60)) {
        ways_agree(&acts, |limiter| limiter.suppressed())?;
    }
}

/// A clock whose reader may lose a race: at the reading that is armed, another call takes a unit of "first".
#[derive(Default)]
struct Meddler {
    limiter: OnceLock<LocalRateLimiter>,
    readings_left: AtomicUsize,
}

impl Clock for Meddler {
    fn now(&self) -> Duration {
        let left = self.readings_left.load(Ordering::Relaxed);
        self.readings_left.store(left.saturating_sub(1), Ordering::Relaxed);
        if let (1, Some(limiter)) = (left, self.limiter.get()) {
            assert!(limiter.absolute().inc("first", &RATE, 1).is_allowed());
        }
        Duration::from_secs(1_000)
    }
}

static RATE: LazyLock<RateLimit> = LazyLock::new(|| RateLimit::per_hour(5).unwrap());

/// Between the look at the first key and the additions another call takes the last unit of it: what was
/// added to the other key is undone, and the answer is by the first.
// proves: G1
#[test]
fn room_that_another_call_has_taken_since_the_look_is_undone_elsewhere() {
    let clock = Arc::new(Meddler::default());
    let limiter = LocalRateLimiter::builder().clock(Arc::clone(&clock)).build().unwrap();
    let absolute = limiter.absolute();
    for (key, count) in [("first", 4), ("second", 1)] {
        assert!(absolute.inc(key, &RATE, count).is_allowed());
    }
    assert!(clock.limiter.set(limiter.clone()).is_ok());
    // The first reading is for the look at "first", the second for that at "second".
    clock.readings_left.store(2, Ordering::Relaxed);
    let refused = absolute.inc_all(&[("first", &RATE, 1), ("second", &RATE, 1)]);
    assert_eq!((refused.is_allowed(), refused.tightest), (false, 0));
    assert_eq!(absolute.usage("first", &RATE), 5);
    assert_eq!(absolute.usage("second", &RATE), 1);
    assert_eq!((limiter.stats().allowed, limiter.stats().rejected), (3, 1));
}
