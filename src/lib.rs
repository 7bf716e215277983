#![doc = include_str!("../README.md")]

mod builder;
mod clock;
mod decision;
mod error;
mod key;
mod keys;
mod limiter;
mod policy;
mod rate;
mod store;
mod sync;

pub use builder::LocalRateLimiterBuilder;
pub use clock::{Clock, ManualClock, MonotonicClock};
pub use decision::RateLimitDecision;
pub use error::TrypemaError;
pub use keys::{Key, Lookup};
pub use limiter::{LocalAbsolute, LocalRateLimiter};
pub use rate::RateLimit;

/// How keys are hashed unless the builder is told otherwise: keyed afresh in every process, so
/// that nobody can prepare keys that collide.
pub type DefaultHashBuilder = ahash::RandomState;
