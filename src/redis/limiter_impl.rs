//! The interface that all providers share.

use core::time::Duration;

use crate::redis::{RedisAbsolute, RedisSuppressed};
use crate::{Limiter, RateLimit, RateLimitDecision, TrypemaError};

macro_rules! redis {
    ($handle:ident, $usage:expr) => {
        impl Limiter for $handle {
            fn inc(
                &self,
                key: &str,
                rate: &RateLimit,
                count: u64,
            ) -> Result<RateLimitDecision, TrypemaError> {
                Self::inc(self, key, rate, count)
            }

            fn inc_many(
                &self,
                calls: &[(&str, &RateLimit, u64)],
            ) -> Vec<Result<RateLimitDecision, TrypemaError>> {
                Self::inc_many(self, calls)
            }

            fn is_allowed(
                &self,
                key: &str,
                rate: &RateLimit,
                count: u64,
            ) -> Result<RateLimitDecision, TrypemaError> {
                Self::is_allowed(self, key, rate, count)
            }

            fn usage(&self, key: &str, _rate: &RateLimit) -> Result<u64, TrypemaError> {
                Self::usage(self, key).map($usage)
            }

            fn record(
                &self,
                key: &str,
                _rate: &RateLimit,
                count: u64,
            ) -> Result<bool, TrypemaError> {
                Self::record(self, key, count)
            }

            fn refund(
                &self,
                key: &str,
                _rate: &RateLimit,
                count: u64,
            ) -> Result<u64, TrypemaError> {
                Self::refund(self, key, count)
            }

            fn undo(
                &self,
                key: &str,
                rate: &RateLimit,
                bucket: crate::Bucket,
                count: u64,
            ) -> Result<u64, TrypemaError> {
                Self::undo(self, key, rate, bucket, count)
            }

            fn reset(&self, key: &str) -> Result<bool, TrypemaError> {
                Self::reset(self, key)
            }

            fn acquire(
                &self,
                key: &str,
                rate: &RateLimit,
                count: u64,
                timeout: Duration,
            ) -> Result<crate::Admitted, TrypemaError> {
                let waited = Self::acquire(self, key, rate, count, timeout)?;
                Ok(crate::Admitted::new(waited, crate::Bucket::NONE))
            }
        }
    };
}

redis!(RedisAbsolute, |usage| usage);
redis!(RedisSuppressed, |usage| usage.admitted);
