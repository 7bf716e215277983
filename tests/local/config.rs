//! Limits and limiters from files.

// each proves: input

use core::time::Duration;
use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use trypema::{Limiter, LimiterConfig, ManualClock, Provider, RateLimit, Strategy, TrypemaError};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    limits: BTreeMap<String, RateLimit>,
}

fn read(text: &str) -> LimiterConfig {
    toml::from_str(text).unwrap()
}

/// The error of reading the text.
fn refusal(text: &str) -> String {
    toml::from_str::<LimiterConfig>(text).unwrap_err().to_string()
}

#[test]
fn rates_are_text() {
    let text = "[limits]\nlogin = \"5 per 15 minutes\"\nsearch = \"10/s\"\noff = \"zero\"\n";
    let limits: Limits = toml::from_str(text).unwrap();
    assert_eq!(limits.limits["login"], RateLimit::per(5, 15 * 60 * SECOND).unwrap());
    assert_eq!(limits.limits["off"], RateLimit::zero());
    let written = toml::to_string(&limits).unwrap();
    assert!(written.contains("login = \"5/15min\""), "{written}");
    assert_eq!(toml::from_str(&written), Ok(limits));

    for (value, reason) in [
        ("\"5/fortnight\"", "100/minute"),
        ("\"-1/s\"", "positive"),
        ("5", "a rate as text, such as \"100/minute\""),
        ("{ count = 5 }", "a rate as text"),
    ] {
        let error = toml::from_str::<Limits>(&format!("[limits]\nlogin = {value}")).unwrap_err();
        let message = error.to_string();
        // The line that is wrong, too.
        assert!(message.contains(reason) && message.contains("line 2"), "{message}");
    }
}

#[test]
fn nothing_set_is_the_default() {
    let config = read("");
    assert_eq!(config, LimiterConfig::default());
    assert_eq!((config.provider, config.strategy), (Provider::Local, Strategy::Absolute));
    let limiter = config.build().unwrap();
    let rate = RateLimit::per_minute(3).unwrap();
    assert!(limiter.inc("alice", &rate, 3).unwrap().is_allowed());
    assert!(!limiter.inc("alice", &rate, 1).unwrap().is_allowed());
}

#[test]
fn every_setting_arrives() {
    let config = read(
        "provider = \"local\"\nstrategy = \"suppressed\"\nwindow = \"10s\"\nbucket = \"1 second\"\n\
         hard_limit_factor = 2.0\nsuppression_refresh = \"0ms\"\nmax_keys = 1\nstale_after = \"1h\"\n\
         max_waiting = 0\n",
    );
    assert_eq!(config.windows, [10 * SECOND]);
    assert_eq!(config.stale_after, Some(3_600 * SECOND));
    let clock = ManualClock::new();
    let limiter = config.local_builder().unwrap().clock(clock.clone()).build().unwrap();

    let rate = RateLimit::per_second(1).unwrap();
    assert_eq!((limiter.window(&rate), limiter.bucket(&rate)), (10 * SECOND, SECOND));
    let built = config.build().unwrap();
    for limiter in [&*built, limiter.suppressed()] {
        // Ten in the window, and at most twice as many.
        assert!(limiter.inc("alice", &rate, 10).unwrap().is_allowed());
        assert!(limiter.is_allowed("alice", &rate, 21).unwrap().is_never());
        assert!(!limiter.is_allowed("alice", &rate, 20).unwrap().is_never());
        // There is room for one.
        assert!(!limiter.inc("bob", &rate, 1).unwrap().is_allowed());
        let refused = limiter.acquire("alice", &rate, 20, SECOND);
        assert!(matches!(refused, Err(TrypemaError::TooManyWaiting { max_waiting: 0, .. })));
    }
    let hard = RateLimit::per_second(2).unwrap();
    assert!(built.is_allowed("alice", &hard, 1).unwrap().is_allowed());
}

#[test]
fn several_windows() {
    let config = read("windows = [\"10s\", \"1h\"]");
    let limiter = config.local_builder().unwrap().build().unwrap();
    let window = |rate: &str| limiter.window(&rate.parse().unwrap());
    assert_eq!(window("1/s"), 10 * SECOND);
    assert_eq!(window("1/minute"), 3_600 * SECOND);
    assert_eq!(window("1/day"), 3_600 * SECOND);
    // None set: the rate's own.
    let limiter = read("").local_builder().unwrap().build().unwrap();
    assert_eq!(limiter.window(&"1/7s".parse().unwrap()), 7 * SECOND);
}

