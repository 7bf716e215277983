//! All rounds together: what must hold, and the table of `docs/soak.md`.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use super::faults::{KINDS, Kind};
use super::judge::Verdict;
use super::{DEADLINE, HANG, STALL, Target, WARM_UP};
use crate::build;

const HEAD: &str = "\
# Soak: faults in random order

Written by

```sh
TRYPEMA_KEEP_SOAK=1 TRYPEMA_SOAK_MINUTES=30 cargo test --features redis --test redis soak:: -- --ignored --nocapture
```

16 threads of one process call without a pause to speak of, 7 of them a cluster of three primaries and a
replica, 6 a primary and its replica under a Sentinel, 3 a server whose clock steps, while one fault
after the other happens to one of these, all kinds in random order before any comes again. Each call has a
deadline of 250 ms; the breaker is as it is by default. The head of `tests/redis/soak/mod.rs` tells how a
round is judged, and what may be lost when a replica is promoted.

*Calls* and *failed*: to the servers that the fault happened to, from when it began until the round was
over. *Longest call*: of those. *First good call*: the time from when the servers were well again by their
own account until each of the six keys that all threads ask for had been answered, the worst of them: the
median of the rounds, and the longest. *Failed after*: the most calls of one thread that began after that,
and failed, those included that an open breaker answered at once.

";

const COLUMNS: &str = "\
| servers | fault | rounds | calls | failed | longest call | first good call, median | longest | failed after |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
";

pub(super) struct Report {
    minutes: u64,
    seed: u64,
    rounds: Vec<(Kind, Verdict)>,
}

impl Report {
    pub(super) fn new(minutes: u64, seed: u64) -> Self {
        Self { minutes, seed, rounds: Vec::new() }
    }

    pub(super) fn add(&mut self, kind: Kind, verdict: &Verdict) {
        self.rounds.push((kind, verdict.clone()));
    }

