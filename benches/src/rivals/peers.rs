//! The async-flavoured crate of our name. Its local providers are ordinary calls.

use std::sync::Arc;

use trypema_2::RateLimiterBuilder as _;

use crate::keys::Prepared;
use crate::rivals::Rival;
use crate::rule::Rule;

/// Version 2.2.1, the local provider's Absolute.
pub struct Trypema2 {
    provider: Arc<trypema_2::local::LocalRateLimiterProvider>,
    rate: trypema_2::RateLimit,
}

/// Version 1.0.1, the local provider's Absolute.
pub struct Trypema1 {
    limiter: trypema_1::RateLimiter,
    rate: trypema_1::RateLimit,
}

fn milliseconds(rule: Rule) -> u64 {
    u64::try_from(rule.bucket.as_millis()).expect("a short bucket")
}

impl Rival for Trypema2 {
    fn new(rule: Rule) -> Self {
        let provider = trypema_2::local::LocalRateLimiterProvider::builder()
            .window_size(trypema_2::WindowSize::seconds_or_panic(rule.window.as_secs()))
            .bucket_size(trypema_2::BucketSize::milliseconds_or_panic(milliseconds(rule)))
            // As for all rivals: no sweep runs while something is timed.
            .disable_cleanup()
            .build()
            .expect("valid settings");
        Self { provider, rate: trypema_2::RateLimit::per_second_or_panic(rule.per_second()) }
    }

    #[inline]
    fn inc(&self, key: &Prepared) -> bool {
        self.inc_by(key, 1)
    }

    #[inline]
    fn inc_by(&self, key: &Prepared, count: u32) -> bool {
        let decision = self.provider.absolute().inc(&key.text, &self.rate, u64::from(count));
        matches!(decision, trypema_2::RateLimitDecision::Allowed)
    }
}

impl Rival for Trypema1 {
    fn new(rule: Rule) -> Self {
        let valid = "valid settings";
        let local = trypema_1::local::LocalRateLimiterOptions {
            window_size_seconds: rule.window.as_secs().try_into().expect(valid),
            rate_group_size_ms: milliseconds(rule).try_into().expect(valid),
            hard_limit_factor: trypema_1::HardLimitFactor::default(),
            suppression_factor_cache_ms: trypema_1::SuppressionFactorCacheMs::default(),
        };
        let limiter = trypema_1::RateLimiter::new(trypema_1::RateLimiterOptions { local });
        Self { limiter, rate: rule.per_second().try_into().expect(valid) }
    }

    #[inline]
    fn inc(&self, key: &Prepared) -> bool {
        self.inc_by(key, 1)
    }

    #[inline]
    fn inc_by(&self, key: &Prepared, count: u32) -> bool {
        let decision = self.limiter.local().absolute().inc(&key.text, &self.rate, u64::from(count));
        matches!(decision, trypema_1::RateLimitDecision::Allowed)
    }
}

macro_rules! opaque {
    ($($name:ident)+) => {$(
        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )+};
}

opaque!(Trypema1 Trypema2);
