//! Three limits at once, beside one decision: what the server spends on a call of each.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use trypema::{ManualClock, RateLimit};
use trypema_benches::rule::Rule;

use crate::rivals::{limiter, rate, told};
use crate::server::{Admin, Server};

const LIMITS: usize = 3;

/// What the server spends on one decision, and on a call about three limits.
pub(crate) struct Spent {
    pub(crate) name: &'static str,
    pub(crate) one: f64,
    pub(crate) three: f64,
}

/// `calls` of each kind. The bucket of the rule has to last longer than they take.
pub(crate) fn measure(server: &Server, admin: &mut Admin, rule: Rule, calls: usize) -> [Spent; 3] {
    let real = limiter(server.url(), rule, Duration::ZERO);
    let absolute = real.absolute();
    let (tight, roomy) = (rate(Rule { capacity: 1, ..rule }), rate(rule));
    let one =
        |name: &str, rate: &RateLimit| absolute.inc(name, rate, 1).expect("an answer").is_allowed();
    let three = |names: &[String; LIMITS], last: &RateLimit| {
        let [a, b, c] = names;
        let calls = [(a.as_str(), &roomy, 1), (b.as_str(), &roomy, 1), (c.as_str(), last, 1)];
        absolute.inc_all(&calls).expect("an answer").decision.is_allowed()
    };
    let hot = names("hot");
    let mut hot_keys = |last: &RateLimit, admitted: bool| {
        admin.flush();
        assert!(hot.iter().all(|name| one(name, &roomy)));
        admin.begin();
        assert!((0..calls).all(|_| one(&hot[2], last) == admitted));
        let (of_one, _) = admin.cost("evalsha");
        admin.begin();
        assert!((0..calls).all(|_| three(&hot, last) == admitted));
        (of_one, admin.cost("evalsha").0)
    };
    let over = hot_keys(&tight, false);
    let allowed = hot_keys(&roomy, true);

    admin.flush();
    let new = (0..calls).map(|call| names(&format!("new_{call}_"))).collect::<Vec<_>>();
    let alone = (0..calls).map(|call| format!("alone_{call}")).collect::<Vec<_>>();
    // One unit each, a bucket ago.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let clock = ManualClock::new();
    clock.set(now - rule.bucket);
    let earlier = told(server.url(), rule, clock);
    for name in new.iter().flatten().chain(&alone) {
        assert!(earlier.absolute().inc(name, &roomy, 1).expect("an answer").is_allowed());
    }
    admin.begin();
    assert!(alone.iter().all(|name| one(name, &roomy)));
    let (of_one, _) = admin.cost("evalsha");
    admin.begin();
    assert!(new.iter().all(|names| three(names, &roomy)));
    let begins = (of_one, admin.cost("evalsha").0);

    [
        ("one of them over its limit", over),
        ("all allowed", allowed),
        ("all allowed, a new bucket each", begins),
    ]
    .map(|(name, (one, three))| Spent { name, one, three })
}

fn names(start: &str) -> [String; LIMITS] {
    core::array::from_fn(|number| format!("{start}{number}"))
}
