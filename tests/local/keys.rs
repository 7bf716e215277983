//! Keys of every kind, and what the public types promise as types.

// each proves: input

use core::fmt::Debug;
use core::hash::{BuildHasher, Hash, Hasher};
use core::time::Duration;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use trypema::{
    Key, LocalAbsolute, LocalRateLimiter, LocalRateLimiterBuilder, Lookup, ManualClock,
    MonotonicClock, RateLimit, RateLimitDecision, TrypemaError,
};

fn two() -> RateLimit {
    RateLimit::per_minute(2.0).unwrap()
}

fn limiter() -> LocalRateLimiter {
    LocalRateLimiter::builder().clock(ManualClock::new()).build().unwrap()
}

/// Each of these is a key of its own: filling it leaves the others alone.
fn assert_apart<K, S>(limiter: &LocalRateLimiter<K, S>, keys: &[K])
where
    K: Lookup<K> + Hash + Eq + Clone + Send + Sync + Debug + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    let absolute = limiter.absolute();
    for (before, key) in keys.iter().enumerate() {
        assert_eq!(limiter.len(), before);
        assert_eq!(absolute.usage(key, &RateLimit::unlimited()), 0, "{key:?}");
        assert!(absolute.inc(key, &two(), 2).is_allowed(), "{key:?}");
        assert!(!absolute.inc(key, &two(), 1).is_allowed(), "{key:?}");
    }
    for (left, key) in (0..keys.len()).rev().zip(keys) {
        assert_eq!(absolute.usage(key, &RateLimit::unlimited()), 2, "{key:?}");
        assert!(absolute.reset(key), "{key:?}");
        assert!(!absolute.reset(key), "{key:?}");
        assert_eq!(limiter.len(), left);
    }
    assert!(limiter.is_empty());
}

#[test]
fn any_text_is_a_key() {
    // Up to 24 bytes are stored inline, more are not; a million is many more.
    let sized = (0..=64).map(|len| "x".repeat(len));
    let long = ["a", "b"].map(|end| "y".repeat(1_000_000) + end);
    let odd = [" ", "\0", "\0\0", "é", "e\u{301}", "ключ", "🔑", "{a}:b", "\u{10ffff}", "a\nb"];
    let texts = sized.chain(long).chain(odd.map(str::to_owned)).collect::<Vec<_>>();
    assert_apart(&LocalRateLimiter::builder().keys::<String>().build().unwrap(), &texts);
    let keys = texts.iter().map(|text| Key::from(text.as_str())).collect::<Vec<_>>();
    assert_apart(&limiter(), &keys);
    for (key, text) in keys.iter().zip(&texts) {
        assert_eq!((key.as_str(), &key.to_string()), (text.as_str(), text));
        assert_eq!(format!("{key:?}"), format!("{text:?}"));
    }
}

#[test]
fn a_string_key_is_found_by_every_kind_of_string() {
    let limiter = limiter();
    let absolute = limiter.absolute();
    for text in ["short", "one of those that are longer than what is stored inline"] {
        let counted =
            |usage: u64| assert_eq!(absolute.usage(text, &RateLimit::unlimited()), usage, "{text}");
        counted(0);
        let inc = |decision: RateLimitDecision| assert!(decision.is_allowed(), "{text}");
        let many = RateLimit::per_minute(7.0).unwrap();
        inc(absolute.inc(text, &many, 1));
        inc(absolute.inc(&text, &many, 1));
        inc(absolute.inc(&text.to_owned(), &many, 1));
        inc(absolute.inc(&Box::<str>::from(text), &many, 1));
        inc(absolute.inc(&Arc::<str>::from(text), &many, 1));
        inc(absolute.inc(&Cow::Borrowed(text), &many, 1));
        inc(absolute.inc(&Key::from(text), &many, 1));
        counted(7);
    }
    assert_eq!(limiter.len(), 2);
}

