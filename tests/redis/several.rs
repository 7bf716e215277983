//! Several limits at once, and each rate over its own period.

// each proves: G1 G3

use std::collections::BTreeMap;
use std::time::Duration;

use trypema::{
    Bucket, Combined, ManualClock, OnUnavailable, RateLimit, RateLimitDecision, RedisRateLimiter,
    TrypemaError,
};

use crate::cluster::Cluster;
use crate::common::check::asked_for;
use crate::common::draws::Draws;
use crate::common::until::FOREVER;
use crate::server::RedisServer;

const START: Duration = Duration::from_secs(1_700_000_000);

fn limiter(server: &RedisServer, clock: &ManualClock) -> RedisRateLimiter {
    RedisRateLimiter::builder(server.url())
        .hard_limit_factor(1.0)
        .denial_cache(Duration::ZERO)
        .deadline(FOREVER)
        .server_time(clock.clone())
        .build()
        .unwrap()
}

fn clock() -> ManualClock {
    let clock = ManualClock::new();
    clock.set(START);
    clock
}

/// A log of units per key and window: when they expire.
#[derive(Default)]
struct Logs(BTreeMap<(usize, u64), Vec<(u64, u64)>>);

const NAMES: [&str; 3] = ["ip:1", "tenant:9", "user:alice"];
/// Periods, in milliseconds: their buckets are 2 ms, 10 ms and 100 ms.
const PERIODS: [u64; 3] = [1_000, 6_000, 60_000];

impl Logs {
    fn usage(&self, key: (usize, u64), now_ms: u64) -> u64 {
        let log = self.0.get(&key).into_iter().flatten();
        log.filter(|(expires, _)| now_ms < *expires).map(|(_, units)| units).sum()
    }

    fn add(&mut self, (key, period): (usize, u64), now_ms: u64, units: u64) {
        let bucket = period.div_ceil(600);
        let expires = (now_ms / bucket + 1) * bucket + period.div_ceil(bucket) * bucket;
        self.0.entry((key, period)).or_default().push((expires, units));
    }

    fn wait(&self, key: (usize, u64), now_ms: u64, capacity: u64, count: u64) -> Option<u64> {
        let log = self.0.get(&key).into_iter().flatten();
        let mut waits = log.map(|(expires, _)| expires.saturating_sub(now_ms)).collect::<Vec<_>>();
        waits.sort_unstable();
        waits.into_iter().find(|wait| self.usage(key, now_ms + wait) + count <= capacity)
    }
}

