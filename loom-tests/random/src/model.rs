//! The sequential model: what calls answer that come one after the other.
//!
//! It keeps the units themselves, batch by batch, and the newest tick that anything was judged at.
//! A call takes effect at its clock reading or at the newest tick, whichever is later. In a few
//! cases, all of which are without consequence for what counts, the window may choose a later tick
//! that some clock has read: then the model takes the answer's word for which.

use crate::act::{Act, Answer, Call, CallId};
use crate::window::{MarkId, Outcome};

/// Units admitted together, in one tick.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Batch {
    id: u16,
    tick: u64,
    /// Those that count: less those given back.
    units: u64,
    /// The calls that admitted them.
    calls: Vec<CallId>,
}

/// Units that a refund or undo has chosen: so many of a batch.
pub(crate) type Chosen = Vec<(u16, u64)>;

/// The settings of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) span: u64,
    pub(crate) limit: u64,
    /// The most units that a window can hold.
    pub(crate) most: u64,
    /// How far a clock reading must be off for the window to distrust it, or less.
    pub(crate) distrusted: u64,
    /// Whether loads may see old values. Then a refund or undo may be seen later than an addition that
    /// came after it, by those who know of neither: the two are in different words. Its units are
    /// then counted still.
    pub(crate) is_stale: bool,
    /// Whether one thread makes all calls. Then no mark is empty.
    pub(crate) is_single: bool,
}

/// The facts besides the model's state when a call takes effect.
pub(crate) struct Around<'a> {
    pub(crate) rules: &'a Rules,
    /// Clock readings of calls that overlap this one.
    pub(crate) beside: &'a [u64],
    /// Those, and readings of calls that have taken effect.
    pub(crate) readings: &'a [u64],
    /// Units given back by calls that overlap this one.
    pub(crate) given_beside: u64,
    /// Whether a call that adds overlaps this one: it makes the key known before it is counted.
    pub(crate) is_made_beside: bool,
}

