//! The objects that models act on, and their acts.

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::window::two_steps::Look;
use crate::window::{Layout, Limit, MarkId, Outcome, Timeline, Window};

/// One call. Times are ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// Adds so many units at this tick, within the scene's limit.
    Add(u64, u64),
    /// Adds so many units at this tick, as the Suppressed strategy does it: whoever is rejected
    /// looks whether the window is dead by then, and asks again if so.
    Insist(u64, u64),
    /// Does these one after the other, and answers as the last does.
    All(&'static [Act]),
    /// Has the collector free what nobody reads any more, where there is a real one.
    Collect,
    /// Adds more than any window holds, whatever the limit.
    Fill(u64),
    /// Judges so many units at this tick.
    Look(u64, u64),
    /// Reads the usage at this tick.
    Usage(u64),
    /// Gives so many units back at this tick.
    Refund(u64, u64),
    /// Gives so many units back at this tick, of the bucket of an addition of the set-up: its number.
    Undo(u64, usize, u64),
    /// Adds so many units at this tick, and undoes that if it is admitted.
    Regret(u64, u64),
    /// Adds so many units at this tick to both windows of a [`Pair`], or to none, in two steps: looks at
    /// both, then adds to one and the other. If the flag is set, the second window comes first.
    Both(u64, u64, bool),
    /// Has retirements fail that have begun before this tick.
    HoldUp(u64),
    /// Retires the key if it is idle at this tick.
    Sweep(u64),
    /// Forgets the key.
    Reset,
}

/// The result of an act.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    Decision(Outcome),
    /// Units: in use, or given back.
    Units(u64),
    /// Whether something was done.
    Done(bool),
}

impl Answer {
    pub(crate) fn is_admitted(&self) -> bool {
        matches!(self, Self::Decision(Outcome::Admitted { .. }))
    }

    /// The bucket that it was counted in.
    pub(crate) fn mark(&self) -> MarkId {
        match self {
            Self::Decision(Outcome::Admitted { mark, .. }) => *mark,
            other => panic!("{other:?} was not admitted"),
        }
    }

    pub(crate) fn is_rejected(&self) -> bool {
        matches!(self, Self::Decision(Outcome::Rejected { .. }))
    }

    pub(crate) fn units(&self) -> u64 {
        match self {
            Self::Units(units) => *units,
            other => panic!("{other:?} is not a number of units"),
        }
    }
}

/// Something that threads act on at once.
pub(crate) trait Scene: Send + Sync + 'static {
    fn act(&self, act: Act) -> Answer;
}

/// A window on its own.
pub(crate) struct Lone {
    pub(crate) timeline: Timeline,
    pub(crate) limit: u64,
    pub(crate) window: Window,
    /// The buckets of the set-up's additions.
    marks: Vec<MarkId>,
}

impl Lone {
    /// A fresh window of `span` ticks, with `before` (tick, count) admitted one after the other.
    pub(crate) fn new(span: u64, limit: u64, before: &[(u64, u64)]) -> Self {
        Self::with_layout(Layout::for_span(span), limit, before)
    }

    pub(crate) fn with_layout(layout: Layout, limit: u64, before: &[(u64, u64)]) -> Self {
        let first = before.first().map_or(10, |(tick, _)| *tick);
        let timeline = Timeline::new(layout);
        let window = Window::new(&timeline, first);
        let mut scene = Self { timeline, limit, window, marks: Vec::new() };
        for &(now, count) in before {
            let answer = scene.act(Act::Add(now, count));
            scene.marks.push(answer.mark());
        }
        scene
    }

    pub(crate) fn usage(&self, now: u64) -> u64 {
        self.act(Act::Usage(now)).units()
    }
}

impl Scene for Lone {
    fn act(&self, act: Act) -> Answer {
        if let Act::All(acts) = act {
            return one_after_the_other(self, acts);
        }
        act_on(&self.window, &self.timeline, self.limit, &self.marks, act)
            .expect("nobody kills the window")
    }
}

fn one_after_the_other(scene: &impl Scene, acts: &[Act]) -> Answer {
    let (last, before) = acts.split_last().expect("at least one");
    for &act in before {
        let _ = scene.act(act);
    }
    scene.act(*last)
}

/// The act on a window; `None` if that is dead.
fn act_on(
    window: &Window,
    timeline: &Timeline,
    limit: u64,
    marks: &[MarkId],
    act: Act,
) -> Option<Answer> {
    let decided = |outcome| match outcome {
        Outcome::Dead => None,
        outcome => Some(Answer::Decision(outcome)),
    };
    match act {
        Act::Add(now, count) => decided(window.add(timeline, now, count, Limit::Within(limit))),
        Act::Insist(now, count) => {
            let outcome = window.add(timeline, now, count, Limit::Within(limit));
            let is_over = matches!(outcome, Outcome::Rejected { .. }) && window.is_dead();
            if is_over { None } else { decided(outcome) }
        }
        Act::Fill(now) => decided(window.add(timeline, now, u64::MAX, Limit::Unbounded)),
        Act::Look(now, count) => decided(window.peek(timeline, now, count, Limit::Within(limit))),
        Act::Usage(now) => window.usage(timeline, now).map(Answer::Units),
        Act::Refund(now, count) => window.refund(timeline, now, count).map(Answer::Units),
        Act::Undo(now, number, count) => {
            window.undo(timeline, now, marks[number], count).map(Answer::Units)
        }
        Act::Regret(now, count) => match window.add(timeline, now, count, Limit::Within(limit)) {
            Outcome::Admitted { mark, .. } => {
                window.undo(timeline, now, mark, count).map(Answer::Units)
            }
            outcome => decided(outcome),
        },
        Act::HoldUp(now) => window.hold_up(timeline, now).map(|()| Answer::Done(true)),
        Act::Sweep(now) => Some(Answer::Done(window.retire(timeline, now, 0, || true))),
        Act::Reset => Some(Answer::Done(window.kill(timeline))),
        Act::Collect => {
            #[cfg(crossbeam_loom)]
            for _ in 0..4 {
                crossbeam_epoch::pin().flush();
            }
            Some(Answer::Done(true))
        }
        Act::All(_) => unreachable!("taken apart by the scene"),
        Act::Both(..) => unreachable!("an act on two windows"),
    }
}

