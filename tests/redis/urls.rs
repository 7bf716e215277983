//! The forms of URLs, their meaning, and that no error shows any of the password, however malformed the URL.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use trypema::{RateLimit, RedisRateLimiter, TrypemaError};

use crate::common::until::FOREVER;
use crate::server::{RedisServer, Setup};

fn five() -> RateLimit {
    RateLimit::per_minute(5.0).unwrap()
}

fn limiter(url: &str) -> RedisRateLimiter {
    RedisRateLimiter::builder(url).deadline(FOREVER).build().unwrap()
}

#[test]
fn urls_that_make_no_sense_fail_at_once() {
    for (url, problem) in [
        ("", "scheme"),
        ("redis", "scheme"),
        ("http://127.0.0.1", "scheme"),
        ("redis://", "host is missing"),
        ("redis://:6379", "host is missing"),
        ("redis://127.0.0.1:port", "port"),
        ("redis://127.0.0.1:0", "port 0"),
        ("redis://127.0.0.1:65536", "port"),
        ("redis://::1", "port"),
        ("redis://[::1", "[ is not closed"),
        ("redis://[::1]6379", "]"),
        ("redis://[127.0.0.1]", "IPv6"),
        ("redis://0.0.0.0", "address of all"),
        ("redis://a b", "host is made of"),
        ("redis://127.0.0.1:1,127.0.0.1:2", "several"),
        ("redis://127.0.0.1:1/one", "database is no number"),
        ("redis://127.0.0.1:1/-1", "not below 0"),
        ("redis://127.0.0.1:1/?db=3", "a ?"),
        ("redis://127.0.0.1:1/3#4", "a #"),
        ("redis://user:a/b@127.0.0.1", "a / before the @"),
        ("redis://user:1/b@127.0.0.1", "a / before the @"),
        ("redis://u%ff@127.0.0.1", "UTF-8"),
        ("redis+unix://path", "path"),
        ("redis+unix:///", "path"),
        ("redis+unix:///path?db=-1", "not below 0"),
        ("redis+unix:///path?base=1", "only db, user and pass"),
        ("redis+unix:///path&pass=1", "&"),
        ("redis-sentinel://127.0.0.1:1", "service"),
        ("redis-sentinel://127.0.0.1:1/service?db=3", "a ?"),
        ("redis-sentinel://127.0.0.1:1/service#3", "a #"),
        ("redis-cluster://127.0.0.1:1/?db=0", "a ?"),
        ("redis-cluster://127.0.0.1:1/1", "no database but 0"),
    ] {
        match RedisRateLimiter::builder(url).build() {
            Err(TrypemaError::InvalidConfig { field, given, allowed, .. }) => {
                assert_eq!(field, "url");
                let (named, _) = allowed.split_once(';').unwrap();
                assert!(named.contains(problem), "{url}: {named}");
                let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
                assert!(given.contains(scheme) || scheme == "http", "{url}: {given}");
            }
            other => panic!("{url:?}: {other:?}"),
        }
    }
}

/// Where a password may have ended up: `P` stands for it.
const MALFORMED: [&str; 24] = [
    "redis://user:P@127.0.0.1:port",
    "redis://user:P@127.0.0.1/one",
    "redis://:P@",
    "redis://user:P",
    "redis://127.0.0.1:6379:P",
    "redis://127.0.0.1?password=P",
    "redis://127.0.0.1/?user=me&pass=P",
    "redis://127.0.0.1/0?x@P",
    "redis://127.0.0.1/P",
    "redis://P",
    "rediss://user:P@127.0.0.1#insecure",
    "redis-sentinel://user:P@127.0.0.1:1",
    "redis-sentinel://user:P,127.0.0.1:1/service",
    "redis-sentinel://127.0.0.1:1/service/P",
    "redis-cluster://user:P@127.0.0.1:1/7",
    "redis-cluster://127.0.0.1:1,P@127.0.0.1:2",
    "redis+unix:///path?password=P",
    "redis+unix:///path?pass=a&P",
    "redis+unix://user:P@/path",
    "redis+unix:///path&pass=P",
    "http://user:P@127.0.0.1",
    "redis//user:P@127.0.0.1",
    "P://127.0.0.1",
    "P",
];

/// So many characters in a row are a part of a password that must not show.
const PIECE: usize = 4;