/// Lists of calls that repeat and mix keys, rates and windows, against the logs; now and then undone.
///
/// `PROPTEST_CASES` is the number of sequences, each of 50 lists on an empty server:
/// `PROPTEST_CASES=20000 cargo test --all-features --test redis several::all_or_nothing_agrees`.
#[test]
fn all_or_nothing_agrees() {
    let (server, clock) = (RedisServer::start(), clock());
    let limiter = limiter(&server, &clock);
    let absolute = limiter.absolute();
    let mut now_ms = START.as_millis() as u64;
    let [mut admitted, mut rejected, mut never, mut undone] = [0; 4];
    let sequences = u64::from(asked_for(60));
    let steps = (0..sequences).flat_map(|sequence| (0..50).map(move |step| (sequence, step)));
    let (mut logs, mut draws) = (Logs::default(), Draws::new(0));
    for (sequence, step) in steps {
        if step == 0 {
            let _: () = server.ask("FLUSHALL");
            (logs, draws) = (Logs::default(), Draws::new(sequence));
        }
        let mut below = |limit: u64| (draws.next() * limit as f64) as u64;
        now_ms += [0, 0, 1, below(30), below(300)][below(5) as usize];
        clock.set(Duration::from_millis(now_ms));
        let calls = (0..below(7)).map(|_| {
            let period = PERIODS[below(3) as usize];
            let capacity = 1 + below(30);
            let rate = RateLimit::per(capacity as f64, Duration::from_millis(period)).unwrap();
            (below(3) as usize, period, capacity, rate, below(4))
        });
        let calls = calls.collect::<Vec<_>>();
        let asked = calls.iter().map(|(key, _, _, rate, count)| (NAMES[*key], rate, *count));
        let combined = absolute.inc_all(&asked.collect::<Vec<_>>()).unwrap();

        // Sums by key and window, under each of their rates.
        let mut sums = BTreeMap::<_, u64>::new();
        for (key, period, .., count) in &calls {
            *sums.entry((*key, *period)).or_default() += count;
        }
        let counted = || calls.iter().enumerate().filter(|(_, call)| call.4 > 0);
        // Of the rates of one key in one window, the one that allows the least speaks for them.
        let strictest = |index: usize| {
            let (key, period, ..) = calls[index];
            let same = counted().filter(|(_, call)| (call.0, call.1) == (key, period));
            same.min_by_key(|(index, call)| (call.2, *index)).map(|(index, _)| index)
        };
        let spoken = || counted().filter(|(index, _)| strictest(*index) == Some(*index));
        let over = spoken().filter(|(_, (key, period, capacity, ..))| {
            logs.usage((*key, *period), now_ms) + sums[&(*key, *period)] > *capacity
        });
        let longest = over.map(|(index, (key, period, capacity, ..))| {
            let key = (*key, *period);
            let wait = logs.wait(key, now_ms, *capacity, sums[&key]).unwrap_or(u64::MAX);
            let wait = if sums[&key] > *capacity { u64::MAX } else { wait };
            (wait, std::cmp::Reverse(index))
        });
        let seen = format!("sequence {sequence}, step {step}: {calls:?} got {combined:?}");
        if let Some((wait, std::cmp::Reverse(index))) = longest.max() {
            let (key, period, capacity, ..) = calls[index];
            let usage = logs.usage((key, period), now_ms);
            let (wait, left) = match wait {
                u64::MAX => (None, usage),
                wait => (Some(wait), logs.usage((key, period), now_ms + wait)),
            };
            let decision = RateLimitDecision::rejected(wait, left);
            let decision = decision.with_remaining(capacity.saturating_sub(usage));
            assert_eq!(combined.decision, decision, "{seen}");
            assert_eq!(combined.tightest, index, "{seen}");
            assert!(combined.buckets.is_empty(), "{seen}");
            rejected += u64::from(wait.is_some());
            never += u64::from(wait.is_none());
        } else {
            for (key, units) in &sums {
                logs.add(*key, now_ms, *units);
            }
            let left = spoken().map(|(index, (key, period, capacity, ..))| {
                (capacity - logs.usage((*key, *period), now_ms), index)
            });
            let (left, index) = left.min().unwrap_or((u64::MAX, 0));
            assert!(combined.is_allowed(), "{seen}");
            assert_eq!((combined.remaining(), combined.tightest), (left, index), "{seen}");
            assert_eq!(combined.buckets.len(), calls.len(), "{seen}");
            for (bucket, (.., count)) in combined.buckets.iter().zip(&calls) {
                assert_eq!(*bucket == Bucket::NONE, *count == 0, "{seen}");
            }
            admitted += u64::from(!sums.is_empty());
            // Now and then all of it is undone.
            if below(4) == 0 {
                for ((key, _, _, rate, count), bucket) in calls.iter().zip(&combined.buckets) {
                    let taken = absolute.undo(NAMES[*key], rate, *bucket, *count);
                    assert_eq!(taken, Ok(*count), "{seen}");
                    undone += count;
                }
                for key in sums.keys() {
                    logs.0.get_mut(key).unwrap().pop();
                }
            }
        }
        for (key, name) in NAMES.iter().enumerate() {
            for period in PERIODS {
                let any = RateLimit::per(1, Duration::from_millis(period)).unwrap();
                let usage = logs.usage((key, period), now_ms);
                assert_eq!(absolute.usage(name, &any), Ok(usage), "{seen}");
            }
        }
    }
    let seen = format!(
        "{sequences} sequences: {admitted} admitted, {rejected} rejected, {never} never, {undone} undone"
    );
    eprintln!("{seen}");
    let least = 2 * sequences;
    assert!([admitted, rejected, never, undone].iter().all(|each| *each > least), "{seen}");
}

/// In order, each for itself: the first to decline is counted as declined, and nothing else is.
#[test]
fn suppressed_ends_with_the_first_decline() {
    let (server, clock) = (RedisServer::start(), clock());
    let limiter = limiter(&server, &clock);
    let suppressed = limiter.suppressed();
    let (ten, two) = (RateLimit::per_second(10).unwrap(), RateLimit::per_minute(2).unwrap());
    let usage = |key, rate| {
        let usage = suppressed.usage(key, rate).unwrap();
        (usage.admitted, usage.declined)
    };
    let all = suppressed.inc_all(&[("a", &ten, 3), ("b", &two, 2), ("a", &ten, 1)]).unwrap();
    assert!(all.is_allowed(), "{all:?}");
    assert_eq!((all.remaining(), all.tightest), (0, 1));
    assert_eq!(all.buckets[0], all.buckets[2]);
    assert_eq!((usage("a", &ten), usage("b", &two)), ((4, 0), (2, 0)));
    let all = suppressed.inc_all(&[("a", &ten, 1), ("b", &two, 1), ("c", &two, 3)]).unwrap();
    assert!(!all.is_allowed(), "{all:?}");
    assert_eq!((all.tightest, all.decision.is_never()), (1, false));
    assert_eq!((usage("a", &ten), usage("b", &two)), ((4, 0), (2, 1)));
    assert_eq!(usage("c", &two), (0, 0));
    let all = suppressed.inc_all(&[("c", &two, 3), ("a", &ten, 1)]).unwrap();
    assert!(all.decision.is_never(), "{all:?}");
    assert_eq!((usage("c", &two), usage("a", &ten)), ((0, 3), (4, 0)));
}

