//! Names to addresses, within a time.
//!
//! The system's resolver has no deadline, so it runs on a thread of its own, and whoever needs its
//! answer waits for as long as he may. A thread that is still at it serves the next caller too, so
//! that there is one for a name at most.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use crate::redis::net::Deadline;

#[derive(Debug, Default)]
pub(crate) struct Resolver {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    asking: bool,
    /// Counts answers, so that a waiter knows a new one from an old one.
    answers: u64,
    answer: Option<Result<Vec<SocketAddr>, String>>,
}

impl Resolver {
    /// The addresses of a host, of which there is always the same one for a resolver.
    pub(crate) fn resolve(
        &self,
        host: &str,
        port: u16,
        deadline: &Deadline,
    ) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let mut state = self.shared.lock();
        let before = state.answers;
        if !state.asking {
            state.asking = true;
            let (shared, host) = (Arc::clone(&self.shared), host.to_owned());
            let ask = move || {
                let found = (host.as_str(), port).to_socket_addrs();
                let answer = found.map(Iterator::collect).map_err(|error| error.to_string());
                let mut state = shared.lock();
                state.asking = false;
                state.answers += 1;
                state.answer = Some(answer);
                shared.changed.notify_all();
            };
            if let Err(error) = thread::Builder::new().name("trypema-resolve".into()).spawn(ask) {
                state.asking = false;
                return Err(error);
            }
        }
        while state.answers == before {
            let left = deadline.left_or_timed_out()?;
            (state, _) = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        match &state.answer {
            Some(Ok(addresses)) if !addresses.is_empty() => Ok(addresses.clone()),
            Some(Err(cause)) => Err(io::Error::other(cause.clone())),
            _ => Err(io::Error::other(format!("{host} has no address"))),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that could panic runs while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