/// The pieces of `secret` in `text` that are not in the text of any such error anyway.
fn shown(secret: &str, text: &str) -> Vec<String> {
    let always = RedisRateLimiter::builder("redis://").build().unwrap_err();
    let always = format!("{always} {always:?}");
    let characters = secret.chars().collect::<Vec<_>>();
    let pieces = characters.windows(PIECE).map(|piece| piece.iter().collect::<String>());
    pieces.filter(|piece| text.contains(piece) && !always.contains(piece)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_part_of_a_password_shows(
        form in prop::sample::select(&MALFORMED),
        password in "[A-Z0-9!$*~^'%@:/?#&=,;+-]{4,24}",
        // A slip of the pen: something is left out.
        missing in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut url = form.replace('P', &password);
        if let Some(missing) = missing {
            let at = missing.index(url.len());
            url.remove(at);
        }
        let builder = RedisRateLimiter::builder(&url);
        let mut texts = vec![format!("{builder:?}")];
        // Where it made sense by accident, it says where the server is.
        if let Err(error) = builder.build() {
            texts.extend([error.to_string(), format!("{error:?}")]);
        }
        for text in texts {
            prop_assert_eq!(shown(&password, &text), Vec::<String>::new(), "{}: {}", url, text);
        }
    }
}

/// Written in a URL that makes sense, it does not show either, wherever it is asked for.
#[test]
fn servers_that_repeat_what_they_hear_show_no_password() {
    const SECRET: &str = "S3cret*Passphrase";
    let describe =
        |limiter: &RedisRateLimiter, error: TrypemaError| format!("{error} {error:?} {limiter:?}");
    // A Redis that does not know AUTH tells what it was given.
    let server = Setup::new().set("rename-command", ["AUTH", "AUTHENTICATE"]).start();
    let limiter = limiter(&server.url().replace("//", &format!("//:{SECRET}@")));
    let error = limiter.absolute().inc("key", &five(), 1).unwrap_err();
    let text = describe(&limiter, error);
    assert_eq!(shown(SECRET, &text), Vec::<String>::new(), "{text}");
    // So does what is no Redis at all, in one way or another.
    for prefix in ["", "-ERR ", "+", "$3\r\n", "%1\r\n", "nonsense "] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let echo = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = [0; 1_024];
            let count = stream.read(&mut heard).unwrap();
            let heard = String::from_utf8_lossy(&heard[..count]).into_owned();
            let said = if prefix.is_empty() { heard } else { heard.replace("\r\n", " ") };
            _ = stream.write_all(format!("{prefix}{said}\r\n").as_bytes());
        });
        let limiter = RedisRateLimiter::builder(format!("redis://me:{SECRET}@127.0.0.1:{port}"))
            .deadline(Duration::from_secs(20))
            .build()
            .unwrap();
        let error = limiter.absolute().inc("key", &five(), 1).unwrap_err();
        let text = describe(&limiter, error);
        assert_eq!(shown(SECRET, &text), Vec::<String>::new(), "{prefix:?}: {text}");
        echo.join().unwrap();
    }
}

/// A user without a password is that user, and not the default one.
#[test]
fn a_user_without_a_password_is_that_user() {
    let server = RedisServer::start();
    let _: () = server.ask("ACL SETUSER alice on nopass ~trypema:* +@all");
    let socket = server.socket();
    let unix = format!("redis+unix://{}?user=alice", socket.display());
    for url in
        [server.url().replace("//", "//alice@"), server.url().replace("//", "//alice:@"), unix]
    {
        let limiter = limiter(&url);
        assert!(limiter.absolute().inc(&url, &five(), 1).unwrap().is_allowed());
        let clients: String = server.ask("CLIENT LIST");
        assert_eq!(clients.matches("user=alice").count(), 1, "{url}: {clients}");
    }
    let nobody = limiter(&server.url().replace("//", "//nobody@"));
    let error = nobody.absolute().inc("key", &five(), 1).unwrap_err();
    assert!(error.to_string().contains("WRONGPASS"), "{error}");
}

/// Codes in a URL stand for what they say.
#[test]
fn what_is_not_plain_is_written_in_codes() {
    let server = RedisServer::start();
    let _: () = server.ask("ACL SETUSER a@b on >p:/?#%é ~trypema:* +@all");
    for password in ["p%3A%2F%3F%23%25%C3%A9", "p:%2f%3f%23%é"] {
        let limiter = limiter(&server.url().replace("//", &format!("//a%40b:{password}@")));
        assert!(limiter.absolute().inc(password, &five(), 1).unwrap().is_allowed());
    }
}
