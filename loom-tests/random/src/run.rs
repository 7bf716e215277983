//! One run: set-up, race, and a look at what is left.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use generator::{Generator, Gn};

use crate::act::{Act, Scene};
use crate::judge::judge;
use crate::memory::{self, Pace};
use crate::size::Size;
use crate::sync::{self, epoch};

/// The shape of a run, drawn by its family.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) size: Size,
    pub(crate) limit: u64,
    pub(crate) clock: u64,
    /// Calls one after the other, each after so many ticks.
    pub(crate) before: Vec<(u64, Planned)>,
    /// Calls of each racing thread.
    pub(crate) racing: Vec<Vec<Planned>>,
    pub(crate) pace: Pace,
    pub(crate) turns: Turns,
    /// Whether calls take the fast path where there is one.
    pub(crate) fast_path: bool,
}

/// How racing threads take turns.
#[derive(Debug, Clone)]
pub(crate) enum Turns {
    /// At random, in a pace of their own.
    Random,
    /// In this order, each for so many accesses, and then to the end one after the other.
    Told(Vec<(usize, usize)>),
}

/// A call, and how old its clock reading is, or how much later than the clock it is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned {
    pub(crate) act: Act,
    pub(crate) age: u64,
    pub(crate) later: u64,
}

/// Words of a thread's stack.
const STACK: usize = 0x2000;

thread_local! {
    /// The scene of the run: coroutines may not borrow it, nor own what is not `Send`.
    static SCENE: RefCell<Option<Rc<Scene>>> = const { RefCell::new(None) };
}

/// Runs a shape: what is wrong with the outcome, if anything.
pub(crate) fn run(seed: u64, shape: &Shape, is_told: bool) -> Result<(), String> {
    memory::reset(seed, shape.clock, is_told);
    epoch::reset();
    sync::take_short_way(shape.fast_path);
    let scene = Rc::new(Scene::new(shape.size.layout(), shape.limit));
    SCENE.set(Some(Rc::clone(&scene)));
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        prepare(&scene, shape);
        race(shape);
        look_at_the_end(&scene, shape.size);
    }))
    .map_err(|panic| message(&*panic))
    .and_then(|()| judge(&scene, shape));
    if is_told {
        eprintln!("{shape:?}");
        for call in scene.calls.borrow().iter() {
            eprintln!("{call}");
        }
    }
    // After a panic there may be accesses under way that the memory of the run would not survive.
    if outcome.is_err() {
        core::mem::forget(scene);
        return outcome;
    }
    SCENE.set(None);
    drop(scene);
    match epoch::live() {
        0 => Ok(()),
        rings => Err(format!("{rings} rings were never given back")),
    }
}

fn prepare(scene: &Scene, shape: &Shape) {
    for &(ticks, planned) in &shape.before {
        memory::advance(ticks);
        call(scene, 0, planned);
    }
}

fn call(scene: &Scene, thread: usize, Planned { act, age, later }: Planned) {
    scene.call(thread, act, memory::clock().saturating_sub(age) + later);
}

/// Runs a racing thread's plan.
fn body(thread: usize, plan: &[Planned]) {
    let scene = SCENE.with_borrow(Option::clone).expect("a run has a scene");
    plan.iter().for_each(|planned| call(&scene, thread, *planned));
}

fn race(shape: &Shape) {
    let mut threads = Vec::new();
    for (thread, plan) in (1..).zip(shape.racing.clone()) {
        memory::spawn(thread);
        threads.push((thread, Gn::<()>::new_opt(STACK, move || body(thread, &plan))));
    }
    memory::set_pace(shape.pace);
    match &shape.turns {
        Turns::Random => take_turns_at_random(threads),
        Turns::Told(order) => take_turns(threads, order),
    }
    memory::set_pace(Pace { switch: 0, tick: 0, jump: 0, stale: 0 });
    memory::join_all();
}

type Threads = Vec<(usize, Generator<'static, (), ()>)>;

fn take_turns_at_random(mut threads: Threads) {
    // A thread that sleeps is not chosen until that step.
    let mut awake = [0; memory::THREADS];
    while !threads.is_empty() {
        let steps = memory::steps();
        let chosen = memory::draw(|rng| {
            let any = rng.usize(..threads.len());
            let rested: Vec<usize> =
                (0..threads.len()).filter(|index| awake[threads[*index].0] <= steps).collect();
            if rested.is_empty() { any } else { rested[rng.usize(..rested.len())] }
        });
        let thread = threads[chosen].0;
        if memory::draw(|rng| rng.u32(0..12) == 0) {
            awake[thread] = steps + memory::draw(|rng| rng.u64(0..200));
        }
        threads = resume(threads, chosen);
        if threads[chosen].1.is_done() {
            threads.swap_remove(chosen);
        }
    }
}

fn take_turns(mut threads: Threads, order: &[(usize, usize)]) {
    let to_the_end = (1..=threads.len()).map(|thread| (thread, usize::MAX));
    for (thread, accesses) in order.iter().copied().chain(to_the_end) {
        for _ in 0..accesses {
            if threads[thread - 1].1.is_done() {
                break;
            }
            threads = resume(threads, thread - 1);
        }
    }
}

/// Lets a thread run on until it yields. If it panics, the others are left as they are: they stand
/// in the middle of something, and are not to be unwound.
fn resume(mut threads: Threads, index: usize) -> Threads {
    memory::switch_to(threads[index].0);
    match catch_unwind(AssertUnwindSafe(|| threads[index].1.resume())) {
        Ok(_) => threads,
        Err(panic) => {
            core::mem::forget(threads);
            std::panic::resume_unwind(panic);
        }
    }
}

/// Reads the usage until nothing is left of it.
fn look_at_the_end(scene: &Scene, size: Size) {
    let latest = scene.calls.borrow().iter().map(|call| call.now).max().unwrap_or(0);
    memory::advance(latest.saturating_sub(memory::clock()));
    for _ in 0..=size.span {
        call(scene, 0, Planned { act: Act::Usage, age: 0, later: 0 });
        memory::advance(1);
    }
}

fn message(panic: &(dyn core::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panic: {}", text.unwrap_or("without a message"))
}
