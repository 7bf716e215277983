//! Leases near the limits, and leases that were granted before a reset: by hand, in a time that the test tells.

// each proves: G1

use std::sync::Arc;
use std::time::Duration;

use trypema::{
    HybridRateLimiter, HybridRateLimiterBuilder, Limiter, ManualClock, RateLimit, RateLimitDecision,
};

use crate::common::draws::Told;
use crate::common::until::FOREVER;
use crate::server::RedisServer;

const LEASE: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn builder(server: &RedisServer, clock: &ManualClock) -> HybridRateLimiterBuilder {
    HybridRateLimiter::builder(server.url())
        .window(MINUTE)
        .lease(LEASE)
        .deadline(FOREVER)
        .denial_cache(Duration::ZERO)
        .server_time(clock.clone())
}

fn a_hundred() -> RateLimit {
    RateLimit::per_minute(100.0).unwrap()
}

/// Admitted one by one, until one is not.
fn admitted(handle: &dyn Limiter, key: &str) -> u64 {
    let is_allowed = || handle.inc(key, &a_hundred(), 1).unwrap().is_allowed();
    (0..1_000).take_while(|_| is_allowed()).count() as u64
}

/// Calls until the server grants a lease.
fn lease(limiter: &HybridRateLimiter, handle: &dyn Limiter, key: &str) {
    let before = limiter.stats().units_leased;
    while limiter.stats().units_leased == before {
        assert!(handle.inc(key, &a_hundred(), 1).unwrap().is_allowed());
    }
}

fn old_leases_take_nothing_out(bucket: Duration, resets: usize, is_suppressed: bool) {
    let (server, clock) = (RedisServer::start(), ManualClock::new());
    clock.set(Duration::from_secs(120));
    let limiter = || builder(&server, &clock).bucket(bucket).hard_limit_factor(1.0);
    let limiters = [(); 2].map(|()| limiter().build().unwrap());
    let [old, new] = limiters.each_ref().map(|limiter| match is_suppressed {
        false => limiter.absolute() as &dyn Limiter,
        true => limiter.suppressed(),
    });
    assert_eq!(new.reset("key"), Ok(false), "nobody has asked for it");
    for _ in 0..resets {
        lease(&limiters[0], old, "key");
        assert_eq!(new.reset("key"), Ok(true));
        assert_eq!(new.usage("key", &a_hundred()), Ok(0));
        assert_eq!(new.reset("key"), Ok(false), "it is not known any more");
    }
    assert_eq!(admitted(new, "key"), 100);
    clock.advance(LEASE);
    // Whoever asks does what is due.
    assert!(old.inc("another key", &a_hundred(), 1).unwrap().is_allowed());
    assert_eq!(admitted(new, "key"), 0, "old leases were given back out of new units");
    // All of it expires at last, a bucket later than it would have.
    clock.advance(MINUTE + LEASE.max(bucket) + 2 * bucket);
    assert_eq!(admitted(new, "key"), 100);
}

#[test]
fn leases_from_before_a_reset_take_nothing_out_after_it() {
    for is_suppressed in [false, true] {
        old_leases_take_nothing_out(MINUTE, 1, is_suppressed);
        old_leases_take_nothing_out(Duration::from_millis(100), 1, is_suppressed);
    }
}

/// Each of them has another lease go astray.
#[test]
fn leases_from_before_several_resets_take_nothing_out_after_them() {
    for is_suppressed in [false, true] {
        old_leases_take_nothing_out(Duration::from_millis(100), 3, is_suppressed);
    }
}

/// Rule 1: a call that fits under the soft limit is allowed, however high the demand is.
#[test]
fn a_declined_call_leaves_no_draws_to_calls_below_the_soft_limit() {
    let (server, clock, draws) = (RedisServer::start(), ManualClock::new(), Arc::<Told>::default());
    clock.set(Duration::from_secs(120));
    let limiter = builder(&server, &clock).hard_limit_factor(1.5).random(Arc::clone(&draws));
    let limiter = limiter.build().unwrap();
    let handle = limiter.suppressed();
    let inc = |count| handle.inc("key", &a_hundred(), count).unwrap();
    for _ in 0..10 {
        assert!(matches!(inc(1), RateLimitDecision::Allowed { .. }));
        assert!(inc(151).is_never(), "above the hard limit");
    }
    // Between the limits, where nearly all calls are declined.
    draws.next_is(0.5);
    assert!(matches!(inc(120), RateLimitDecision::Suppressed { is_allowed: false, .. }));
    for _ in 0..5 {
        let decision = inc(1);
        assert!(matches!(decision, RateLimitDecision::Allowed { .. }), "{decision:?}");
    }
    assert_eq!(handle.usage("key", &a_hundred()).unwrap().admitted, 15);
}

#[test]
fn no_lease_answers_a_call_above_the_hard_limit() {
    let (server, clock, draws) = (RedisServer::start(), ManualClock::new(), Arc::<Told>::default());
    clock.set(Duration::from_secs(120));
    let limiter = builder(&server, &clock).hard_limit_factor(1.5).random(Arc::clone(&draws));
    let limiter = limiter.build().unwrap();
    let handle = limiter.suppressed();
    let inc = |count| handle.inc("key", &a_hundred(), count).unwrap();
    for _ in 0..100 {
        assert!(matches!(inc(1), RateLimitDecision::Allowed { .. }));
    }
    draws.next_is(0.0);
    for _ in 0..3 {
        assert!(matches!(inc(1), RateLimitDecision::Suppressed { is_allowed: false, .. }));
    }
    let before = limiter.stats().from_leases;
    assert!(matches!(inc(1), RateLimitDecision::Suppressed { is_allowed: false, .. }));
    assert_eq!(limiter.stats().from_leases, before + 1, "a lease above the soft limit is in hand");
    let looked = handle.is_allowed("key", &a_hundred(), 151).unwrap();
    assert!(looked.is_never(), "{looked:?}");
    assert!(inc(151).is_never());
    assert_eq!(limiter.stats().from_leases, before + 1);
}