/// Two windows. Acts on one window are acts on the second.
pub(crate) struct Pair {
    pub(crate) first: Lone,
    pub(crate) second: Lone,
}

impl Pair {
    /// As [`Lone::new`], twice.
    pub(crate) fn new(span: u64, limit: u64, before: &[(u64, u64)]) -> Self {
        let lone = || Lone::new(span, limit, before);
        Self { first: lone(), second: lone() }
    }
}

/// As the library does it for several limits, without another try.
fn add_to_both(one: &Lone, other: &Lone, now: u64, count: u64) -> Outcome {
    let look = |lone: &Lone| lone.window.look_for_room(&lone.timeline, now, count, lone.limit);
    let rooms = match (look(one), look(other)) {
        (Look::Fits { room: one, .. }, Look::Fits { room: other, .. }) => [one, other],
        _ => return Outcome::Rejected { usage: 0, retry_hint: None },
    };
    let add = |lone: &Lone, room| match lone.window.take_room(now, room) {
        Some(mark) => Outcome::Admitted { mark, usage: 0 },
        None => lone.window.add(&lone.timeline, now, count, Limit::Within(lone.limit)),
    };
    let Outcome::Admitted { mark, .. } = add(one, rooms[0]) else {
        return Outcome::Rejected { usage: 0, retry_hint: None };
    };
    let outcome = add(other, rooms[1]);
    if let Outcome::Rejected { .. } = outcome {
        let undone = one.window.undo(&one.timeline, now, mark, count);
        assert_eq!(undone, Some(count), "the units were there");
    }
    outcome
}

impl Scene for Pair {
    fn act(&self, act: Act) -> Answer {
        let (first, second) = (&self.first, &self.second);
        match act {
            Act::Both(now, count, false) => {
                Answer::Decision(add_to_both(first, second, now, count))
            }
            Act::Both(now, count, true) => Answer::Decision(add_to_both(second, first, now, count)),
            act => second.act(act),
        }
    }
}

/// States that a model can go through.
const STATES: usize = 4;

/// A stand-in for the map, with one key: a word that names the state in use, or none. It
/// synchronises as papaya does, by acquire and release of that word, and no more. The states are
/// made beforehand, so that a fresh one brings no knowledge of its own about time.
pub(crate) struct OneKeyMap {
    pub(crate) timeline: Timeline,
    pub(crate) limit: u64,
    states: [Window; STATES],
    /// The state in use: 1-based, 0 for none.
    current: AtomicU64,
    /// States handed out so far.
    used: AtomicU64,
    /// The buckets of the set-up's additions.
    marks: Vec<MarkId>,
}

impl OneKeyMap {
    pub(crate) fn new(span: u64, limit: u64, before: &[(u64, u64)]) -> Self {
        let timeline = Timeline::new(Layout::for_span(span));
        // Of generations of their own, as they are when the one before has ended with units in it.
        let state = |_| {
            timeline.begin_generation();
            Window::new(&timeline, 0)
        };
        let mut scene = Self {
            limit,
            states: core::array::from_fn(state),
            current: AtomicU64::new(0),
            used: AtomicU64::new(0),
            timeline,
            marks: Vec::new(),
        };
        for &(now, count) in before {
            let answer = scene.act(Act::Add(now, count));
            scene.marks.push(answer.mark());
        }
        scene
    }

    fn state(&self, number: u64) -> &Window {
        &self.states[usize::try_from(number).expect("small") - 1]
    }

    /// Removes a dead state.
    fn unlink(&self, number: u64) {
        if self.state(number).is_dead() {
            // Release: as papaya's removal.
            let _ = self.current.compare_exchange(number, 0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }
}

impl Scene for OneKeyMap {
    fn act(&self, act: Act) -> Answer {
        if let Act::All(acts) = act {
            return one_after_the_other(self, acts);
        }
        loop {
            // Acquire: as papaya's lookup and iteration.
            let mut number = self.current.load(Ordering::Acquire);
            if number == 0 {
                match act {
                    Act::Sweep(_) | Act::Reset | Act::Collect => return Answer::Done(false),
                    Act::Usage(_) | Act::Refund(..) | Act::Undo(..) => return Answer::Units(0),
                    Act::HoldUp(_) => return Answer::Done(false),
                    Act::Add(..)
                    | Act::Insist(..)
                    | Act::Regret(..)
                    | Act::Fill(_)
                    | Act::Look(..)
                    | Act::Both(..)
                    | Act::All(_) => {}
                }
                // Relaxed: only hands out numbers.
                let fresh = 1 + self.used.fetch_add(1, Ordering::Relaxed);
                // Release and Acquire: as papaya's insertion, which returns what it found.
                number = self
                    .current
                    .compare_exchange(0, fresh, Ordering::AcqRel, Ordering::Acquire)
                    .map_or_else(|found| found, |_| fresh);
            }
            let state = self.state(number);
            let answer = act_on(state, &self.timeline, self.limit, &self.marks, act);
            if matches!(act, Act::Sweep(_) | Act::Reset) || answer.is_none() {
                self.unlink(number);
            }
            if let Some(answer) = answer {
                return answer;
            }
        }
    }
}
