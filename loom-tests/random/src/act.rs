//! The calls of threads, their results, and the map with one key that they call.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use crate::memory::{self, Known};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::window::{Layout, Limit, MarkId, Outcome, Timeline, Window};

/// One call. Each is made at some clock reading, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Act {
    /// Adds so many units within the limit.
    Add(u64),
    /// [`Act::Add`], as the Suppressed strategy does it: the hint may be missing, and whoever is
    /// rejected looks whether the window is dead by then, and asks again if so.
    Insist(u64),
    /// Adds so many units whatever the limit.
    Record(u64),
    /// Judges so many units without adding them.
    Peek(u64),
    /// Gives so many units back.
    Refund(u64),
    /// Gives so many units back of the bucket of an earlier addition, of this thread or the set-up: so
    /// many additions before the last.
    Undo(usize, u64),
    Usage,
    /// Usage, and usage over so many ticks.
    Recent(u64),
    /// Whether the key is idle, and has been for so many ticks.
    Idle(u64),
    /// Forgets the key if it is idle, and has been for so many ticks.
    Retire(u64),
    /// Has retirements fail that have begun before.
    HoldUp,
    /// Forgets the key.
    Kill,
}

impl Act {
    pub(crate) fn adds(self) -> bool {
        matches!(self, Self::Add(_) | Self::Insist(_) | Self::Record(_))
    }

    pub(crate) fn gives_back(self) -> bool {
        matches!(self, Self::Refund(_) | Self::Undo(..))
    }
}

/// The result of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Decision(Outcome),
    Units(u64),
    /// Units counted, and those of them that are recent.
    Recent(u64, u64),
    Done(bool),
    /// The map knew no such key.
    Missing,
}

/// The thread of a call, and its number.
pub(crate) type CallId = (usize, u16);

/// A call that has returned.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) thread: usize,
    /// Its number among the calls of its thread.
    pub(crate) number: u16,
    pub(crate) act: Act,
    /// The clock reading it was made with.
    pub(crate) now: u64,
    pub(crate) answer: Answer,
    /// The addition that an undo is of.
    pub(crate) of: Option<CallId>,
    /// The calls that came before it.
    pub(crate) known: Known,
    pub(crate) begun: u64,
    pub(crate) ended: u64,
}

impl Call {
    /// Whether this call must come before `other`.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        other.known[self.thread] > self.number
            || (self.thread == other.thread && self.number < other.number)
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        !self.is_before(other) && !other.is_before(self)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { thread, act, now, answer, begun, ended, .. } = self;
        write!(f, "{begun:>6} to {ended:>6}  thread {thread}  {act:?} at {now}: {answer:?}")
    }
}

/// A map with one key, which synchronises as papaya does: by acquire and release of the word that
/// names the window in use.
pub(crate) struct Scene {
    timeline: Timeline,
    pub(crate) limit: u64,
    windows: RefCell<Vec<Rc<Window>>>,
    /// The window in use: 1-based, 0 for none.
    current: AtomicU64,
    pub(crate) calls: RefCell<Vec<Call>>,
}

impl Scene {
    pub(crate) fn new(layout: Layout, limit: u64) -> Self {
        Self {
            timeline: Timeline::new(layout),
            limit,
            windows: RefCell::default(),
            current: AtomicU64::new(0),
            calls: RefCell::default(),
        }
    }

    /// Calls, on this thread, and notes what came of it.
    pub(crate) fn call(&self, thread: usize, act: Act, now: u64) {
        let (known, begun) = (memory::known(), memory::steps());
        let found = match act {
            Act::Undo(back, _) => self.addition(thread, back),
            _ => None,
        };
        let answer = match (act, found) {
            (Act::Undo(..), None) => Answer::Units(0),
            _ => self.answer(act, now, found.map(|(_, mark)| mark)),
        };
        let of = found.map(|(call, _)| call);
        memory::returned();
        let ended = memory::steps();
        let mut calls = self.calls.borrow_mut();
        let number = calls.iter().filter(|call| call.thread == thread).count();
        let number = u16::try_from(number).expect("a short run");
        calls.push(Call { thread, number, act, now, answer, of, known, begun, ended });
    }

