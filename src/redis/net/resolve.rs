//! Resolving host names within a deadline.
//!
//! The system's resolver has no deadline, so it runs on a thread of its own, and the caller waits for that
//! within its deadline. A look-up under way serves later callers too, unless a caller has given up on it: it
//! may hang for long, while a new one would succeed. The number of threads for a name is bounded.

use core::time::Duration;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use std::{io, thread};

use crate::redis::net::Deadline;

/// This many look-ups of a name may begin as soon as callers have given up on earlier ones.
const AT_ONCE: usize = 4;
/// Beyond that, up to `MOST`, each begins this long after the one before it.
const PAUSE: Duration = Duration::from_secs(5);
const MOST: usize = 8;

type LookUp = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

#[derive(Debug)]
pub(crate) struct Resolver {
    shared: Arc<Shared>,
    look_up: LookUp,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Look-ups under way.
    asking: usize,
    /// The number of the one that was begun last, and when that was.
    newest: (u64, Option<Instant>),
    /// A caller has given up on it.
    is_given_up: bool,
    /// The number of the look-up that gave the last answer.
    answered: u64,
    /// Counts answers, so that a waiter knows a new one from an old one.
    answers: u64,
    answer: Option<Result<Vec<SocketAddr>, String>>,
    /// The last addresses found.
    known: Option<Vec<SocketAddr>>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self::by(|host, port| (host, port).to_socket_addrs().map(Iterator::collect))
    }
}

impl Resolver {
    fn by(look_up: LookUp) -> Self {
        Self { shared: Arc::default(), look_up }
    }

    /// The addresses of a host, always the same host for one resolver. If they are not found within half of the
    /// time, or not at all, the last ones known.
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
        if state.is_look_up_due() {
            self.begin(&mut state, host, port)?;
        }
        let patience = if state.known.is_some() { deadline.halfway() } else { *deadline };
        while state.answers == before {
            let Some(left) = patience.left() else {
                state.is_given_up = true;
                return state.known.clone().ok_or_else(|| io::ErrorKind::TimedOut.into());
            };
            (state, _) = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        match (&state.answer, &state.known) {
            (Some(Ok(addresses)), _) if !addresses.is_empty() => Ok(addresses.clone()),
            (_, Some(known)) => Ok(known.clone()),
            (Some(Err(cause)), None) => Err(io::Error::other(cause.clone())),
            _ => Err(io::Error::other(format!("{host} has no address"))),
        }
    }

    fn begin(&self, state: &mut State, host: &str, port: u16) -> io::Result<()> {
        let number = state.newest.0 + 1;
        let (shared, host, look_up) = (Arc::clone(&self.shared), host.to_owned(), self.look_up);
        let ask = move || {
            let answer = look_up(&host, port).map_err(|error| error.to_string());
            shared.lock().take(number, answer);
            shared.changed.notify_all();
        };
        thread::Builder::new().name("trypema-resolve".into()).spawn(ask)?;
        state.asking += 1;
        state.newest = (number, Some(Instant::now()));
        state.is_given_up = false;
        Ok(())
    }
}

impl State {
    fn is_look_up_due(&self) -> bool {
        if self.asking == 0 {
            return true;
        }
        let is_next = self.newest.1.is_none_or(|begun| begun.elapsed() >= PAUSE);
        self.is_given_up && (self.asking < AT_ONCE || self.asking < MOST && is_next)
    }

    /// Takes the result of a look-up.
    fn take(&mut self, number: u64, answer: Result<Vec<SocketAddr>, String>) {
        self.asking -= 1;
        // A later answer beats an earlier look-up, and a look-up under way beats an earlier failure.
        if number < self.answered || answer.is_err() && number < self.newest.0 {
            return;
        }
        if let Ok(addresses) = &answer
            && !addresses.is_empty()
        {
            self.known = Some(addresses.clone());
        }
        self.answered = number;
        self.answers += 1;
        self.answer = Some(answer);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that could panic runs while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "in a test a panic is a failure, and says where")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    fn soon() -> Deadline {
        Deadline::after(Duration::from_millis(20))
    }

    /// The most threads that hanging look-ups take, however many calls there are.
    #[test]
    fn look_ups_that_hang_are_few() {
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        let resolver = Resolver::by(|_, _| {
            BEGUN.fetch_add(1, SeqCst);
            loop {
                thread::park();
            }
        });
        for _ in 0..20 {
            let error = resolver.resolve("name", 1, &soon()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
        assert!(BEGUN.load(SeqCst) <= AT_ONCE, "{BEGUN:?}");
    }

    /// A call that comes when names are known again does not wait for a look-up from before that.
    #[test]
    fn nobody_waits_for_a_look_up_that_was_given_up() {
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        let resolver = Resolver::by(|_, port| {
            if BEGUN.fetch_add(1, SeqCst) < 2 {
                loop {
                    thread::park();
                }
            }
            Ok(vec![([127, 0, 0, 1], port).into()])
        });
        for _ in 0..2 {
            assert!(resolver.resolve("name", 1, &soon()).is_err());
        }
        let long = Deadline::after(Duration::from_secs(60));
        assert_eq!(resolver.resolve("name", 1, &long).unwrap(), [([127, 0, 0, 1], 1).into()]);
    }

    /// Names that are not known any more, or not in time, are as they were.
    #[test]
    fn what_was_known_is_known() {
        static BEGUN: AtomicUsize = AtomicUsize::new(0);
        let resolver = Resolver::by(|_, port| match BEGUN.fetch_add(1, SeqCst) {
            0 => Ok(vec![([127, 0, 0, 1], port).into()]),
            1 => Err(io::ErrorKind::NotFound.into()),
            _ => loop {
                thread::park();
            },
        });
        let long = Deadline::after(Duration::from_secs(60));
        for deadline in [long, long, soon()] {
            let found = resolver.resolve("name", 1, &deadline).unwrap();
            assert_eq!(found, [([127, 0, 0, 1], 1).into()]);
        }
    }
}
