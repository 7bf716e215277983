//! Keys that a thread has for itself: while it has, nobody else in this process asks the server about them.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;

use crate::DefaultHashBuilder;
use crate::hybrid::caller::{Caller, Turn, Want};
use crate::hybrid::engine::Engine;
use crate::hybrid::flight::out_of_time;
use crate::hybrid::in_line::InLine;
use crate::hybrid::key_state::WindowKey;
use crate::redis::engine::Strategy;
use crate::redis::net::{Deadline, Failure};

/// Keys that this thread has claimed, until it is dropped.
pub(crate) struct Claims<'e, S: Strategy> {
    pub(crate) engine: &'e Engine<S>,
    pub(crate) keys: HashSet<WindowKey, DefaultHashBuilder>,
}

impl<S: Strategy> Drop for Claims<'_, S> {
    fn drop(&mut self) {
        let queue = &self.engine.here.here().queue;
        for key in &self.keys {
            queue.release(key, |caller| self.engine.serve(key, caller));
        }
    }
}

impl<S: Strategy> Claims<'_, S> {
    /// Claims another key. `false`: somebody asks for it.
    pub(crate) fn claim(&mut self, key: &WindowKey) -> bool {
        if !self.keys.contains(key) {
            if !self.engine.here.here().queue.claim(key) {
                return false;
            }
            self.keys.insert(key.clone());
        }
        true
    }
}

impl<S: Strategy> Engine<S> {
    /// Claims a key, for requests of the caller's own.
    pub(crate) fn claim(
        &self,
        key: WindowKey,
        deadline: Deadline,
    ) -> Result<Claims<'_, S>, Failure> {
        let queue = &self.here.here().queue;
        let caller = Caller::new(Want::Key);
        let callers = [(key, Arc::clone(&caller))];
        // Leaves at the end, unless it is kept.
        let line = InLine::join(self, &callers, deadline);
        loop {
            match (caller.turn(), deadline.left()) {
                (Turn::Claimed, _) => {
                    line.keep();
                    let [(key, _)] = callers;
                    return Ok(Claims { engine: self, keys: HashSet::from_iter([key]) });
                }
                (Turn::Leads, left) => match queue.board(&caller, deadline) {
                    Some(aboard) => self.fly(aboard, deadline),
                    None if left.is_none() => return Err(out_of_time(false)),
                    None => {}
                },
                (_, Some(left)) => thread::park_timeout(left),
                (_, None) => return Err(out_of_time(false)),
            }
        }
    }
}