#[test]
fn keys_of_other_types() {
    #[derive(Debug, Clone, PartialEq, Eq, Hash)]
    enum Route {
        Index,
        User(u64),
        File { path: String },
    }

    let builder = LocalRateLimiter::builder;
    assert_apart(&builder().keys::<u64>().build().unwrap(), &[0, 1, u64::MAX]);
    assert_apart(&builder().keys::<()>().build().unwrap(), &[()]);
    assert_apart(
        &builder().keys::<IpAddr>().build().unwrap(),
        &["::1", "127.0.0.1", "::ffff:127.0.0.1"].map(|ip| ip.parse::<IpAddr>().unwrap()),
    );
    assert_apart(
        &builder().keys::<(u8, String)>().build().unwrap(),
        &[(0, "a".to_owned()), (0, "b".to_owned()), (1, "a".to_owned())],
    );
    assert_apart(
        &builder().keys::<Route>().build().unwrap(),
        &[Route::Index, Route::User(1), Route::User(2), Route::File { path: "x".to_owned() }],
    );
    assert_apart(&builder().keys::<[u8; 16]>().build().unwrap(), &[[0; 16], [1; 16]]);
    assert_apart(&builder().keys::<Arc<[u8]>>().build().unwrap(), &[Arc::from([]), Arc::from([0])]);
}

/// All keys collide, and are still told apart.
#[test]
fn a_hasher_may_be_as_bad_as_it_likes() {
    #[derive(Clone)]
    struct Same;

    impl BuildHasher for Same {
        type Hasher = Self;
        fn build_hasher(&self) -> Self {
            Self
        }
    }

    impl Hasher for Same {
        fn write(&mut self, _: &[u8]) {}
        fn finish(&self) -> u64 {
            0
        }
    }

    let limiter = LocalRateLimiter::builder().keys::<u64>().hasher(Same).build().unwrap();
    assert_apart(&limiter, &(0..100).collect::<Vec<u64>>());
    let limiter =
        LocalRateLimiter::builder().hasher(std::hash::RandomState::new()).build().unwrap();
    assert_apart(&limiter, &["a", "b"].map(Key::from));
}

#[test]
fn clones_share_their_keys() {
    let limiter = limiter();
    let (clone, handle) = (limiter.clone(), limiter.absolute().clone());
    assert!(clone.absolute().inc("key", &two(), 1).is_allowed());
    assert!(handle.inc("key", &two(), 1).is_allowed());
    assert!(!limiter.absolute().inc("key", &two(), 1).is_allowed());
    assert_eq!((limiter.len(), clone.len()), (1, 1));
    drop((limiter, clone));
    assert_eq!(handle.usage("key", &RateLimit::unlimited()), 2, "a handle keeps what it needs");
    assert!(handle.reset("key"));
}

// proves: G1 input
#[test]
fn limiters_share_nothing() {
    let (one, other) = (limiter(), limiter());
    assert!(one.absolute().inc("key", &two(), 2).is_allowed());
    assert!(other.absolute().inc("key", &two(), 2).is_allowed());
}

#[test]
fn unknown_keys_stay_unknown() {
    let limiter = limiter();
    let absolute = limiter.absolute();
    assert!(absolute.is_allowed("key", &two(), 2).is_allowed());
    assert!(!absolute.is_allowed("key", &two(), 3).is_allowed());
    assert_eq!(
        (
            absolute.usage("key", &RateLimit::unlimited()),
            absolute.refund("key", &RateLimit::unlimited(), 1)
        ),
        (0, 0)
    );
    assert!(!absolute.reset("key"));
    assert!(limiter.is_empty());
}

#[test]
fn public_types_go_anywhere() {
    fn shared<T: Send + Sync + Debug + 'static>() {}
    fn cloned<T: Send + Sync + Debug + Clone + 'static>() {}
    cloned::<LocalRateLimiter>();
    cloned::<LocalRateLimiter<(IpAddr, u16), std::hash::RandomState>>();
    cloned::<LocalAbsolute>();
    cloned::<LocalAbsolute<u64>>();
    shared::<LocalRateLimiterBuilder>();
    shared::<LocalRateLimiterBuilder<u64>>();
    cloned::<RateLimit>();
    cloned::<RateLimitDecision>();
    cloned::<TrypemaError>();
    cloned::<ManualClock>();
    cloned::<MonotonicClock>();
    cloned::<Key>();
    fn error<T: core::error::Error>() {}
    error::<TrypemaError>();
    // Debug output says the settings, and never the keys: they may be private.
    let limiter = limiter();
    assert!(limiter.absolute().inc("a private key", &two(), 1).is_allowed());
    for text in [format!("{limiter:?}"), format!("{:?}", limiter.absolute())] {
        assert!(text.contains("LocalAbsolute") && !text.contains("private"), "{text}");
    }
    let builder = LocalRateLimiter::builder().window(Duration::from_secs(77));
    assert!(format!("{builder:?}").contains("77s"), "{builder:?}");
}
