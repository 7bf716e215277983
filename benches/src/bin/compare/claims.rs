//! The claims to be shown, and whether they hold.

use core::fmt::Write as _;

use trypema_benches::rivals::Name;
use trypema_benches::spread::Spread;
use trypema_benches::workload::Workload;

use crate::report::threads_text;
use crate::results::Results;

const THREADS: [usize; 3] = [1, 2, 8];

struct Verdict {
    claim: String,
    asked: String,
    measured: String,
    met: Option<bool>,
    /// Beside the peer at its fastest, where that is somebody else.
    tuned: Option<Spread>,
}

/// A throughput that shall be so many times another one.
struct Speedup {
    workload: Workload,
    of: Name,
    to: Name,
    /// Threads, and the least ratio.
    least: &'static [(usize, f64)],
}

const fn speedup(
    workload: Workload,
    of: Name,
    to: Name,
    least: &'static [(usize, f64)],
) -> Speedup {
    Speedup { workload, of, to, least }
}

const SPEEDUPS: [Speedup; 11] = {
    use Name::{Absolute, Governor, Trypema2};
    use Workload::{
        FencedAllowed, FencedOver, HotAllowed, HotOver, NewKeys, UniformAllowed, UniformOver, Zipf,
    };
    [
        speedup(HotOver, Absolute, Governor, &[(1, 1.1), (2, 2.8), (8, 2.8)]),
        speedup(HotOver, Absolute, Trypema2, &[(1, 3.0), (2, 6.0)]),
        speedup(HotAllowed, Absolute, Governor, &[(1, 1.15), (2, 2.2), (8, 2.2)]),
        speedup(UniformAllowed, Absolute, Governor, &[(1, 1.15), (2, 1.15), (8, 1.15)]),
        speedup(UniformAllowed, Absolute, Trypema2, &[(1, 2.5), (2, 2.5), (8, 2.5)]),
        speedup(UniformOver, Absolute, Governor, &[(1, 1.0), (2, 1.0), (8, 1.0)]),
        speedup(UniformOver, Absolute, Trypema2, &[(1, 2.0), (2, 2.0), (8, 2.0)]),
        speedup(FencedAllowed, Absolute, Governor, &[(1, 1.0)]),
        speedup(FencedOver, Absolute, Governor, &[(1, 1.1)]),
        speedup(Zipf, Absolute, Governor, &[(1, 1.1), (2, 1.1), (8, 1.1)]),
        speedup(NewKeys, Absolute, Governor, &[(1, 1.1), (2, 1.1), (8, 1.1)]),
    ]
};

/// Suppressed, beside our Absolute.
const SUPPRESSED: f64 = 0.8;
const BYTES_PER_KEY: f64 = 130.0;
const BYTES_AT_300: f64 = 4_600.0;
/// The growth that steady use may show, from one third of the time to the whole: the noise of deferred freeing.
const GROWTH: f64 = 1.1;

/// The closing table.
pub(crate) fn markdown(results: &Results) -> String {
    let mut text = String::from(
        "Governor is `RateLimiter::keyed` here, as its documentation begins; the last column has the \
         same ratio to `governor-tuned`.\n\n\
         | must show | asked | measured | | to tuned |\n|---|---|---|---|---|\n",
    );
    let mut verdicts = Vec::new();
    speed(results, &mut verdicts);
    tails(results, &mut verdicts);
    memory(results, &mut verdicts);
    overshoot(results, &mut verdicts);
    for Verdict { claim, asked, measured, met, tuned } in &verdicts {
        let met = match met {
            Some(true) => "met",
            Some(false) => "**not met**",
            None => "not measured",
        };
        let tuned = tuned.map_or_else(String::new, |tuned| tuned.to_string());
        let _ = writeln!(text, "| {claim} | {asked} | {measured} | {met} | {tuned} |");
    }
    let met = verdicts.iter().filter(|verdict| verdict.met == Some(true)).count();
    let _ = writeln!(text, "\n{met} of {} met.", verdicts.len());
    text
}

