//! Connections that are kept for the next call.
//!
//! A pool of our own, since a call that finds the server gone has to be told at once, and by its own
//! attempt: r2d2, the usual choice, connects on a thread of its own, at growing intervals, and wakes
//! nobody when that fails, so that every caller waits for its whole timeout, and none learns why.
//!
//! What is given back last is lent first, so that few connections are in use when little is asked,
//! and those are the least likely to have been closed meanwhile.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::redis::net::Deadline;
use crate::redis::net::connection::Connection;
use crate::redis::net::failure::Kind;

pub(crate) struct Pool {
    state: Mutex<State>,
    /// Told of each connection that is given back, and of each place for a new one.
    freed: Condvar,
    size: usize,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    /// Idle, in use or being made: at most `size`.
    places: usize,
    /// Threads that wait to be told. Without any there is nobody to wake, which takes a while.
    waiting: usize,
}

/// A place in the pool. Given back when this is dropped, with what is in it.
struct Place<'a> {
    pool: &'a Pool,
    connection: Option<Connection>,
}

impl Pool {
    pub(crate) fn new(size: usize) -> Self {
        Self { state: Mutex::new(State::default()), freed: Condvar::new(), size }
    }

    /// Acts on a connection that nobody else uses: an idle one, or one that `connect` makes.
    pub(crate) fn with<T>(
        &self,
        deadline: &Deadline,
        connect: impl FnOnce() -> Result<Connection, Kind>,
        act: impl FnOnce(&mut Connection) -> T,
    ) -> Result<T, Kind> {
        let mut place = self.place(deadline)?;
        let mut connection = match place.connection.take() {
            Some(idle) => idle,
            None => connect()?,
        };
        let result = act(&mut connection);
        place.connection = Some(connection).filter(Connection::is_sound);
        Ok(result)
    }

    /// A place, with an idle connection in it if there is one.
    fn place(&self, deadline: &Deadline) -> Result<Place<'_>, Kind> {
        let timed_out = || Kind::PoolTimeout { pool_size: self.size, waited: deadline.whole() };
        let mut state = self.lock();
        let mut has_waited = false;
        loop {
            if has_waited && deadline.left().is_none() {
                // Too late for what may have become free: another may still make use of it, and
                // must not miss the word of it that this thread was given.
                drop(state);
                self.freed.notify_one();
                return Err(timed_out());
            }
            if let Some(connection) = state.idle.pop() {
                drop(state);
                if !connection.is_stale() {
                    return Ok(Place { pool: self, connection: Some(connection) });
                }
                drop(connection);
                state = self.lock();
                // Its place is free, and this thread is the first to know.
                state.places -= 1;
            } else if state.places < self.size {
                state.places += 1;
                return Ok(Place { pool: self, connection: None });
            } else {
                let left = deadline.left().ok_or_else(timed_out)?;
                state.waiting += 1;
                (state, _) =
                    self.freed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
                state.waiting -= 1;
                has_waited = true;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that could panic runs while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        match self.connection.take() {
            Some(connection) => state.idle.push(connection),
            None => state.places -= 1,
        }
        let somebody_waits = state.waiting > 0;
        drop(state);
        if somebody_waits {
            self.pool.freed.notify_one();
        }
    }
}