impl Around<'_> {
    /// Whether no other call overlaps this one: then its answer is decided to the last unit.
    fn is_alone(&self) -> bool {
        self.beside.is_empty()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Model {
    batches: Vec<Batch>,
    /// The newest tick that counts for everybody: nothing is judged before it.
    pub(crate) newest: u64,
    /// The tick of the last addition.
    touched: u64,
    /// The value that `newest` falls back to when the key is forgotten.
    floor: u64,
    /// Whether the key is not there, or nothing was added since it came.
    is_blank: bool,
    /// Whether a call was answered that would have made it.
    is_known: bool,
    ids: u16,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self {
            batches: Vec::new(),
            newest: 0,
            touched: 0,
            floor: 0,
            is_blank: true,
            is_known: false,
            ids: 0,
        }
    }

    /// The batches inside the window at a tick.
    fn inside(&self, span: u64, tick: u64) -> impl Iterator<Item = &Batch> {
        self.batches.iter().filter(move |batch| tick < batch.tick.saturating_add(span))
    }

    fn usage(&self, span: u64, tick: u64) -> u64 {
        self.inside(span, tick).map(|batch| batch.units).sum()
    }

    /// The ticks at which this call may be judged.
    fn places(&self, call: &Call, around: &Around<'_>) -> Vec<u64> {
        let base = call.now.max(self.newest);
        let mut places = vec![base];
        let is_distrusted = self.newest.abs_diff(call.now) >= around.rules.distrusted;
        // Without marks there are `latest` and `floor`, which other calls may have raised.
        if self.is_blank || is_distrusted || self.usage(around.rules.span, base) == 0 {
            places.extend(around.readings.iter().filter(|reading| **reading > base));
        }
        places
    }

    /// Nothing is judged before this tick any more.
    pub(crate) fn raise(&mut self, span: u64, tick: u64) {
        self.newest = self.newest.max(tick);
        let newest = self.newest;
        self.batches.retain(|batch| newest < batch.tick.saturating_add(span));
    }

    /// The states that a call may leave behind, taking effect now and answering as it did.
    /// Refunds and undos of something are apart: see [`Model::choose`].
    pub(crate) fn after(&self, call: &Call, around: &Around<'_>) -> Vec<Self> {
        match (call.act, call.answer) {
            (
                Act::Add(count) | Act::Insist(count),
                Answer::Decision(Outcome::Admitted { mark: MarkId { tick, .. }, usage }),
            ) => self.admitted(call, around, count, Some(around.rules.limit), tick, usage),
            (
                Act::Record(count),
                Answer::Decision(Outcome::Admitted { mark: MarkId { tick, .. }, usage }),
            ) => self.admitted(call, around, count, None, tick, usage),
            (Act::Kill, Answer::Done(true)) if self.is_known || around.is_made_beside => {
                let mut next = Self { batches: vec![], newest: self.floor, ..self.clone() };
                next.forget();
                vec![next]
            }
            (Act::Retire(stale), Answer::Done(true)) => self.retired(call, around, stale),
            (Act::HoldUp, Answer::Done(true)) => self.held_up(call, around),
            _ if self.answers(call, around) => {
                let makes = matches!(call.act, Act::Add(_) | Act::Insist(_));
                vec![Self { is_known: self.is_known || makes, ..self.clone() }]
            }
            _ => vec![],
        }
    }

    fn forget(&mut self) {
        self.is_blank = true;
        self.is_known = false;
    }

    /// A window in use is left alone; an idle one begins afresh, and then the raised `latest` alone
    /// tells how long it has been idle: it may stand at an empty mark.
    fn held_up(&self, call: &Call, around: &Around<'_>) -> Vec<Self> {
        let span = around.rules.span;
        let mut states = Vec::new();
        for tick in self.places(call, around) {
            if self.usage(span, tick) > 0 {
                states.push(self.clone());
                continue;
            }
            let mut afresh = self.clone();
            afresh.raise(span, tick);
            // There may be some of which all was given back.
            afresh.batches.clear();
            states.push(Self { touched: afresh.touched.max(self.newest), ..afresh.clone() });
            states.push(afresh);
        }
        if !around.is_alone() {
            states.push(self.clone());
        }
        states
    }

    /// Whether a call that changes nothing may answer so.
    fn answers(&self, call: &Call, around: &Around<'_>) -> bool {
        let &Rules { span, limit, .. } = around.rules;
        let mut usages =
            self.places(call, around).into_iter().map(|tick| (tick, self.usage(span, tick)));
        let late = if around.rules.is_stale { around.given_beside } else { 0 };
        let is_seen =
            |usage: u64, counted: u64| (counted..=counted.saturating_add(late)).contains(&usage);
        match (call.act, call.answer) {
            (_, Answer::Missing) => !self.is_known,
            (
                Act::Add(count) | Act::Insist(count) | Act::Peek(count),
                Answer::Decision(Outcome::Rejected { usage, retry_hint }),
            ) => {
                let retry_hint =
                    retry_hint.map(|retry_hint| (retry_hint.tick, retry_hint.remaining));
                let is_unhinted = matches!(call.act, Act::Insist(_)) && retry_hint.is_none();
                usages.any(|(tick, counted)| {
                    is_seen(usage, counted)
                        && usage.saturating_add(count) > limit
                        && (is_unhinted
                            || usage != counted
                            || retry_hint == self.retry_hint(around.rules, tick, count))
                })
            }
            (
                Act::Peek(count),
                Answer::Decision(Outcome::Admitted { mark: MarkId { tick, .. }, usage }),
            ) => {
                usages.any(|(place, counted)| {
                    // Looks are not held back by the floor: nothing counts there.
                    let is_there = place == tick || (counted == 0 && tick >= call.now);
                    is_there && is_seen(usage, counted) && usage.saturating_add(count) <= limit
                })
            }
            (Act::Usage, Answer::Units(units)) => {
                usages.any(|(_, counted)| is_seen(units, counted))
            }
            (Act::Recent(recent), Answer::Recent(units, of_them)) => {
                usages.any(|(tick, counted)| {
                    is_seen(units, counted) && is_seen(of_them, self.usage(span.min(recent), tick))
                })
            }
            (Act::Refund(count), Answer::Units(0)) => {
                usages.any(|(_, counted)| counted == 0 || count == 0)
            }
            (Act::Undo(_, count), Answer::Units(0)) => {
                usages.any(|(tick, _)| count == 0 || self.left_of(call, span, tick).is_none())
            }
            (Act::Idle(stale), Answer::Done(true)) => {
                self.is_blank
                    || usages.any(|(tick, counted)| counted == 0 && tick - self.touched >= stale)
            }
            (Act::Retire(stale) | Act::Idle(stale), Answer::Done(false)) => {
                // A thread about to add may have begun the window afresh, and units that came in while
                // this call looked may have left again. A window that nothing was added to is as
                // old as its making.
                let busy = if around.rules.is_single { self.touched } else { self.newest };
                // Looks are not held back by the floor, and an old reading may find it busy still.
                let at = call.now.max(self.touched);
                let is_late = self.usage(span, at) == 0 && at - self.touched < stale;
                !around.is_alone()
                    || self.is_blank
                    || is_late
                    || usages.any(|(tick, counted)| counted > 0 || tick - busy < stale)
            }
            (Act::Kill, Answer::Done(false)) => !self.is_known,
            _ => false,
        }
    }

    fn admitted(
        &self,
        call: &Call,
        around: &Around<'_>,
        count: u64,
        limit: Option<u64>,
        tick: u64,
        usage: u64,
    ) -> Vec<Self> {
        let &Rules { span, most, .. } = around.rules;
        // A mark announced by another thread for a later tick is joined.
        let is_joined = tick > call.now.max(self.newest) && around.beside.contains(&tick);
        if !is_joined && !self.places(call, around).contains(&tick) {
            return vec![];
        }
        // The usage that it reports was true when it looked: before others gave units back, and, if
        // it joined, at its own reading.
        let counted = self.usage(span, tick);
        let (least, greatest) = if around.is_alone() {
            (counted, counted)
        } else {
            let looked_at = call.now.max(self.newest);
            (counted, self.usage(span, looked_at).saturating_add(around.given_beside))
        };
        let is_told = (least..=greatest).contains(&usage);
        let fits = limit.is_none_or(|limit| usage.max(counted).saturating_add(count) <= limit);
        if !is_told || !fits {
            return vec![];
        }
        let mut next = self.clone();
        next.is_blank = false;
        next.is_known = true;
        next.raise(span, tick);
        next.touched = tick;
        let is_newest = next.batches.last().is_some_and(|batch| batch.tick == tick);
        let by = (call.thread, call.number);
        if count > most - usage {
            // Clipped: all there is counts in the newest tick.
            let last = next.batches.pop().filter(|_| is_newest);
            let (id, mut calls) =
                last.map_or_else(|| (next.next_id(), vec![]), |batch| (batch.id, batch.calls));
            calls.push(by);
            // Units given back between the look and the addition are missing from it.
            let full = |missing| Self {
                batches: vec![Batch { id, tick, units: most - missing, calls: calls.clone() }],
                ..next.clone()
            };
            return (0..=usage - counted).map(full).collect();
        }
        if is_newest && let Some(batch) = next.batches.last_mut() {
            batch.units += count;
            batch.calls.push(by);
        } else {
            let id = next.next_id();
            next.batches.push(Batch { id, tick, units: count, calls: vec![by] });
        }
        vec![next]
    }

    fn next_id(&mut self) -> u16 {
        self.ids += 1;
        self.ids
    }

    fn retired(&self, call: &Call, around: &Around<'_>, stale: u64) -> Vec<Self> {
        let &Rules { span, .. } = around.rules;
        if self.is_blank {
            // It was dead already, and is there no more.
            return vec![Self { is_known: false, ..self.clone() }];
        }
        let idle = |tick: &u64| self.usage(span, *tick) == 0 && *tick - self.touched >= stale;
        self.places(call, around)
            .into_iter()
            .filter(idle)
            .map(|tick| {
                let mut next = self.clone();
                next.raise(span, tick);
                next.batches.clear();
                next.floor = next.floor.max(tick);
                next.forget();
                next
            })
            .collect()
    }

    /// When `count` units fit: the tick whose units must go, and what is left then.
    fn retry_hint(&self, rules: &Rules, tick: u64, count: u64) -> Option<(u64, u64)> {
        if count > rules.limit {
            return None;
        }
        let mut left = self.usage(rules.span, tick);
        self.inside(rules.span, tick).find_map(|batch| {
            left -= batch.units;
            (left + count <= rules.limit).then_some((batch.tick, left))
        })
    }

    /// The batch that an undo is of, if it is inside and something of it counts.
    fn left_of(&self, call: &Call, span: u64, tick: u64) -> Option<&Batch> {
        let of = call.of?;
        self.inside(span, tick).find(|batch| batch.calls.contains(&of) && batch.units > 0)
    }

    /// The first half of giving `units` back: which of them. The second, when nobody counts them any
    /// more, is [`Model::give`]. In between, others count them still: races err on that side.
    pub(crate) fn choose(&self, call: &Call, around: &Around<'_>, units: u64) -> Vec<Chosen> {
        let &Rules { span, .. } = around.rules;
        let choose = |tick| match call.act {
            Act::Refund(count) => {
                let mut left = units;
                let chosen = self.inside(span, tick).filter_map(|batch| {
                    let of_it = left.min(batch.units);
                    left -= of_it;
                    (of_it > 0).then_some((batch.id, of_it))
                });
                (count.min(self.usage(span, tick)) == units).then(|| chosen.collect())
            }
            Act::Undo(_, count) => {
                let batch = self.left_of(call, span, tick)?;
                (count.min(batch.units) == units).then(|| vec![(batch.id, units)])
            }
            _ => None,
        };
        self.places(call, around).into_iter().filter_map(choose).collect()
    }

    /// The second half of a refund or undo.
    pub(crate) fn give(&mut self, chosen: &Chosen) {
        for &(id, units) in chosen {
            if let Some(batch) = self.batches.iter_mut().find(|batch| batch.id == id) {
                batch.units = batch.units.saturating_sub(units);
            }
        }
    }
}
