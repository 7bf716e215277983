//! A thread that waits in line for its calls' units. It may ask for others as well meanwhile.

use std::sync::Arc;
use std::thread;

use crate::hybrid::caller::{Caller, Turn};
use crate::hybrid::engine::Engine;
use crate::hybrid::flight::out_of_time;
use crate::hybrid::key_state::WindowKey;
use crate::redis::engine::Strategy;
use crate::redis::net::{Deadline, Failure};
use crate::redis::reply::Verdict;

type Callers = [(WindowKey, Arc<Caller>)];

/// Callers of this thread, in line. If it panics, which a user's code can make it do, they leave: dead callers could
/// be made leaders, and flights that nobody leads never land.
pub(crate) struct InLine<'e, S: Strategy> {
    engine: &'e Engine<S>,
    callers: &'e Callers,
    /// Of each caller, once it is known.
    results: Vec<Option<Result<Verdict, Failure>>>,
}

impl<'e, S: Strategy> InLine<'e, S> {
    pub(crate) fn join(engine: &'e Engine<S>, callers: &'e Callers, deadline: Deadline) -> Self {
        let results = callers.iter().map(|_| None).collect();
        let line = Self { engine, callers, results };
        engine.here.here().queue.join(callers.iter().cloned(), deadline);
        line
    }

    /// They stay where they are.
    pub(crate) fn keep(mut self) {
        self.results.clear();
    }
}

impl<S: Strategy> Drop for InLine<'_, S> {
    fn drop(&mut self) {
        let queue = &self.engine.here.here().queue;
        // Where nothing panicked, the results have been taken.
        for ((key, caller), result) in self.callers.iter().zip(&mut self.results) {
            let result = result.take().or_else(|| queue.leave(key, caller).0);
            if let Some(Ok(verdict)) = result {
                self.engine.give_back_unwanted(key, caller, &verdict);
            }
        }
    }
}

impl<S: Strategy> Engine<S> {
    /// Waits for the units of these callers.
    pub(crate) fn wait_for(
        &self,
        callers: &Callers,
        deadline: Deadline,
    ) -> Vec<Result<Verdict, Failure>> {
        let queue = &self.here.here().queue;
        let mut line = InLine::join(self, callers, deadline);
        if let Some(aboard) = queue.take_off() {
            self.fly(aboard, deadline);
        }
        loop {
            let (mut waits, mut has_led) = (false, false);
            for ((_, caller), result) in callers.iter().zip(&mut line.results) {
                if result.is_some() {
                    continue;
                }
                match caller.turn() {
                    Turn::Done(done) => *result = Some(done),
                    Turn::Leads => match queue.board(caller, deadline) {
                        Some(aboard) => {
                            self.fly(aboard, deadline);
                            has_led = true;
                        }
                        None => waits = true,
                    },
                    Turn::Waits | Turn::Claimed => waits = true,
                }
            }
            match deadline.left() {
                _ if has_led => {}
                _ if !waits => break,
                Some(left) => thread::park_timeout(left),
                None => break,
            }
        }
        let results = core::mem::take(&mut line.results);
        let results = callers.iter().zip(results).map(|((key, caller), result)| {
            result.unwrap_or_else(|| {
                let (result, was_asked) = queue.leave(key, caller);
                result.unwrap_or_else(|| Err(out_of_time(was_asked)))
            })
        });
        results.collect()
    }
}