#[test]
fn a_mistake_is_named() {
    for (text, reasons) in [
        ("max_key = 5", &["unknown field `max_key`", "`max_keys`"][..]),
        ("[limiter]\nprovider = \"local\"", &["unknown field `limiter`"]),
        ("provider = \"memcached\"", &["unknown variant `memcached`", "`local`"]),
        ("strategy = \"absolut\"", &["unknown variant `absolut`", "`absolute`", "`suppressed`"]),
        ("bucket = 100", &["integer `100`", "a time as text, such as \"500ms\""]),
        ("bucket = \"100\"", &["\"100\"", "a time as text"]),
        ("bucket = \"1.5s\"", &["\"1.5s\"", "a time as text"]),
        ("bucket = \"99999999999999999999s\"", &["a time as text"]),
        ("window = [\"1s\", 5]", &["integer `5`", "a time as text"]),
        ("windows = true", &["boolean `true`", "a list of them"]),
        ("window = \"1s\"\nwindows = [\"1s\"]", &["duplicate field `windows`"]),
        ("max_keys = -1", &["-1"]),
        ("max_keys = \"many\"", &["\"many\""]),
    ] {
        let message = refusal(text);
        for reason in reasons {
            assert!(message.contains(reason), "{text}: {message}");
        }
    }
    let long = format!("bucket = \"{}\"", "s".repeat(100_000));
    let error = toml::from_str::<LimiterConfig>(&long).unwrap_err();
    assert!(error.message().len() < 200, "{}", error.message());
}

#[test]
fn a_value_that_cannot_be_is_an_error_of_build() {
    for (text, field) in [
        ("window = \"0s\"", "window"),
        ("window = \"1s\"\nbucket = \"2s\"", "bucket"),
        ("bucket = \"1s\"", "bucket"),
        ("windows = [\"1s\", \"1min\"]\nbucket = \"1s\"", "bucket"),
        ("windows = [\"1min\", \"60s\"]", "windows"),
        ("hard_limit_factor = 0.5", "hard_limit_factor"),
        ("hard_limit_factor = nan", "hard_limit_factor"),
        ("max_keys = 0", "max_keys"),
        ("stale_after = \"0s\"", "stale_after"),
    ] {
        let Err(error) = read(text).build() else { panic!("{text}") };
        let TrypemaError::InvalidConfig { field: named, .. } = &error else {
            panic!("{text}: {error}");
        };
        assert_eq!(*named, field, "{text}: {error}");
    }
}

#[test]
fn a_provider_that_was_not_built_in_says_so() {
    if cfg!(feature = "redis") {
        return;
    }
    let message = refusal("provider = \"redis\"\nurl = \"redis://127.0.0.1\"");
    assert!(message.contains("needs trypema's feature `redis`"), "{message}");
}

