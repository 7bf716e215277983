//! Limiters whose state is kept in Redis, so that processes and hosts share it.

mod absolute;
mod any;
mod away;
mod builder;
mod limiter;
mod stats;
mod suppressed;

pub use absolute::RedisAbsolute;
pub use away::OnUnavailable;
pub use builder::RedisRateLimiterBuilder;
pub use limiter::RedisRateLimiter;
pub use stats::RedisStats;
pub use suppressed::RedisSuppressed;
