//! The scenes. Each prepares, makes its calls through `measured`, and prints how many.

use core::hint::black_box;
use core::time::Duration;
use std::thread;

use trypema_benches::keys::{self, Prepared};
use trypema_benches::rivals::{
    Absolute, FloorRead, FloorRmw, Governor, GovernorTuned, Rival, Suppressed,
};
use trypema_benches::rule::Rule;

use trypema::{LocalRateLimiter, RateLimit};

use crate::measured;

/// The scene that is subtracted from the others.
pub(crate) const EMPTY: &str = "empty";

type Scene = fn();

pub(crate) const SCENES: &[(&str, Scene)] = &[
    (EMPTY, || run(1_000, |_| {})),
    ("absolute/hot-reject", hot_reject::<Absolute>),
    ("absolute/hot-allow", hot_allow::<Absolute>),
    ("absolute/new-mark", new_mark::<Absolute>),
    ("absolute/new-bucket", new_bucket::<Absolute>),
    ("absolute/new-bucket-expiry", new_bucket_expiry::<Absolute>),
    ("absolute/cold-reject", cold_reject::<Absolute>),
    ("absolute/uniform-hit", uniform_hit::<Absolute>),
    ("absolute/new-key", new_key::<Absolute>),
    ("absolute/is-allowed", absolute_looks),
    ("absolute/inc-all-three", three_at_once),
    ("suppressed/hot-reject", hot_reject::<Suppressed>),
    ("suppressed/hot-allow", hot_allow::<Suppressed>),
    ("suppressed/new-mark", new_mark::<Suppressed>),
    ("suppressed/new-bucket", new_bucket::<Suppressed>),
    ("suppressed/new-bucket-expiry", new_bucket_expiry::<Suppressed>),
    ("suppressed/cold-reject", cold_reject::<Suppressed>),
    ("suppressed/uniform-hit", uniform_hit::<Suppressed>),
    ("suppressed/new-key", new_key::<Suppressed>),
    ("suppressed/is-allowed", suppressed_looks),
    ("governor/hot-reject", hot_reject::<Governor>),
    ("governor/hot-allow", hot_allow::<Governor>),
    ("governor/uniform-hit", uniform_hit::<Governor>),
    ("governor/cold-reject", cold_reject::<Governor>),
    ("governor/new-key", new_key::<Governor>),
    ("governor-tuned/hot-reject", hot_reject::<GovernorTuned>),
    ("governor-tuned/hot-allow", hot_allow::<GovernorTuned>),
    ("governor-tuned/uniform-hit", uniform_hit::<GovernorTuned>),
    ("governor-tuned/new-key", new_key::<GovernorTuned>),
    ("floor-rmw/hot", hot_allow::<FloorRmw>),
    ("floor-rmw/uniform-hit", uniform_hit::<FloorRmw>),
    ("floor-read/hot", hot_allow::<FloorRead>),
];

/// One bucket that is as long as the window and longer than any scene: no call falls into a new one
/// unless that is what the scene is about.
fn still(capacity: u32) -> Rule {
    let long = Duration::from_secs(1_000);
    Rule { window: long, bucket: long, capacity }
}

fn run(calls: usize, call: impl FnMut(usize)) {
    run_between(calls, || {}, call);
}

/// `pause` before each call, which is not counted.
fn run_between(calls: usize, pause: impl Fn(), mut call: impl FnMut(usize)) {
    for number in 0..calls {
        pause();
        measured(&mut || call(black_box(number)));
    }
    println!("{calls}");
}

fn hot_reject<R: Rival>() {
    let rival = R::new(still(1_000));
    let key = Prepared::new(0);
    rival.fill(&key);
    assert!(!rival.inc(&key));
    run(1_000, |_| assert!(!rival.inc(black_box(&key))));
}

fn hot_allow<R: Rival>() {
    let rival = R::new(still(1_000_000_000));
    let key = Prepared::new(0);
    assert!(rival.inc(&key));
    run(1_000, |_| assert!(rival.inc(black_box(&key))));
}

