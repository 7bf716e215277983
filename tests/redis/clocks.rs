//! A server's clock that steps forward and back, by less and by more than the window, with calls,
//! refunds and undos in between: decision by decision against a log of units.
//!
//! Where the clock is less than a window behind the newest bucket, calls are counted in that one;
//! where it is a window or more behind, what counts is moved to now.

// each proves: G1 G2 G3 G9

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use trypema::{Bucket, Clock, RateLimit, RateLimitDecision, RedisRateLimiter};

use crate::any;
use crate::common::draws::Draws;
use crate::common::until::FOREVER;
use crate::server::RedisServer;

const BUCKET_MS: u64 = 10;
const START_MS: u64 = 1_700_000_000_000;

/// A clock that can be set to any time, in microseconds.
#[derive(Clone, Default)]
pub(crate) struct Unsteady(Arc<AtomicU64>);

impl Unsteady {
    pub(crate) fn set(&self, micros: u64) {
        // Relaxed: read by the same thread.
        self.0.store(micros, Ordering::Relaxed);
    }
}

impl Clock for Unsteady {
    fn now(&self) -> Duration {
        // Relaxed: set by the same thread.
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    tick: u64,
    admitted: u64,
    declined: u64,
}

/// The units of one key, a bucket's together, in order.
#[derive(Debug, Clone, Default)]
struct Log {
    buckets: u64,
    now_us: u64,
    entries: Vec<Entry>,
    /// Buckets end here and count on; the newest stays the newest when its units were given back.
    newest: Option<u64>,
}

impl Log {
    /// The tick to count in, once units that are ahead of the clock have been moved.
    fn tick(&mut self) -> u64 {
        let tick = self.now_us / (BUCKET_MS * 1_000);
        let Some(newest) = self.newest else { return tick };
        if newest < tick + self.buckets {
            return tick.max(newest);
        }
        let [admitted, declined] = self.sums(newest);
        self.entries = vec![Entry { tick, admitted, declined }];
        self.newest = Some(tick);
        tick
    }

    fn live(&self, entry: &Entry, at: u64) -> bool {
        at < entry.tick + self.buckets + 1
    }

    /// Admitted and declined units.
    fn sums(&self, at: u64) -> [u64; 2] {
        let live = self.entries.iter().filter(|entry| self.live(entry, at));
        live.fold([0; 2], |[admitted, declined], entry| {
            [admitted + entry.admitted, declined + entry.declined]
        })
    }

    fn usage(&mut self) -> u64 {
        let tick = self.tick();
        self.sums(tick)[0]
    }

    fn add(&mut self, admitted: u64, declined: u64) {
        let tick = self.tick();
        self.forget(tick);
        self.newest = Some(tick);
        match self.entries.last_mut() {
            Some(entry) if entry.tick == tick => {
                entry.admitted += admitted;
                entry.declined += declined;
            }
            _ => self.entries.push(Entry { tick, admitted, declined }),
        }
    }

    /// Only what is written is seen to have expired: a clock that goes back makes the rest count again.
    fn forget(&mut self, tick: u64) {
        let buckets = self.buckets;
        self.entries.retain(|entry| tick < entry.tick + buckets + 1);
    }

    /// How long until so many more fit, in milliseconds, and what counts then.
    fn wait(&mut self, capacity: u64, count: u64) -> Option<(u64, u64)> {
        self.tick();
        let expiries = self.entries.iter().map(|entry| (entry.tick + 1 + self.buckets) * BUCKET_MS);
        let mut waits = expiries
            .map(|ms| (ms * 1_000).saturating_sub(self.now_us).div_ceil(1_000))
            .collect::<Vec<_>>();
        waits.sort_unstable();
        waits.into_iter().find_map(|wait| {
            let then = (self.now_us + wait * 1_000) / (BUCKET_MS * 1_000);
            let [left, _] = self.sums(then.max(self.newest.unwrap_or(0)));
            (left + count <= capacity).then_some((wait, left))
        })
    }

