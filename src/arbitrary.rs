//! Random rates and decisions, for property tests of code that uses this crate.

use proptest::prelude::*;

use crate::{RateLimit, RateLimitDecision};

/// Rates as people configure them (whole and fractional counts, every period), and a few extreme
/// ones: tiny, huge, unlimited. Shrinks towards `1/second`.
impl Arbitrary for RateLimit {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let whole = (1_u32..=10_000).prop_map(f64::from);
        let fractional = (1_u32..=10_000).prop_map(|thousandths| f64::from(thousandths) / 1_000.0);
        let extreme = (-300_i32..=300).prop_map(|exponent| 10_f64.powi(exponent));
        let count = prop_oneof![6 => whole, 3 => fractional, 1 => extreme];
        let rate =
            (count, 0..4_u8).prop_filter_map("a positive, finite rate", |(count, period)| {
                match period {
                    0 => Self::per_second(count),
                    1 => Self::per_minute(count),
                    2 => Self::per_hour(count),
                    _ => Self::per_day(count),
                }
                .ok()
            });
        prop_oneof![19 => rate, 1 => Just(Self::unlimited())].boxed()
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