#[test]
#[cfg(feature = "redis")]
fn settings_of_another_provider_are_mistakes() {
    for (text, field, reason) in [
        ("provider = \"redis\"", "url", "redis://127.0.0.1:6379"),
        ("provider = \"redis\"\nurl = \"redis:/\"", "url", ""),
        ("provider = \"redis\"\nurl = \"redis://h\"\nmax_keys = 5", "max_keys", "in this process"),
        ("provider = \"redis\"\nurl = \"redis://h\"\nstale_after = \"1s\"", "stale_after", ""),
        ("url = \"redis://:secret@h\"", "url", "over Redis"),
        ("pool_size = 3", "pool_size", "over Redis"),
        ("on_unavailable = \"allow\"", "on_unavailable", "over Redis"),
        ("prefix = \"a\"", "prefix", "over Redis"),
        ("max_idle = \"1s\"", "max_idle", "over Redis"),
        ("max_lifetime = \"1s\"", "max_lifetime", "over Redis"),
        ("deadline = \"1s\"", "deadline", "over Redis"),
        ("local_share = 0.5", "local_share", "over Redis"),
        ("denial_cache = \"1s\"", "denial_cache", "over Redis"),
        ("denial_cache_keys = 5", "denial_cache_keys", "over Redis"),
        ("breaker_failures = 5", "breaker_failures", "over Redis"),
        ("breaker_pause = \"1s\"", "breaker_pause", "over Redis"),
        ("user = \"a\"", "user", "over Redis"),
        ("password = \"secret\"", "password", "over Redis"),
        ("sentinel_user = \"a\"", "sentinel_user", "over Redis"),
        ("sentinel_password = \"secret\"", "sentinel_password", "over Redis"),
        ("tls_roots = \"\"", "tls_roots", "over Redis"),
        ("tls_certificates = \"\"", "tls_certificates", "over Redis"),
        ("tls_key = \"secret\"", "tls_key", "over Redis"),
        ("address_map = {}", "address_map", "over Redis"),
    ] {
        let Err(error) = read(text).build() else { panic!("{text}") };
        let message = error.to_string();
        assert!(message.contains(&format!("{field} is")) && message.contains(reason), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
    for (text, field, reason) in [
        ("user = \"a\"", "user", "`password`"),
        ("sentinel_user = \"a\"", "sentinel_user", "`sentinel_password`"),
        ("tls_certificates = \"\"", "tls_certificates", "`tls_key`"),
        ("tls_key = \"secret\"", "tls_key", "`tls_certificates`"),
        ("breaker_failures = 0", "breaker", "at least 1"),
        ("breaker_pause = \"0ms\"", "breaker", "above zero"),
        ("[address_map]\n\"10.0.0.1\" = \"localhost:1\"", "address_map", "10.0.0.1:6379"),
        ("[address_map]\n\"10.0.0.1:1\" = \":1\"", "address_map", "\":1\""),
    ] {
        let text = format!("provider = \"redis\"\nurl = \"redis://h\"\n{text}");
        let Err(error) = read(&text).build() else { panic!("{text}") };
        let message = error.to_string();
        assert!(message.contains(&format!("{field} is")) && message.contains(reason), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
    let message = refusal("on_unavailable = \"panic\"");
    assert!(
        message.contains("unknown variant `panic`") && message.contains("`reject`"),
        "{message}"
    );
}

#[test]
#[cfg(feature = "redis")]
fn a_password_is_not_shown() {
    let config = read(
        "provider = \"redis\"\nurl = \"redis://user:secret@host:6379\"\npassword = \"secret\"\n\
         sentinel_password = \"secret\"\ntls_key = \"secret\"\ntls_certificates = \"pem\"\n",
    );
    let shown = format!("{config:?} {:#?}", config.redis_builder().unwrap());
    assert!(!shown.contains("secret") && shown.contains("url: Some(\"set\")"), "{shown}");
    assert!(toml::to_string(&config).unwrap().contains("secret"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(
        strategy in prop::sample::select(vec![Strategy::Absolute, Strategy::Suppressed]),
        windows in prop::collection::vec(0..=1_u64 << 40, 0..4),
        bucket in prop::option::of(0..=1_u64 << 40),
        hard_limit_factor in prop::option::of(1.0..10.0),
        max_keys in prop::option::of(0..1_usize << 40),
        max_waiting in prop::option::of(0..1_usize << 40),
        name in prop::option::of(any::<String>()),
    ) {
        let ms = Duration::from_millis;
        let mut config = LimiterConfig::default();
        config.strategy = strategy;
        config.windows = windows.into_iter().map(ms).collect();
        config.bucket = bucket.map(ms);
        config.stale_after = config.bucket;
        config.hard_limit_factor = hard_limit_factor;
        config.max_keys = max_keys;
        config.max_waiting = max_waiting;
        #[cfg(feature = "redis")]
        {
            config.breaker_pause = config.bucket;
            config.address_map = name.clone().map(|name| BTreeMap::from([(name.clone(), name)]));
            config.sentinel_password = name.clone();
            config.tls_key = name;
        }
        #[cfg(not(feature = "redis"))]
        let _ = name;
        let written = toml::to_string(&config).unwrap();
        prop_assert_eq!(toml::from_str(&written), Ok(config), "{}", written);
    }
}
