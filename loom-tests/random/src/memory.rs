//! The memory of a run: what was ever written to each word, and what each thread knows of it.
//!
//! The model is that of views. Every word keeps all values it ever had, in order. A thread's view
//! says, for each word, the oldest value that it may still see: a load picks that or any later
//! one, and never again an older one. A release attaches the writer's view to the value, an acquire
//! adopts the view attached to what it read. A read-modify-write reads the last value, and
//! what it writes carries on the view that was attached there (a release sequence). That is C11's
//! release and acquire, less executions that need a value from the future.
//!
//! Views also say which calls of the other threads are known to have returned: that is the order
//! that a linearization has to respect, and all that a program could know of it.

use std::cell::RefCell;
use std::rc::Rc;

use crate::sync::atomic::Ordering;

/// Threads of a run: the set-up is number 0, the racing ones follow.
pub(crate) const THREADS: usize = 5;
/// More accesses than any run needs.
const ENDLESS: u64 = 200_000;

/// Calls of each thread that are known to have returned.
pub(crate) type Known = [u16; THREADS];

#[derive(Debug, Clone, Default)]
struct View {
    /// Per word: 1 + the index of the oldest value still to be seen. 0: nothing is known of it.
    oldest: Vec<u32>,
    returned: Known,
}

impl View {
    fn join(&mut self, other: &Self) {
        if self.oldest.len() < other.oldest.len() {
            self.oldest.resize(other.oldest.len(), 0);
        }
        for (mine, theirs) in self.oldest.iter_mut().zip(&other.oldest) {
            *mine = (*mine).max(*theirs);
        }
        for (mine, theirs) in self.returned.iter_mut().zip(other.returned) {
            *mine = (*mine).max(theirs);
        }
    }

    fn of(&self, word: usize) -> u32 {
        self.oldest.get(word).copied().unwrap_or(0)
    }

    fn set(&mut self, word: usize, oldest: u32) {
        if self.oldest.len() <= word {
            self.oldest.resize(word + 1, 0);
        }
        self.oldest[word] = oldest;
    }
}

struct Value {
    value: u64,
    /// The view that acquiring this value brings.
    attached: Option<Rc<View>>,
}

#[derive(Default)]
struct Word {
    values: Vec<Value>,
    is_freed: bool,
}

struct Memory {
    words: Vec<Word>,
    views: Vec<View>,
    /// The view that a thread gains by pinning: see `epoch`.
    retired: View,
    thread: usize,
    rng: fastrand::Rng,
    /// How many loads in a hundred may see an old value. None: sequential consistency.
    stale: u32,
    /// One access in so many is followed by another thread's. 0: the thread runs alone.
    switch: u32,
    /// One access in so many is followed by a new tick. 0: time stands still.
    tick: u32,
    /// One new tick in eight is up to so many ticks later.
    jump: u64,
    clock: u64,
    steps: u64,
    is_told: bool,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::new(Memory::new(0));
}

/// How threads of a run take turns, and how time passes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) switch: u32,
    pub(crate) tick: u32,
    pub(crate) jump: u64,
    pub(crate) stale: u32,
}

impl Memory {
    fn new(seed: u64) -> Self {
        Self {
            words: Vec::new(),
            views: vec![View::default(); THREADS],
            retired: View::default(),
            thread: 0,
            rng: fastrand::Rng::with_seed(seed),
            stale: 0,
            switch: 0,
            tick: 0,
            jump: 0,
            clock: 0,
            steps: 0,
            is_told: false,
        }
    }

    fn chance(&mut self, one_in: u32) -> bool {
        one_in > 0 && self.rng.u32(0..one_in) == 0
    }

    /// The index of the value that a load sees: mostly the last, else the oldest or any other.
    fn seen(&mut self, oldest: usize, last: usize) -> usize {
        let is_stale = oldest < last && self.stale > 0 && self.rng.u32(0..100) < self.stale;
        match is_stale {
            true if self.rng.bool() => oldest,
            true => self.rng.usize(oldest..=last),
            false => last,
        }
    }

    /// The index of the oldest value of a word that this thread may see.
    fn oldest(&self, word: usize) -> usize {
        assert!(!self.words[word].is_freed, "access to a ring that was freed");
        let oldest = self.views[self.thread].of(word);
        assert!(oldest > 0, "access to a word whose making was not published to this thread");
        oldest as usize - 1
    }

    /// Reads the value of an index: from now on no older one is seen.
    fn read(&mut self, word: usize, index: usize, order: Ordering) -> u64 {
        let view = &mut self.views[self.thread];
        view.set(word, 1 + u32::try_from(index).expect("a short run"));
        let value = &self.words[word].values[index];
        if acquires(order)
            && let Some(attached) = &value.attached
        {
            view.join(attached);
        }
        value.value
    }

    /// Writes after the last value. `carried` is what that one had attached, if this write carries
    /// it on.
    fn write(&mut self, word: usize, value: u64, order: Ordering, carried: Option<Rc<View>>) {
        let index = u32::try_from(self.words[word].values.len()).expect("a short run");
        self.views[self.thread].set(word, 1 + index);
        let attached = if releases(order) {
            let mut view = self.views[self.thread].clone();
            if let Some(carried) = carried {
                view.join(&carried);
            }
            Some(Rc::new(view))
        } else {
            carried
        };
        if self.is_told {
            eprintln!("{:>6} thread {} word {word} = {value:#x}", self.steps, self.thread);
        }
        self.words[word].values.push(Value { value, attached });
    }
}