#[test]
fn odd_lists() {
    let (server, clock) = (RedisServer::start(), clock());
    let limiter = limiter(&server, &clock);
    let absolute = limiter.absolute();
    let (one, unlimited) = (RateLimit::per_second(1).unwrap(), RateLimit::unlimited());
    let nothing = Combined::new(RateLimitDecision::allowed(u64::MAX), 0);
    assert_eq!(absolute.inc_all(&[]), Ok(nothing));
    let nothing = absolute.inc_all(&[("a", &one, 0), ("b", &one, 0)]).unwrap();
    assert!(nothing.is_allowed());
    assert_eq!(nothing.buckets, [Bucket::NONE; 2]);
    assert_eq!(server.ask::<u64>("DBSIZE"), 0);
    // Unlimited rates count, and limit nothing.
    let mixed = absolute.inc_all(&[("a", &unlimited, 70), ("a", &one, 1)]).unwrap();
    assert_eq!((mixed.remaining(), mixed.tightest), (0, 1));
    assert_eq!(absolute.usage("a", &unlimited), Ok(70));
    // A count too large to be counted is an error, and none of the other calls is counted.
    let most = (1 << 53) - 1;
    assert!(absolute.record("a", &unlimited, most - 70).unwrap());
    let refused = absolute.inc_all(&[("b", &one, 1), ("a", &unlimited, 1)]);
    assert!(matches!(refused, Err(TrypemaError::CountTooLarge { .. })), "{refused:?}");
    assert!(limiter.suppressed().record("a", &unlimited, most).unwrap());
    let refused = limiter.suppressed().inc_all(&[("b", &one, 1), ("a", &unlimited, 1)]);
    assert!(matches!(refused, Err(TrypemaError::CountTooLarge { .. })), "{refused:?}");
    assert_eq!(absolute.usage("b", &one), Ok(0));
    assert_eq!(limiter.suppressed().usage("b", &one).unwrap().admitted, 0);
    let refused = absolute.inc_all(&[("b", &one, 1), ("", &one, 1)]);
    assert!(matches!(refused, Err(TrypemaError::InvalidKey { .. })), "{refused:?}");
    // Something else under one of the names.
    let _: () = server.ask("SET trypema:a:1000.2:c nonsense");
    assert!(absolute.inc_all(&[("b", &one, 1), ("c", &one, 1)]).is_err());
    assert_eq!(absolute.usage("b", &one), Ok(0));
}

/// While Redis is away, the answer is what the user chose, and the outage counts once.
#[test]
fn without_redis() {
    let (two, ten) = (RateLimit::per_minute(2).unwrap(), RateLimit::per_minute(10).unwrap());
    for policy in
        [OnUnavailable::Error, OnUnavailable::Allow, OnUnavailable::Reject, OnUnavailable::Local]
    {
        let builder = RedisRateLimiter::builder("redis://127.0.0.1:1").breaker(100, FOREVER);
        let limiter = builder.on_unavailable(policy).build().unwrap();
        let absolute = limiter.absolute();
        let fits = absolute.inc_all(&[("a", &ten, 1), ("b", &two, 1)]);
        let never = absolute.inc_all(&[("a", &ten, 1), ("b", &two, 3)]);
        assert_eq!(limiter.stats().outages, 2, "{policy:?}");
        match policy {
            OnUnavailable::Error => assert!(fits.is_err() && never.is_err()),
            _ => {
                let (fits, never) = (fits.unwrap(), never.unwrap());
                assert_eq!(fits.is_allowed(), policy != OnUnavailable::Reject, "{policy:?}");
                assert_eq!(fits.tightest, 1, "{policy:?}");
                assert!(never.decision.is_never() && never.tightest == 1, "{policy:?}");
            }
        }
    }
}

