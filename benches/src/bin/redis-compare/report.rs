//! The figures as Markdown, ending with what was to be shown.

use std::fmt::Write as _;
use std::io::{Write as _, stdout};
use std::process::Command;

use trypema_benches::spread::Spread;

use crate::buckets::{Buckets, COUNTS};
use crate::{ABSOLUTE, BARE, GCRA, NAMES, Options, PEER, Results, Run, Workload};

/// Runs with a greater share of calls that went the other way are named.
const ASTRAY: f64 = 0.001;

pub(crate) fn show(text: &str) {
    _ = stdout().write_all(text.as_bytes());
}

pub(crate) fn markdown(
    results: &Results,
    options: &Options,
    redis: &str,
    loads: &[String; 2],
) -> String {
    let mut text = String::new();
    write(&mut text, results, options, redis, loads).expect("strings take everything");
    text
}

fn write(
    text: &mut String,
    results: &Results,
    options: &Options,
    redis: &str,
    [before, after]: &[String; 2],
) -> std::fmt::Result {
    let Options { rounds, calls, keys, .. } = options;
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    writeln!(
        text,
        "# Decisions over Redis\n\n\
         Written by `cargo run --profile bench -p trypema-benches --features redis --bin redis-compare -- \
         --rounds {rounds} --calls {calls} --keys {keys}`\n\n\
         - {}; Redis {redis}, redis-rs 1.8.1, peer: trypema 2.2.1 over tokio; {}.\n\
         - {cores} cores, shared with the server; load average before {before}, after {after}{}.\n\
         - One thread, one connection over loopback TCP. Window 10 s, bucket 10 ms, denial cache off. \
         {rounds} interleaved rounds; median (least–most) of them. Ratios are taken within a round.\n\
         - Server time is `usec / calls` of `INFO commandstats`, for the script with all that it calls.\n\
         - Uniform: {keys} keys with one live bucket each, of which {calls} are asked once, at random. \
         (A GCRA whose value has expired meanwhile begins with none.)\n",
        today(),
        rustc(),
        if before.parse::<f64>().is_ok_and(|load| load > 1.5 * cores as f64) {
            ": **busy with other things**, so what callers see is mostly waiting for a core"
        } else {
            ""
        },
    )?;
    for (index, workload) in Workload::ALL.into_iter().enumerate() {
        writeln!(text, "## {}\n", workload.name())?;
        writeln!(text, "| | server µs | calls/s | p50 µs | p99 µs |\n|---|---|---|---|---|")?;
        for (which, name) in NAMES.iter().enumerate() {
            let runs = &results.runs[index][which];
            let of = |field: fn(&Run) -> f64| spread(runs.iter().map(field));
            let astray = runs.iter().map(|run| run.astray).fold(0.0, f64::max);
            writeln!(
                text,
                "| {name}{} | {:.2} | {:.0} | {:.1} | {:.1} |",
                if astray > ASTRAY {
                    format!(" (up to {:.1} % went the other way)", 100.0 * astray)
                } else {
                    String::new()
                },
                of(|run| run.server_us),
                of(|run| run.per_second),
                of(|run| run.p50_us),
                of(|run| run.p99_us),
            )?;
        }
        writeln!(text)?;
    }
    let [few, some, many] = COUNTS;
    writeln!(text, "## Live buckets of a key\n")?;
    writeln!(text, "| absolute, server µs | {few} | {some} | {many} |\n|---|---|---|---|")?;
    for (name, field) in KINDS {
        let of = |which: usize| spread(results.buckets.iter().map(|each| field(each)[which]));
        writeln!(text, "| {name} | {:.2} | {:.2} | {:.2} |", of(0), of(1), of(2))?;
    }
    writeln!(text, "\n## What was to be shown\n\n| | asked | measured | |\n|---|---|---|---|")?;
    for (what, asked, measured, met) in verdicts(results) {
        let met = if met { "met" } else { "**not met**" };
        writeln!(text, "| {what} | {asked} | {measured} | {met} |")?;
    }
    Ok(())
}

type Kind = (&'static str, fn(&Buckets) -> [f64; COUNTS.len()]);
const KINDS: [Kind; 2] =
    [("hot over limit", |each| each.hot_over), ("a new bucket each call", |each| each.new_bucket)];

/// The claim, the figure asked for, that measured, and whether the median meets it.
fn verdicts(results: &Results) -> Vec<(String, String, String, bool)> {
    let mut verdicts = Vec::new();
    let server = |workload: usize, which: usize| -> Vec<f64> {
        results.runs[workload][which].iter().map(|run| run.server_us).collect()
    };
    for (rival, limits) in [(GCRA, [1.0, 1.3, 1.9]), (PEER, [0.4, 0.4, 0.65])] {
        for (index, workload) in Workload::ALL.into_iter().enumerate() {
            let ratio = Spread::of_ratios(&server(index, ABSOLUTE), &server(index, rival));
            let ratio = ratio.expect("there are rounds");
            verdicts.push((
                format!("server time, {}: to {}", workload.name(), NAMES[rival]),
                format!("≤ {}×", limits[index]),
                format!("{ratio:.2}"),
                ratio.median <= limits[index],
            ));
        }
    }
    for (name, field) in KINDS {
        let to = |few: usize| {
            spread(results.buckets.iter().map(|each| field(each)[2] / field(each)[few]))
        };
        let (ratio, [few, some, many]) = (to(0), COUNTS);
        verdicts.push((
            format!("server time, {name}: {many} live buckets to {few}"),
            "0.85–1.15×".into(),
            format!("{ratio:.2}; to {some}: {:.2}", to(1)),
            (0.85..=1.15).contains(&ratio.median),
        ));
    }
    let [ours, gcra, peer] = results.bytes_per_key;
    verdicts.push((
        "memory of a key with one live bucket".into(),
        "≤ 170 bytes".into(),
        format!("{ours:.0} (gcra {gcra:.0}, peer {peer:.0})"),
        ours <= 170.0,
    ));
    for (index, workload) in Workload::ALL.into_iter().enumerate() {
        let [ours, bare] = [ABSOLUTE, BARE].map(|which| &results.runs[index][which]);
        let ratio = spread(
            ours.iter()
                .zip(bare)
                .map(|(ours, bare)| ours.p50_us / (bare.p50_us + ours.server_us - bare.server_us)),
        );
        verdicts.push((
            format!(
                "caller's p50, {}: to that of `return 1` and the script's extra time",
                workload.name()
            ),
            "≤ 1.1×".into(),
            format!("{ratio:.2}"),
            ratio.median <= 1.1,
        ));
    }
    let denials = spread(results.denials_per_second.iter().map(|each| each / 1e6));
    verdicts.push((
        "rejections of a denied hot key with the denial cache, 1 thread".into(),
        "≥ 1 M/s".into(),
        format!("{denials:.2} M/s"),
        denials.median >= 1.0,
    ));
    verdicts
}

fn spread(values: impl Iterator<Item = f64>) -> Spread {
    Spread::of(values).expect("there are rounds")
}

pub(crate) fn today() -> String {
    said("date", &["-u", "+%Y-%m-%d"])
}

fn rustc() -> String {
    let text = said("rustc", &["--version"]);
    text.split(" (").next().unwrap_or_default().to_owned()
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|_| format!("no {program}"))
}
