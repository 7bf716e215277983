//! The arithmetic of `policy`, held against what it means.

use core::time::Duration;

use fastrand::Rng;

use crate::policy::suppressed::{Observed, Suppression, factor};
use crate::policy::{Grid, NANOS_PER_MILLI as MILLI, absolute};
use crate::{RateLimitDecision, TrypemaError};

const MOST_BUCKETS: u64 = 500;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A grid of some window and bucket, in milliseconds, and those.
fn some_grid(rng: &mut Rng) -> (Grid, u64, u64) {
    let bucket = rng.u64(1..=2_000);
    let window = rng.u64(bucket..=bucket * (MOST_BUCKETS - 1));
    let grid = Grid::new(millis(window), millis(bucket), MOST_BUCKETS).expect("few enough buckets");
    (grid, window, bucket)
}

/// The error for an invalid grid.
fn refusal(window: Duration, bucket: Duration) -> (&'static str, String) {
    match Grid::new(window, bucket, MOST_BUCKETS) {
        Err(TrypemaError::InvalidConfig { field, allowed, .. }) => (field, allowed),
        other => panic!("{window:?} in buckets of {bucket:?}: {other:?}"),
    }
}

// proves: input G2
#[test]
fn grids_are_what_was_asked_for() {
    let mut rng = Rng::with_seed(1);
    for _ in 0..2_000 {
        let (grid, window, bucket) = some_grid(&mut rng);
        assert_eq!((grid.window_ms(), grid.window()), (window, millis(window)));
        assert_eq!(grid.bucket(), millis(bucket));
        // A window touches one bucket more than it is long.
        let touched = (0..).find(|buckets| buckets * bucket >= window).expect("some time") + 1;
        assert_eq!(grid.span(), touched);
        let now_ms = rng.u64(..u64::MAX / MILLI);
        assert_eq!(grid.tick(now_ms), now_ms / bucket);
        let time = Duration::from_nanos(rng.u64(0..20 * bucket * MILLI));
        let ticks = u64::try_from(time.as_nanos().div_ceil(u128::from(bucket * MILLI)));
        assert_eq!(Ok(grid.ticks_in(time)), ticks);
        assert_eq!(Ok(grid.span_of(time)), ticks.map(|ticks| ticks + 1));
    }
    let (grid, ..) = some_grid(&mut rng);
    let ever = u64::MAX.div_ceil(u64::try_from(grid.bucket().as_nanos()).expect("short"));
    assert_eq!((grid.ticks_in(Duration::MAX), grid.span_of(Duration::MAX)), (ever, ever + 1));
}

// proves: input
#[test]
fn bad_grids_are_refused() {
    let hundred_years = Duration::from_secs(36_500 * 86_400);
    for bad in [Duration::ZERO, Duration::from_micros(1_500), hundred_years + millis(1)] {
        assert_eq!(refusal(bad, millis(1)).0, "window", "{bad:?}");
    }
    for bad in [Duration::ZERO, Duration::from_nanos(MILLI + 1)] {
        assert_eq!(refusal(millis(10), bad).0, "bucket", "{bad:?}");
    }
    assert!(refusal(millis(10), millis(11)).1.contains("at most the window"));
    assert!(Grid::new(millis(10), millis(10), MOST_BUCKETS).is_ok());
    let longest = Grid::new(hundred_years, hundred_years / 10, MOST_BUCKETS);
    assert_eq!(longest.map(|grid| grid.span()), Ok(11));

    for window in [499, 500, 998, 999, 1_000, 12_345, 499_000, 499_001] {
        // The finest buckets that do, and the next finer, which do not.
        let finest = (1..).find(|bucket| window <= bucket * (MOST_BUCKETS - 1)).expect("some");
        let grid = Grid::new(millis(window), millis(finest), MOST_BUCKETS);
        assert!(grid.is_ok_and(|grid| grid.span() <= MOST_BUCKETS));
        if finest > 1 {
            let (field, allowed) = refusal(millis(window), millis(finest - 1));
            assert_eq!(field, "bucket");
            let told = format!("at least {:?}", millis(finest));
            assert!(allowed.contains(&told), "{allowed}");
            assert!(allowed.contains("at most 499 of them"), "{allowed}");
        }
    }
}

