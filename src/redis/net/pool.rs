//! Connections that are kept for the next call.
//!
//! A pool of our own, since a call that finds the server gone has to fail at once, and with the reason:
//! r2d2, the usual choice, connects on a separate thread, at growing intervals, and wakes no caller when
//! that fails, so that every caller waits for its whole timeout, and none learns why.
//!
//! The connection given back last is lent first, so that under light load few connections are in use, and
//! those are the least likely to have been closed meanwhile.
//!
//! A connection is only as good as the network path to its server. Routers and load balancers silently drop
//! idle ones, and after a failover old ones lead to a server that is no longer the master. So a
//! connection that has been idle or has lived for too long is closed; and where one has failed, all that
//! were idle then are closed with it: that *retires* a generation. A connection of an older generation that
//! fails as well says nothing new.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::redis::net::Deadline;
use crate::redis::net::connection::Connection;
use crate::redis::net::failure::Kind;

/// How long to open no more connections after the server has said that it takes no more.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// The part by which lifetimes differ.
const SPREAD: f64 = 0.1;
/// Later than anything.
const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);

/// How many connections there may be, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) size: usize,
    pub(crate) max_idle: Duration,
    pub(crate) max_lifetime: Duration,
}

pub(crate) struct Pool {
    state: Mutex<State>,
    /// Notified of each connection given back, and of each place that comes free.
    freed: Condvar,
    bounds: Bounds,
}

#[derive(Default)]
struct State {
    /// The longest idle come first.
    idle: VecDeque<Pooled>,
    /// Idle, in use or being made: at most as many as may be.
    places: usize,
    /// Idle or in use.
    made: usize,
    /// Threads that wait for a connection. At 0 the costly notification is skipped.
    waiting: usize,
    generation: u64,
    /// Connections of older generations are closed when they are given back.
    keep_from: u64,
    /// The server gives us only this many connections, until this time.
    full: Option<(usize, Instant)>,
}

struct Pooled {
    connection: Connection,
    generation: u64,
    idle_since: Instant,
    /// When its life is over.
    retire_at: Instant,
}

/// A place in the pool. Given back when this is dropped, with what is in it.
struct Place<'a> {
    pool: &'a Pool,
    /// When the place was taken.
    generation: u64,
    /// Whether there is a connection for it, here or in use.
    is_made: bool,
    pooled: Option<Pooled>,
}

/// Which other connections to retire when one has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retire {
    /// The idle ones. One in use may still work.
    Idle,
    /// All.
    All,
}

/// The result of using a connection.
pub(crate) struct Used<T> {
    pub(crate) result: T,
    /// Whether its generation had been retired before, by another.
    pub(crate) was_retired: bool,
}

