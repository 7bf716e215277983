//! Whether a key with many live buckets costs more than one with a single bucket.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use trypema::{Clock, RedisRateLimiter};
use trypema_benches::rule::Rule;

use crate::rivals::{limiter, rate};
use crate::server::{Admin, Server};

/// How many live buckets. One has a shorter format than more have.
pub(crate) const COUNTS: [u32; 3] = [1, 10, 1000];
/// Few, so that hardly a bucket expires meanwhile.
const COPIES: usize = 1000;
const HOT_CALLS: usize = 2000;

/// Server microseconds per call, for each of [`COUNTS`].
#[derive(Clone, Copy)]
pub(crate) struct Buckets {
    pub(crate) hot_over: [f64; COUNTS.len()],
    pub(crate) new_bucket: [f64; COUNTS.len()],
}

pub(crate) fn measure(server: &Server, admin: &mut Admin) -> Buckets {
    let costs = COUNTS.map(|buckets| with(server, admin, buckets));
    Buckets { hot_over: costs.map(|cost| cost.0), new_bucket: costs.map(|cost| cost.1) }
}

/// Hot over the limit, and a new bucket each call.
fn with(server: &Server, admin: &mut Admin, buckets: u32) -> (f64, f64) {
    admin.flush();
    // One unit in each bucket: over the limit, but for the unit that each bucket's end sets free.
    let (rule, roomy) = (Rule::timed(buckets), Rule::timed(1_000_000));
    // Told ahead of time, so that the last bucket is the present one when everything is in place.
    let last = now() + Duration::from_millis(if buckets < 100 { 50 } else { 1500 });
    let told = Told(Arc::new(AtomicU64::new(0)));
    let builder = RedisRateLimiter::builder(server.url()).window(rule.window).bucket(rule.bucket);
    let builder = builder.denial_cache(Duration::ZERO).deadline(Duration::from_secs(20));
    let past = builder.server_time(told.clone()).build().expect("valid settings");
    for back in (0..buckets).rev() {
        told.set(last - rule.bucket * back);
        let answer = past.absolute().inc("base", &rate(roomy), 1);
        assert!(answer.expect("an answer").is_allowed());
    }
    let names: Vec<String> = (0..COPIES).map(|copy| format!("copy_{copy:07}")).collect();
    admin.copy("trypema:a:base", names.iter().map(|name| format!("trypema:a:{name}")));
    let limiter = limiter(server.url(), rule, Duration::ZERO);
    let absolute = limiter.absolute();
    let inc = |key: &str, rule| absolute.inc(key, &rate(rule), 1).expect("an answer").is_allowed();
    // A connection, and the script by its hash.
    inc("warm", roomy);

    // One bucket more: the last has to be over.
    thread::sleep((last + rule.bucket).saturating_sub(now()));
    if buckets > 1 {
        // A copy has no room to grow, which a value in steady use has at nearly all times.
        for name in &names {
            assert!(inc(name, roomy));
        }
        thread::sleep(2 * rule.bucket);
    }
    admin.begin();
    for name in &names {
        assert!(inc(name, roomy));
    }
    let (new_bucket, _) = admin.cost("evalsha");
    // What has expired since goes first, and the limit is reached.
    while inc("base", rule) {}
    admin.begin();
    for _ in 0..HOT_CALLS {
        inc("base", rule);
    }
    (admin.cost("evalsha").0, new_bucket)
}

/// By the same clock as a server on this machine.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
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
