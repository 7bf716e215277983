//! The results as Markdown.

use core::fmt::Write as _;
use std::collections::BTreeMap;
use std::fs;

use trypema_benches::load::Divisor;
use trypema_benches::rivals::Name;
use trypema_benches::spread::Spread;
use trypema_benches::workload::Workload;

use crate::results::{Cell, Quantiles, Results};
use crate::{Part, Plan, claims};

pub(crate) fn markdown(plan: &Plan, results: &Results) -> String {
    let mut text = String::new();
    head(&mut text, plan);
    if plan.has(Part::Throughput) {
        throughput(&mut text, plan, results);
    }
    if plan.has(Part::Latency) {
        latency(&mut text, plan, results);
    }
    if plan.has(Part::Memory) {
        memory(&mut text, plan, results);
    }
    if plan.has(Part::Overshoot) {
        overshoot(&mut text, plan, results);
    }
    if plan.parts.len() > 1 && !plan.short {
        let _ = writeln!(text, "## What was to be shown\n\n{}", claims::markdown(results));
    }
    text
}

fn head(text: &mut String, plan: &Plan) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let Plan { rounds, terms, .. } = plan;
    let _ = writeln!(
        text,
        "# Rate limiters side by side\n\n\
         `cargo run --profile bench -p trypema-benches --bin compare`: {rounds} rounds of {:?} on \
         {cores} cores ({}), threads {}. Window 10 s, bucket 10 ms, keys of 12 bytes. Each round \
         runs each rival once, on a fresh limiter and in another order; figures are medians of \
         the rounds, with the least and the most of them, and ratios are taken within a round.\n",
        terms.time,
        processor(),
        if terms.pin { "pinned" } else { "not pinned" },
    );
    if terms.divisor == Divisor::Cpu {
        let _ =
            writeln!(text, "Calls are divided by processor time, not by the time that passed.\n");
    }
    if plan.short {
        let _ = writeln!(text, "Short mode: a tenth of the keys, and times that say nothing.\n");
    }
    text.push_str("| rival | |\n|---|---|\n");
    for name in &plan.rivals {
        let _ = writeln!(text, "| {} | {} |", name.label(), name.legend());
    }
    text.push('\n');
}

pub(crate) fn threads_text(threads: usize) -> String {
    if threads == 1 { "1 thread".into() } else { format!("{threads} threads") }
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| "processor unknown".into(), |(_, model)| model.trim().into())
}

/// One table per number of threads would hide how a rival scales: one per workload instead.
fn throughput(text: &mut String, plan: &Plan, results: &Results) {
    let reference = plan.rivals[0];
    let _ = writeln!(text, "## Throughput\n\nMillions of calls per second.\n");
    for &workload in &plan.workloads {
        let _ = writeln!(text, "### {}\n", title(workload));
        table_head(text, plan, &[("", ""), ("× of ", &reference.label())]);
        for &name in &plan.rivals {
            let _ = write!(text, "| {} |", name.label());
            for &threads in &plan.threads {
                let spread = throughputs(results, (workload, threads, name));
                let ratio = results.speedup(workload, threads, name, reference);
                let (Some(spread), Some(ratio)) = (spread, ratio) else {
                    text.push_str(" | |");
                    continue;
                };
                let _ = write!(text, " {spread} | {ratio} |");
            }
            text.push('\n');
        }
        text.push('\n');
    }
    let invalid = results.invalid();
    for (workload, threads, name) in invalid {
        let share = results.strayed[&(workload, threads, name)];
        let _ = writeln!(
            text,
            "Not comparable: {} admitted {:.2} % on {}, {}.",
            name.label(),
            share * 100.0,
            workload.title(),
            threads_text(threads)
        );
    }
}

fn title(workload: Workload) -> String {
    format!("{} (`{}`)", workload.title(), workload.label())
}

pub(crate) fn throughputs(results: &Results, cell: Cell) -> Option<Spread> {
    let rounds = results.throughput.get(&cell)?;
    Spread::of(rounds.iter().map(|per_second| per_second / 1e6))
}

