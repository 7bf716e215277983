//! Throughput and memory beside other limiters, as bars.

use super::results::{Results, Speeds};
use super::svg::{Anchor, Picture, number};

/// The rivals that are drawn, in order, with the names that readers know. The tables have the others too.
const RIVALS: [(&str, &str, &str); 6] = [
    ("absolute", "Absolute", "tp-ours"),
    ("suppressed", "Suppressed", "tp-also"),
    ("governor", "governor", "tp-peer"),
    ("governor-tuned", "governor, tuned", "tp-peer"),
    ("trypema2", "trypema 2.2.1", "tp-peer"),
    ("burster", "burster", "tp-peer"),
];
const WIDTH: f64 = 760.0;

pub(crate) fn throughput(results: &Results) -> String {
    const BAR: f64 = 5.0;
    let thick = BAR * results.threads.len() as f64;
    let row = thick + 5.0;
    let part = RIVALS.len() as f64 * row + 40.0;
    let parts_high = results.throughput.len().div_ceil(2) as f64;
    let mut picture = Picture::new(
        (WIDTH, 62.0 + parts_high * part),
        "Millions of calls per second",
        "Bars for each workload, rival and number of threads; the tables are in benches/results/compare.md.",
    );
    let threads: Vec<_> = results.threads.iter().map(u64::to_string).collect();
    let threads = threads.join(", ");
    let under = format!(
        "Longer is better; medians. Bars of {threads} threads on two shared cores; the figure is the longest's."
    );
    picture.label((16.0, 48.0), Anchor::Start, "tp-dim", &under);
    for (place, (title, speeds)) in results.throughput.iter().enumerate() {
        let left = 16.0 + (place % 2) as f64 * (WIDTH / 2.0 - 4.0);
        let top = 62.0 + (place / 2) as f64 * part;
        let title = in_words(title);
        picture.heading((left, top + 20.0), &title);
        let longest = drawn(speeds).flat_map(|(.., figures)| figures).copied().fold(0.0, f64::max);
        for (line, (name, class, figures)) in drawn(speeds).enumerate() {
            let y = top + 30.0 + line as f64 * row;
            picture.label((left + 96.0, y + thick / 2.0 + 4.0), Anchor::End, "tp-dim", name);
            let mut end = 0.0_f64;
            for (which, figure) in figures.iter().enumerate() {
                let length = figure / longest * 200.0;
                let strength = 1.0 - 0.3 * (figures.len() - 1 - which) as f64;
                let at = (left + 102.0, y + which as f64 * BAR);
                picture.bar(at, (length, BAR - 1.0), class, strength);
                end = end.max(length);
            }
            let most = figures.iter().copied().fold(0.0, f64::max);
            let most = if most < 10.0 { format!("{most:.1}") } else { format!("{most:.0}") };
            let at = (left + 102.0 + end + 6.0, y + thick / 2.0 + 4.0);
            picture.label(at, Anchor::Start, "tp-ink", &most);
        }
    }
    picture.finish()
}

fn in_words(workload: &str) -> String {
    let words = [
        ("uniform 100k", "100,000 keys at random"),
        ("Zipf 1M keys", "a million keys by Zipf's law"),
        ("1M new keys", "a million new keys"),
    ];
    words.iter().fold(workload.to_owned(), |text, (short, long)| text.replace(short, long))
}

/// The rivals that are drawn: name, class and figures.
fn drawn(speeds: &Speeds) -> impl Iterator<Item = (&'static str, &'static str, &Vec<f64>)> {
    RIVALS.iter().filter_map(|&(label, name, class)| {
        let (_, figures) = speeds.iter().find(|(rival, _)| rival == label)?;
        Some((name, class, figures))
    })
}

pub(crate) fn memory(results: &Results) -> String {
    const ROW: f64 = 18.0;
    const TITLES: [&str; 3] = [
        "A million keys, each used once",
        "One key with units in 300 buckets",
        "One key, a unit every 10 ms for 6 s under a window of 1 s",
    ];
    let part = RIVALS.len() as f64 * ROW + 40.0;
    let mut picture = Picture::new(
        (WIDTH, 62.0 + part * TITLES.len() as f64),
        "Bytes per key",
        "Bars for each rival; the table is in benches/results/compare.md.",
    );
    picture.label(
        (16.0, 48.0),
        Anchor::Start,
        "tp-dim",
        "Shorter is better. Asked for from the allocator.",
    );
    for (place, title) in TITLES.iter().enumerate() {
        let top = 62.0 + place as f64 * part;
        picture.heading((16.0, top + 20.0), title);
        let figure = |label: &str| {
            let (_, figures) = results.memory.iter().find(|(rival, _)| rival == label)?;
            Some(figures[place])
        };
        let longest = RIVALS.iter().filter_map(|rival| figure(rival.0)).fold(0.0, f64::max);
        for (line, (label, name, class)) in RIVALS.iter().enumerate() {
            let Some(bytes) = figure(label) else { continue };
            let y = top + 30.0 + line as f64 * ROW;
            picture.label((126.0, y + 11.0), Anchor::End, "tp-dim", name);
            let length = bytes / longest * 540.0;
            picture.rect((132.0, y), (length.max(1.0), ROW - 4.0), class);
            let text = number(bytes.round());
            picture.label((138.0 + length, y + 11.0), Anchor::Start, "tp-ink", &text);
        }
    }
    picture.finish()
}
