//! Which window a rate is judged over, and that windows are apart.

use std::thread;
use std::time::Duration;

use trypema::{
    Limiter, LocalRateLimiter, LocalRateLimiterBuilder, ManualClock, RateLimit, TrypemaError,
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

fn limiter(
    set: impl FnOnce(LocalRateLimiterBuilder) -> LocalRateLimiterBuilder,
) -> (LocalRateLimiter, ManualClock) {
    let clock = ManualClock::new();
    clock.set(HOUR);
    (set(LocalRateLimiter::builder()).clock(clock.clone()).build().unwrap(), clock)
}

/// Units admitted one by one, until the first refusal.
fn admitted(limiter: &LocalRateLimiter, rate: &RateLimit) -> u64 {
    (0..10_000).take_while(|_| limiter.absolute().inc("key", rate, 1).is_allowed()).count() as u64
}

// proves: G1
#[test]
fn a_rate_means_its_own_period() {
    let (limiter, clock) = limiter(|builder| builder);
    let [ten, daily] = ["10/second", "5000/day"].map(|rate| rate.parse::<RateLimit>().unwrap());
    assert_eq!((admitted(&limiter, &ten), admitted(&limiter, &daily)), (10, 5_000));
    assert_eq!((limiter.window(&ten), limiter.bucket(&ten)), (SECOND, Duration::from_millis(2)));
    assert_eq!(limiter.bucket(&daily), Duration::from_secs(144));
    // A second later the ones have expired, and the others have not.
    clock.advance(SECOND + Duration::from_millis(2));
    assert_eq!((admitted(&limiter, &ten), admitted(&limiter, &daily)), (10, 0));
    assert_eq!(limiter.absolute().usage("key", &daily), 5_000);
    assert_eq!(limiter.len(), 2, "a state for each window");
    assert!(limiter.absolute().reset("key"));
    assert_eq!((limiter.len(), limiter.absolute().usage("key", &daily)), (0, 0));
}

#[test]
fn windows_say_nothing_of_each_other() {
    let (limiter, _) = limiter(|builder| builder);
    let (second, minute) = (RateLimit::per_second(5).unwrap(), RateLimit::per_minute(5).unwrap());
    let absolute = limiter.absolute();
    assert!(absolute.record("key", &second, 5));
    assert_eq!((absolute.usage("key", &second), absolute.usage("key", &minute)), (5, 0));
    assert_eq!(absolute.refund("key", &minute, 5), 0);
    assert_eq!(absolute.inc("key", &minute, 2).remaining(), 3);
    assert_eq!(absolute.refund("key", &second, 1), 1);
    assert_eq!((absolute.usage("key", &second), absolute.usage("key", &minute)), (4, 2));
}

#[test]
fn one_window_is_for_every_rate() {
    let (limiter, _) = limiter(|builder| builder.windows([SECOND, MINUTE]).window(10 * SECOND));
    for rate in ["5/second", "30/minute", "1800/hour"] {
        let rate = rate.parse().unwrap();
        assert_eq!(limiter.window(&rate), 10 * SECOND);
    }
    assert_eq!(limiter.capacity(&"5/second".parse().unwrap()), 50);
    assert_eq!(limiter.capacity(&"30/minute".parse().unwrap()), 5);
}

#[test]
fn of_several_windows_the_shortest_that_is_long_enough() {
    let (limiter, _) = limiter(|builder| builder.windows([HOUR, SECOND, MINUTE]));
    for (rate, window, capacity) in [
        ("7/second", SECOND, 7),
        ("7/minute", MINUTE, 7),
        ("7/10s", MINUTE, 42),
        ("7/500ms", SECOND, 14),
        ("7/hour", HOUR, 7),
        ("24/day", HOUR, 1),
    ] {
        let rate: RateLimit = rate.parse().unwrap();
        assert_eq!((limiter.window(&rate), limiter.capacity(&rate)), (window, capacity), "{rate}");
        assert_eq!(admitted(&limiter, &rate), capacity, "{rate}");
        let _ = limiter.absolute().reset("key");
    }
}

/// Sixteen windows are made; a further period is judged over the next longer of these, or the longest.
#[test]
fn a_seventeenth_period_is_judged_over_another_window() {
    let (limiter, _) = limiter(|builder| builder);
    let seconds = |seconds: u64| RateLimit::per(10, Duration::from_secs(seconds)).unwrap();
    for period in 1..=16 {
        assert_eq!(limiter.window(&seconds(2 * period)), Duration::from_secs(2 * period));
        assert!(limiter.absolute().inc("key", &seconds(2 * period), 1).is_allowed());
    }
    assert_eq!((limiter.window(&seconds(3)), limiter.capacity(&seconds(3))), (4 * SECOND, 13));
    assert_eq!((limiter.window(&seconds(64)), limiter.capacity(&seconds(64))), (32 * SECOND, 5));
    assert_eq!(limiter.absolute().usage("key", &seconds(3)), 1, "that of the rate of 4 seconds");
    assert_eq!(limiter.len(), 16);
}

#[test]
fn threads_that_bring_the_same_new_period_share_its_window() {
    for _ in 0..50 {
        let (limiter, _) = limiter(|builder| builder);
        let rate = RateLimit::per_minute(100).unwrap();
        let admitted: u64 = thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(|| admitted(&limiter, &rate)));
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((admitted, limiter.absolute().usage("key", &rate)), (100, 100));
    }
}

#[test]
fn windows_that_make_no_sense_are_named() {
    let refused = |builder: LocalRateLimiterBuilder| match builder.build() {
        Err(TrypemaError::InvalidConfig { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let builder = LocalRateLimiter::builder;
    assert_eq!(refused(builder().windows([])), "windows");
    assert_eq!(refused(builder().windows((1..=9).map(Duration::from_secs))), "windows");
    assert_eq!(refused(builder().windows([SECOND, MINUTE, SECOND])), "windows");
    assert_eq!(refused(builder().windows([Duration::ZERO])), "window");
    assert_eq!(refused(builder().bucket(SECOND)), "bucket");
    assert_eq!(refused(builder().windows([SECOND, MINUTE]).bucket(SECOND)), "bucket");
    // No window alone is ever invalid.
    for window in [1, 7, 599, 601, 86_400_000, 36_500 * 86_400_000] {
        let window = Duration::from_millis(window);
        builder().window(window).build().unwrap();
    }
}

#[test]
fn the_trait_tells_windows_and_capacities() {
    let (limiter, _) = limiter(|builder| builder);
    let rate = RateLimit::per_hour(9).unwrap();
    let both: [&dyn Limiter; 2] = [limiter.absolute(), limiter.suppressed()];
    for limiter in both {
        assert_eq!((limiter.window(&rate), limiter.capacity(&rate)), (HOUR, 9));
        assert_eq!(limiter.is_allowed("key", &rate, 0).unwrap().remaining(), 9);
        assert_eq!(limiter.inc("key", &rate, 4).unwrap().remaining(), 5);
        assert_eq!(limiter.usage("key", &rate).unwrap(), 4);
    }
}