/// Headings for each number of threads; `columns` are prefix and suffix of what comes with each.
fn table_head(text: &mut String, plan: &Plan, columns: &[(&str, &str)]) {
    text.push_str("| |");
    for threads in &plan.threads {
        for (number, (before, after)) in columns.iter().enumerate() {
            if number == 0 {
                let _ = write!(text, " {}{before}{after} |", threads_text(*threads));
            } else {
                let _ = write!(text, " {before}{after} |");
            }
        }
    }
    text.push_str("\n|---|");
    for _ in 0..plan.threads.len() * columns.len() {
        text.push_str("---:|");
    }
    text.push('\n');
}

fn latency(text: &mut String, plan: &Plan, results: &Results) {
    let _ = writeln!(
        text,
        "## Latency\n\nNanoseconds of a call, one call in 17 timed between two readings of the \
         time-stamp counter, less what two readings in a row take. The counter does not wait for \
         what is in flight: below some 20 ns a figure says little. p50 / p99 / p99.9, medians of \
         the rounds, and the spread of the p99.9.\n"
    );
    for &workload in &plan.workloads {
        let _ = writeln!(text, "### {}\n", title(workload));
        table_head(text, plan, &[("", ""), ("p99.9", "")]);
        for &name in &plan.rivals {
            let _ = write!(text, "| {} |", name.label());
            for &threads in &plan.threads {
                match quantiles(results, (workload, threads, name)) {
                    Some([p50, p99, p999]) => {
                        let (p50, p99) = (p50.median, p99.median);
                        let _ =
                            write!(text, " {p50:.0} / {p99:.0} / {:.0} | {p999:.0} |", p999.median);
                    }
                    None => text.push_str(" | |"),
                }
            }
            text.push('\n');
        }
        text.push('\n');
    }
}

fn quantiles(results: &Results, cell: Cell) -> Option<[Spread; 3]> {
    let rounds = results.latency.get(&cell)?;
    let of = |part: fn(&Quantiles) -> f64| Spread::of(rounds.iter().map(part));
    Some([of(|round| round.p50)?, of(|round| round.p99)?, of(|round| round.p999)?])
}

fn memory(text: &mut String, plan: &Plan, results: &Results) {
    let keys = if plan.short { "100k" } else { "1M" };
    let _ = writeln!(
        text,
        "## Memory\n\nBytes per key, each figure from a process of its own. Allocated: asked for \
         from the allocator and not given back. Resident: what the process grew by, divided. \
         Steady use: a unit in each bucket of 10 ms under a window of 1 s.\n\n\
         | | {keys} keys, allocated | {keys} keys, resident | 300 live buckets | steady, 2 s | 4 s | 6 s |\n\
         |---|---:|---:|---:|---:|---:|---:|"
    );
    for name in &plan.rivals {
        let Some(memory) = results.memory.get(name) else { continue };
        let _ = write!(
            text,
            "| {} | {:.1} | {:.1} |",
            name.label(),
            memory.distinct,
            memory.distinct_rss
        );
        for figure in [memory.live, memory.steady[0], memory.steady[1], memory.steady[2]] {
            let _ = write!(text, " {figure:.0} |");
        }
        text.push('\n');
    }
    text.push('\n');
}

fn overshoot(text: &mut String, plan: &Plan, results: &Results) {
    let _ = writeln!(
        text,
        "## Over capacity\n\nThreads ask for one key without pause, under 1,000 units per 1 s in \
         buckets of 10 ms. Units admitted in the worst interval of exactly 1 s, of calls that lie \
         inside of it as a whole; Suppressed may go to its hard limit, 1.5 times as many.\n"
    );
    let attacks: BTreeMap<_, _> = results.overshoot.iter().collect();
    text.push_str("| |");
    for attack in attacks.keys() {
        let _ = write!(text, " {attack} | over |");
    }
    text.push_str("\n|---|");
    text.push_str(&"---:|---:|".repeat(attacks.len()));
    text.push('\n');
    for name in plan.rivals.iter().filter(|name| !Name::is_floor(**name)) {
        let _ = write!(text, "| {} |", name.label());
        for outcomes in attacks.values() {
            match outcomes.get(name) {
                Some((worst, most)) => {
                    let over = worst.saturating_sub(*most);
                    let _ = write!(text, " {worst} of {most} | {over} |");
                }
                None => text.push_str(" | |"),
            }
        }
        text.push('\n');
    }
    text.push('\n');
}
