//! Limiters that several processes share, and the one that they do not, behind one interface.

use std::future::pending;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use redis::aio::ConnectionManagerConfig;
use tokio::runtime::{Builder, Handle};
use trypema::{HybridRateLimiter, LocalRateLimiter, RateLimit, RedisRateLimiter};
use trypema_2::RateLimiterBuilder as _;
use trypema_2::hybrid::{HybridRateLimiterProvider, SyncInterval};
use trypema_2::redis::RedisKey;

/// For a machine that is busy: nobody's deadline is to be measured.
const DEADLINE: Duration = Duration::from_secs(20);

/// The limit of a scene.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) window: Duration,
    pub(crate) lease: Duration,
    pub(crate) per_second: f64,
}

impl Rule {
    pub(crate) fn rate(self) -> RateLimit {
        RateLimit::per_second(self.per_second).expect("a valid rate")
    }
}

pub(crate) trait Rival: Sync {
    /// Whether one unit is admitted.
    fn inc(&self, key: &str) -> bool;
}

pub(crate) struct Local(LocalRateLimiter, RateLimit);
pub(crate) struct Redis(RedisRateLimiter, RateLimit);
pub(crate) struct Hybrid(pub(crate) HybridRateLimiter, RateLimit);

impl Local {
    pub(crate) fn new(rule: Rule) -> Self {
        let limiter = LocalRateLimiter::builder().window(rule.window).build();
        Self(limiter.expect("valid settings"), rule.rate())
    }
}

impl Redis {
    pub(crate) fn new(url: &str, rule: Rule) -> Self {
        let builder = RedisRateLimiter::builder(url).window(rule.window).deadline(DEADLINE);
        Self(builder.build().expect("valid settings"), rule.rate())
    }
}

impl Hybrid {
    pub(crate) fn new(url: &str, rule: Rule) -> Self {
        let builder = HybridRateLimiter::builder(url).window(rule.window).lease(rule.lease);
        Self(builder.deadline(DEADLINE).build().expect("valid settings"), rule.rate())
    }
}

impl Rival for Local {
    fn inc(&self, key: &str) -> bool {
        self.0.absolute().inc(key, &self.1, 1).is_allowed()
    }
}

impl Rival for Redis {
    fn inc(&self, key: &str) -> bool {
        self.0.absolute().inc(key, &self.1, 1).expect("an answer").is_allowed()
    }
}

impl Rival for Hybrid {
    fn inc(&self, key: &str) -> bool {
        self.0.absolute().inc(key, &self.1, 1).expect("an answer").is_allowed()
    }
}

/// The async peer's hybrid, which counts here and tells Redis at intervals, as long as our leases. Its runtime
/// has a thread of its own; callers ask without it where they can.
pub(crate) struct Peer {
    handle: Handle,
    provider: Arc<HybridRateLimiterProvider>,
    rate: trypema_2::RateLimit,
}

impl Peer {
    pub(crate) fn new(url: &str, rule: Rule) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let handle = runtime.handle().clone();
        thread::spawn(move || runtime.block_on(pending::<()>()));
        let client = redis::Client::open(url).expect("a URL");
        let patient = ConnectionManagerConfig::new().set_response_timeout(Some(DEADLINE));
        let provider = handle.block_on(async {
            let connection = client.get_connection_manager_with_config(patient).await;
            HybridRateLimiterProvider::builder(connection.expect("a connection"))
                .window_size(trypema_2::WindowSize::seconds_or_panic(rule.window.as_secs()))
                .bucket_size(trypema_2::BucketSize::milliseconds_or_panic(
                    u64::try_from(rule.window.as_millis() / 600).expect("it is short").max(1),
                ))
                .sync_interval(SyncInterval::milliseconds_or_panic(
                    u64::try_from(rule.lease.as_millis()).expect("it is short"),
                ))
                .disable_cleanup()
                .build()
                .expect("valid settings")
        });
        let rate = trypema_2::RateLimit::per_second_or_panic(rule.per_second);
        Self { handle, provider, rate }
    }
}

impl Rival for Peer {
    fn inc(&self, key: &str) -> bool {
        let key = RedisKey::try_from(key).expect("a valid key");
        let absolute = self.provider.absolute();
        let decision = match absolute.try_inc(key.as_key_ref(), 1).expect("an answer") {
            Some(decision) => decision,
            None => self.handle.block_on(absolute.inc(&key, &self.rate, 1)).expect("an answer"),
        };
        matches!(decision, trypema_2::RateLimitDecision::Allowed)
    }
}
