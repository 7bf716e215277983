//! Counts of decisions, and of leased units.

use crate::RedisStats;

/// Counts of the decisions of a [`HybridRateLimiter`](crate::HybridRateLimiter), or of one of its strategies,
/// and of the units that it leased.
///
/// A snapshot: taken while others decide, its parts may be a few decisions apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HybridStats {
    /// Decisions, their sources but for leases, and failures, as of a limiter over Redis.
    pub decisions: RedisStats,
    /// Decisions by leases in hand: nobody was asked.
    pub from_leases: u64,
    /// Requests for units of a key, failed ones included.
    pub asks: u64,
    /// Of `asks`, those of the background thread, which renews leases before their end.
    pub renewals: u64,
    /// Units leased.
    pub units_leased: u64,
    /// Leased units that were given back to Redis, not spent.
    pub units_given_back: u64,
    /// Leased units that were neither spent nor given back, because Redis did not say that it took them: they
    /// count until they expire.
    pub units_lost: u64,
    /// Keys with a lease, or with one until lately.
    pub keys: u64,
}

impl HybridStats {
    /// Every field with its name, for exporters and logs. `waiting` and `keys` can fall; all others only rise.
    ///
    /// ```
    /// use trypema::{HybridRateLimiter};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// // Nothing is connected to yet.
    /// let limiter = HybridRateLimiter::builder("redis://127.0.0.1:6379").build()?;
    /// let names: Vec<_> = limiter.stats().iter().map(|(name, _)| name).collect();
    /// assert!(names.contains(&"allowed") && names.contains(&"from_leases"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        // Each by name, so that a new one cannot be forgotten.
        let Self {
            decisions,
            from_leases,
            asks,
            renewals,
            units_leased,
            units_given_back,
            units_lost,
            keys,
        } = *self;
        decisions.iter().chain([
            ("from_leases", from_leases),
            ("asks", asks),
            ("renewals", renewals),
            ("units_leased", units_leased),
            ("units_given_back", units_given_back),
            ("units_lost", units_lost),
            ("keys", keys),
        ])
    }
}
