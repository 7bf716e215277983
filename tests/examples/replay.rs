//! A log replayed under limits.

// each proves: input

#[path = "../../examples/replay/arguments.rs"]
mod arguments;
#[path = "../../examples/replay/demo.rs"]
mod demo;
#[path = "../../examples/replay/log.rs"]
mod log;
#[path = "../../examples/replay/report.rs"]
mod report;
#[path = "../../examples/replay/timeline.rs"]
mod timeline;
#[path = "../../examples/replay/trial.rs"]
mod trial;

use std::time::Duration;

use super::svg;
use arguments::{Arguments, Source};
use log::{Call, Unit, parse};
use proptest::prelude::*;
use timeline::{Timeline, sparkline};
use trial::{Replay, Sum};
use trypema::RateLimit;

fn replay(limits: &[&str], is_suppressed: bool, log: &str) -> Replay {
    let limits: Vec<RateLimit> = limits.iter().map(|limit| limit.parse().unwrap()).collect();
    let mut replay = Replay::new(&limits, is_suppressed).unwrap();
    for line in log.lines() {
        replay.call(&parse(line, Unit::Seconds).unwrap()).unwrap();
    }
    replay
}

// proves: G1 G2 G9
#[test]
fn a_limit_rejects_what_it_would_have_rejected() {
    // Two in any minute, in buckets of 100 ms: what came at 0 counts until 60.1.
    let log = "0,a\n1,a\n2,b\n30,a\n60,a\n60.09,a\n60.1,a\n61.1,a,2\n61.2,a,3\n";
    let replay = replay(&["2/minute", "1000/minute"], false, log);
    let [tight, loose] = &*replay.trials else { panic!("two limits") };
    assert_eq!(replay.asked, Sum { calls: 9, units: 12 });
    // At 30, 60, 60.09; at 61.1 two do not fit beside the one of 60.1; three never do.
    assert_eq!(tight.rejected, Sum { calls: 5, units: 8 });
    assert_eq!(tight.never, 1);
    assert_eq!(tight.keys[0].rejected, tight.rejected);
    assert_eq!(tight.keys[1].rejected, Sum::default());
    assert_eq!((loose.rejected, loose.never), (Sum::default(), 0));
    // In the window of the last call: those of 30, 60, 60.09, 60.1, two and three.
    assert_eq!((loose.keys[0].peak, loose.keys[1].peak), (9, 1));
}

/// The limit that is said to reject nothing rejects nothing, and one less rejects something.
#[test]
fn the_limit_that_is_needed_is_the_least() {
    let log = demo::log();
    let log = log.split_once('\n').unwrap().1;
    let peak = |replay: &Replay| replay.trials[0].keys.iter().map(|key| key.peak).max().unwrap();
    for period in ["10s", "minute", "10 minutes"] {
        let most = peak(&replay(&[&format!("1/{period}")], false, log));
        let enough = replay(&[&format!("{most}/{period}")], false, log);
        assert_eq!(enough.trials[0].rejected, Sum::default(), "{most}/{period}");
        let few = replay(&[&format!("{}/{period}", most - 1)], false, log);
        assert_ne!(few.trials[0].rejected, Sum::default(), "{most}/{period}");
    }
}

