//! Servers that speak the protocol, and lack something that the scripts need: an error at the first
//! call that names it, and that no policy for outages hides.

use std::time::Duration;

use trypema::{OnUnavailable, RateLimit, RedisRateLimiter, RedisRateLimiterBuilder, TrypemaError};

use crate::any;
use crate::build::Build;
use crate::common::until::FOREVER;
use crate::proxy::Proxy;
use crate::server::{RedisServer, Setup};

fn builder(url: String) -> RedisRateLimiterBuilder {
    RedisRateLimiter::builder(url).deadline(FOREVER).denial_cache(Duration::ZERO)
}

/// What the first call says, and every other.
#[track_caller]
fn says(url: String) -> String {
    let limiter = builder(url).breaker(1, FOREVER).on_unavailable(OnUnavailable::Allow);
    let limiter = limiter.build().unwrap();
    let rate = RateLimit::per_minute(5.0).unwrap();
    let first = limiter.absolute().inc("key", &rate, 1);
    let Err(error @ TrypemaError::Redis { outcome_unknown: false, .. }) = first else {
        panic!("{first:?}")
    };
    for _ in 0..10 {
        assert_eq!(limiter.absolute().inc("key", &rate, 1).as_ref(), Err(&error));
    }
    assert_eq!(limiter.suppressed().inc("key", &rate, 1).unwrap_err(), error);
    error.to_string()
}

/// What they say of a server that makes another thing of the scripts.
#[track_caller]
fn says_of(text: &'static str, by: &'static str) -> String {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    proxy.rewrite(text, by);
    let said = says(proxy.url());
    assert_eq!(server.ask::<u64>("DBSIZE"), 0, "nothing was counted");
    said
}

#[test]
fn scripts_without_struct() {
    let error = says_of("struct.", "strict.");
    assert!(error.contains("library `struct`") && !error.contains("TIME"), "{error}");
}

#[test]
fn struct_that_is_not_exact() {
    let error = says_of("9007199254740991))", "9007199254740990))");
    assert!(error.contains("library `struct`"), "{error}");
}

#[test]
fn scripts_without_time() {
    let server = Setup::new().set("rename-command", ["TIME", ""]).start();
    let error = says(server.url());
    assert!(error.contains("`TIME`") && !error.contains("struct"), "{error}");
}

#[test]
fn a_clock_at_zero() {
    let error = says_of("call('TIME')", "call('PING')");
    assert!(error.contains("`TIME`"), "{error}");
    // What the script that looks is told, padded to the same length.
    let error = says_of("redis.pcall('TIME')", "{ '0', '0', nil   }");
    assert!(error.contains("`TIME`"), "{error}");
}

#[test]
fn scripts_that_may_not_write() {
    let error = says_of("redis.REPL_ALL", "64            ");
    assert!(error.contains("lua-replicate-commands"), "{error}");
    // Before version 7 a setting.
    if Build::get().version < 7 {
        let server = Setup::new().set("lua-replicate-commands", ["no"]).start();
        let error = says(server.url());
        assert!(error.contains("lua-replicate-commands"), "{error}");
    }
}

#[test]
fn no_scripts() {
    let server = Setup::new().set("rename-command", ["EVAL", ""]).start();
    let error = says(server.url());
    assert!(error.contains("unknown command") && error.contains("EVAL"), "{error}");
    assert!(!error.contains("local"), "not the script: {error}");
}

/// Who may not run other scripts than ours is not asked to.
#[test]
fn users_who_may_not_look() {
    let server = Setup::new().user("limits", "password", "~* +@all -eval").start();
    let url = server.url().replace("//", "//limits:password@");
    let limiter = builder(url).build().unwrap();
    let error = limiter.absolute().usage("key", &any()).unwrap_err().to_string();
    assert!(error.contains("NOPERM"), "{error}");
    // Whose scripts the server knows already.
    let admin = format!("redis+unix://{}?user=admin&pass=of-the-tests", server.socket().display());
    builder(admin).build().unwrap().absolute().usage("key", &any()).unwrap();
    assert_eq!(limiter.absolute().usage("key", &any()), Ok(0));
}

/// One a connection, with the login: no call takes a round trip more.
#[test]
fn one_look_a_connection() {
    let server = RedisServer::start();
    let limiter = builder(server.url()).build().unwrap();
    for _ in 0..20 {
        assert!(limiter.absolute().inc("key", &any(), 1).unwrap().is_allowed());
    }
    // The other brings the script.
    assert_eq!(server.calls("eval"), 2);
    assert_eq!(server.calls("evalsha"), 20);
}
