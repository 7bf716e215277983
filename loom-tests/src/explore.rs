//! Runs a model to exhaustion and says how far that was.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use loom::thread;

use crate::scene::{Act, Answer, Scene};
use crate::sync::take_short_way;

/// Preemptions explored unless the environment says otherwise.
const BOUND: usize = 2;
/// The environment's say: a number, or `none`.
const BOUND_VARIABLE: &str = "TRYPEMA_LOOM_BOUND";
/// If set, models of three threads and more are explored in every order and on the fast path, and those
/// that would take CI too long are explored at all.
const LONG_VARIABLE: &str = "TRYPEMA_LOOM_LONG";

/// Explores every interleaving, within the bound, of `acts` on a scene made by `prepare`, each on
/// a thread of its own, and hands the scene and the answers, in the order of `acts`, to `judge`.
/// Then prints a line.
///
/// The exploration is repeated for the order of the acts and its reverse, in the long run for every
/// order. Interleavings do not depend on the
/// order that threads are started in, but loom's way of finding them does: it remembers only the
/// last access to an atomic, so that a thread which loads it again before it writes hides the
/// race with an earlier reader. Whatever is hidden in one order is found in another; two threads
/// are in both of theirs in an order and its reverse.
pub(crate) fn explore<S: Scene>(
    name: &str,
    acts: &'static [Act],
    prepare: impl Fn() -> S + Send + Sync + 'static,
    judge: impl Fn(&S, &[Answer]) + Send + Sync + 'static,
) {
    let model = Arc::new((prepare, judge));
    for (fast_path_enabled, name) in ways(name, acts.len()) {
        take_short_way(fast_path_enabled);
        let mut exploration = Exploration::begin(&name);
        for order in orders(acts.len()) {
            let model = Arc::clone(&model);
            exploration.exhaust(move || {
                let (prepare, judge) = &*model;
                let scene = loom::sync::Arc::new(prepare());
                let answers = run(&scene, acts, &order);
                judge(&scene, &answers);
            });
        }
        exploration.report();
    }
}

/// Whether to take the fast path, see `window::fast_path`, and what the exploration is then called. All
/// that a call looks at on the fast path it looks at again in the full protocol, which more than squares
/// the interleavings; so for more than two threads the fast path waits for the long run.
fn ways(name: &str, threads: usize) -> Vec<(bool, String)> {
    let mut ways = vec![(false, name.to_owned())];
    if threads <= 2 || is_long() {
        ways.push((true, format!("{name}, the fast path")));
    }
    ways
}

/// Explores every interleaving, within the bound, of a model that starts its threads itself.
pub(crate) fn explore_model(name: &str, model: impl Fn() + Send + Sync + 'static) {
    let mut exploration = Exploration::begin(name);
    exploration.exhaust(model);
    exploration.report();
}

struct Exploration {
    name: String,
    bound: Option<usize>,
    iterations: Arc<AtomicUsize>,
    started: Instant,
}

impl Exploration {
    fn begin(name: &str) -> Self {
        let bound = match std::env::var(BOUND_VARIABLE) {
            Err(_) => Some(BOUND),
            Ok(text) if text == "none" => None,
            Ok(text) => Some(text.parse().expect("TRYPEMA_LOOM_BOUND is a number or `none`")),
        };
        let iterations = Arc::new(AtomicUsize::new(0));
        Self { name: name.to_owned(), bound, iterations, started: Instant::now() }
    }

    fn exhaust(&mut self, model: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = self.bound;
        // Neither a number of iterations nor a time ends an exploration: it is exhausted or fails.
        builder.max_permutations = None;
        builder.max_duration = None;
        // Nor does it begin in the middle. All of these loom would take from its own variables.
        builder.checkpoint_file = None;
        // An execution that is longer than this fails the model.
        builder.max_branches = 50_000;
        let counter = Arc::clone(&self.iterations);
        builder.check(move || {
            // Relaxed: a plain counter, read after all is over.
            counter.fetch_add(1, Ordering::Relaxed);
            #[cfg(not(crossbeam_loom))]
            crate::sync::epoch::free_retired();
            model();
        });
    }

    /// To be called when all that was to be explored has been: loom's `check` returns only when
    /// there is nothing left, and panics otherwise, since no limit of ours or its own ends it early.
    fn report(&self) {
        let Self { name, bound, iterations, started } = self;
        let bound = bound.map_or_else(|| "none".to_owned(), |bound| bound.to_string());
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("?");
        // Tabs: `loom-tests/results.sh` makes a table of these lines.
        eprintln!(
            "loom-result\t{test}\t{name}\t{bound}\t{}\t{:.2}\texhausted",
            // Relaxed: as above.
            iterations.load(Ordering::Relaxed),
            started.elapsed().as_secs_f64(),
        );
    }
}

/// Runs the acts on threads that are started in `order`, the last of them being this one.
fn run<S: Scene>(scene: &loom::sync::Arc<S>, acts: &[Act], order: &[usize]) -> Vec<Answer> {
    let (&last, others) = order.split_last().expect("a model acts");
    let threads: Vec<_> = others
        .iter()
        .map(|&index| {
            let (scene, act) = (loom::sync::Arc::clone(scene), acts[index]);
            (index, thread::spawn(move || scene.act(act)))
        })
        .collect();
    let mut answers = vec![(last, scene.act(acts[last]))];
    for (index, thread) in threads {
        answers.push((index, thread.join().expect("no thread panics")));
    }
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// The orders of `len` things to explore: all of them, or one and its reverse.
fn orders(len: usize) -> Vec<Vec<usize>> {
    if !is_long() && len > 2 {
        return vec![(0..len).collect(), (0..len).rev().collect()];
    }
    let mut orders = vec![Vec::new()];
    for thing in 0..len {
        orders = orders
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..=order.len()).map(move |place| {
                    let mut longer = order.clone();
                    longer.insert(place, thing);
                    longer
                })
            })
            .collect();
    }
    orders
}

/// Whether this is the long run.
pub(crate) fn is_long() -> bool {
    std::env::var_os(LONG_VARIABLE).is_some()
}