#[test]
fn the_report_says_what_happened() {
    let log = demo::log();
    let log = log.split_once('\n').unwrap().1;
    let replay = replay(&["60/minute", "100000/hour"], false, log);
    let text = report::text(&replay, 1).unwrap();
    for part in [
        "18,366 calls for 27,006 units by 145 keys in 59 min 59 s\n",
        "\n60/minute: 1,936 calls rejected (10.5 %), 8,080 units, of 2 keys (1.4 %)\n",
        "6,400 of     9,000 units rejected (71.1 %), at most     175 in a window: batch:nightly\n",
        "       and 1 key more\n",
        "\n100000/hour: 0 calls rejected (0.0 %), 0 units, of 0 keys (0.0 %)\n",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    let picture = report::picture(&replay);
    assert!(picture.contains(">60/minute: 29.9 % rejected<"), "{picture}");
    assert!(picture.ends_with("</svg>\n"));
}

// proves: suppression
#[test]
fn suppressed_admits_some_of_what_absolute_rejects() {
    let log: String =
        (0..6_000).map(|tenth| format!("{}.{},a\n", tenth / 10, tenth % 10)).collect();
    let units =
        |is_suppressed| replay(&["100/minute"], is_suppressed, &log).trials[0].rejected.units;
    let (absolute, suppressed) = (units(false), units(true));
    assert!(suppressed > 4_000 && suppressed < 5_500, "{suppressed} of 6,000, Absolute {absolute}");
    assert_ne!(absolute, suppressed);
}

#[test]
fn lines_out_of_order_are_judged_at_the_later_time_and_told() {
    let late = replay(&["1/minute"], false, "100,a\n130,a\n70,a\n129,b\n");
    assert_eq!((late.late, late.latest_by), (2, Duration::from_secs(60)));
    assert_eq!(late.trials[0].rejected.calls, 2);
    assert!(
        report::text(&late, 1).unwrap().contains("2 lines earlier than one before, by up to 1 min")
    );
}

#[test]
fn times_keys_and_counts_are_read_as_written() {
    let read = |line| {
        let Call { time, key, count } = parse(line, Unit::Seconds).unwrap();
        (time.as_nanos(), key.into_owned(), count)
    };
    let nanos = |seconds: u128, part: u128| seconds * 1_000_000_000 + part;
    for (line, time, key, count) in [
        ("0,a", 0, "a", 1),
        (" 1700000000.25 , user:7 , 3 ", nanos(1_700_000_000, 250_000_000), "user:7", 3),
        ("0.1234567899,a,0", 123_456_789, "a", 0),
        ("5.,\"a, \"\"b\"\"\",2", nanos(5, 0), "a, \"b\"", 2),
        ("5,\"\"\"\"", nanos(5, 0), "\"", 1),
        ("1970-01-01T00:00:00Z,a", 0, "a", 1),
        ("2000-02-29 23:59:60.5+01:00,a", nanos(951_865_200, 500_000_000), "a", 1),
        ("2026-11-29T10:00:00Z,a", nanos(1_795_946_400, 0), "a", 1),
    ] {
        assert_eq!(read(line), (time, key.to_owned(), count), "{line}");
    }
    let millis = parse("1700000000250.5,a", Unit::Millis).unwrap().time;
    assert_eq!(millis, Duration::new(1_700_000_000, 250_500_000));
    assert!(log::is_header("time,key,count") && log::is_header("\"time\",key"));
    assert!(!log::is_header("12,key") && !log::is_header("2026-11-29T10:00:00Z,key"));
}

#[test]
fn a_bad_line_gets_its_reason() {
    for (line, reason) in [
        ("12", "no comma"),
        ("12,", "the key is empty"),
        ("12,\"\",1", "the key is empty"),
        ("12,\"a,1", "a quote that does not end"),
        ("12,\"a\"b,1", "after a quote"),
        ("12,a,-1", "the count is \"-1\""),
        ("12,a,1.5", "the count is \"1.5\""),
        ("12,a,1,x", "the count is \"1,x\""),
        ("12,a,99999999999999999999", "the count is"),
        (",a", "the time is \"\""),
        ("-1,a", "the time is \"-1\""),
        ("1e9,a", "the time is \"1e9\""),
        ("nan,a", "the time is \"nan\""),
        ("1.2.3,a", "the time is"),
        ("99999999999999999999,a", "the time is"),
        ("2026-13-01T00:00:00Z,a", "the time is"),
        ("2026-11-29T24:00:00Z,a", "the time is"),
        ("2026-11-29T10:00:00,a", "the time is"),
        ("1960-11-29T10:00:00Z,a", "the time is"),
    ] {
        let error = parse(line, Unit::Seconds).unwrap_err();
        assert!(error.contains(reason), "{line}: {error}");
    }
    let mut replay = replay(&["1/minute"], false, "0,a");
    let far = replay.call(&parse("99999999999,a", Unit::Seconds).unwrap()).unwrap_err();
    assert!(far.contains("100 years"), "{far}");
    assert_eq!(replay.asked.calls, 1);
}

#[test]
fn arguments_are_understood_or_refused_by_name() {
    let parse = |line: &str| Arguments::parse(line.split_whitespace().map(str::to_owned));
    let arguments =
        parse("--limit 5/s --top 3 --millis --suppressed --picture p.svg - --limit 1/day");
    let arguments = arguments.unwrap().unwrap();
    assert_eq!(arguments.source, Source::Input);
    assert_eq!(arguments.limits, ["5/s", "1/day"].map(|rate| rate.parse().unwrap()));
    assert!(arguments.is_suppressed && arguments.unit == Unit::Millis && arguments.top == 3);
    assert_eq!(arguments.picture.unwrap().to_str(), Some("p.svg"));

    let default = parse("").unwrap().unwrap();
    assert_eq!((default.source, default.limits.len()), (Source::Demo, 3));
    assert_eq!(parse("log.csv").unwrap().unwrap().source, Source::File("log.csv".into()));
    assert!(parse("--help").unwrap().is_none());
    for (line, word) in [
        ("--limit", "--limit needs"),
        ("--limit many", "--limit many"),
        ("--top x", "\"x\""),
        ("a b", "\"b\" is one"),
        ("- a", "\"a\" is one"),
        ("--speed", "\"--speed\""),
    ] {
        let complaint = parse(line).unwrap_err();
        assert!(complaint.contains(word), "{line}: {complaint}");
    }
    assert!(arguments::HELP.contains("--picture"));
}

#[test]
fn sparklines_show_little_as_little_and_nothing_as_nothing() {
    assert_eq!(sparkline(&[0, 1, 50, 100, 800], 800), "·▁▁▁█");
    assert_eq!(sparkline(&[], 0), "");
}

proptest! {
    /// However columns are put together, units stay, each in the column of its time.
    // proves (property): input
    #[test]
    fn a_timeline_loses_nothing(
        calls in prop::collection::vec((0_u64..100_000_000, 0_u64..1_000), 1..50),
        most in 1_usize..200,
    ) {
        let mut timeline = Timeline::new();
        for &(ms, units) in &calls {
            timeline.add(Duration::from_millis(ms), units);
        }
        let length = Duration::from_millis(calls.iter().map(|call| call.0).max().unwrap());
        let (columns, column) = timeline.columns(length, most);
        prop_assert!(columns.len() <= most && column * columns.len() as u32 > length);
        let mut expected = vec![0; columns.len()];
        for (ms, units) in calls {
            expected[(u128::from(ms) / column.as_millis()) as usize] += units;
        }
        prop_assert_eq!(columns, expected);
    }

    // proves (property): input
    #[test]
    fn no_line_panics(line in ".{0,40}", numbers in "[0-9:.TZ+ -]{1,24},[a\",]{0,6},[0-9]{0,22}") {
        for unit in [Unit::Seconds, Unit::Millis] {
            for line in [&line, &numbers] {
                if let Ok(call) = parse(line, unit) {
                    let mut replay = Replay::new(&["1/s".parse().unwrap()], true).unwrap();
                    prop_assert!(replay.call(&call).is_ok());
                    prop_assert!(report::text(&replay, 1).is_ok());
                    prop_assert!(!report::picture(&replay).is_empty());
                }
            }
        }
    }
}
