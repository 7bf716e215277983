//! The gateway example, run for real over loopback sockets; its answers, to the byte; and its
//! checks, which must be able to fail.

// The example's files, as they are: it is they that are tested. `main.rs` holds no more than
// argument parsing.
#[path = "../examples/gateway/answer.rs"]
mod answer;
#[path = "../examples/gateway/clients.rs"]
mod clients;
#[path = "../examples/gateway/history.rs"]
mod history;
#[path = "../examples/gateway/http.rs"]
mod http;
#[path = "../examples/gateway/limits.rs"]
#[cfg_attr(feature = "redis", allow(dead_code, reason = "tried by the tests of Redis"))]
mod limits;
#[path = "../examples/gateway/report.rs"]
mod report;
#[path = "../examples/gateway/rules.rs"]
mod rules;
#[path = "../examples/gateway/run.rs"]
mod run;
#[path = "../examples/gateway/server.rs"]
mod server;
#[path = "../examples/gateway/settings.rs"]
mod settings;

use std::error::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use trypema::{ManualClock, RateLimit};

use crate::clients::Tally;
use crate::history::{Call, History, Verdict};
use crate::report::{Report, Row};
use crate::rules::Rules;
use crate::server::Gateway;
use crate::settings::{Appetite, Client, Settings};

type Outcome = Result<(), Box<dyn Error>>;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

// proves: G1 G3
#[test]
fn clients_of_every_appetite_are_kept_to_their_limits() -> Outcome {
    let report = run::run(&Settings::standard(ms(2_500)))?;
    assert_eq!(report.violations(), [""; 0], "{report}");

    for Row { name, capacity, history, tally, .. } in &report.rows {
        let asked = history.calls().len();
        assert!(asked > 0, "{name} made no request");
        assert!(history.most_in_any_window(report.window) as u64 <= *capacity, "{name}");
        // Nothing stands in the way of the first of them, whatever the timing.
        assert!(history.admitted() as u64 >= (*capacity).min(asked as u64), "{name}");
        assert_eq!(tally.told_wrong, 0, "{name}");
        // A 429 without a time is for those who can never be admitted, and for them alone.
        let hopeless = if *capacity == 0 { tally.rejected } else { 0 };
        assert_eq!(tally.told_never, hopeless, "{name}");
    }
    let rejected = |name| {
        let row = report.rows.iter().find(|row| row.name == name);
        row.map(|row| row.history.rejected())
    };
    assert_eq!(rejected("patient"), Some(0));
    assert!(rejected("greedy") > Some(0));
    Ok(())
}

/// A gateway on a clock of its own, where `alice` may 2 requests in a window of 1 s, `blocked`
/// none, and everybody else 1.
fn gateway(clock: &ManualClock) -> Result<Gateway, Box<dyn Error>> {
    let client = |name, rate| Client {
        name: Some(name),
        rate: Some(rate),
        appetite: Appetite::Every(ms(1)),
        connections: 1,
    };
    let settings = Settings {
        window: ms(1_000),
        bucket: ms(20),
        length: Duration::ZERO,
        clients: vec![client("alice", "120/minute"), client("blocked", "59/minute")],
        default_rate: "1/second",
    };
    let free_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Gateway::start(free_port, Rules::of(&settings)?, Arc::new(clock.clone()), None)
}

/// One request by hand, over a connection of its own: the status line, the headers in the order
/// sent, without those that are none of the gateway's doing, and the body.
fn get(server: SocketAddr, headers: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request = format!("GET / HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no end of the headers")?;
    let foreign = ["Server:", "Date:", "Content-Length:"];
    let own = |line: &&str| !foreign.iter().any(|name| line.starts_with(name));
    Ok(head.split("\r\n").filter(own).chain([body]).map(str::to_owned).collect())
}

const TEXT: &str = "Content-Type: text/plain; charset=UTF-8";

