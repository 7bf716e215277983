//! The server's cost of a decision in instructions, which noise cannot blur.
//!
//! The server runs under callgrind, some fifty times slower, so window and bucket are longer by a
//! hundred: a hot key is then asked about as often in a bucket as without.

use std::time::Duration;

use trypema_benches::rule::Rule;

use crate::buckets::{self, COUNTS};
use crate::report;
use crate::rivals::{Absolute, Bare, Gcra, Peer, Rival, limiter};
use crate::server::Server;
use crate::several;
use crate::{ABSOLUTE, GCRA, NAMES, PEER, Workload, run};

const CALLS: usize = 1_000;
const KEYS: usize = 2_000;
const NAMED: [usize; 5] = [0, 1, 2, 3, 5];

fn slow(capacity: u32) -> Rule {
    Rule { window: Duration::from_secs(1_000), bucket: Duration::from_secs(1), capacity }
}

/// With buckets that outlast the calls, so that how fast this machine is makes no difference.
fn lasting(capacity: u32) -> Rule {
    Rule { window: Duration::from_secs(1_000_000), bucket: Duration::from_secs(1_000), capacity }
}

/// The report.
pub(crate) fn measure() -> String {
    let server = Server::start_counted();
    let mut admin = server.admin();
    let keys: Vec<String> = (0..KEYS).map(|key| format!("user_{key:07}")).collect();
    let mut text = format!(
        "# Instructions of the server for a decision over Redis\n\n\
         Written by `cargo run --profile bench -p trypema-benches --features redis --bin redis-compare -- \
         --instructions`\n\n\
         - {}; Redis {}; the script with all that it calls (`evalShaCommand`), counted by callgrind over \
         {CALLS} calls.\n\
         - Window 1,000 s, bucket 1 s; of hot keys 1,000,000 s and 1,000 s, so that no bucket ends meanwhile. A \
         cache miss counts as one instruction, as does a division.\n\n\
         | |",
        report::today(),
        admin.version(),
    );
    let mut line = |line: String| text.push_str(&line);
    for workload in Workload::ALL {
        line(format!(" {} | to gcra |", workload.name()));
    }
    line(format!("\n|---|{}\n", "---:|---:|".repeat(Workload::ALL.len())));

    let mut costs = [[0.0; NAMED.len()]; Workload::ALL.len()];
    for (costs, workload) in costs.iter_mut().zip(Workload::ALL) {
        let rule = match workload {
            Workload::Uniform => slow(workload.capacity()),
            _ => lasting(workload.capacity()),
        };
        let rivals: [Box<dyn Rival>; NAMED.len()] = [
            Box::new(Absolute(limiter(server.url(), rule, Duration::ZERO))),
            Box::new(Gcra::new(&server, false)),
            Box::new(Peer::new(&server, rule)),
            Box::new(Bare::new(&server)),
            Box::new(Gcra::new(&server, true)),
        ];
        for ((cost, mut rival), which) in costs.iter_mut().zip(rivals).zip(NAMED) {
            eprintln!("{}: {}", workload.name(), NAMES[which]);
            let run = run(&mut admin, &mut *rival, which, workload, rule, &keys, CALLS);
            assert!(run.astray < 0.01, "{} went the other way", NAMES[which]);
            *cost = run.server_us;
        }
    }
    for (row, which) in NAMED.into_iter().enumerate() {
        line(format!("| {} |", NAMES[which]));
        for costs in &costs {
            line(format!(" {:.0} | {:.2} |", costs[row], costs[row] / costs[GCRA]));
        }
        line("\n".into());
    }
    let to_peer = costs.map(|costs| format!("{:.2}", costs[ABSOLUTE] / costs[PEER]));
    line(format!("\nAbsolute to the peer, in the same order: {}.\n", to_peer.join(", ")));

    eprintln!("live buckets");
    let live = buckets::measure(&server, &mut admin, slow(1), 500);
    line(format!(
        "\n| absolute, live buckets | {} |\n|---|{}\n",
        COUNTS.map(|count| count.to_string()).join(" | "),
        "---:|".repeat(COUNTS.len())
    ));
    for (name, costs) in [
        ("hot over limit", live.hot_over),
        ("hot allowed", live.hot_allowed),
        ("a new bucket each call", live.new_bucket),
    ] {
        let cells = costs.map(|cost| format!("{cost:.0} ({:.2})", cost / costs[0]));
        line(format!("| {name} | {} |\n", cells.join(" | ")));
    }

    eprintln!("several limits at once");
    line("\n| | one decision | `inc_all` of three limits | ratio |\n|---|---:|---:|---:|\n".into());
    for spent in several::measure(&server, &mut admin, lasting(1_000_000), 500) {
        let several::Spent { name, one, three } = spent;
        line(format!("| {name} | {one:.0} | {three:.0} | {:.2} |\n", three / one));
    }
    text
}
