//! A soak: faults in random order, for as long as asked, against a cluster, a primary and replica under
//! a Sentinel, and a server whose clock steps, while 16 threads of a process of their own call.
//!
//! ```sh
//! TRYPEMA_SOAK_MINUTES=30 cargo test --features redis --test redis soak:: -- --ignored --nocapture
//! ```
//!
//! `TRYPEMA_KEEP_SOAK=1` writes `docs/soak.md`; `TRYPEMA_SOAK_SEED` repeats the faults of another run.
//!
//! After each fault, when the servers are well again by their own account, the callers stop for a
//! moment, and the round is judged:
//!
//! - *Nothing is counted twice*, and errors tell the truth. Two calls of eight are for a key of their
//!   own, whose units are then counted: 1 if the call was admitted, 0 if its error says that nothing
//!   was counted, at most 1 if it does not know.
//! - *No overshoot* by the server's time, on keys that are always full, under both strategies.
//! - *Nothing grows*: threads, memory and descriptors of the process.
//!
//! Servers write down what they have acknowledged, so being killed loses nothing. A replica that is
//! promoted may lack what its primary had acknowledged: while that goes on, admissions are not judged
//! against those before. So it is with a clock that goes forward.

mod faults;
mod judge;
mod load;
mod report;
mod stage;
mod ways;

use std::env;
use std::time::{Duration, Instant, SystemTime};

use self::faults::KINDS;
use self::judge::Verdict;
use self::report::Report;
use self::stage::Stage;

/// Of each call.
const DEADLINE: Duration = Duration::from_millis(250);
/// A call that takes so much longer hangs, unless all threads were that late just then.
const HANG: Duration = Duration::from_millis(250);
/// Where all threads are as late as this, times say nothing of the library.
const STALL: Duration = Duration::from_millis(500);
/// The first rounds fill pools and caches.
const WARM_UP: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Cluster,
    Sentinel,
    Clock,
}

const TARGETS: [Target; 3] = [Target::Cluster, Target::Sentinel, Target::Clock];

fn asked_for(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).map_or(otherwise, |text| text.parse().expect("a whole number"))
}

#[test]
#[ignore = "as long as it is asked to take; see docs/soak.md"]
fn soak() {
    let minutes = asked_for("TRYPEMA_SOAK_MINUTES", 2);
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = asked_for("TRYPEMA_SOAK_SEED", clock.as_secs());
    eprintln!("TRYPEMA_SOAK_SEED={seed}");
    let begun = Instant::now();
    let mut stage = Stage::set(seed);
    let mut report = Report::new(minutes, seed);
    let mut left = Vec::<faults::Kind>::new();
    while begun.elapsed() < Duration::from_secs(60 * minutes) {
        // All of them before any comes again.
        if left.is_empty() {
            left.extend(KINDS);
        }
        let next = stage.below(left.len());
        let kind = left.swap_remove(next);
        let round = kind.round(&mut stage);
        let mut verdict = Verdict::parse(&stage.load.tell(&round.line()));
        let after = stage.look();
        let failed_over = after.cluster_epoch != stage.seen.cluster_epoch
            || after.watched_epoch != stage.seen.watched_epoch;
        if failed_over && !verdict.wrong.is_empty() {
            eprintln!("a failover while it was judged: {}", verdict.wrong);
            verdict.wrong.clear();
        }
        eprintln!("{:>5.0} s  {kind}: {verdict:?}", begun.elapsed().as_secs_f64());
        report.add(kind, &verdict);
    }
    drop(stage);
    report.finish(begun.elapsed());
}
