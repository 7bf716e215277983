//! Headers for HTTP clients, read back by a reader of structured fields that is written down here.

// each proves: input

use core::time::Duration;

use proptest::prelude::*;
use trypema::headers::RateLimitHeaders;
use trypema::{
    Combined, LocalRateLimiter, ManualClock, RateLimit, RateLimitDecision, TrypemaError,
};

const MINUTE: Duration = Duration::from_secs(60);
/// Fifteen digits: the most that RFC 9651 has room for.
const LARGEST: u64 = 999_999_999_999_999;

fn headers(rate: &str) -> RateLimitHeaders {
    let rate: RateLimit = rate.parse().unwrap();
    RateLimitHeaders::new("login", &rate, rate.period()).unwrap()
}

fn told(headers: &RateLimitHeaders, decision: &RateLimitDecision) -> Vec<String> {
    headers.of(decision).map(|(name, value)| format!("{name}: {value}")).collect()
}

#[test]
fn what_each_decision_tells() {
    let headers = headers("100/minute").legacy();
    let policy = r#"RateLimit-Policy: "login";q=100;w=60"#;
    let of = |decision: RateLimitDecision| {
        let told = told(&headers, &decision);
        assert_eq!(told[0], policy);
        told[1..].join("\n")
    };
    assert_eq!(
        of(RateLimitDecision::allowed(50)),
        "RateLimit: \"login\";r=50\n\
         X-RateLimit-Limit: 100\nX-RateLimit-Remaining: 50\nX-RateLimit-Reset: 60"
    );
    assert_eq!(
        of(RateLimitDecision::rejected(Some(29_001), 40).with_remaining(2)),
        "RateLimit: \"login\";r=2;t=30\nRetry-After: 30\n\
         X-RateLimit-Limit: 100\nX-RateLimit-Remaining: 2\nX-RateLimit-Reset: 30"
    );
    // Never: no time to come back at, in any of them.
    assert_eq!(
        of(RateLimitDecision::rejected(None, 40).with_remaining(60)),
        "RateLimit: \"login\";r=60\nX-RateLimit-Limit: 100\nX-RateLimit-Remaining: 60"
    );
    // Declined by a draw: when another would go otherwise, nobody knows.
    for is_allowed in [false, true] {
        assert_eq!(
            of(RateLimitDecision::suppressed(0.5, is_allowed)),
            "RateLimit: \"login\";r=0\n\
             X-RateLimit-Limit: 100\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 60"
        );
    }
}

#[test]
fn seconds_are_rounded_up_and_at_least_one() {
    let headers = headers("5/s");
    for (ms, seconds) in [(0, 1), (1, 1), (999, 1), (1_000, 1), (1_001, 2), (59_000, 59)] {
        let told = told(&headers, &RateLimitDecision::rejected(Some(ms), 0));
        assert_eq!(told[1], format!("RateLimit: \"login\";r=0;t={seconds}"), "{ms} ms");
        assert_eq!(told[2], format!("Retry-After: {seconds}"), "{ms} ms");
    }
    for (window_ms, line) in [(1, "q=0;w=1"), (400, "q=2;w=1"), (1_001, "q=5;w=2")] {
        let rate = RateLimit::per_second(5).unwrap();
        let window = Duration::from_millis(window_ms);
        let headers = RateLimitHeaders::new("a", &rate, window).unwrap();
        let policy = format!("RateLimit-Policy: \"a\";{line}");
        assert_eq!(told(&headers, &RateLimitDecision::allowed(0))[0], policy);
    }
}

