//! Rejections of `inc_all`, repeated without asking Redis again.

// each proves: G3

use std::time::Duration;

use trypema::{Combined, ManualClock, RateLimit, RedisRateLimiter};

use crate::common::until::FOREVER;
use crate::server::RedisServer;

const START: Duration = Duration::from_secs(1_700_000_000);

fn rate(count: u32) -> RateLimit {
    RateLimit::per_minute(count).unwrap()
}

struct Trial {
    cached: RedisRateLimiter,
    /// Over the same keys, at the same time.
    asked: RedisRateLimiter,
    clock: ManualClock,
}

impl Trial {
    fn on(server: &RedisServer) -> Self {
        let clock = ManualClock::new();
        clock.set(START);
        let build = |longest| {
            let builder = RedisRateLimiter::builder(server.url()).server_time(clock.clone());
            builder.denial_cache(longest).deadline(FOREVER).build().unwrap()
        };
        Self { cached: build(FOREVER), asked: build(Duration::ZERO), clock }
    }

    /// The answer, which is the server's, and whether it came from the cache.
    #[track_caller]
    fn rejected(&self, calls: &[(&str, &RateLimit, u64)]) -> (Combined, bool) {
        let before = self.cached.stats().from_denial_cache;
        let answer = self.cached.absolute().inc_all(calls).unwrap();
        assert!(!answer.decision.is_allowed(), "{answer:?}");
        let by_server = self.asked.absolute().inc_all(calls).unwrap();
        assert_eq!(answer, by_server);
        (answer, self.cached.stats().from_denial_cache > before)
    }

    fn step(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
    }

    fn inc(&self, key: &str, count: u64) -> bool {
        self.cached.absolute().inc(key, &rate(5), count).unwrap().is_allowed()
    }
}

#[test]
fn the_denial_of_one_limit_answers_all() {
    let server = RedisServer::start();
    let trial = Trial::on(&server);
    assert!(trial.inc("full", 5));
    trial.step(1_000);
    let (five, ten) = (rate(5), rate(10));
    let all = [("room", &five, 1), ("full", &five, 2), ("other", &ten, 1)];
    assert!(!trial.rejected(&all).1, "nothing is known yet");
    for _ in 0..3 {
        trial.step(1_000);
        let (answer, is_repeated) = trial.rejected(&all);
        assert!(is_repeated && answer.tightest == 1, "{answer:?}");
    }
    // The same keys in another order, other counts and other rates are other questions.
    assert!(!trial.rejected(&[all[1], all[0], all[2]]).1);
    assert!(!trial.rejected(&[all[0], ("full", &five, 1), all[2]]).1);
    assert!(!trial.rejected(&[all[0], all[1], ("other", &five, 1)]).1);
    assert!(!trial.rejected(&all[..2]).1);
    // Of each key the last rejection is known: a call for it alone is the same question as part of it.
    let before = trial.cached.stats().from_denial_cache;
    assert!(!trial.inc("full", 2));
    assert_eq!(trial.cached.stats().from_denial_cache, before + 1);
}

/// One is rejected for longer than the other: the longest wait is told, also where it came first.
#[test]
fn the_longest_wait_is_repeated() {
    let server = RedisServer::start();
    let trial = Trial::on(&server);
    let five = rate(5);
    assert!(trial.inc("sooner", 5));
    trial.step(5_000);
    assert!(trial.inc("later", 5));
    let all = [("sooner", &five, 1), ("later", &five, 1)];
    assert!(!trial.rejected(&all).1);
    trial.step(1_000);
    let (answer, is_repeated) = trial.rejected(&all);
    assert!(is_repeated && answer.tightest == 1, "{answer:?}");
    // The rejection of the tightest alone is another one: then it is not known how the others are.
    assert!(!trial.inc("later", 2));
    assert!(!trial.rejected(&all).1);
    assert!(trial.rejected(&all).1);
}

/// A rejection of the key alone says nothing of the others.
#[test]
fn a_denial_of_the_key_alone_is_not_enough() {
    let server = RedisServer::start();
    let trial = Trial::on(&server);
    let five = rate(5);
    assert!(trial.inc("sooner", 5));
    trial.step(5_000);
    assert!(trial.asked.absolute().record("later", &five, 5).unwrap());
    assert!(!trial.inc("sooner", 1) && !trial.inc("sooner", 1));
    assert!(trial.cached.stats().from_denial_cache > 0);
    assert!(!trial.rejected(&[("sooner", &five, 1), ("later", &five, 1)]).1);
}

#[test]
fn what_is_given_back_is_seen() {
    let server = RedisServer::start();
    let trial = Trial::on(&server);
    let (five, ten) = (rate(5), rate(10));
    let all = [("room", &ten, 1), ("full", &five, 1)];
    for give_back in 0..3 {
        assert!(trial.cached.absolute().record("full", &five, 5).unwrap());
        assert!(!trial.rejected(&all).1 && trial.rejected(&all).1);
        let absolute = trial.cached.absolute();
        match give_back {
            0 => assert_eq!(absolute.refund("full", &five, 5), Ok(5)),
            1 => assert_eq!(absolute.reset("full"), Ok(true)),
            // Until the units expire.
            _ => trial.step(60_200),
        }
        assert!(absolute.inc_all(&all).unwrap().decision.is_allowed());
        assert!(absolute.reset("full").unwrap());
    }
    // Never is not remembered: it takes no time to be told again, and has none.
    let never = [("room", &ten, 1), ("new", &five, 6)];
    assert!(!trial.rejected(&never).1 && !trial.rejected(&never).1);
}
