//! A server, a proxy in front of it, and a limiter that goes through the proxy.

use std::time::{Duration, Instant};

use trypema::{
    RateLimit, RateLimitDecision, RedisRateLimiter, RedisRateLimiterBuilder, TrypemaError,
};

use super::{DEADLINE, Row};
use crate::any;
use crate::common::until::FOREVER;
use crate::proxy::Proxy;
use crate::server::RedisServer;

/// The key that a fault happens to.
pub(super) const KEY: &str = "key";

pub(super) struct Scene {
    pub(super) limiter: RedisRateLimiter,
    pub(super) proxy: Proxy,
    pub(super) server: RedisServer,
}

pub(super) type Answer = Result<RateLimitDecision, TrypemaError>;

/// An answer, and how long it took.
pub(super) struct Asked {
    pub(super) answer: Answer,
    pub(super) took: Duration,
}

/// A limiter as the table says, over this URL. No breaker: the table tells of single calls, and has
/// a line of its own for that.
pub(super) fn builder(url: String) -> RedisRateLimiterBuilder {
    RedisRateLimiter::builder(url)
        .deadline(DEADLINE)
        .denial_cache(Duration::ZERO)
        .breaker(u32::MAX, FOREVER)
}

/// Far more than any fault asks for.
pub(super) fn rate() -> RateLimit {
    RateLimit::per_minute(100.0).unwrap()
}

pub(super) fn ask(limiter: &RedisRateLimiter, key: &str) -> Asked {
    let begun = Instant::now();
    let answer = limiter.absolute().inc(key, &rate(), 1);
    Asked { answer, took: begun.elapsed() }
}

/// Before the fault, so that there is a connection.
pub(super) fn warm_up(limiter: &RedisRateLimiter) {
    assert!(ask(limiter, "warm").answer.is_ok_and(|decision| decision.is_allowed()));
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::of(RedisServer::start())
    }

    /// A limiter through a proxy to this server, with a connection that has been used.
    pub(super) fn of(server: RedisServer) -> Self {
        let proxy = Proxy::to(server.port());
        let limiter = builder(proxy.url()).build().unwrap();
        let scene = Self { limiter, proxy, server };
        warm_up(&scene.limiter);
        scene
    }

    pub(super) fn ask(&self) -> Asked {
        ask(&self.limiter, KEY)
    }

    /// The units counted on the key, as somebody sees it who does not go through the proxy.
    pub(super) fn counted(&self) -> u64 {
        counted(&self.server)
    }

    /// Asks, on another key, until it is answered again.
    pub(super) fn then(&self) -> String {
        then(&self.limiter)
    }

    /// The fault is gone; what was counted, and how it goes on.
    pub(super) fn row(&self, fault: &'static str, asked: &Asked) -> Row {
        let then = self.then();
        Row {
            fault,
            gets: describe(&asked.answer),
            took: asked.took,
            counted: self.counted(),
            then,
        }
    }
}

pub(super) fn counted(server: &RedisServer) -> u64 {
    let url = format!("redis+unix://{}", server.socket().display());
    let direct = RedisRateLimiter::builder(url).deadline(FOREVER).build().unwrap();
    direct.absolute().usage(KEY, &any()).unwrap()
}

pub(super) fn then(limiter: &RedisRateLimiter) -> String {
    let begun = Instant::now();
    for failures in 0.. {
        match ask(limiter, "after").answer {
            Ok(RateLimitDecision::Allowed { .. }) if failures == 0 => {
                return "the next call works".into();
            }
            Ok(RateLimitDecision::Allowed { .. }) => return format!("{failures} more calls fail"),
            other => assert!(begun.elapsed() < FOREVER, "still {other:?}"),
        }
    }
    unreachable!("it was asked forever")
}

/// The variant, what can be told from it, and its message, without what differs from run to run.
pub(super) fn describe(answer: &Answer) -> String {
    let error = match answer {
        // Without its fields, some of which differ from run to run.
        Ok(RateLimitDecision::Allowed { .. }) => return "`Allowed`".into(),
        Ok(RateLimitDecision::Rejected { .. }) => return "`Rejected`".into(),
        Ok(decision) => return format!("`{decision:?}`"),
        Err(error) => error,
    };
    let variant = match error {
        TrypemaError::Redis { outcome_unknown: true, .. } => "`Redis`, outcome unknown",
        TrypemaError::Redis { .. } => "`Redis`, nothing counted",
        TrypemaError::PoolTimeout { .. } => "`PoolTimeout`",
        TrypemaError::Unavailable { .. } => "`Unavailable`",
        TrypemaError::UnexpectedReply { .. } => "`UnexpectedReply`",
        other => panic!("no error of Redis: {other:?}"),
    };
    format!("{variant}: *{}*", plain(&error.to_string()))
}

/// Ports and times differ from run to run, and hashes from version to version.
fn plain(message: &str) -> String {
    let words = message.split(' ').map(|word| {
        let core = word.trim_end_matches([':', ',', '.', ')']);
        let end = &word[core.len()..];
        match core.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => {
                let which = if host.contains('.') { "PORT" } else { "LINE" };
                format!("{host}:{which}{end}")
            }
            _ if core.len() == 40 && core.chars().all(|c| c.is_ascii_hexdigit()) => {
                format!("HASH{end}")
            }
            _ if core.ends_with("ms") && core.starts_with(|c: char| c.is_ascii_digit()) => {
                format!("TIME{end}")
            }
            _ => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}