/// One call in each bucket, with a hundred live ones before it and the oldest expiring.
fn new_mark<R: Rival>() {
    let rule = Rule::second(1_000_000_000);
    let rival = R::new(rule);
    let key = Prepared::new(0);
    let pause = || thread::sleep(rule.bucket);
    for _ in 0..110 {
        pause();
        assert!(rival.inc(&key));
    }
    run_between(100, pause, |_| assert!(rival.inc(black_box(&key))));
}

/// One call in each bucket, with a hundred live ones before it, all of which stay.
fn new_bucket<R: Rival>() {
    one_a_bucket::<R>(Rule::timed(1_000_000_000));
}

/// One call in each bucket, with a hundred live ones before it and the oldest expiring.
fn new_bucket_expiry<R: Rival>() {
    one_a_bucket::<R>(Rule::second(1_000_000_000));
}

/// Unlike `new_mark`, a call for another key has just read the clock, as it has where keys are many.
fn one_a_bucket<R: Rival>(rule: Rule) {
    let rival = R::new(rule);
    let keys = keys::distinct(2);
    let pause = || {
        thread::sleep(rule.bucket);
        assert!(rival.inc(&keys[1]));
    };
    for _ in 0..140 {
        pause();
        assert!(rival.inc(&keys[0]));
    }
    run_between(100, pause, |_| assert!(rival.inc(black_box(&keys[0]))));
}

/// Rejections of many keys, which have a unit each.
fn cold_reject<R: Rival>() {
    let rival = R::new(still(1));
    let keys = keys::distinct(20_000);
    for key in &keys {
        rival.fill(key);
        assert!(!rival.inc(key));
    }
    let order = keys::uniform(20_000, 2_000, 0);
    run(order.len(), |number| assert!(!rival.inc(&order[number])));
}

fn uniform_hit<R: Rival>() {
    let rival = R::new(still(1_000_000_000));
    for key in &keys::distinct(100_000) {
        assert!(rival.inc(key));
    }
    let order = keys::uniform(100_000, 2_000, 0);
    run(order.len(), |number| assert!(rival.inc(&order[number])));
}

/// On an empty limiter, so that the map's growth is part of it.
fn new_key<R: Rival>() {
    let rival = R::new(still(1_000_000_000));
    let keys = keys::distinct(20_000);
    // The work that a thread does once.
    assert!(rival.inc(&Prepared::new(30_000)));
    run(keys.len(), |number| assert!(rival.inc(&keys[number])));
}

fn absolute_looks() {
    let Absolute { limiter, rate } = Absolute::new(still(1_000));
    assert!(limiter.absolute().inc("user:0000000", &rate, 1).is_allowed());
    run(1_000, |_| {
        let decision = limiter.absolute().is_allowed(black_box("user:0000000"), &rate, 1);
        assert!(decision.is_allowed());
    });
}

fn suppressed_looks() {
    let Suppressed { limiter, rate, .. } = Suppressed::new(still(1_000));
    assert!(limiter.suppressed().inc("user:0000000", &rate, 1).is_allowed());
    run(1_000, |_| {
        let decision = limiter.suppressed().is_allowed(black_box("user:0000000"), &rate, 1);
        assert!(decision.is_allowed());
    });
}

/// Two limits on one key, and one on another: three windows, whose buckets are longer than the scene.
fn three_at_once() {
    let limiter = LocalRateLimiter::builder().build().expect("valid settings");
    let most = 1_000_000_000;
    let rate =
        |hours: u64| RateLimit::per(most, Duration::from_secs(3_600 * hours)).expect("valid");
    let (hour, day, week) = (rate(1), rate(24), rate(168));
    let calls = [("user:0000000", &hour, 1), ("user:0000000", &day, 1), ("tenant:0000", &week, 1)];
    assert!(limiter.absolute().inc_all(&calls).is_allowed());
    run(1_000, |_| assert!(limiter.absolute().inc_all(black_box(&calls)).is_allowed()));
}