/// On a cluster all keys have to be in one slot.
#[test]
fn one_slot_of_a_cluster() {
    let cluster = Cluster::start();
    let limiter = RedisRateLimiter::builder(cluster.url()).deadline(FOREVER).build().unwrap();
    let absolute = limiter.absolute();
    let (second, minute) =
        (RateLimit::per_second(1_000).unwrap(), RateLimit::per_minute(3).unwrap());
    let tagged = [("{alice}:a", &second, 1), ("{alice}:b", &minute, 3), ("{alice}:a", &minute, 1)];
    assert!(absolute.inc_all(&tagged).unwrap().is_allowed());
    assert!(!absolute.inc_all(&tagged).unwrap().is_allowed());
    assert_eq!(absolute.usage("{alice}:a", &minute), Ok(1));
    let error = absolute.inc_all(&[("alice", &second, 1), ("bob", &minute, 1)]).unwrap_err();
    assert!(matches!(error, TrypemaError::InvalidKey { .. }), "{error}");
    assert!(error.to_string().contains("one slot"), "{error}");
}

/// `10/second` is ten in any second, under the defaults, whatever other periods there are.
#[test]
fn each_rate_over_its_own_period() {
    let (server, clock) = (RedisServer::start(), clock());
    let limiter = limiter(&server, &clock);
    let absolute = limiter.absolute();
    let (second, day) = (RateLimit::per_second(10).unwrap(), RateLimit::per_day(5_000).unwrap());
    assert_eq!(limiter.window(&second), Duration::from_secs(1));
    assert_eq!(limiter.bucket(&day), Duration::from_secs(144));
    assert_eq!(limiter.capacity(&day), 5_000);
    let admitted = (0..20).filter(|_| absolute.inc("key", &second, 1).unwrap().is_allowed());
    assert_eq!(admitted.count(), 10);
    assert_eq!(absolute.inc("key", &day, 5_000).unwrap().remaining(), 0);
    clock.advance(Duration::from_millis(1_010));
    assert!(absolute.inc("key", &second, 10).unwrap().is_allowed());
    assert!(!absolute.inc("key", &day, 1).unwrap().is_allowed());
    // Windows are apart, and a key is forgotten in all of them.
    assert_eq!(absolute.refund("key", &day, 1), Ok(1));
    assert_eq!((absolute.usage("key", &second), absolute.usage("key", &day)), (Ok(10), Ok(4_999)));
    assert_eq!(absolute.reset("key"), Ok(true));
    assert_eq!((absolute.usage("key", &second), absolute.usage("key", &day)), (Ok(0), Ok(0)));
    // Without bound: more periods than Local has windows.
    for millis in 1..100 {
        let rate = RateLimit::per(2, Duration::from_millis(millis * 7)).unwrap();
        assert!(absolute.inc("many", &rate, 2).unwrap().is_allowed());
        assert!(!absolute.inc("many", &rate, 1).unwrap().is_allowed());
        assert_eq!(absolute.usage("many", &rate), Ok(2), "{millis}");
    }
}

/// Of the windows that were set, the shortest that is no shorter than the period.
#[test]
fn set_windows() {
    let (server, clock) = (RedisServer::start(), clock());
    let builder = RedisRateLimiter::builder(server.url()).deadline(FOREVER);
    let seconds = |seconds| Duration::from_secs(seconds);
    let limiter = builder.windows([seconds(60), seconds(10)]).server_time(clock).build().unwrap();
    let absolute = limiter.absolute();
    for (rate, window, capacity) in [
        (RateLimit::per_second(1).unwrap(), 10, 10),
        (RateLimit::per(7, seconds(10)).unwrap(), 10, 7),
        (RateLimit::per(5, seconds(30)).unwrap(), 60, 10),
        (RateLimit::per_hour(600).unwrap(), 60, 10),
    ] {
        assert_eq!(absolute.window(&rate), seconds(window));
        assert_eq!(absolute.capacity(&rate), capacity);
        let key = format!("{rate}");
        assert!(absolute.inc(&key, &rate, capacity).unwrap().is_allowed());
        assert!(!absolute.inc(&key, &rate, 1).unwrap().is_allowed());
    }
    let names = server.ask::<Vec<String>>("KEYS *:10000.17:*");
    assert_eq!(names.len(), 2, "{names:?}");
    for wrong in [
        RedisRateLimiter::builder(server.url()).windows([seconds(1), seconds(1)]),
        RedisRateLimiter::builder(server.url()).windows([]),
        RedisRateLimiter::builder(server.url()).bucket(seconds(1)),
    ] {
        assert!(matches!(wrong.build(), Err(TrypemaError::InvalidConfig { .. })));
    }
}
