//! The measurements.

use std::collections::BTreeMap;

use trypema_benches::rivals::Name;
use trypema_benches::spread::Spread;
use trypema_benches::workload::Workload;

/// One rival under one load.
pub(crate) type Cell = (Workload, usize, Name);

/// Everything, by round where there are rounds.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// Calls per second.
    pub(crate) throughput: BTreeMap<Cell, Vec<f64>>,
    /// The share that was admitted, of all rounds the one farthest from what it should be.
    pub(crate) strayed: BTreeMap<Cell, f64>,
    /// Nanoseconds.
    pub(crate) latency: BTreeMap<Cell, Vec<Quantiles>>,
    pub(crate) memory: BTreeMap<Name, Memory>,
    /// By the name of the attack: units in the worst window, and how many would have been right.
    pub(crate) overshoot: BTreeMap<&'static str, BTreeMap<Name, (u64, u64)>>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

/// Bytes per key.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Asked for from the allocator, many distinct keys with one unit each.
    pub(crate) distinct: f64,
    /// The growth of the process, for the same.
    pub(crate) distinct_rss: f64,
    /// With 300 live buckets.
    pub(crate) live: f64,
    /// In steady use, a third, two thirds and all of the way.
    pub(crate) steady: [f64; 3],
}

/// A share of calls that went the other way than the workload says, beyond which a run measured
/// something else.
const TOLERATED: f64 = 0.001;

impl Results {
    /// Ratios of throughput, round by round.
    pub(crate) fn speedup(
        &self,
        workload: Workload,
        threads: usize,
        of: Name,
        to: Name,
    ) -> Option<Spread> {
        let of = self.throughput.get(&(workload, threads, of))?;
        Spread::of_ratios(of, self.throughput.get(&(workload, threads, to))?)
    }

    /// Ratios of the p99.9, round by round.
    pub(crate) fn tail_ratio(
        &self,
        workload: Workload,
        threads: usize,
        of: Name,
        to: Name,
    ) -> Option<Spread> {
        let tails = |name| -> Option<Vec<f64>> {
            let rounds = self.latency.get(&(workload, threads, name))?;
            Some(rounds.iter().map(|quantiles| quantiles.p999).collect())
        };
        Spread::of_ratios(&tails(of)?, &tails(to)?)
    }

    /// Runs in which a rival decided otherwise than the workload is meant.
    pub(crate) fn invalid(&self) -> Vec<Cell> {
        let stray = |(cell, admitted): (&Cell, &f64)| {
            let (workload, _, name) = *cell;
            let wrong = if workload.is_over() { *admitted } else { 1.0 - admitted };
            (!name.is_floor() && wrong > TOLERATED).then_some(*cell)
        };
        self.strayed.iter().filter_map(stray).collect()
    }

    /// The faults of our side: a reason to fail, whatever the times are.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let invalid = self.invalid().into_iter().filter(|(.., name)| name.is_ours());
        let mut wrong: Vec<String> = invalid
            .map(|(workload, threads, name)| {
                format!(
                    "{} admitted the wrong calls on {}, {threads} threads",
                    name.label(),
                    workload.label()
                )
            })
            .collect();
        for (attack, outcomes) in &self.overshoot {
            for (name, (worst, most)) in outcomes.iter().filter(|(name, _)| name.is_exact()) {
                if worst > most {
                    let name = name.label();
                    wrong.push(format!("{name}: {worst} units in a window of {most}, {attack}"));
                }
            }
        }
        wrong
    }
}
