//! `acquire` of more than can ever be admitted.

// each proves: acquire

use std::time::Duration;

use trypema::{LocalRateLimiter, RateLimit};

#[test]
fn acquire_of_more_than_fits_says_so() {
    let limiter = LocalRateLimiter::builder()
        .window(Duration::from_secs(10))
        .hard_limit_factor(2.0)
        .build()
        .unwrap();
    let rate = RateLimit::per_second(0.2).unwrap();
    let absolute = limiter.absolute().acquire("key", &rate, 3, Duration::ZERO).unwrap_err();
    assert_eq!(absolute.to_string(), "3 units can never be admitted: at most 2 fit into 10s");
    let suppressed = limiter.suppressed().acquire("key", &rate, 5, Duration::ZERO).unwrap_err();
    assert_eq!(suppressed.to_string(), "5 units can never be admitted: at most 4 fit into 10s");
}
