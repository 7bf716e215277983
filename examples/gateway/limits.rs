//! Where the limits are kept: in this process, or in a Redis that several gateways share. The server
//! asks either through the same trait.

use std::sync::Arc;

use trypema::{Clock, Limiter, LocalRateLimiter, TrypemaError};

use super::rules::Rules;

/// Names cost nothing to make up, and each takes memory until it is forgotten. Past so many that
/// are in use at the same time, newcomers are rejected.
const MOST_CLIENTS: usize = 10_000;

pub(crate) enum Limits {
    Here(LocalRateLimiter),
    /// Redis forgets clients by itself, and has its own bound on memory.
    #[cfg(feature = "redis")]
    Shared(trypema::RedisRateLimiter),
    /// Shared as well, but each gateway spends units that it has leased, without asking for each request.
    #[cfg(feature = "redis")]
    Leased(trypema::HybridRateLimiter),
}

impl Limits {
    pub(crate) fn here(rules: &Rules, clock: &Arc<dyn Clock>) -> Result<Self, TrypemaError> {
        let limiter = LocalRateLimiter::builder()
            .window(rules.window)
            .bucket(rules.bucket)
            .max_keys(MOST_CLIENTS)
            .clock(Arc::clone(clock))
            .build()?;
        // Forgets clients that have not been seen for some minutes, in the background.
        limiter.run_cleanup_loop();
        Ok(Self::Here(limiter))
    }

    /// All gateways at the same Redis share these limits. Fails if nobody answers there: better at
    /// the start than with the first request.
    #[cfg(feature = "redis")]
    pub(crate) fn in_redis(rules: &Rules, url: &str) -> Result<Self, TrypemaError> {
        let limiter = trypema::RedisRateLimiter::builder(url)
            .prefix("gateway")
            .window(rules.window)
            .bucket(rules.bucket)
            .build()?;
        Limiter::usage(limiter.absolute(), "nobody", &trypema::RateLimit::unlimited())?;
        Ok(Self::Shared(limiter))
    }

    /// The same by leases: gateways that lease share their limits with each other.
    #[cfg(feature = "redis")]
    pub(crate) fn by_leases(rules: &Rules, url: &str) -> Result<Self, TrypemaError> {
        let limiter = trypema::HybridRateLimiter::builder(url)
            .prefix("gateway")
            .window(rules.window)
            .bucket(rules.bucket)
            .build()?;
        Limiter::usage(limiter.absolute(), "nobody", &trypema::RateLimit::unlimited())?;
        Ok(Self::Leased(limiter))
    }

    pub(crate) fn limiter(&self) -> &dyn Limiter {
        match self {
            Self::Here(limiter) => limiter.absolute(),
            #[cfg(feature = "redis")]
            Self::Shared(limiter) => limiter.absolute(),
            #[cfg(feature = "redis")]
            Self::Leased(limiter) => limiter.absolute(),
        }
    }

    /// Ends what runs in the background.
    pub(crate) fn stop(&self) {
        match self {
            Self::Here(limiter) => limiter.stop_cleanup_loop(),
            #[cfg(feature = "redis")]
            Self::Shared(_) | Self::Leased(_) => {}
        }
    }
}