// proves: G3
#[test]
fn answers_carry_the_exact_status_and_time() -> Outcome {
    let clock = ManualClock::new();
    let gateway = gateway(&clock)?;
    let ask = |headers| get(gateway.address(), headers);
    let alice = "X-Client: alice\r\n";
    let policy = "RateLimit-Policy: \"requests\";q=2;w=1";
    let admitted = |left| {
        let limit = format!("RateLimit: \"requests\";r={left}");
        ["HTTP/1.1 200 OK", TEXT, policy, &limit, "hello, alice\n"].map(str::to_owned)
    };

    assert_eq!(ask(alice)?, admitted(1));
    clock.advance(ms(30));
    assert_eq!(ask(alice)?, admitted(0));
    clock.advance(ms(5));
    // The first unit is in the bucket from 0 to 20 ms, and goes with its end: at 1,020 ms.
    assert_eq!(
        ask(alice)?,
        [
            "HTTP/1.1 429 Too Many Requests",
            TEXT,
            policy,
            "RateLimit: \"requests\";r=0;t=1",
            "Retry-After: 1",
            "Retry-After-Ms: 985",
            "too many requests: come back in 985 ms, with 1 of 2 left then\n",
        ]
    );
    clock.advance(ms(984));
    let too_early = ask(alice)?;
    assert_eq!(too_early[4..6], ["Retry-After: 1", "Retry-After-Ms: 1"]);
    clock.advance(ms(1));
    assert_eq!(ask(alice)?, admitted(0));
    Ok(gateway.stop()?)
}

#[test]
fn seconds_are_rounded_up() -> Outcome {
    let clock = ManualClock::new();
    let gateway = gateway(&clock)?;
    // Without a name it is the address that is limited.
    let admitted = get(gateway.address(), "")?;
    assert_eq!((&*admitted[0], &*admitted[4]), ("HTTP/1.1 200 OK", "hello, 127.0.0.1\n"));
    let rejected = get(gateway.address(), "")?;
    assert_eq!(
        rejected[3..6],
        ["RateLimit: \"requests\";r=0;t=2", "Retry-After: 2", "Retry-After-Ms: 1020",]
    );
    Ok(gateway.stop()?)
}

// proves: G3
#[test]
fn what_can_never_be_admitted_is_not_told_to_come_back() -> Outcome {
    let gateway = gateway(&ManualClock::new())?;
    assert_eq!(
        get(gateway.address(), "X-Client: blocked\r\n")?,
        [
            "HTTP/1.1 429 Too Many Requests",
            TEXT,
            "RateLimit-Policy: \"requests\";q=0;w=1",
            "RateLimit: \"requests\";r=0",
            "never: a rate of 59/minute allows no request in a window of 1s\n",
        ]
    );
    Ok(gateway.stop()?)
}

#[test]
fn a_name_cannot_pass_for_an_address_and_bad_clients_do_no_harm() -> Outcome {
    let gateway = gateway(&ManualClock::new())?;
    for name in ["", "127.0.0.1", "a b", "x".repeat(65).as_str()] {
        let answer = get(gateway.address(), &format!("X-Client: {name}\r\n"))?;
        assert_eq!(answer[0], "HTTP/1.1 400 Bad Request", "{name:?}");
    }
    for garbage in ["", "GET", "GET / HTTP/1.1\r\nHo", "\0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        // Gone before the answer is there, or before the question is.
        TcpStream::connect(gateway.address())?.write_all(garbage.as_bytes())?;
    }
    let answer = get(gateway.address(), "X-Client: bob\r\n")?;
    let (policy, limit) = ("RateLimit-Policy: \"requests\";q=1;w=1", "RateLimit: \"requests\";r=0");
    assert_eq!(answer, ["HTTP/1.1 200 OK", TEXT, policy, limit, "hello, bob\n"]);
    Ok(gateway.stop()?)
}

const WINDOW: Duration = ms(1_000);
const BUCKET: Duration = ms(20);

/// A report on a single client that may 2 units in a window and was answered as the server says.
fn report(calls: Vec<Call>) -> Result<Report, Box<dyn Error>> {
    let history = History::new(calls);
    let tally = Tally {
        admitted: history.admitted() as u64,
        rejected: history.rejected() as u64,
        ..Tally::default()
    };
    let rate = RateLimit::per_second(2.0)?;
    let row = Row { name: "eve".into(), rate, capacity: rate.capacity(WINDOW), history, tally };
    Ok(Report {
        window: WINDOW,
        bucket: BUCKET,
        started: Duration::ZERO,
        length: ms(5_000),
        rows: vec![row],
    })
}

fn admitted(before: u64, after: u64) -> Call {
    Call { before: ms(before), after: ms(after), verdict: Verdict::Admitted }
}

fn rejected(at: u64, wait: Option<u64>) -> Call {
    Call { before: ms(at), after: ms(at), verdict: Verdict::Rejected { retry_after: wait.map(ms) } }
}

