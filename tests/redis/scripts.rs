//! The scripts themselves: windows of hundreds of buckets, that have to be searched, compacted and
//! begun afresh; what that costs the server; and values that are not theirs.
//!
//! The server's time is overridden, as in [`agreement`](crate::agreement), which tries everything on
//! smaller windows.

// each proves: G1 G3

use std::time::Duration;

use trypema::{
    ManualClock, RateLimit, RateLimitDecision, RedisAbsolute, RedisRateLimiter, TrypemaError,
};

use crate::any;
use crate::common::draws::Draws;
use crate::common::until::FOREVER;
use crate::common::{Answer, Grid, Model};
use crate::server::RedisServer;

const BUCKET: Duration = Duration::from_millis(10);
/// Counts are exact below 2^53.
const MOST: u64 = (1 << 53) - 1;

struct Scene {
    server: RedisServer,
    limiter: RedisRateLimiter,
    clock: ManualClock,
    buckets: u32,
}

impl Scene {
    /// A window of so many buckets.
    fn of(buckets: u32) -> Self {
        let (server, clock) = (RedisServer::start(), ManualClock::new());
        clock.set(Duration::from_secs(1_700_000_000));
        let limiter = RedisRateLimiter::builder(server.url())
            .window(BUCKET * buckets)
            .bucket(BUCKET)
            .hard_limit_factor(1.0)
            .denial_cache(Duration::ZERO)
            .deadline(FOREVER)
            .server_time(clock.clone())
            .build()
            .unwrap();
        Self { server, limiter, clock, buckets }
    }

    fn absolute(&self) -> &RedisAbsolute {
        self.limiter.absolute()
    }

    /// A rate with this capacity.
    fn rate(&self, capacity: u64) -> RateLimit {
        let window_ms = u64::from(self.buckets) * 10;
        let per_second = (u128::from(capacity) * 1_000).div_ceil(window_ms.into());
        let rate = RateLimit::per_second(per_second as f64).unwrap();
        assert!(rate.capacity(BUCKET * self.buckets) >= capacity);
        rate
    }

    /// One unit in each of so many buckets.
    fn fill(&self, key: &str, buckets: u32) {
        for _ in 0..buckets {
            self.absolute().record(key, &any(), 1).unwrap();
            self.clock.advance(BUCKET);
        }
    }

    /// How often each of these commands is called meanwhile.
    fn calls<const N: usize>(&self, names: [&str; N], act: impl FnOnce()) -> [u64; N] {
        let before = names.map(|name| self.server.calls(name));
        act();
        let after = names.map(|name| self.server.calls(name));
        std::array::from_fn(|index| after[index] - before[index])
    }
}

/// Long windows, sparse and dense, against the naive model: what a rejection says, whatever it asks
/// for, and what is left after refunds and long pauses.
#[test]
fn long_windows_agree() {
    for (seed, buckets, longest_pause) in [(1, 600, 2), (2, 600, 12), (3, 90, 1), (4, 300, 200)] {
        let scene = Scene::of(buckets);
        let grid = Grid { window_ms: u64::from(buckets) * 10, bucket_ms: 10 };
        let mut model = Model::new(grid, MOST);
        let mut draws = Draws::new(seed);
        let mut below = |limit: u64| (draws.next() * limit as f64) as u64;
        let start = 1_700_000_000_000_000_000;
        let mut now_ns = start;
        let mut rejected = 0;
        for step in 0..2_000 {
            // Now and then for long.
            let pause = if below(100) == 0 { below(u64::from(buckets) + 10) } else { 0 };
            now_ns += u128::from((pause + below(longest_pause + 1)) * 10_000_000);
            now_ns += u128::from(below(10_000)) * 1_000;
            model.set_time(now_ns);
            scene.clock.set(Duration::from_nanos(now_ns.try_into().unwrap()));
            let usage = model.usage(0);
            let what = below(10);
            if what < 6 {
                let count = 1 + below(5);
                assert!(scene.absolute().record("key", &any(), count).unwrap());
                model.record(0, count);
            } else if what < 7 {
                let count = below(1 + usage / 4);
                assert_eq!(
                    scene.absolute().refund("key", &any(), count),
                    Ok(model.refund(0, count))
                );
            } else {
                // A capacity that all of it would fit into alone, somewhere around what is used.
                let rate = scene.rate(1 + below(2 * usage + 2));
                let capacity = rate.capacity(scene.limiter.window(&any()));
                let count = 1 + below(capacity + 1);
                let answer = scene.absolute().inc("key", &rate, count).unwrap();
                let expected = model.inc(0, Some(capacity), count);
                assert_eq!(Answer::from(answer), expected, "seed {seed}, step {step}");
                rejected += u64::from(!answer.is_allowed());
            }
            assert_eq!(
                scene.absolute().usage("key", &any()),
                Ok(model.usage(0)),
                "seed {seed}, {step}"
            );
        }
        assert!(rejected > 100, "{rejected} rejections");
    }
}

