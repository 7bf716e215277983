//! Suppressed by hand: each line of the contract once, for every provider.

use std::sync::Arc;
use std::time::Duration;

use trypema::RateLimit;

use crate::common::draws::Told;
use crate::common::provider::{HardFactor, Settings};
use crate::common::{Answer, Grid, LocalSuppressed, Provider};

/// A window of 10 s in buckets of 100 ms, and a rate of 1 per second: soft limit 10, hard limit 15.
fn ten_in_ten_seconds<P: Provider>(refresh: Duration) -> (P, Arc<Told>, RateLimit) {
    let settings = Settings {
        grid: Grid { window_ms: 10_000, bucket_ms: 100 },
        hard_factor: HardFactor { over: 3, under: 2 },
        refresh,
    };
    let told = Arc::new(Told::default());
    (P::build(settings, Arc::clone(&told)), told, RateLimit::per_second(1.0).unwrap())
}

const fn suppressed(factor: f64, is_allowed: bool) -> Answer {
    Answer::Suppressed { factor, is_allowed }
}

/// By hand: each line of the contract once.
fn goes_by_the_book<P: Provider>() {
    let (limiter, told, rate) = ten_in_ten_seconds::<P>(Duration::from_millis(250));
    let inc = |count, draw| {
        told.next_is(draw);
        Answer::from(limiter.inc(0, &rate, count))
    };
    // Nothing is declined for an unknown key, and a look leaves no trace.
    assert_eq!(limiter.suppression_factor(0, &rate), 0.0);
    assert_eq!(Answer::from(limiter.is_allowed(0, &rate, 12)), suppressed(0.0, true));
    assert_eq!(Answer::from(limiter.is_allowed(0, &rate, 16)), suppressed(1.0, false));
    assert_eq!((limiter.counts(0), limiter.len()), ((0, 0), 0));

    // Up to the soft limit, then by the last second: 10 observed in it, for 1 per second.
    limiter.set_time(Duration::from_millis(50));
    assert_eq!(inc(10, 0.0), Answer::Allowed);
    assert_eq!(inc(1, 0.899_999), suppressed(0.9, false));
    assert_eq!(inc(1, 0.900_001), suppressed(0.9, true), "11 observed, but 10 is kept");
    assert_eq!(limiter.counts(0), (11, 1));
    assert!((limiter.suppression_factor(0, &rate) - (1.0 - 1.0 / 12.0)).abs() < 1e-12);

    // Kept for 250 ms, to the nanosecond.
    limiter.set_time(Duration::from_nanos(299_999_999));
    assert_eq!(inc(1, 0.899_999), suppressed(0.9, false));
    limiter.set_time(Duration::from_millis(300));
    assert_eq!(inc(1, 0.0), suppressed(1.0 - 1.0 / 13.0, false));

    // 11 admitted: 4 more is the hard limit, 5 more is above it, and counts as declined.
    assert_eq!(inc(5, 0.999), suppressed(1.0, false));
    assert_eq!(inc(4, 0.999), suppressed(1.0 - 1.0 / 13.0, true));
    assert_eq!(inc(1, 0.999), suppressed(1.0, false));
    assert_eq!(limiter.counts(0), (15, 9));

    // Units observed in the first bucket leave the last second at 1.1 s, and the window at
    // 10.1 s; the rest was observed from 0.2 s on, in two buckets.
    limiter.set_time(Duration::from_nanos(1_099_999_999));
    assert!((limiter.suppression_factor(0, &rate) - (1.0 - 1.0 / 24.0)).abs() < 1e-12);
    limiter.set_time(Duration::from_millis(1_100));
    assert!((limiter.suppression_factor(0, &rate) - (1.0 - 1.0 / 12.0)).abs() < 1e-12);
    limiter.set_time(Duration::from_millis(1_400));
    assert!((limiter.suppression_factor(0, &rate) - (1.0 - 1.0 / 2.4)).abs() < 1e-12, "24 in 10 s");
    limiter.set_time(Duration::from_nanos(10_099_999_999));
    assert_eq!(limiter.counts(0), (15, 9));
    limiter.set_time(Duration::from_millis(10_100));
    assert_eq!(limiter.counts(0), (4, 8));
    limiter.set_time(Duration::from_secs(11));
    assert_eq!(limiter.counts(0), (0, 0));
    assert_eq!(limiter.suppression_factor(0, &rate), 0.0);
}