#[test]
fn the_checker_sees_what_is_too_much() -> Outcome {
    let over = "eve got 3 in a window of 1s, with a capacity of 2";
    for (calls, found) in [
        // A window's length apart is out of a half-open window; a hair less is inside.
        (vec![admitted(0, 0), admitted(500, 500), admitted(1_000, 1_000)], None),
        (vec![admitted(1, 1), admitted(500, 500), admitted(1_000, 1_000)], Some(over)),
        // In whatever order the threads wrote them down, and not in the first window only.
        (
            vec![
                admitted(0, 1),
                admitted(2_999, 3_000),
                admitted(2_500, 2_600),
                admitted(2_100, 2_101),
            ],
            Some(over),
        ),
        // One that began before the window, or ended after it, may have been decided outside.
        (vec![admitted(0, 500), admitted(10, 500), admitted(500, 1_000)], None),
        (vec![admitted(0, 500), admitted(10, 500), admitted(500, 999)], Some(over)),
        // A long call in between hides none that come after it.
        (vec![admitted(0, 0), admitted(1, 5_000), admitted(2, 3), admitted(4, 5)], Some(over)),
    ] {
        let report = report(calls.clone())?;
        assert_eq!(report.violations(), Vec::from_iter(found), "{calls:?}");
        let text = report.to_string();
        let shown = ["TOO MUCH", "VIOLATION: eve got 3", "NOT WHAT WAS PROMISED"];
        assert_eq!(shown.map(|words| text.contains(words)), [found.is_some(); 3], "{text}");
        assert_eq!(
            text.contains("no client got more than its capacity in any window"),
            found.is_none()
        );
    }
    Ok(())
}

#[test]
fn the_checker_sees_a_needless_rejection() -> Outcome {
    let full = vec![admitted(100, 101), admitted(101, 102)];
    let with = |call| [full.clone(), vec![call]].concat();
    assert_eq!(report(with(rejected(1_121, Some(9))))?.violations(), [""; 0]);
    let needless = "eve was turned away while there was room (1x)";
    // Of the two, the first has surely expired a window and a bucket after it was over.
    assert_eq!(report(with(rejected(1_122, Some(9))))?.violations(), [needless]);
    assert_eq!(report(vec![admitted(0, 0), rejected(1, Some(9))])?.violations(), [needless]);
    Ok(())
}

#[test]
fn the_checker_sees_a_wrong_time() -> Outcome {
    let full = vec![admitted(0, 0), admitted(1, 1)];
    let with = |more: &[Call]| [&full, more].concat();
    let too_little = "eve came back when told to, and in vain (1x)";
    let too_much = "eve was told to wait for longer than it had to (1x)";
    for (calls, found) in [
        (with(&[rejected(10, Some(1_010)), admitted(1_020, 1_020)]), None),
        // Too early is his own fault.
        (with(&[rejected(10, Some(1_010)), rejected(1_019, Some(1))]), None),
        (with(&[rejected(10, Some(900)), rejected(910, Some(110))]), Some(too_little)),
        // Somebody else had it first.
        (with(&[rejected(10, Some(900)), admitted(908, 910), rejected(910, Some(110))]), None),
        // Rounding up to a whole millisecond is no lie, more than that is.
        (with(&[rejected(10, Some(1_012)), admitted(1_020, 1_021)]), None),
        (with(&[rejected(10, Some(1_013)), admitted(1_020, 1_021)]), Some(too_much)),
        (with(&[rejected(10, None), admitted(1_020, 1_021)]), Some(too_much)),
    ] {
        // The made-up admissions in between may overdo it; that is another check's concern.
        let mut violations = report(calls.clone())?.violations();
        violations.retain(|violation| !violation.starts_with("eve got"));
        assert_eq!(violations, Vec::from_iter(found), "{calls:?}");
    }
    Ok(())
}

#[test]
fn the_checker_sees_lost_answers() -> Outcome {
    assert_eq!(report(vec![])?.violations(), ["eve never got through"]);
    let differ = "eve was not answered as the server has it on record";
    let with = |change: fn(&mut Tally)| {
        let mut report = report(vec![admitted(0, 0)])?;
        report.rows.iter_mut().for_each(|row| change(&mut row.tally));
        Ok::<_, Box<dyn Error>>(report.violations())
    };
    assert_eq!(with(|tally| tally.admitted = 0)?, [differ]);
    assert_eq!(with(|tally| tally.rejected = 1)?, [differ]);
    assert_eq!(with(|tally| (tally.admitted, tally.failed) = (0, 1))?, [""; 0]);
    let senseless = "eve got a Retry-After that makes no sense (1x)";
    assert_eq!(with(|tally| tally.told_wrong = 1)?, [senseless]);
    Ok(())
}
