//! Statistics for metrics collectors, through the [`metrics`](https://docs.rs/metrics) facade.

use ::metrics::{counter, gauge};

/// Fields that can fall as well as rise.
const GAUGES: [&str; 4] = ["keys", "memory_bytes", "waiting", "longest_wait_ms"];

/// Tells the recorder of the [`metrics`](https://docs.rs/metrics) facade what a limiter has done and
/// holds. Does nothing where no recorder is installed.
///
/// Decisions publish nothing, so that they stay cheap: call this before each scrape, or every few seconds
/// from a thread that you have anyway.
///
/// ```
/// use trypema::{LocalRateLimiter, RateLimit, publish_metrics};
///
/// # fn main() -> Result<(), trypema::TrypemaError> {
/// let limiter = LocalRateLimiter::builder().build()?;
/// let _ = limiter.absolute().inc("alice", &RateLimit::per_minute(5)?, 1);
/// // trypema_allowed_total{limiter="logins"} becomes 1, as does trypema_keys{limiter="logins"}.
/// publish_metrics("logins", limiter.stats().iter());
/// # Ok(())
/// # }
/// ```
///
/// Each field of the statistics becomes a metric: the gauges `trypema_keys`, `trypema_memory_bytes`,
/// `trypema_waiting` and `trypema_longest_wait_ms`, and for every other field a counter with a name such as
/// `trypema_allowed_total`.
/// The label `limiter` tells limiters apart, those of different providers as well. To tell strategies
/// apart, publish the statistics of each handle, under a label of its own. Two limiters under one label
/// would overwrite each other's gauges, and the counters show the greater of their counts.
///
/// # Cost
/// A registration with the recorder for each field, which allocates.
pub fn publish_metrics(limiter: &str, stats: impl IntoIterator<Item = (&'static str, u64)>) {
    for (field, value) in stats {
        let limiter = limiter.to_owned();
        if GAUGES.contains(&field) {
            #[expect(clippy::cast_precision_loss, reason = "gauges are of this type")]
            gauge!(format!("trypema_{field}"), "limiter" => limiter).set(value as f64);
        } else {
            counter!(format!("trypema_{field}_total"), "limiter" => limiter).absolute(value);
        }
    }
}