    fn take(&mut self, count: u64, from: impl Fn(&Entry) -> bool) -> u64 {
        let tick = self.tick();
        let (buckets, mut left) = (self.buckets, count);
        let live = self.entries.iter_mut().filter(|entry| tick < entry.tick + buckets + 1);
        for entry in live.filter(|entry| from(entry)) {
            let taken = left.min(entry.admitted);
            entry.admitted -= taken;
            left -= taken;
        }
        if left < count {
            self.forget(tick);
        }
        count - left
    }
}

/// Numbers below a limit, one after the other.
struct Below(Draws);

impl Below {
    fn next(&mut self, limit: u64) -> u64 {
        (self.0.next() * limit as f64) as u64
    }

    /// Where the clock goes next: mostly on a little, sometimes far, sometimes back.
    /// Every so many steps.
    fn step(&mut self, now_us: u64, buckets: u64, seldom: u64) -> u64 {
        let bucket_us = BUCKET_MS * 1_000;
        let far = (1 + self.next(3 * buckets + 4)) * bucket_us;
        match self.next(seldom) {
            0 | 1 => now_us - far,
            2 => now_us + far,
            // Exactly a window, or one less.
            3 => now_us - (buckets - self.next(2)) * bucket_us,
            4 => now_us + buckets * bucket_us,
            // A day ahead, and back as far.
            5 => now_us + 86_400_000_000,
            6 => now_us.saturating_sub(86_400_000_000).max(1_000 * START_MS / 2),
            7..=20 => now_us + self.next(2 * bucket_us),
            _ => now_us,
        }
    }
}

fn limiter(server: &RedisServer, buckets: u64, clock: &Unsteady) -> RedisRateLimiter {
    RedisRateLimiter::builder(server.url())
        .window(Duration::from_millis(BUCKET_MS * buckets))
        .bucket(Duration::from_millis(BUCKET_MS))
        .hard_limit_factor(1.0)
        .denial_cache(Duration::ZERO)
        .deadline(FOREVER)
        .server_time(clock.clone())
        .build()
        .unwrap()
}

/// A rate whose capacity is at least this.
fn rate(buckets: u64, capacity: u64) -> RateLimit {
    RateLimit::per(capacity as f64, Duration::from_millis(buckets * BUCKET_MS)).unwrap()
}

#[test]
fn absolute_agrees() {
    let server = RedisServer::start();
    for (seed, buckets) in [(1, 1), (2, 2), (3, 5), (4, 12), (5, 12), (6, 90), (7, 400)] {
        let clock = Unsteady::default();
        let limiter = limiter(&server, buckets, &clock);
        let absolute = limiter.absolute();
        let key = format!("absolute {seed}");
        let mut below = Below(Draws::new(seed));
        let mut log = Log { buckets, now_us: START_MS * 1_000, ..Log::default() };
        // Recent admissions: the bucket, and the count by either side.
        let mut admitted: Vec<(Bucket, u64, u64)> = Vec::new();
        let [mut rejected, mut undone, mut partly] = [0; 3];
        for step in 0..2_500 {
            let seen = format!("seed {seed}, step {step}");
            log.now_us = below.step(log.now_us, buckets, [40, 400][seed as usize % 2]);
            clock.set(log.now_us);
            let usage = log.usage();
            let count = 1 + below.next(5);
            match below.next(12) {
                0..=5 => {
                    let capacity = 1 + below.next(2 * usage + 12);
                    let decision = absolute.inc(&key, &rate(buckets, capacity), count).unwrap();
                    if usage + count <= capacity {
                        let remaining = capacity - usage - count;
                        let bucket = decision.bucket().expect(&seen);
                        let expected = RateLimitDecision::allowed(remaining).with_bucket(bucket);
                        assert_eq!(decision, expected, "{seen}");
                        log.add(count, 0);
                        admitted.push((bucket, log.tick(), count));
                    } else {
                        let expected = match log.wait(capacity, count) {
                            Some((wait, left)) => RateLimitDecision::rejected(Some(wait), left),
                            None => RateLimitDecision::rejected(None, usage),
                        };
                        let expected = expected.with_remaining(capacity.saturating_sub(usage));
                        assert_eq!(decision, expected, "{seen}");
                        rejected += 1;
                    }
                }
                6 => {
                    let capacity = 1 + below.next(2 * usage + 12);
                    let looked =
                        absolute.is_allowed(&key, &rate(buckets, capacity), count).unwrap();
                    assert_eq!(looked.is_allowed(), usage + count <= capacity, "{seen}");
                    let left = if looked.is_allowed() { usage + count } else { usage };
                    assert_eq!(looked.remaining(), capacity.saturating_sub(left), "{seen}");
                    assert_eq!(looked.bucket(), None, "{seen}");
                }
                7 => {
                    assert!(absolute.record(&key, &any(), count).unwrap());
                    log.add(count, 0);
                }
                8 => {
                    let expected = log.take(count, |_| true);
                    assert_eq!(absolute.refund(&key, &any(), count), Ok(expected), "{seen}");
                }
                _ if !admitted.is_empty() => {
                    // Mostly one of the newest, sometimes any, sometimes more than there was.
                    let most = if below.next(8) == 0 { admitted.len() } else { 30 };
                    let back = below.next(most.min(admitted.len()) as u64);
                    let (bucket, tick, of_it) = admitted[admitted.len() - 1 - back as usize];
                    let count = if below.next(4) == 0 { count } else { of_it };
                    let expected = log.take(count, |entry| entry.tick == tick);
                    let any = rate(buckets, 1);
                    let taken = absolute.undo(&key, &any, bucket, count);
                    assert_eq!(taken, Ok(expected), "{seen}");
                    undone += u64::from(expected == count);
                    partly += u64::from(expected < count);
                }
                _ => {}
            }
            let usage = log.usage();
            assert_eq!(absolute.usage(&key, &any()), Ok(usage), "{seen}");
        }
        assert!(rejected > 100 && undone > 50 && partly > 50, "{rejected}, {undone}, {partly}");
    }
}

#[test]
fn suppressed_agrees() {
    let server = RedisServer::start();
    for (seed, buckets) in [(1, 1), (2, 3), (3, 12), (4, 100)] {
        let clock = Unsteady::default();
        let limiter = limiter(&server, buckets, &clock);
        let suppressed = limiter.suppressed();
        let key = format!("suppressed {seed}");
        let mut below = Below(Draws::new(seed));
        let mut log = Log { buckets, now_us: START_MS * 1_000, ..Log::default() };
        let mut admitted: Vec<(Bucket, u64)> = Vec::new();
        for step in 0..2_000 {
            let seen = format!("seed {seed}, step {step}");
            log.now_us = below.step(log.now_us, buckets, [40, 400][seed as usize % 2]);
            clock.set(log.now_us);
            let usage = log.usage();
            let count = 1 + below.next(5);
            if below.next(3) > 0 {
                let capacity = 1 + below.next(2 * usage + 12);
                let decision = suppressed.inc(&key, &rate(buckets, capacity), count).unwrap();
                assert_eq!(decision.is_allowed(), usage + count <= capacity, "{seen}");
                let now = if decision.is_allowed() { usage + count } else { usage };
                assert_eq!(decision.remaining(), capacity.saturating_sub(now), "{seen}");
                assert_eq!(decision.is_never(), count > capacity, "{seen}");
                if let Some(bucket) = decision.bucket() {
                    log.add(count, 0);
                    admitted.push((bucket, log.tick()));
                } else {
                    log.add(0, count);
                }
            } else if below.next(2) == 0 {
                let expected = log.take(count, |_| true);
                assert_eq!(suppressed.refund(&key, &any(), count), Ok(expected), "{seen}");
            } else if !admitted.is_empty() {
                let back = below.next(admitted.len().min(20) as u64) as usize;
                let (bucket, tick) = admitted[admitted.len() - 1 - back];
                let expected = log.take(count, |entry| entry.tick == tick);
                let taken = suppressed.undo(&key, &rate(buckets, 1), bucket, count);
                assert_eq!(taken, Ok(expected), "{seen}");
            }
            let tick = log.tick();
            let usage = suppressed.usage(&key, &any()).unwrap();
            assert_eq!([usage.admitted, usage.declined], log.sums(tick), "{seen}");
        }
    }
}

/// A clock that was a day ahead and was put right blocks nobody for a day, and leaves nothing for one.
#[test]
fn a_day_ahead_and_put_right() {
    let server = RedisServer::start();
    let clock = Unsteady::default();
    let limiter = limiter(&server, 100, &clock);
    let (window_ms, day_ms) = (1_000, 86_400_000);
    let two = rate(100, 2);
    let set = |ms| clock.set(1_000 * ms);
    set(START_MS + day_ms);
    for key in ["called", "looked at", "asked for"] {
        assert!(limiter.absolute().inc(key, &two, 2).unwrap().is_allowed());
        assert!(limiter.suppressed().inc(key, &two, 2).unwrap().is_allowed());
    }
    set(START_MS);
    let full = RateLimitDecision::rejected(Some(window_ms + BUCKET_MS), 0);
    assert_eq!(limiter.absolute().inc("called", &two, 1), Ok(full));
    assert_eq!(limiter.absolute().is_allowed("looked at", &two, 1), Ok(full));
    assert_eq!(limiter.absolute().usage("asked for", &any()), Ok(2));
    assert!(!limiter.suppressed().inc("called", &two, 1).unwrap().is_allowed());
    assert!(!limiter.suppressed().is_allowed("looked at", &two, 1).unwrap().is_allowed());
    assert_eq!(limiter.suppressed().usage("asked for", &any()).unwrap().admitted, 2);
    // The first call has moved them, so that the hint is kept: with no other call until then.
    set(START_MS + window_ms + BUCKET_MS - 1);
    for key in ["called", "looked at", "asked for"] {
        let left = RateLimitDecision::rejected(Some(1), 0);
        assert_eq!(limiter.absolute().is_allowed(key, &two, 1), Ok(left), "{key}");
    }
    set(START_MS + window_ms + BUCKET_MS);
    for key in ["called", "looked at", "asked for"] {
        assert!(limiter.absolute().inc(key, &two, 1).unwrap().is_allowed(), "{key}");
        assert!(limiter.suppressed().inc(key, &two, 1).unwrap().is_allowed(), "{key}");
    }
}

/// The server forgets by its own clock, so the value gets its end anew.
#[test]
fn what_was_ahead_expires() {
    let server = RedisServer::start();
    let clock = Unsteady::default();
    let limiter = limiter(&server, 100, &clock);
    clock.set(1_000 * (START_MS + 86_400_000));
    let names = ["trypema:a:1000.10:key", "trypema:s:1000.10:key"];
    limiter.absolute().record("key", &any(), 1).unwrap();
    limiter.suppressed().record("key", &any(), 1).unwrap();
    for name in names {
        assert_eq!(server.ask::<u64>(&format!("PERSIST {name}")), 1);
    }
    clock.set(1_000 * START_MS);
    limiter.absolute().usage("key", &any()).unwrap();
    limiter.suppressed().usage("key", &any()).unwrap();
    for name in names {
        // Told times keep a value for a day longer.
        let left = server.ask::<i64>(&format!("PTTL {name}"));
        assert!((86_000_000..=86_402_000).contains(&left), "{name}: {left} ms");
    }
}

/// In steady use, with every call undone a moment later, a value stays as small as it is without.
#[test]
fn undone_calls_leave_no_marks_behind() {
    let server = RedisServer::start();
    let clock = Unsteady::default();
    let limiter = limiter(&server, 100, &clock);
    let absolute = limiter.absolute();
    let (ten, longest) = (rate(100, 10), (2 * 101 + 8) * 13 + 48);
    for turn in 0..3_000 {
        clock.set(1_000 * (START_MS + turn * BUCKET_MS / 2));
        let decision = absolute.inc("key", &ten, 7).unwrap();
        assert_eq!(decision.remaining(), 3, "{turn}");
        let bucket = decision.bucket().unwrap();
        clock.set(1_000 * (START_MS + turn * BUCKET_MS / 2 + 3 * BUCKET_MS));
        assert_eq!(absolute.undo("key", &ten, bucket, 100), Ok(7), "{turn}");
        assert_eq!(absolute.undo("key", &ten, bucket, 1), Ok(0), "{turn}");
        assert_eq!(absolute.refund("key", &any(), 1), Ok(0), "{turn}");
        let length = server.ask::<u64>("STRLEN trypema:a:1000.10:key");
        assert!(length <= longest, "{length} bytes");
    }
}