/// The same commands at one live bucket and at a thousand.
#[test]
fn cost_does_not_grow_with_the_window() {
    let scene = Scene::of(3_000);
    let (plenty, full) = (scene.rate(1_000_000), scene.rate(3_000));
    let full_capacity = full.capacity(scene.limiter.window(&any()));
    let names = ["time", "getrange", "setrange", "set", "pexpire"];
    for (key, live) in [("one", 1), ("many", 1_000)] {
        scene.fill(key, live - 1);
        scene.absolute().record(key, &any(), 1).unwrap();
        let allowed = scene.calls(names, || {
            assert!(scene.absolute().inc(key, &plenty, 1).unwrap().is_allowed());
        });
        assert_eq!(allowed, [0, 1, 1, 0, 0], "same bucket, {key}");
        let rest = full_capacity - scene.absolute().usage(key, &any()).unwrap();
        scene.absolute().record(key, &any(), rest).unwrap();
        let rejected = scene.calls(names, || {
            assert!(!scene.absolute().inc(key, &full, 1).unwrap().is_allowed());
        });
        assert_eq!(rejected, [0, 1, 0, 0, 0], "rejected, {key}");
        // A call that has to wait for many buckets looks for the last of them.
        let [searched] = scene.calls(["getrange"], || {
            assert!(!scene.absolute().inc(key, &full, live.into()).unwrap().is_allowed());
        });
        assert!(searched <= 10, "{searched} looks at {live} buckets");
        scene.clock.advance(BUCKET);
        let [time, getrange, setrange, set, pexpire] = scene.calls(names, || {
            assert!(scene.absolute().inc(key, &plenty, 1).unwrap().is_allowed());
        });
        assert_eq!((time, getrange), (0, 1), "new bucket, {key}");
        assert!(setrange + set == 1 && set + pexpire == 1, "new bucket, {key}");
    }
}

/// In steady use a value keeps about as much as counts.
#[test]
fn what_has_expired_is_dropped() {
    let scene = Scene::of(100);
    let longest = (2 * 101 + 8) * 13 + 48;
    for _ in 0..60 {
        scene.fill("key", 50);
        let length = scene.server.ask::<u64>("STRLEN trypema:a:1000.10:key");
        assert!(length <= longest, "{length} bytes, of {longest}");
    }
    assert_eq!(scene.absolute().usage("key", &any()), Ok(100));
}

/// Cumulative counts come to an end after 2^53 units; what counts does not.
#[test]
fn counting_begins_afresh() {
    let scene = Scene::of(2_000);
    let absolute = scene.absolute();
    assert!(absolute.record("key", &any(), MOST - 1_500).unwrap());
    scene.clock.advance(BUCKET);
    scene.fill("key", 1_500);
    assert_eq!(absolute.usage("key", &any()), Ok(MOST));
    for refused in [
        absolute.record("key", &any(), 1).map(|_| ()),
        absolute.inc("key", &RateLimit::unlimited(), 1).map(|_| ()),
        absolute.record("key", &any(), MOST + 1).map(|_| ()),
        absolute.inc("key", &scene.rate(1), u64::MAX).map(|_| ()),
    ] {
        assert!(matches!(refused, Err(TrypemaError::CountTooLarge { most: MOST, .. })));
    }
    assert_eq!(absolute.usage("key", &any()), Ok(MOST), "unchanged");
    assert_eq!(absolute.refund("key", &any(), 0), Ok(0));
    scene.clock.advance(BUCKET * 500);
    assert_eq!(absolute.usage("key", &any()), Ok(1_500), "the first bucket has expired");
    assert_eq!(absolute.refund("key", &any(), 10), Ok(10));
    assert!(absolute.record("key", &any(), 10).unwrap());
    assert_eq!(absolute.usage("key", &any()), Ok(1_500));
    let rate = scene.rate(1_500);
    let left = rate.capacity(scene.limiter.window(&any())) - 1_500;
    // The eleventh of the buckets, since ten were given back, 490 buckets before it expires; and
    // the one before the newest.
    for (count, buckets, remaining) in [(1, 10, 1_499), (1_490, 1_489 + 10, 10)] {
        let answer = absolute.inc("key", &rate, left + count).unwrap();
        let wait = u64::try_from((BUCKET * buckets).as_millis()).unwrap();
        assert_eq!(answer, RateLimitDecision::rejected(Some(wait + 10), remaining));
    }
}