fn speed(results: &Results, verdicts: &mut Vec<Verdict>) {
    let mut add = |workload: Workload, threads: usize, of: Name, to: Name, least: f64| {
        let ratio = results.speedup(workload, threads, of, to);
        verdicts.push(Verdict {
            claim: format!(
                "{}, {}: {} to {}",
                workload.title(),
                threads_text(threads),
                of.label(),
                to.label()
            ),
            asked: format!("≥ {least}×"),
            measured: ratio.map_or_else(String::new, |ratio| ratio.to_string()),
            met: ratio.map(|ratio| ratio.median >= least),
            tuned: (to == Name::Governor)
                .then(|| results.speedup(workload, threads, of, Name::GovernorTuned))
                .flatten(),
        });
    };
    for Speedup { workload, of, to, least } in SPEEDUPS {
        for &(threads, least) in least {
            add(workload, threads, of, to, least);
        }
    }
    for workload in Workload::ALL {
        for threads in THREADS {
            add(workload, threads, Name::Suppressed, Name::Absolute, SUPPRESSED);
        }
    }
}

fn tails(results: &Results, verdicts: &mut Vec<Verdict>) {
    for workload in [Workload::UniformAllowed, Workload::UniformOver] {
        let ratio = results.tail_ratio(workload, 8, Name::Absolute, Name::Governor);
        verdicts.push(Verdict {
            claim: format!("{}, 8 threads: p99.9 to governor's", workload.title()),
            asked: "≤ 1×".into(),
            measured: ratio.map_or_else(String::new, |ratio| ratio.to_string()),
            met: ratio.map(|ratio| ratio.median <= 1.0),
            tuned: results.tail_ratio(workload, 8, Name::Absolute, Name::GovernorTuned),
        });
    }
}

fn memory(results: &Results, verdicts: &mut Vec<Verdict>) {
    let absolute = results.memory.get(&Name::Absolute);
    let mut add = |claim: &str, asked: String, figure: Option<f64>, most: f64| {
        // Zero is what a part that was left out looks like.
        let figure = figure.filter(|figure| *figure > 0.0);
        verdicts.push(Verdict {
            claim: claim.into(),
            asked,
            measured: figure.map_or_else(String::new, |figure| format!("{figure:.2}")),
            met: figure.map(|figure| figure <= most),
            tuned: None,
        });
    };
    let bytes = |most: f64| format!("≤ {most} B");
    add(
        "a key of a million, allocated",
        bytes(BYTES_PER_KEY),
        absolute.map(|memory| memory.distinct),
        BYTES_PER_KEY,
    );
    add(
        "a key of a million, resident",
        bytes(BYTES_PER_KEY),
        absolute.map(|memory| memory.distinct_rss),
        BYTES_PER_KEY,
    );
    add(
        "a key with 300 live buckets",
        bytes(BYTES_AT_300),
        absolute.map(|memory| memory.live),
        BYTES_AT_300,
    );
    for name in [Name::Absolute, Name::Suppressed] {
        let growth = results.memory.get(&name).map(|memory| memory.steady[2] / memory.steady[0]);
        add(
            &format!("{}: flat in steady use, after 6 s to after 2 s", name.label()),
            format!("≤ {GROWTH}×"),
            growth,
            GROWTH,
        );
    }
}

fn overshoot(results: &Results, verdicts: &mut Vec<Verdict>) {
    for (attack, outcomes) in &results.overshoot {
        for (name, (worst, most)) in outcomes.iter().filter(|(name, _)| name.is_exact()) {
            let over = worst.saturating_sub(*most);
            verdicts.push(Verdict {
                claim: format!("{}: over capacity in any exact second, {attack}", name.label()),
                asked: "0".into(),
                measured: format!("{over} ({worst} of {most})"),
                met: Some(over == 0),
                tuned: None,
            });
        }
    }
}