fn acquires(order: Ordering) -> bool {
    matches!(order, Ordering::Acquire | Ordering::AcqRel | Ordering::SeqCst)
}

fn releases(order: Ordering) -> bool {
    matches!(order, Ordering::Release | Ordering::AcqRel | Ordering::SeqCst)
}

fn with<T>(f: impl FnOnce(&mut Memory) -> T) -> T {
    MEMORY.with_borrow_mut(f)
}

// --- what the atomics do -------------------------------------------------------------------------

/// A word with its first value, known to this thread alone.
pub(crate) fn create(value: u64) -> usize {
    with(|memory| {
        let word = memory.words.len();
        let values = vec![Value { value, attached: None }];
        memory.words.push(Word { values, is_freed: false });
        memory.views[memory.thread].set(word, 1);
        word
    })
}

/// Before an access: lets others go on, and time pass.
fn point() {
    let is_switch = with(|memory| {
        memory.steps += 1;
        assert!(memory.steps < ENDLESS, "a call that never ends");
        if memory.chance(memory.tick) {
            let jump = memory.jump;
            let far = if memory.rng.u32(0..8) == 0 { memory.rng.u64(0..=jump) } else { 0 };
            memory.clock += 1 + far;
        }
        memory.chance(memory.switch)
    });
    if is_switch {
        #[expect(
            deprecated,
            reason = "the scope would have to be passed through the library's code"
        )]
        generator::yield_with(());
    }
}

pub(crate) fn load(word: usize, order: Ordering) -> u64 {
    point();
    with(|memory| {
        let (oldest, last) = (memory.oldest(word), memory.words[word].values.len() - 1);
        let index = memory.seen(oldest, last);
        memory.read(word, index, order)
    })
}

pub(crate) fn store(word: usize, value: u64, order: Ordering) {
    point();
    with(|memory| {
        let _ = memory.oldest(word);
        memory.write(word, value, order, None);
    });
}

pub(crate) fn compare_exchange(
    word: usize,
    current: u64,
    new: u64,
    success: Ordering,
    failure: Ordering,
) -> Result<u64, u64> {
    point();
    with(|memory| {
        let (oldest, last) = (memory.oldest(word), memory.words[word].values.len() - 1);
        let old = memory.seen(oldest, last);
        // To fail is to load; to succeed takes the last value.
        if memory.words[word].values[old].value != current {
            return Err(memory.read(word, old, failure));
        }
        if memory.words[word].values[last].value != current {
            return Err(memory.read(word, last, failure));
        }
        let value = memory.read(word, last, success);
        let carried = memory.words[word].values[last].attached.clone();
        memory.write(word, new, success, carried);
        Ok(value)
    })
}

pub(crate) fn update(word: usize, order: Ordering, f: impl FnOnce(u64) -> u64) -> u64 {
    point();
    with(|memory| {
        let _ = memory.oldest(word);
        let last = memory.words[word].values.len() - 1;
        let value = memory.read(word, last, order);
        let carried = memory.words[word].values[last].attached.clone();
        memory.write(word, f(value), order, carried);
        value
    })
}

// --- what reclamation does -----------------------------------------------------------------------

/// Nobody may access this word any more.
pub(crate) fn free(word: usize) {
    with(|memory| memory.words[word].is_freed = true);
}

/// Threads that pin later will have this thread's view.
pub(crate) fn retire() {
    with(|memory| {
        let view = memory.views[memory.thread].clone();
        memory.retired.join(&View { returned: Known::default(), ..view });
    });
}

pub(crate) fn learn_of_retired() {
    with(|memory| {
        let Memory { views, retired, thread, .. } = memory;
        views[*thread].join(retired);
    });
}

// --- what a run does -----------------------------------------------------------------------------

/// Forgets everything: a new run begins, on the set-up's thread.
pub(crate) fn reset(seed: u64, clock: u64, is_told: bool) {
    with(|memory| *memory = Memory { clock, is_told, ..Memory::new(seed) });
}

pub(crate) fn set_pace(pace: Pace) {
    with(|memory| {
        memory.switch = pace.switch;
        memory.tick = pace.tick;
        memory.jump = pace.jump;
        memory.stale = pace.stale;
    });
}

/// From now on, this thread runs.
pub(crate) fn switch_to(thread: usize) {
    with(|memory| memory.thread = thread);
}

/// A thread begins knowing what the set-up knows.
pub(crate) fn spawn(thread: usize) {
    with(|memory| memory.views[thread] = memory.views[0].clone());
}

/// The set-up goes on, knowing what all the others know.
pub(crate) fn join_all() {
    with(|memory| {
        memory.thread = 0;
        let views = memory.views.clone();
        for view in &views[1..] {
            memory.views[0].join(view);
        }
    });
}

/// A call of this thread has returned.
pub(crate) fn returned() {
    with(|memory| memory.views[memory.thread].returned[memory.thread] += 1);
}

/// Calls of every thread that this one may know to have returned. With sequential consistency that
/// is all of them, in real time.
pub(crate) fn known() -> Known {
    with(|memory| {
        if memory.stale > 0 {
            return memory.views[memory.thread].returned;
        }
        core::array::from_fn(|thread| memory.views[thread].returned[thread])
    })
}

pub(crate) fn steps() -> u64 {
    with(|memory| memory.steps)
}

pub(crate) fn clock() -> u64 {
    with(|memory| memory.clock)
}

pub(crate) fn advance(ticks: u64) {
    with(|memory| memory.clock += ticks);
}

/// A draw from the run's own sequence.
pub(crate) fn draw<T>(f: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
    with(|memory| f(&mut memory.rng))
}
