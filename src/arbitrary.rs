//! Random rates and decisions, for property tests of code that uses this crate.

use core::time::Duration;

use proptest::prelude::*;

use crate::{RateLimit, RateLimitDecision};

/// Rates as people configure them (whole and fractional counts; a second, a minute, an hour, a day or
/// any other period up to a month), and a few extreme ones: tiny, huge, unlimited, zero. Shrinks
/// towards `1/second`.
impl Arbitrary for RateLimit {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let whole = (1_u32..=10_000).prop_map(f64::from);
        let fractional = (1_u32..=10_000).prop_map(|thousandths| f64::from(thousandths) / 1_000.0);
        let extreme = (-300_i32..=300).prop_map(|exponent| 10_f64.powi(exponent));
        let count = prop_oneof![6 => whole, 3 => fractional, 1 => extreme];
        let named = (0..4_usize).prop_map(|period| [1_000, 60_000, 3_600_000, 86_400_000][period]);
        let period_ms = prop_oneof![4 => named, 1 => 1..=2_592_000_000_u64];
        let rate = (count, period_ms)
            .prop_filter_map("a positive, finite rate", |(count, period_ms)| {
                Self::per(count, Duration::from_millis(period_ms)).ok()
            });
        prop_oneof![38 => rate, 1 => Just(Self::unlimited()), 1 => Just(Self::zero())].boxed()
    }
}

/// Every variant, with hints that could come from a limiter. Shrinks towards `Allowed`.
impl Arbitrary for RateLimitDecision {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let rejected = (proptest::option::of(1..=86_400_000_u64), 0..=1_000_000_u64)
            .prop_map(|(retry_after_ms, remaining)| Self::rejected(retry_after_ms, remaining));
        let suppressed = (0.0..=1.0_f64, any::<bool>())
            // With factor 1 nothing is let through.
            .prop_map(|(factor, is_allowed)| Self::suppressed(factor, is_allowed && factor < 1.0));
        let allowed = (0..=1_000_000_u64).prop_map(Self::allowed);
        prop_oneof![allowed, rejected, suppressed].boxed()
    }
}
