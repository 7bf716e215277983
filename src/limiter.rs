//! One interface to every strategy of every provider.

use core::hash::BuildHasher;
use core::time::Duration;
use std::sync::Arc;

use crate::key::Key;
use crate::local::{LocalAbsolute, LocalSuppressed};
use crate::{RateLimit, RateLimitDecision, TrypemaError};

/// What every strategy of every provider can do, for string keys: write against this once, and
/// pick provider and strategy by configuration.
///
/// Providers that keep all state in this process never return an error, except from `acquire`.
///
/// ```
/// use trypema::{Limiter, LocalRateLimiter, RateLimit, TrypemaError};
///
/// fn may_send(limiter: &dyn Limiter, user: &str) -> Result<bool, TrypemaError> {
///     Ok(limiter.inc(user, &RateLimit::per_minute(30.0)?, 1)?.is_allowed())
/// }
///
/// # fn main() -> Result<(), TrypemaError> {
/// let limiter = LocalRateLimiter::builder().build()?;
/// let chosen: Box<dyn Limiter> = if cfg!(feature = "strict") {
///     Box::new(limiter.absolute().clone())
/// } else {
///     Box::new(limiter.suppressed().clone())
/// };
/// assert!(may_send(&chosen, "alice")?);
/// # Ok(())
/// # }
/// ```
pub trait Limiter: Send + Sync {
    /// Checks and records in one atomic step.
    ///
    /// # Errors
    /// If the provider cannot decide.
    fn inc(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<RateLimitDecision, TrypemaError>;

    /// Many calls of `inc`, each decided by itself; the answers are in the order asked. Providers
    /// have quicker ways than one call after the other, which is what this does by default.
    fn inc_many(
        &self,
        calls: &[(&str, &RateLimit, u64)],
    ) -> Vec<Result<RateLimitDecision, TrypemaError>> {
        calls.iter().map(|&(key, rate, count)| self.inc(key, rate, count)).collect()
    }

    /// What `inc` would answer, without counting anything.
    ///
    /// # Errors
    /// If the provider cannot decide.
    fn is_allowed(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<RateLimitDecision, TrypemaError>;

    /// Admitted or recorded units that still count.
    ///
    /// # Errors
    /// If the provider cannot tell.
    fn usage(&self, key: &str) -> Result<u64, TrypemaError>;

    /// Counts units whatever the limit. `false`: there was no room for a new key.
    ///
    /// # Errors
    /// If the provider cannot record them.
    fn record(&self, key: &str, count: u64) -> Result<bool, TrypemaError>;

    /// Gives units back, oldest first, and returns how many.
    ///
    /// # Errors
    /// If the provider cannot tell whether they were given back.
    fn refund(&self, key: &str, count: u64) -> Result<u64, TrypemaError>;

    /// Forgets the key, and returns whether it was known.
    ///
    /// # Errors
    /// If the provider cannot tell whether it was forgotten.
    fn reset(&self, key: &str) -> Result<bool, TrypemaError>;

    /// Parks this thread until admitted, and returns how long that took.
    ///
    /// # Errors
    /// [`TrypemaError::CountTooLarge`] for what can never be admitted,
    /// [`TrypemaError::Timeout`] for what was not in time, and whatever the provider meets.
    fn acquire(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
        timeout: Duration,
    ) -> Result<Duration, TrypemaError>;
}

macro_rules! local {
    ($handle:ident, $usage:expr) => {
        impl<S: BuildHasher + Send + Sync> Limiter for $handle<Key, S> {
            fn inc(
                &self,
                key: &str,
                rate: &RateLimit,
                count: u64,
            ) -> Result<RateLimitDecision, TrypemaError> {
                Ok(Self::inc(self, key, rate, count))
            }

            fn inc_many(
                &self,
                calls: &[(&str, &RateLimit, u64)],
            ) -> Vec<Result<RateLimitDecision, TrypemaError>> {
                Self::inc_many(self, calls).into_iter().map(Ok).collect()
            }

            fn is_allowed(
                &self,
                key: &str,
                rate: &RateLimit,
                count: u64,
            ) -> Result<RateLimitDecision, TrypemaError> {
                Ok(Self::is_allowed(self, key, rate, count))
            }

            fn usage(&self, key: &str) -> Result<u64, TrypemaError> {
                Ok($usage(Self::usage(self, key)))
            }

            fn record(&self, key: &str, count: u64) -> Result<bool, TrypemaError> {
                Ok(Self::record(self, key, count))
            }

            fn refund(&self, key: &str, count: u64) -> Result<u64, TrypemaError> {
                Ok(Self::refund(self, key, count))
            }

            fn reset(&self, key: &str) -> Result<bool, TrypemaError> {
                Ok(Self::reset(self, key))
            }

            fn acquire(
                &self,
                key: &str,
                rate: &RateLimit,
                count: u64,
                timeout: Duration,
            ) -> Result<Duration, TrypemaError> {
                Self::acquire(self, key, rate, count, timeout)
            }
        }
    };
}

local!(LocalAbsolute, |usage| usage);
local!(LocalSuppressed, |usage: crate::SuppressedUsage| usage.admitted);

macro_rules! behind {
    ($($pointer:ty),+) => {$(
        impl<L: Limiter + ?Sized> Limiter for $pointer {
            fn inc(
                &self,
                key: &str,
                rate: &RateLimit,
                count: u64,
            ) -> Result<RateLimitDecision, TrypemaError> {
                (**self).inc(key, rate, count)
            }

            fn inc_many(
                &self,
                calls: &[(&str, &RateLimit, u64)],
            ) -> Vec<Result<RateLimitDecision, TrypemaError>> {
                (**self).inc_many(calls)
            }

            fn is_allowed(
                &self,
                key: &str,
                rate: &RateLimit,
                count: u64,
            ) -> Result<RateLimitDecision, TrypemaError> {
                (**self).is_allowed(key, rate, count)
            }

            fn usage(&self, key: &str) -> Result<u64, TrypemaError> {
                (**self).usage(key)
            }

            fn record(&self, key: &str, count: u64) -> Result<bool, TrypemaError> {
                (**self).record(key, count)
            }

            fn refund(&self, key: &str, count: u64) -> Result<u64, TrypemaError> {
                (**self).refund(key, count)
            }

            fn reset(&self, key: &str) -> Result<bool, TrypemaError> {
                (**self).reset(key)
            }

            fn acquire(
                &self,
                key: &str,
                rate: &RateLimit,
                count: u64,
                timeout: Duration,
            ) -> Result<Duration, TrypemaError> {
                (**self).acquire(key, rate, count, timeout)
            }
        }
    )+};
}

behind!(&L, Box<L>, Arc<L>);
