//! Several limits at once: the quick way to a decision and the way of rare calls give the same answers. A limiter
//! with an observer takes the latter.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use trypema::{Combined, Limiter, LocalRateLimiter, ManualClock, RateLimit};

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
