//! Runs, interleaved.

use core::time::Duration;

use trypema_benches::load::{self, Throughput};
use trypema_benches::overshoot::{self, Attack};
use trypema_benches::rivals::Name;
use trypema_benches::rule::Rule;
use trypema_benches::with_rival;
use trypema_benches::workload::{Scene, Stock};

use crate::Plan;
use crate::results::{Quantiles, Results};

/// Units per second of the overshoot tests.
const ATTACKED: u32 = 1_000;
/// By how much one unit goes ahead of the others: most of a bucket.
const AHEAD: Duration = Duration::from_millis(7);

pub(crate) fn throughput(plan: &Plan, stock: &Stock, results: &mut Results) {
    each_scene(plan, stock, "throughput", |scene, threads, name| {
        let Throughput { per_second, admitted } = with_rival!(name, R => {
            let rival = scene.rival::<R>();
            load::throughput(&rival, scene, plan.terms)
        });
        let cell = (scene.workload, threads, name);
        results.throughput.entry(cell).or_default().push(per_second);
        let strayed = results.strayed.entry(cell).or_insert(admitted);
        *strayed =
            if scene.workload.is_over() { strayed.max(admitted) } else { strayed.min(admitted) };
    });
}

pub(crate) fn latency(plan: &Plan, stock: &Stock, results: &mut Results) {
    each_scene(plan, stock, "latency", |scene, threads, name| {
        let times = with_rival!(name, R => {
            let rival = scene.rival::<R>();
            load::latency(&rival, scene, plan.terms)
        });
        let at = |quantile| times.value_at_quantile(quantile) as f64;
        let quantiles = Quantiles { p50: at(0.5), p99: at(0.99), p999: at(0.999) };
        results.latency.entry((scene.workload, threads, name)).or_default().push(quantiles);
    });
}

/// The attacks that count: what is admitted at most in the worst window.
pub(crate) fn overshoot(plan: &Plan, results: &mut Results) {
    let time = Duration::from_millis(if plan.short { 1_100 } else { 3_300 });
    let attack = Attack { threads: 4, batch: 1, ahead: None, time };
    let attacks = [
        ("units one by one, 8 threads", Attack { threads: 8, ..attack }),
        ("batches of 64, 4 threads", Attack { batch: 64, ..attack }),
        ("one unit 7 ms ahead of the others", Attack { ahead: Some(AHEAD), ..attack }),
    ];
    let rule = Rule::second(ATTACKED);
    for (title, attack) in attacks {
        // In short mode only ours, which it asserts.
        let wanted = |name: &&Name| !name.is_floor() && (!plan.short || name.is_ours());
        for &name in plan.rivals.iter().filter(wanted) {
            eprintln!("overshoot: {title}: {}", name.label());
            let worst = with_rival!(name, R => overshoot::worst_window::<R>(rule, attack));
            results.overshoot.entry(title).or_default().insert(name, (worst, name.most(&rule)));
        }
    }
}

/// All rivals on all loads, a round after the other.
fn each_scene(
    plan: &Plan,
    stock: &Stock,
    what: &str,
    mut run: impl FnMut(&Scene<'_>, usize, Name),
) {
    for &workload in &plan.workloads {
        for &threads in &plan.threads {
            eprintln!("{what}: {}, {threads} threads", workload.title());
            let scene = stock.scene(workload, threads);
            for round in 0..plan.rounds {
                for name in order(&plan.rivals, round) {
                    run(&scene, threads, name);
                }
            }
        }
    }
}

/// Begins with another rival in each round, and turns around in every second: nobody always comes
/// first, or always after the same one.
fn order(rivals: &[Name], round: usize) -> Vec<Name> {
    let mut rotated = rivals.to_vec();
    rotated.rotate_left(round % rivals.len());
    if round % 2 == 1 {
        rotated.reverse();
    }
    rotated
}