impl Pool {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { state: Mutex::new(State::default()), freed: Condvar::new(), bounds }
    }

    /// Acts on a connection that no other caller uses: an idle one, or one that `connect` makes. `act` also says
    /// which others to retire.
    pub(crate) fn with<T>(
        &self,
        deadline: &Deadline,
        connect: impl Fn() -> Result<Connection, Kind>,
        act: impl FnOnce(&mut Connection) -> (T, Option<Retire>),
    ) -> Result<Used<T>, Kind> {
        let mut place = self.place(deadline)?;
        let mut pooled = loop {
            if let Some(idle) = place.pooled.take() {
                break idle;
            }
            match connect() {
                Ok(connection) => break place.fill(connection),
                // Other callers hold connections of this pool, and will give them back.
                Err(kind) if kind.is_full() && self.has_to_do_with_fewer() => {
                    drop(place);
                    place = self.place(deadline)?;
                }
                Err(kind) => return Err(kind),
            }
        };
        let (result, retire) = act(&mut pooled.connection);
        let was_retired = self.retire(pooled.generation, retire);
        place.pooled = Some(pooled).filter(|pooled| pooled.connection.is_sound());
        Ok(Used { result, was_retired })
    }

    /// Closes idle connections, unless the pool is locked. For a forked child: those connections are its
    /// parent's.
    pub(crate) fn abandon(&self) {
        if let Ok(mut state) = self.state.try_lock() {
            state.idle.clear();
        }
    }

    /// A place, with an idle connection in it if there is one.
    fn place(&self, deadline: &Deadline) -> Result<Place<'_>, Kind> {
        let timed_out =
            || Kind::PoolTimeout { pool_size: self.bounds.size, waited: deadline.whole() };
        let mut state = self.lock();
        let mut has_waited = false;
        loop {
            if has_waited && deadline.left().is_none() {
                // Too late: another thread may still use a connection that has come free, and this
                // thread may have consumed the notification of it.
                drop(state);
                self.freed.notify_one();
                return Err(timed_out());
            }
            let now = Instant::now();
            let old = state.drop_old(now, self.bounds.max_idle);
            let generation = state.generation;
            if let Some(pooled) = state.idle.pop_back() {
                drop(state);
                drop(old);
                if now < pooled.retire_at && !pooled.connection.is_stale() {
                    return Ok(Place {
                        pool: self,
                        generation: pooled.generation,
                        is_made: true,
                        pooled: Some(pooled),
                    });
                }
                drop(pooled);
                state = self.lock();
                // Its place is free, and this thread is the first to know.
                state.places -= 1;
                state.made -= 1;
            } else if state.places < state.most(self.bounds.size, now) {
                state.places += 1;
                drop(state);
                return Ok(Place { pool: self, generation, is_made: false, pooled: None });
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

    /// To be called when the server takes no more connections. Returns whether others exist, or may soon, to
    /// wait for.
    fn has_to_do_with_fewer(&self) -> bool {
        let mut state = self.lock();
        if state.places == 1 {
            return false;
        }
        state.full = Some((state.made, Instant::now() + FULL_PAUSE));
        true
    }

    /// Whether this generation had been retired before; if not, it may be now.
    fn retire(&self, generation: u64, which: Option<Retire>) -> bool {
        let mut state = self.lock();
        let was_retired = generation < state.generation;
        let Some(which) = which.filter(|_| !was_retired) else { return was_retired };
        state.generation += 1;
        if which == Retire::All {
            state.keep_from = state.generation;
        }
        let idle = std::mem::take(&mut state.idle);
        state.places -= idle.len();
        state.made -= idle.len();
        let somebody_waits = state.waiting > 0;
        drop(state);
        if somebody_waits {
            self.freed.notify_all();
        }
        was_retired
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that could panic runs while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes out those that have been idle for too long. To be dropped when the lock is.
    fn drop_old(&mut self, now: Instant, max_idle: Duration) -> Vec<Pooled> {
        let is_old = |pooled: &Pooled| now.saturating_duration_since(pooled.idle_since) > max_idle;
        let count = self.idle.iter().take_while(|pooled| is_old(pooled)).count();
        self.places -= count;
        self.made -= count;
        self.idle.drain(..count).collect()
    }

    /// How many places there may be.
    fn most(&mut self, size: usize, now: Instant) -> usize {
        self.full = self.full.filter(|(_, until)| now < *until);
        match self.full {
            // With no connection left, one call must try, to learn the server's error.
            Some((most, _)) => most.max(1).min(size),
            None => size,
        }
    }
}

impl Place<'_> {
    /// A new connection for it.
    fn fill(&mut self, connection: Connection) -> Pooled {
        let now = Instant::now();
        self.is_made = true;
        self.pool.lock().made += 1;
        // Spread, so that connections made together do not end together.
        let lifetime = self.pool.bounds.max_lifetime.min(FAR);
        let lifetime = lifetime.mul_f64(1.0 - SPREAD * fastrand::f64());
        Pooled {
            connection,
            generation: self.generation,
            idle_since: now,
            retire_at: now + lifetime,
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.pool.lock();
        let is_kept =
            |pooled: &Pooled| now < pooled.retire_at && pooled.generation >= state.keep_from;
        let (kept, closed) = match self.pooled.take() {
            Some(pooled) if is_kept(&pooled) => (Some(pooled), None),
            closed => (None, closed),
        };
        match kept {
            // It has just worked, so it is as good as any.
            Some(pooled) => {
                let generation = state.generation;
                state.idle.push_back(Pooled { generation, idle_since: now, ..pooled });
            }
            None => {
                state.places -= 1;
                state.made -= usize::from(self.is_made);
            }
        }
        let somebody_waits = state.waiting > 0;
        drop(state);
        drop(closed);
        if somebody_waits {
            self.pool.freed.notify_one();
        }
    }
}