/// Declines are clipped where they cannot be counted, and are then all of the newest bucket.
#[test]
fn declines_are_clipped() {
    let scene = Scene::of(100);
    let (suppressed, none) = (scene.limiter.suppressed(), RateLimit::per_day(1.0).unwrap());
    for _ in 0..50 {
        assert!(!suppressed.inc("key", &none, 3).unwrap().is_allowed());
        scene.clock.advance(BUCKET);
        assert!(suppressed.record("key", &any(), 2).unwrap());
    }
    let usage = || {
        let usage = suppressed.usage("key", &any()).unwrap();
        (usage.admitted, usage.declined)
    };
    assert_eq!(usage(), (100, 150));
    assert!(!suppressed.inc("key", &none, MOST - 1).unwrap().is_allowed());
    assert_eq!(usage(), (100, MOST));
    scene.clock.advance(BUCKET * 100);
    assert_eq!(usage(), (2, MOST), "older buckets have expired");
    scene.clock.advance(BUCKET);
    assert_eq!(usage(), (0, 0));
}

/// Renewed when a bucket begins, for as long as it counts and a bucket longer.
#[test]
fn every_value_expires() {
    let server = RedisServer::start();
    let limiter = RedisRateLimiter::builder(server.url())
        .window(Duration::from_secs(3_000))
        .bucket(Duration::from_secs(1_000))
        .deadline(FOREVER)
        .build()
        .unwrap();
    let rate = RateLimit::per_minute(1.0).unwrap();
    assert!(limiter.absolute().inc("key", &rate, 1).unwrap().is_allowed());
    assert!(!limiter.suppressed().inc("key", &rate, 1_000).unwrap().is_allowed());
    for name in ["trypema:a:3000000.1000000:key", "trypema:s:3000000.1000000:key"] {
        let left = server.ask::<u64>(&format!("PTTL {name}"));
        assert!((4_900_000..=5_000_000).contains(&left), "{name}: {left} ms");
    }
}

/// The scripts leave values alone that they did not write.
#[test]
fn foreign_values_are_refused() {
    let scene = Scene::of(100);
    for length in [1, 12, 13, 14, 34, 35, 36, 47, 49, 90, 99, 100, 163, 164, 1_000] {
        let text = "x".repeat(length);
        let names = ["trypema:a:1000.10:key", "trypema:s:1000.10:key"];
        for name in names {
            let _: () = scene.server.ask(&format!("SET {name} {text}"));
        }
        for error in [
            scene.absolute().inc("key", &scene.rate(5), 1).unwrap_err(),
            scene.absolute().record("key", &any(), 1).unwrap_err(),
            scene.limiter.suppressed().inc("key", &scene.rate(5), 1).unwrap_err(),
        ] {
            assert!(error.to_string().contains("WRONGTYPE"), "{length}: {error}");
        }
        for name in names {
            assert_eq!(scene.server.ask::<String>(&format!("GET {name}")), text);
        }
    }
}

/// Window and bucket are in the key's name: a limiter of others does not misread what it finds there.
#[test]
fn windows_under_one_prefix_are_apart() {
    let server = RedisServer::start();
    let second = Duration::from_secs(1);
    // By three rates of one capacity, in windows of a minute, an hour and a minute of other buckets.
    let limiters = [(60, 1), (3_600, 1), (60, 20)].map(|(window, bucket)| {
        let (window, bucket) = (window * second, bucket * second);
        let builder = RedisRateLimiter::builder(server.url()).window(window).bucket(bucket);
        let limiter = builder.deadline(FOREVER).denial_cache(Duration::ZERO).build().unwrap();
        let rate = RateLimit::per_second(100.0 / window.as_secs_f64()).unwrap();
        (limiter, rate)
    });
    // In turns, each until its own is full.
    let mut admitted = [0; 3];
    for _ in 0..110 {
        for ((limiter, rate), admitted) in limiters.iter().zip(&mut admitted) {
            let answer = limiter.absolute().inc("key", rate, 1).unwrap();
            *admitted += u64::from(answer.is_allowed());
            let wait = answer.retry_after().unwrap_or_default();
            assert!(wait <= limiter.window(&any()) + limiter.bucket(&any()), "{wait:?}");
        }
    }
    assert_eq!(admitted, [100; 3]);
    let usage =
        limiters.each_ref().map(|(limiter, _)| limiter.absolute().usage("key", &any()).unwrap());
    assert_eq!(usage, [100; 3]);
}