#[test]
fn numbers_have_at_most_fifteen_digits() {
    for rate in [RateLimit::unlimited(), RateLimit::per_second(1e300).unwrap()] {
        let headers = RateLimitHeaders::new("all", &rate, Duration::MAX).unwrap().legacy();
        let largest = LARGEST.to_string();
        let decision = RateLimitDecision::rejected(Some(u64::MAX), 0).with_remaining(u64::MAX);
        let told: Vec<_> = headers.of(&decision).map(|(_, value)| value).collect();
        assert_eq!(told[0], format!("\"all\";q={largest};w={largest}"));
        // u64::MAX milliseconds.
        assert_eq!(told[1], format!("\"all\";r={largest};t={largest}"));
        assert_eq!(told[2..], [&*largest; 4].map(str::to_owned));
    }
    let headers = RateLimitHeaders::new("none", &RateLimit::zero(), MINUTE).unwrap();
    let told = told(&headers, &RateLimitDecision::rejected(None, 0));
    assert_eq!(told, [r#"RateLimit-Policy: "none";q=0;w=60"#, r#"RateLimit: "none";r=0"#]);
}

#[test]
fn names_are_escaped_or_refused() {
    let rate = RateLimit::per_minute(1).unwrap();
    let headers = RateLimitHeaders::new(r#" a "b" \c, d;e "#, &rate, MINUTE).unwrap();
    let told = told(&headers, &RateLimitDecision::allowed(0));
    assert_eq!(told[0], r#"RateLimit-Policy: " a \"b\" \\c, d;e ";q=1;w=60"#);
    assert_eq!(told[1], r#"RateLimit: " a \"b\" \\c, d;e ";r=0"#);

    for name in ["", "a\r\nSet-Cookie: b", "a\nb", "a\0", "\t", "é", "名", "a\u{7f}", "\u{feff}a"]
    {
        let error = RateLimitHeaders::new(name, &rate, MINUTE).unwrap_err();
        assert!(matches!(error, TrypemaError::InvalidConfig { field: "name", .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.contains(&format!("{name:?}")), "{message}");
        assert!(!message.contains(|char: char| char.is_control()), "{message:?}");
    }
}

#[test]
fn windows_and_names_that_make_no_policy() {
    let rate = RateLimit::per_minute(1).unwrap();
    let error = RateLimitHeaders::new("a", &rate, Duration::ZERO).unwrap_err();
    assert!(matches!(error, TrypemaError::InvalidConfig { field: "window", .. }), "{error:?}");
    let one = RateLimitHeaders::new("a", &rate, MINUTE).unwrap();
    let error = one.and("a", &rate, 2 * MINUTE).unwrap_err();
    assert!(error.to_string().contains("name of its own"), "{error}");
}

#[test]
fn several_policies_stand_in_one_line() {
    let rates = ["10/s", "100/minute", "5000/day"].map(|rate| rate.parse::<RateLimit>().unwrap());
    let [burst, steady, day] = &rates;
    let headers = RateLimitHeaders::new("burst", burst, burst.period()).unwrap();
    let headers = headers.and("steady", steady, steady.period()).unwrap();
    let headers = headers.and("day", day, day.period()).unwrap().legacy();
    let of = |decision, tightest| {
        let combined = Combined::new(decision, tightest);
        headers.of_combined(&combined).map(|(_, value)| value).collect::<Vec<_>>()
    };
    let policies = r#""burst";q=10;w=1, "steady";q=100;w=60, "day";q=5000;w=86400"#;
    let allowed = RateLimitDecision::allowed(7);
    assert_eq!(of(allowed, 1), [policies, r#""steady";r=7"#, "100", "7", "60"]);
    let rejected = RateLimitDecision::rejected(Some(3_600_000), 0);
    assert_eq!(of(rejected, 2), [policies, r#""day";r=0;t=3600"#, "3600", "5000", "0", "3600"]);
    // A limit that is not told of: only when to come back.
    assert_eq!(of(allowed, 3), [policies]);
    assert_eq!(of(rejected, 3), [policies, "3600"]);
    // A decision by itself is on the first.
    assert_eq!(headers.of(&allowed).nth(1).unwrap().1, r#""burst";r=7"#);
}

/// A client that comes back when told to is let in, and was told the right number of units left.
#[test]
fn a_client_that_does_as_told_is_let_in() {
    let clock = ManualClock::new();
    let limiter = LocalRateLimiter::builder()
        .window(MINUTE)
        .bucket(Duration::from_millis(100))
        .clock(clock.clone())
        .build()
        .unwrap();
    let rate = RateLimit::per_minute(3).unwrap();
    let headers = RateLimitHeaders::new("login", &rate, MINUTE).unwrap();
    let call = || {
        let decision = limiter.absolute().inc("alice", &rate, 1);
        let told = headers.of(&decision).map(|(name, value)| (name.to_owned(), value)).collect();
        (decision.is_allowed(), told)
    };
    clock.advance(Duration::from_millis(12_345));
    for left in [2, 1, 0] {
        let (is_allowed, told): (bool, Vec<(String, String)>) = call();
        assert!(is_allowed);
        assert_eq!(numbers(&told[1].1)[0].1, [("r".to_owned(), left)]);
        clock.advance(Duration::from_millis(777));
    }
    let (is_allowed, told) = call();
    assert!(!is_allowed);
    assert_eq!(told[2].0, "Retry-After");
    let wait: u64 = told[2].1.parse().unwrap();
    assert!((57..=59).contains(&wait), "{wait}");
    clock.advance(Duration::from_secs(wait));
    assert!(call().0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Another reader understands what was written, whatever the names, rates and decisions.
    #[test]
    fn fields_are_structured_fields(
        names in prop::collection::btree_set("[ -~]{1,12}", 1..5),
        count in 1e-3..1e18_f64,
        window_ms in 1..100_000_000_000_u64,
        remaining: u64,
        retry_after_ms in prop::option::of(any::<u64>()),
        tightest in 0..5_usize,
    ) {
        let names: Vec<String> = names.into_iter().collect();
        let rate = RateLimit::per_minute(count).unwrap();
        let window = Duration::from_millis(window_ms);
        let mut headers = RateLimitHeaders::new(&names[0], &rate, window).unwrap();
        for name in &names[1..] {
            headers = headers.and(name, &rate, window).unwrap();
        }
        let decision = RateLimitDecision::rejected(retry_after_ms, 0).with_remaining(remaining);
        let combined = Combined::new(decision, tightest);
        let mut told = headers.of_combined(&combined);

        let (name, line) = told.next().unwrap();
        prop_assert_eq!(name, "RateLimit-Policy");
        let quota = rate.capacity(window).min(LARGEST);
        let window_s = window_ms.div_ceil(1_000);
        let expected: Vec<_> = names
            .iter()
            .map(|name| (name.clone(), vec![("q".to_owned(), quota), ("w".to_owned(), window_s)]))
            .collect();
        prop_assert_eq!(numbers(&line), expected);

        let seconds = retry_after_ms.map(|ms| ms.div_ceil(1_000).clamp(1, LARGEST));
        if let Some(tightest) = names.get(tightest) {
            let (name, line) = told.next().unwrap();
            prop_assert_eq!(name, "RateLimit");
            let mut expected = vec![("r".to_owned(), remaining.min(LARGEST))];
            expected.extend(seconds.map(|seconds| ("t".to_owned(), seconds)));
            prop_assert_eq!(numbers(&line), [(tightest.clone(), expected)]);
        }
        let after = seconds.map(|seconds| ("Retry-After", seconds.to_string()));
        prop_assert_eq!(told.next(), after);
        prop_assert_eq!(told.next(), None);
    }
}

/// An item of a list: a string, and its parameters.
type Item = (String, Vec<(String, u64)>);

/// Reads a list of strings with whole numbers as parameters, as RFC 9651 has it; panics on another.
fn numbers(line: &str) -> Vec<Item> {
    let mut rest = line;
    let mut items = Vec::new();
    loop {
        let mut name = String::new();
        let mut chars = rest.strip_prefix('"').expect("a string").char_indices();
        let end = loop {
            match chars.next().expect("a closing quote") {
                (at, '"') => break at,
                (_, '\\') => match chars.next() {
                    Some((_, char @ ('"' | '\\'))) => name.push(char),
                    other => panic!("{other:?} needs no escape"),
                },
                (_, char @ ' '..='~') => name.push(char),
                (_, other) => panic!("{other:?} in a string"),
            }
        };
        rest = &rest[end + 2..];
        let mut parameters = Vec::new();
        while let Some(parameter) = rest.strip_prefix(';') {
            let (key, value) = parameter.split_once('=').expect("a value");
            let length = value.bytes().take_while(u8::is_ascii_digit).count();
            assert!((1..=15).contains(&length), "{value}");
            parameters.push((key.to_owned(), value[..length].parse().unwrap()));
            rest = &value[length..];
        }
        items.push((name, parameters));
        match rest.strip_prefix(',') {
            Some(more) => rest = more.trim_start_matches([' ', '\t']),
            None => break,
        }
    }
    assert_eq!(rest, "");
    items
}
