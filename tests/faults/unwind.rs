//! Everything public may be shared with code that catches panics.

use std::panic::{RefUnwindSafe, UnwindSafe};

fn is_unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}

#[test]
fn everything_public_is_unwind_safe() {
    is_unwind_safe::<trypema::LocalRateLimiter>();
    is_unwind_safe::<trypema::LocalRateLimiter<u64>>();
    is_unwind_safe::<trypema::LocalAbsolute>();
    is_unwind_safe::<trypema::LocalSuppressed>();
    is_unwind_safe::<trypema::RateLimit>();
    is_unwind_safe::<trypema::RateLimitDecision>();
    is_unwind_safe::<trypema::TrypemaError>();
    is_unwind_safe::<trypema::ManualClock>();
    is_unwind_safe::<trypema::MonotonicClock>();
    is_unwind_safe::<trypema::SeededRandom>();
    is_unwind_safe::<trypema::Stats>();
    #[cfg(feature = "redis")]
    {
        is_unwind_safe::<trypema::RedisRateLimiter>();
        is_unwind_safe::<trypema::RedisAbsolute>();
        is_unwind_safe::<trypema::RedisSuppressed>();
    }
}