// proves: G2 G3
#[test]
fn units_are_gone_when_it_is_said() {
    let mut rng = Rng::with_seed(2);
    for _ in 0..4_000 {
        let (grid, window, bucket) = some_grid(&mut rng);
        let now = rng.u64(0..1_000_000 * MILLI);
        let tick =
            grid.tick(now / MILLI).saturating_sub(rng.u64(0..2 * window.div_ceil(bucket) + 2));
        let counts = |at: u64| grid.tick(at / MILLI) - tick < grid.span();
        let nanos = grid.nanos_until_gone(tick, now);
        assert!(!counts(now + nanos), "{grid:?}, {tick} at {now}");
        assert!(nanos == 0 || counts(now + nanos - 1), "{grid:?}, {tick} at {now}");
        // In whole milliseconds, rounded up: waiting as long as one is told is enough.
        assert_eq!(grid.millis_until_gone(tick, now / MILLI), nanos.div_ceil(MILLI));
    }
    // The last moment of a clock that counts nanoseconds in 64 bits.
    let (grid, ..) = some_grid(&mut rng);
    let last = grid.tick(u64::MAX / MILLI);
    assert_eq!(grid.nanos_until_gone(last, u64::MAX), 0, "saturates");
    assert!(grid.millis_until_gone(last, u64::MAX / MILLI) >= grid.window_ms());
}

// proves: G3
#[test]
fn rejections_say_how_long_to_wait() {
    let (grid, ..) = some_grid(&mut Rng::with_seed(3));
    let wait = grid.millis_until_gone(0, 5);
    assert_eq!(
        absolute::rejected(&grid, 5, 12, 9, Some((0, 4))),
        RateLimitDecision::rejected(Some(wait), 4).with_remaining(3)
    );
    assert_eq!(absolute::rejected(&grid, 5, 8, 9, None), RateLimitDecision::rejected(None, 9));
}

// proves: G3
#[test]
fn decisions_say_what_they_are() {
    let allowed = RateLimitDecision::allowed(3);
    assert_eq!((allowed.remaining(), allowed.bucket()), (3, None));
    assert!(allowed.is_allowed() && allowed.retry_after().is_none());
    let rejected = RateLimitDecision::rejected(Some(7), 0);
    assert!(!rejected.is_allowed());
    assert_eq!(rejected.retry_after(), Some(millis(7)));
    assert!(!rejected.is_never() && RateLimitDecision::rejected(None, 0).is_never());
    for is_allowed in [true, false] {
        let declined = RateLimitDecision::suppressed(0.5, is_allowed);
        assert_eq!((declined.is_allowed(), declined.retry_after()), (is_allowed, None));
    }
}

fn suppression(window: u64, bucket: u64, hard: f64) -> Suppression {
    let grid = Grid::new(millis(window), millis(bucket), MOST_BUCKETS).expect("a grid");
    Suppression::new(&grid, hard, millis(100))
}

// proves: suppression
#[test]
fn hard_limits_are_whole_and_bounded() {
    let hard = |factor, soft, most| suppression(1_000, 10, factor).hard_limit(soft, most);
    assert_eq!(hard(1.5, 10, 100), 15);
    assert_eq!(hard(1.5, 3, 100), 4, "rounded down");
    assert_eq!(hard(1.0, 3, 100), 3);
    assert_eq!(hard(2.0, 70, 100), 100);
    // More than a float can tell apart: never below the soft limit.
    let large = (1 << 60) + 1;
    assert_eq!(hard(1.0, large, u64::MAX), large);
}

// proves: suppression
#[test]
fn demand_is_perceived_over_both_spans() {
    let perceived = |suppression: &Suppression, window, recent| {
        suppression.perceived(Observed { window, recent })
    };
    // A window of 10 s: ten seconds' units, or those of the last second.
    let long = suppression(10_000, 100, 1.5);
    assert_eq!(long.recent_span, 11, "ten buckets make a second, and one that has just begun");
    assert_eq!(long.refresh_ns, 100 * MILLI);
    assert_eq!((perceived(&long, 50, 3), perceived(&long, 50, 8)), (5.0, 8.0));
    // Half a second: "the last second" is all of it.
    let short = suppression(500, 100, 1.5);
    assert_eq!((short.recent_span, perceived(&short, 5, 5)), (6, 10.0));
    // Buckets of 3 s: the shortest recent time is one of them.
    let coarse = suppression(9_000, 3_000, 1.5);
    assert_eq!((coarse.recent_span, perceived(&coarse, 9, 9)), (2, 3.0));
}

// proves: suppression
#[test]
fn the_factor_is_the_share_to_decline() {
    assert_eq!(factor(10.0, 40.0), 0.75);
    assert_eq!(factor(10.0, 10.0), 0.0);
    assert_eq!(factor(10.0, 5.0), 0.0);
    assert_eq!(factor(10.0, 0.0), 0.0);
}
