//! Linearizability: is there an order of the calls in which the model answers as they did?
//!
//! The search is Wing and Gong's: of the calls that nothing left must come before, each in turn is
//! taken to be the next to take effect, if the model then answers as it did. Places in the search
//! that were met before are not searched again.
//!
//! A call takes effect at one moment, with two exceptions that the protocol admits to. A refund or
//! undo chooses its units at one moment and takes them off the count at a later one; and a thread that
//! has announced a mark may find it committed, empty, by another: then nothing is judged before its
//! clock reading from that moment on, even if its own call comes to nothing.

use std::collections::HashSet;

use crate::act::{Act, Answer, Call};
use crate::memory::THREADS;
use crate::model::{Around, Chosen, Model, Rules};

/// A place in the search.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Spot {
    /// How many calls of each thread have taken effect.
    done: [usize; THREADS],
    model: Model,
    /// Per thread: what its refund has chosen, and has not taken off yet.
    chosen: [Option<Chosen>; THREADS],
}

struct Search<'a> {
    rules: Rules,
    threads: [Vec<&'a Call>; THREADS],
    met: HashSet<Spot>,
    /// As far as any order got.
    furthest: [usize; THREADS],
}

/// `Err` with as many calls of each thread as any order could explain.
pub(crate) fn check(rules: Rules, calls: &[Call]) -> Result<(), [usize; THREADS]> {
    let mut threads: [Vec<&Call>; THREADS] = Default::default();
    for call in calls {
        threads[call.thread].push(call);
    }
    let mut search = Search { rules, threads, met: HashSet::new(), furthest: [0; THREADS] };
    let mut open =
        vec![Spot { done: [0; THREADS], model: Model::new(), chosen: Default::default() }];
    while let Some(spot) = open.pop() {
        if search.is_end(&spot) {
            return Ok(());
        }
        if search.met.insert(spot.clone()) {
            if spot.done.iter().sum::<usize>() > search.furthest.iter().sum::<usize>() {
                search.furthest = spot.done;
            }
            search.expand(&spot, &mut open);
        }
    }
    Err(search.furthest)
}

impl<'a> Search<'a> {
    fn is_end(&self, spot: &Spot) -> bool {
        (0..THREADS).all(|thread| spot.done[thread] == self.threads[thread].len())
    }

    /// The next call of a thread, if nothing that is left must come before it.
    fn next(&self, spot: &Spot, thread: usize) -> Option<&'a Call> {
        let call = *self.threads[thread].get(spot.done[thread])?;
        let is_ready = (0..THREADS)
            .all(|other| other == thread || spot.done[other] >= usize::from(call.known[other]));
        is_ready.then_some(call)
    }

    fn expand(&mut self, spot: &Spot, open: &mut Vec<Spot>) {
        let mut ready: Vec<&Call> =
            (0..THREADS).filter_map(|thread| self.next(spot, thread)).collect();
        // The last to be pushed is the first to be tried: the one that ended first.
        ready.sort_by_key(|call| core::cmp::Reverse(call.ended));
        for call in &ready {
            if self.leaves_empty_mark(spot, call) {
                let mut next = spot.clone();
                next.model.raise(self.rules.span, call.now);
                open.push(next);
            }
        }
        for call in ready {
            self.take(spot, call, open);
        }
    }

    /// Whether it makes a difference to somebody that this call's mark may stand before it.
    fn leaves_empty_mark(&self, spot: &Spot, call: &Call) -> bool {
        call.now > spot.model.newest
            && matches!(
                call.act,
                Act::Add(_) | Act::Insist(_) | Act::Record(_) | Act::Retire(_) | Act::HoldUp
            )
            && (0..THREADS).filter(|thread| *thread != call.thread).any(|thread| {
                self.threads[thread][spot.done[thread]..]
                    .iter()
                    .any(|other| other.now < call.now && !other.is_before(call))
            })
    }

    /// Lets a call take effect, or a refund one of its halves.
    fn take(&self, spot: &Spot, call: &Call, open: &mut Vec<Spot>) {
        let thread = call.thread;
        let mut done = spot.done;
        done[thread] += 1;
        if let Some(chosen) = &spot.chosen[thread] {
            let mut model = spot.model.clone();
            model.give(chosen);
            // Another thread that has chosen finds that units were given back meanwhile, and starts over.
            open.push(Spot { done, model, chosen: Default::default() });
        }
        let beside: Vec<&Call> = self
            .threads
            .iter()
            .flatten()
            .copied()
            .filter(|other| call.overlaps(other))
            .filter(|other| !core::ptr::eq(*other, call))
            .collect();
        let overlapping: Vec<u64> = beside.iter().map(|other| other.now).collect();
        let before = self.threads.iter().zip(spot.done).flat_map(|(calls, done)| &calls[..done]);
        let readings: Vec<u64> =
            before.map(|other| other.now).chain(overlapping.iter().copied()).collect();
        let given_beside = beside
            .iter()
            .map(|other| match (other.act, other.answer) {
                (act, Answer::Units(units)) if act.gives_back() => units,
                _ => 0,
            })
            .fold(0, u64::saturating_add);
        let is_made_beside = beside.iter().any(|other| other.act.adds());
        let around = Around {
            rules: &self.rules,
            beside: &overlapping,
            readings: &readings,
            given_beside,
            is_made_beside,
        };
        match (call.act, call.answer) {
            (act, Answer::Units(units)) if act.gives_back() && units > 0 => {
                for of_them in spot.model.choose(call, &around, units) {
                    let mut chosen = spot.chosen.clone();
                    chosen[thread] = Some(of_them);
                    open.push(Spot { done: spot.done, model: spot.model.clone(), chosen });
                }
            }
            _ => {
                for model in spot.model.after(call, &around) {
                    open.push(Spot { done, model, chosen: spot.chosen.clone() });
                }
            }
        }
    }
}
