//! Bars, as SVG.

use core::fmt::Write as _;

use trypema_benches::rivals::Name;
use trypema_benches::workload::Workload;

use crate::report::{threads_text, throughputs};
use crate::results::Results;

const WIDTH: f64 = 860.0;
/// Where bars begin, and how long the longest is.
const LEFT: f64 = 150.0;
const LONGEST: f64 = 600.0;
const ROW: f64 = 17.0;
const GAP: f64 = 34.0;

struct Group {
    title: String,
    unit: &'static str,
    bars: Vec<(Name, f64)>,
}

/// Pictures with their file names: one per number of threads, and one of memory.
pub(crate) fn all(results: &Results) -> Vec<(String, String)> {
    let mut threads: Vec<usize> =
        results.throughput.keys().map(|(_, threads, _)| *threads).collect();
    threads.sort_unstable();
    threads.dedup();
    let mut pictures: Vec<_> = threads
        .into_iter()
        .map(|threads| {
            let title = format!("Millions of calls per second, {}", threads_text(threads));
            let groups = Workload::ALL.map(|workload| speeds(results, workload, threads));
            (format!("throughput-{threads}.svg"), picture(&title, &groups))
        })
        .collect();
    if !results.memory.is_empty() {
        let title = "Bytes per key (shorter is better)";
        pictures.push(("memory.svg".into(), picture(title, &sizes(results))));
    }
    pictures
}

fn speeds(results: &Results, workload: Workload, threads: usize) -> Group {
    let names = results.throughput.keys().filter(|key| key.0 == workload && key.1 == threads);
    let bars =
        names.filter_map(|&cell| Some((cell.2, throughputs(results, cell)?.median))).collect();
    Group { title: workload.title().into(), unit: "", bars }
}

fn sizes(results: &Results) -> [Group; 3] {
    let group = |title: &str, figure: fn(&crate::results::Memory) -> f64| Group {
        title: title.into(),
        unit: " B",
        bars: results
            .memory
            .iter()
            .filter(|(name, _)| !name.is_floor())
            .map(|(name, memory)| (*name, figure(memory)))
            .collect(),
    };
    [
        group("a million keys, allocated", |memory| memory.distinct),
        group("300 live buckets", |memory| memory.live),
        group("a unit in every bucket of 10 ms for 6 s, window 1 s", |memory| memory.steady[2]),
    ]
}

fn picture(title: &str, groups: &[Group]) -> String {
    let rows: usize = groups.iter().map(|group| group.bars.len()).sum();
    let height = 44.0 + rows as f64 * ROW + groups.len() as f64 * GAP;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"12\" y=\"26\" font-size=\"16\" fill=\"#1f2328\">{title}</text>\n"
    );
    let mut top = 44.0;
    for group in groups {
        let longest = group.bars.iter().map(|bar| bar.1).fold(f64::MIN_POSITIVE, f64::max);
        let _ = writeln!(
            svg,
            "<text x=\"12\" y=\"{}\" font-weight=\"bold\" fill=\"#1f2328\">{}</text>",
            top + 18.0,
            group.title
        );
        top += GAP - 8.0;
        for (name, value) in &group.bars {
            let length = value / longest * LONGEST;
            let digits = if *value < 100.0 { 2 } else { 0 };
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#1f2328\">{}</text>\
                 <rect x=\"{LEFT}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\" fill=\"{}\"/>\
                 <text x=\"{:.1}\" y=\"{}\" fill=\"#1f2328\">{value:.digits$}{}</text>",
                LEFT - 8.0,
                top + 12.0,
                name.label(),
                top + 2.0,
                ROW - 4.0,
                colour(*name),
                LEFT + length + 6.0,
                top + 12.0,
                group.unit,
            );
            top += ROW;
        }
        top += 8.0;
    }
    svg.push_str("</svg>\n");
    svg
}

fn colour(name: Name) -> &'static str {
    match name {
        _ if name.is_ours() => "#1a7f37",
        _ if name.is_floor() => "#afb8c1",
        _ => "#0969da",
    }
}
