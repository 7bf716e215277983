//! Whether a key with many live buckets costs more than one with a single bucket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use trypema::Clock;
use trypema_benches::rule::Rule;

use crate::rivals::{self, rate};
use crate::server::{Admin, Server};

/// How many live buckets. One has a shorter format than more have; with 1,000 the window is full, so
/// that one goes whenever another begins.
pub(crate) const COUNTS: [u32; 3] = [1, 10, 1000];

/// The server's cost of a call, for each of [`COUNTS`].
#[derive(Clone, Copy)]
pub(crate) struct Buckets {
    pub(crate) hot_over: [f64; COUNTS.len()],
    pub(crate) hot_allowed: [f64; COUNTS.len()],
    pub(crate) new_bucket: [f64; COUNTS.len()],
}

/// `calls` of each kind. `template` says how long window and bucket are: 1,000 buckets.
pub(crate) fn measure(server: &Server, admin: &mut Admin, template: Rule, calls: usize) -> Buckets {
    let costs = COUNTS.map(|buckets| with(server, admin, template, calls, buckets));
    let of = |kind: usize| costs.map(|cost| cost[kind]);
    Buckets { hot_over: of(0), hot_allowed: of(1), new_bucket: of(2) }
}

/// Hot over the limit, hot allowed, and a new bucket each call. The scripts are told the time, so that a bucket
/// begins when it is to begin, and no sooner.
fn with(
    server: &Server,
    admin: &mut Admin,
    template: Rule,
    calls: usize,
    buckets: u32,
) -> [f64; 3] {
    admin.flush();
    // One unit in each bucket: full.
    let (rule, roomy) =
        (Rule { capacity: buckets, ..template }, Rule { capacity: 1_000_000, ..template });
    let last = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let told = Told(Arc::new(AtomicU64::new(0)));
    let limiter = rivals::told(server.url(), rule, told.clone());
    let absolute = limiter.absolute();
    let inc = |key: &str, rule| absolute.inc(key, &rate(rule), 1).expect("an answer").is_allowed();
    for back in (0..buckets).rev() {
        told.set(last - rule.bucket * back);
        assert!(inc("base", roomy));
    }
    let names: Vec<String> = (0..calls).map(|copy| format!("copy_{copy:07}")).collect();
    let (window, bucket) = (rule.window.as_millis(), rule.bucket.as_millis());
    let full = |name: &str| format!("trypema:a:{window}.{bucket}:{name}");
    admin.copy(&full("base"), names.iter().map(|name| full(name)));

    admin.begin();
    assert!((0..calls).all(|_| !inc("base", rule)), "the key is full");
    let (hot_over, _) = admin.cost("evalsha");

    admin.begin();
    assert!((0..calls).all(|_| inc("base", roomy)));
    let (hot_allowed, _) = admin.cost("evalsha");

    told.set(last + rule.bucket);
    if buckets > 1 {
        // A copy has no room to grow, which a value in steady use has at nearly all times.
        assert!(names.iter().all(|name| inc(name, roomy)));
        told.set(last + 2 * rule.bucket);
    }
    admin.begin();
    assert!(names.iter().all(|name| inc(name, roomy)));
    let (new_bucket, _) = admin.cost("evalsha");
    [hot_over, hot_allowed, new_bucket]
}

#[derive(Clone)]
struct Told(Arc<AtomicU64>);

impl Told {
    fn set(&self, time: Duration) {
        // Relaxed: one thread alone.
        self.0.store(time.as_micros() as u64, Ordering::Relaxed);
    }
}

impl Clock for Told {
    fn now(&self) -> Duration {
        // Relaxed: one thread alone.
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}