    /// An addition that this thread knows of, and the bucket it was counted in.
    fn addition(&self, thread: usize, back: usize) -> Option<(CallId, MarkId)> {
        let calls = self.calls.borrow();
        let known = calls.iter().rev().filter(|call| [0, thread].contains(&call.thread));
        let mut additions = known.filter_map(|call| match call.answer {
            Answer::Decision(Outcome::Admitted { mark, .. }) if call.act.adds() => {
                Some(((call.thread, call.number), mark))
            }
            _ => None,
        });
        additions.nth(back)
    }

    fn answer(&self, act: Act, now: u64, mark: Option<MarkId>) -> Answer {
        loop {
            // Acquire: as papaya's lookup.
            let mut number = self.current.load(Ordering::Acquire);
            if number == 0 {
                if !act.adds() {
                    return Answer::Missing;
                }
                number = self.insert(now);
            }
            let window = self.window(number);
            let answer = self.act_on(&window, act, now, mark);
            if answer.is_none() || matches!(act, Act::Retire(_) | Act::Kill) {
                self.unlink(number, &window);
            }
            if let Some(answer) = answer {
                return answer;
            }
        }
    }

    fn window(&self, number: u64) -> Rc<Window> {
        Rc::clone(&self.windows.borrow()[usize::try_from(number).expect("small") - 1])
    }

    fn insert(&self, now: u64) -> u64 {
        let fresh = Rc::new(Window::new(&self.timeline, now));
        let number = {
            let mut windows = self.windows.borrow_mut();
            windows.push(fresh);
            windows.len() as u64
        };
        // Release and Acquire: as papaya's insertion, which returns what it found.
        self.current
            .compare_exchange(0, number, Ordering::AcqRel, Ordering::Acquire)
            .map_or_else(|found| found, |_| number)
    }

    fn unlink(&self, number: u64, window: &Window) {
        if window.is_dead() {
            // Release: as papaya's removal.
            let _ = self.current.compare_exchange(number, 0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// `None` if the window is dead.
    fn act_on(&self, window: &Window, act: Act, now: u64, mark: Option<MarkId>) -> Option<Answer> {
        let Self { timeline, .. } = self;
        let decided = |outcome| match outcome {
            Outcome::Dead => None,
            outcome => Some(Answer::Decision(outcome)),
        };
        let within = Limit::Within(self.limit);
        match act {
            Act::Add(count) => decided(window.add(timeline, now, count, within)),
            Act::Insist(count) => {
                let outcome = window.add_unhinted(timeline, now, count, within);
                let is_over = matches!(outcome, Outcome::Rejected { .. }) && window.is_dead();
                if is_over { None } else { decided(outcome) }
            }
            Act::Record(count) => decided(window.add(timeline, now, count, Limit::Unbounded)),
            Act::Peek(count) => decided(window.peek(timeline, now, count, within)),
            Act::Refund(count) => window.refund(timeline, now, count).map(Answer::Units),
            Act::Undo(_, count) => window.undo(timeline, now, mark?, count).map(Answer::Units),
            Act::Usage => window.usage(timeline, now).map(Answer::Units),
            Act::Recent(span) => window
                .usage_and_recent(timeline, now, span)
                .map(|(usage, recent)| Answer::Recent(usage, recent)),
            Act::Idle(stale) => Some(Answer::Done(window.is_idle(timeline, now, stale))),
            Act::Retire(stale) => Some(Answer::Done(window.retire(timeline, now, stale, || true))),
            Act::HoldUp => window.hold_up(timeline, now).map(|()| Answer::Done(true)),
            Act::Kill => Some(Answer::Done(window.kill(timeline))),
        }
    }
}