/// A factor of 0 lets every draw through, the lowest too; the answer still says that the key is
/// past its soft limit.
fn nothing_is_turned_away_below_the_rate<P: Provider>() {
    let (limiter, told, rate) = ten_in_ten_seconds::<P>(Duration::ZERO);
    told.next_is(0.0);
    // The last second touches eleven buckets of a tenth: one unit in every eleventh is all that it
    // ever sees, and the window holds ten of them while its 101 buckets do.
    for bucket in (0..=99).step_by(11) {
        limiter.set_time(Duration::from_millis(bucket * 100));
        assert_eq!(Answer::from(limiter.inc(0, &rate, 1)), Answer::Allowed);
    }
    assert_eq!(limiter.counts(0), (10, 0));
    assert_eq!(Answer::from(limiter.is_allowed(0, &rate, 1)), suppressed(0.0, true));
    assert_eq!(Answer::from(limiter.inc(0, &rate, 1)), suppressed(0.0, true));
}

fn extremes<P: Provider>() {
    let (limiter, told, rate) = ten_in_ten_seconds::<P>(Duration::from_millis(100));
    let most = P::most(Grid { window_ms: 10_000, bucket_ms: 100 });
    told.next_is(0.5);
    // No units at all.
    assert_eq!(Answer::from(limiter.inc(0, &rate, 0)), Answer::Allowed);
    assert_eq!((limiter.len(), told.take_draws()), (0, 0));
    // Above the hard limit whatever is in the window: declined, and so recorded.
    assert_eq!(Answer::from(limiter.inc(0, &rate, u64::MAX)), suppressed(1.0, false));
    assert_eq!(limiter.counts(0), (0, most));
    assert_eq!(Answer::from(limiter.inc(0, &rate, u64::MAX)), suppressed(1.0, false));
    assert_eq!(limiter.counts(0), (0, most), "clipped, not wrapped");
    assert_eq!(limiter.refund(0, u64::MAX), 0, "declined units are not given back");
    // A capacity of 0 has a hard limit of 0.
    let tiny = RateLimit::per_second(0.01).unwrap();
    assert_eq!(tiny.capacity(Duration::from_secs(10)), 0);
    assert_eq!(Answer::from(limiter.inc(1, &tiny, 1)), suppressed(1.0, false));
    assert_eq!(limiter.counts(1), (0, 1));
    // Unlimited is allowed at any sum, and clipped.
    let unlimited = RateLimit::unlimited();
    for _ in 0..3 {
        assert_eq!(Answer::from(limiter.inc(2, &unlimited, u64::MAX - 1)), Answer::Allowed);
        assert_eq!(Answer::from(limiter.is_allowed(2, &unlimited, u64::MAX)), Answer::Allowed);
        assert_eq!(limiter.suppression_factor(2, &unlimited), 0.0);
        assert_eq!(limiter.counts(2), (most, 0));
    }
    // And is seen by a call at a limited rate.
    assert_eq!(Answer::from(limiter.inc(2, &rate, 1)), suppressed(1.0, false));
    assert_eq!(limiter.counts(2), (most, 1));
}

mod local {
    // proves: suppression G2 G9
    #[test]
    fn by_hand() {
        super::goes_by_the_book::<super::LocalSuppressed>();
        super::nothing_is_turned_away_below_the_rate::<super::LocalSuppressed>();
        super::extremes::<super::LocalSuppressed>();
    }
}