    /// Prints the table, keeps it if it is to be kept, and fails if anything was wrong.
    pub(super) fn finish(&self, took: Duration) {
        let table = self.table();
        let wrong = self.wrong();
        let text = format!("{HEAD}{}{table}{}", self.about(took), self.totals(&wrong));
        eprintln!("{text}");
        if env::var_os("TRYPEMA_KEEP_SOAK").is_some() {
            fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/soak.md"), text).unwrap();
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    fn about(&self, took: Duration) -> String {
        let said = |program: &mut Command| {
            let said = program.output().map(|output| output.stdout).unwrap_or_default();
            String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned()
        };
        let server = said(Command::new(build::program()).arg("--version"));
        let server = server.split(' ').take(3).collect::<Vec<_>>().join(" ");
        format!(
            "Run on {}: {:.1} minutes (asked for {}), seed {}, {server}, trypema {}, {}, {} cores shared \
             with other work.\n\n",
            said(Command::new("date").args(["-u", "+%F"])),
            took.as_secs_f64() / 60.0,
            self.minutes,
            self.seed,
            env!("CARGO_PKG_VERSION"),
            said(Command::new("rustc").arg("--version")),
            std::thread::available_parallelism().unwrap(),
        )
    }

    fn table(&self) -> String {
        let mut table = COLUMNS.to_owned();
        for kind in KINDS {
            let rounds = self.rounds.iter().filter(|(other, _)| other.is(kind));
            let rounds = rounds.map(|(_, verdict)| verdict).collect::<Vec<_>>();
            if rounds.is_empty() {
                continue;
            }
            let sum = |of: fn(&Verdict) -> u64| rounds.iter().map(|round| of(round)).sum::<u64>();
            let timed = || rounds.iter().copied().filter(|round| is_timed(round));
            let most = |of: fn(&Verdict) -> u64| timed().map(of).max().unwrap_or(0);
            writeln!(
                table,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                servers(kind.target),
                kind.name,
                rounds.len(),
                sum(|round| round.meanwhile),
                sum(|round| round.failed),
                millis(most(|round| round.longest)),
                millis(median(timed().map(|round| round.first_good))),
                millis(most(|round| round.first_good)),
                most(|round| round.failed_after),
            )
            .unwrap();
        }
        table
    }

    fn totals(&self, wrong: &[String]) -> String {
        let sum =
            |of: fn(&Verdict) -> u64| self.rounds.iter().map(|(_, round)| of(round)).sum::<u64>();
        let held = |of: fn(&Verdict) -> u64| {
            let parts = self.thirds().map(|third| median(third.iter().map(|(_, round)| of(round))));
            format!("{} / {} / {}", parts[0], parts[1], parts[2])
        };
        let late = self.rounds.iter().map(|(_, round)| round.late).max().unwrap_or(0);
        let verdict = if wrong.is_empty() {
            "Nothing was counted twice, no window held more than its limit, and all errors told the truth."
        } else {
            "This run has failed."
        };
        format!(
            "\n{} faults, {} calls, {} of which failed, {} with an unknown outcome; the units of {} calls \
             were counted again, one by one. {verdict}\n\n\
             Of the process, between faults, medians of the three thirds of the run: threads {}; memory in \
             kB {}; descriptors {}. Meanwhile, a thread that did nothing but sleep woke up as late as {} \
             after it should have. In {} rounds that was later than {} ms: their counts are judged, and their \
             times left out.\n",
            self.rounds.len(),
            sum(|round| round.calls),
            sum(|round| round.failed),
            sum(|round| round.unknown),
            sum(|round| round.checked),
            held(|round| round.threads),
            held(|round| round.memory_kb),
            held(|round| round.descriptors),
            millis(late),
            self.rounds.iter().filter(|(_, round)| !is_timed(round)).count(),
            STALL.as_millis(),
        )
    }

    /// The rounds after the first few, in three parts.
    fn thirds(&self) -> [&[(Kind, Verdict)]; 3] {
        let rounds = self.rounds.get(WARM_UP..).unwrap_or_default();
        let (first, rest) = rounds.split_at(rounds.len() / 3);
        let (second, third) = rest.split_at(rest.len() / 2);
        [first, second, third]
    }

    fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (kind, round) in &self.rounds {
            if !round.wrong.is_empty() {
                wrong.push(format!("{kind}: {}", round.wrong));
            }
            let most = u64::try_from((DEADLINE + HANG).as_nanos()).unwrap() + round.late;
            if !is_timed(round) {
                continue;
            }
            if round.longest > most {
                wrong.push(format!("{kind}: a call took {}", millis(round.longest)));
            }
            if round.first_good == u64::MAX {
                wrong.push(format!("{kind}: a key was not answered again"));
            }
        }
        let [_, second, last] = self.thirds();
        // Pools have up to 16 connections a server, which come and go.
        for (name, of, slack) in [
            ("threads", (|round| round.threads) as fn(&Verdict) -> u64, 4),
            ("descriptors", |round| round.descriptors, 40),
            ("kilobytes of memory", |round| round.memory_kb, 4_096),
        ] {
            let held = |part: &[(Kind, Verdict)]| median(part.iter().map(|(_, round)| of(round)));
            let (before, after) = (held(second), held(last));
            if after > before + slack {
                wrong.push(format!("{name} have grown from {before} to {after}"));
            }
        }
        wrong
    }
}

/// Whether the machine ran: else the times are its own.
fn is_timed(round: &Verdict) -> bool {
    Duration::from_nanos(round.late) < STALL
}

fn servers(target: Target) -> &'static str {
    match target {
        Target::Cluster => "cluster",
        Target::Sentinel => "Sentinel",
        Target::Clock => "clock",
    }
}

fn median(numbers: impl Iterator<Item = u64>) -> u64 {
    let mut numbers = numbers.collect::<Vec<_>>();
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied().unwrap_or(0)
}

fn millis(nanos: u64) -> String {
    if nanos == u64::MAX { "never".to_owned() } else { format!("{:.1} ms", nanos as f64 / 1e6) }
}
