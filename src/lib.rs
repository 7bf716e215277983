// One of the README's examples needs Redis, so they are tested only with that feature.
#![cfg_attr(any(feature = "redis", not(doctest)), doc = include_str!("../README.md"))]

#[cfg(feature = "proptest")]
mod arbitrary;
mod clock;
#[cfg(feature = "serde")]
mod config;
mod decision;
mod error;
pub mod headers;
#[cfg(feature = "redis")]
mod hybrid;
mod key;
mod limiter;
mod local;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg_attr(
    not(feature = "redis"),
    expect(dead_code, reason = "only limiters over Redis lease units")
)]
mod policy;
mod random;
mod rate;
#[cfg(feature = "redis")]
mod redis;
mod settings;
mod sync;
mod thread_exit;
mod wait;
mod window;

#[cfg(feature = "serde")]
pub use self::config::{LimiterConfig, Provider};
#[cfg(feature = "redis")]
pub use self::hybrid::{
    HybridAbsolute, HybridRateLimiter, HybridRateLimiterBuilder, HybridStats, HybridSuppressed,
};
#[cfg(feature = "metrics")]
pub use self::metrics::publish_metrics;
#[cfg(feature = "redis")]
pub use self::redis::{
    DecisionSource, OnUnavailable, RedisAbsolute, RedisConnectionSettings, RedisConnections,
    RedisEvent, RedisRateLimiter, RedisRateLimiterBuilder, RedisStats, RedisSuppressed,
};
pub use clock::{Clock, ManualClock, MonotonicClock, Watch};
pub use decision::{Admitted, Bucket, Combined, RateLimitDecision};
pub use error::TrypemaError;
pub use key::{Key, Lookup};
pub use limiter::Limiter;
pub use local::{
    Event, LocalAbsolute, LocalRateLimiter, LocalRateLimiterBuilder, LocalSuppressed, Stats,
    Strategy, SuppressedUsage,
};
pub use random::{Random, SeededRandom, ThreadRandom};
pub use rate::RateLimit;

/// How keys are hashed unless the builder is told otherwise: keyed afresh in every process, so
/// that nobody can prepare keys that collide.
pub type DefaultHashBuilder = foldhash::fast::RandomState;
