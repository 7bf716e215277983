//! One server: its pool, and a breaker that leaves it alone while it fails.

use core::cell::Cell;
use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ::redis::Value;

use crate::redis::net::breaker::{Breaker, Pass};
use crate::redis::net::connection::Connection;
use crate::redis::net::failure::Kind;
use crate::redis::net::pool::{Bounds, Pool, Retire};
use crate::redis::net::resolve::Resolver;
use crate::redis::net::{Address, Connector, Deadline, Failure};
use crate::redis::request::{Request, ScriptRef};

/// A reply, or why there is none.
pub(crate) type Answer<T> = Result<T, Kind>;

/// Settings of each node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) pool: Bounds,
    /// Failures in a row that open the breaker.
    pub(crate) failures: u32,
    /// Time between probes.
    pub(crate) pause: Duration,
}

pub(crate) struct Node {
    pub(crate) address: Address,
    connector: Arc<Connector>,
    resolver: Resolver,
    pool: Pool,
    guard: Guard,
}

/// What a call says of a server.
pub(crate) enum Health {
    Up,
    /// Why.
    Down(String),
    /// Nothing that was not known.
    Unknown,
}

/// A breaker with real time, which remembers why it opened.
pub(crate) struct Guard {
    breaker: Breaker,
    origin: Instant,
    last: Mutex<String>,
}

impl Guard {
    pub(crate) fn new(limits: &Limits) -> Self {
        let pause = u64::try_from(limits.pause.as_nanos()).unwrap_or(u64::MAX);
        Self {
            breaker: Breaker::new(limits.failures, pause),
            origin: Instant::now(),
            last: Mutex::new(String::new()),
        }
    }

    /// Does it, unless it has failed too often. `health`: what its result says of the server.
    pub(crate) fn run<T>(
        &self,
        act: impl FnOnce() -> T,
        health: impl FnOnce(&T) -> Health,
    ) -> Result<T, Kind> {
        let pass = self.breaker.ask(self.now());
        if let Pass::Wait(nanos) = pass {
            let cause = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return Err(Kind::BreakerOpen { cause, retry_after: Duration::from_nanos(nanos) });
        }
        let done = act();
        match health(&done) {
            Health::Up => self.breaker.succeeded(),
            Health::Down(cause) => {
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = cause;
                self.breaker.failed(pass, self.now());
            }
            Health::Unknown => {}
        }
        Ok(done)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Node {
    pub(crate) fn new(address: Address, connector: Arc<Connector>, limits: &Limits) -> Self {
        Self {
            address,
            connector,
            resolver: Resolver::default(),
            pool: Pool::new(limits.pool),
            guard: Guard::new(limits),
        }
    }

    /// Asks all of it in one round trip; in two where the server does not know a script. `asking`:
    /// for keys that are on their way to this node of a cluster.
    pub(crate) fn ask<T>(
        &self,
        requests: &[&Request<'_, T>],
        asking: bool,
        deadline: Deadline,
    ) -> Result<Vec<Answer<T>>, Failure> {
        self.call(deadline, |connection| exchange(connection, requests, asking, deadline))
    }

    /// A request that is no script, and is not asked often.
    pub(crate) fn ask_plainly(
        &self,
        request: &::redis::Cmd,
        deadline: Deadline,
    ) -> Result<Value, Failure> {
        let ask = |connection: &mut Connection| {
            connection.exchange(1, deadline, |out| request.write_packed_command(out))
        };
        let mut answers = self.call(deadline, ask)?;
        answers.pop().unwrap_or(Ok(Value::Nil)).and_then(said).map_err(|kind| self.failure(kind))
    }

    pub(crate) fn failure(&self, kind: Kind) -> Failure {
        kind.at(&self.address)
    }

    fn call<T>(
        &self,
        deadline: Deadline,
        act: impl FnOnce(&mut Connection) -> Result<Vec<Answer<T>>, Kind>,
    ) -> Result<Vec<Answer<T>>, Failure> {
        if let Err(error) = deadline.left_or_timed_out() {
            // The server has had no part in that.
            return Err(self.failure(Kind::of_io(&error, false)));
        }
        let called = self.guard.run(|| self.attempt(deadline, act), |called| called.health());
        called.and_then(|called| called.answers).map_err(|kind| self.failure(kind))
    }

    fn attempt<T>(
        &self,
        deadline: Deadline,
        act: impl FnOnce(&mut Connection) -> Result<Vec<Answer<T>>, Kind>,
    ) -> Called<T> {
        // When the server was asked for something first.
        let asked = Cell::new(None);
        let begin = || asked.set(asked.get().or(Some(Instant::now())));
        let was_hasty = || {
            deadline.left().is_none() && !asked.get().is_some_and(|at| deadline.was_fair_since(at))
        };
        let connect = || {
            begin();
            self.connector.connect(&self.address, &self.resolver, deadline)
        };
        let used = self.pool.with(&deadline, connect, |connection| {
            begin();
            let answers = act(connection);
            let retire = match lasting(&answers) {
                Some(kind) if kind.is_wrong_server() => Some(Retire::All),
                Some(Kind::Io { .. }) if !was_hasty() => Some(Retire::Idle),
                _ => None,
            };
            (answers, retire)
        });
        match used {
            Ok(used) => Called { is_news: !used.was_retired && !was_hasty(), answers: used.result },
            Err(kind) => Called { is_news: !was_hasty(), answers: Err(kind) },
        }
    }
}

/// What became of a call.
struct Called<T> {
    answers: Result<Vec<Answer<T>>, Kind>,
    /// Whether a failure would say something of the server that was not known: not if it was given hardly
    /// any time, nor if the connection was one of those that have failed already.
    is_news: bool,
}

impl<T> Called<T> {
    fn health(&self) -> Health {
        let bad = match &self.answers {
            Err(kind) => Some(kind),
            Ok(answers) => {
                let mut bad = None;
                for answer in answers {
                    match answer {
                        Err(kind) if kind.opens_breaker() => bad = Some(kind),
                        // It has answered one.
                        _ => return Health::Up,
                    }
                }
                bad
            }
        };
        match bad {
            Some(Kind::PoolTimeout { .. }) => Health::Unknown,
            Some(kind) if !kind.opens_breaker() => Health::Up,
            Some(_) if !self.is_news => Health::Unknown,
            Some(kind) => Health::Down(kind.to_string()),
            None => Health::Up,
        }
    }
}

/// The first failure that speaks against the connection, if any.
fn lasting<T>(answers: &Result<Vec<Answer<T>>, Kind>) -> Option<&Kind> {
    match answers {
        Err(kind) => Some(kind),
        Ok(answers) => {
            let mut failures = answers.iter().filter_map(|answer| answer.as_ref().err());
            failures.find(|kind| kind.is_wrong_server() || matches!(kind, Kind::Io { .. }))
        }
    }
}

/// Sends the requests and parses the replies, each as its request says. A connection that brings a
/// reply which makes no sense is not used again.
fn exchange<T>(
    connection: &mut Connection,
    requests: &[&Request<'_, T>],
    asking: bool,
    deadline: Deadline,
) -> Result<Vec<Answer<T>>, Kind> {
    let each = if asking { 2 } else { 1 };
    let mut send = |which: &[usize], first: ScriptRef| -> Result<Vec<Answer<T>>, Kind> {
        let replies = connection.exchange(which.len() * each, deadline, |out| {
            for (nth, index) in which.iter().enumerate() {
                if asking {
                    out.extend_from_slice(b"*1\r\n$6\r\nASKING\r\n");
                }
                requests[*index].write(if nth == 0 { first } else { ScriptRef::Hash }, out);
            }
        })?;
        let last_of_each = replies.into_iter().skip(each - 1).step_by(each);
        let parsed = last_of_each.zip(which).map(|(reply, index)| {
            let value = reply.and_then(said)?;
            (requests[*index].parse)(value).inspect_err(|kind| {
                if let Kind::Protocol { .. } = kind {
                    connection.distrust();
                }
            })
        });
        Ok(parsed.collect())
    };
    let all = (0..requests.len()).collect::<Vec<_>>();
    let mut answers = send(&all, ScriptRef::Hash)?;
    // The server has done nothing of what it has no script for. It learns it from the first.
    let unknown =
        all.into_iter().filter(|index| is_unknown_script(&answers[*index])).collect::<Vec<_>>();
    if !unknown.is_empty() {
        let again = send(&unknown, ScriptRef::Text)
            .unwrap_or_else(|kind| unknown.iter().map(|_| Err(kind.clone())).collect());
        for (index, answer) in unknown.into_iter().zip(again) {
            answers[index] = answer;
        }
    }
    Ok(answers)
}

fn is_unknown_script<T>(answer: &Answer<T>) -> bool {
    matches!(answer, Err(Kind::Server { code, .. }) if code == "NOSCRIPT")
}

fn said(reply: Value) -> Answer<Value> {
    match reply {
        Value::ServerError(error) => Err(Kind::of_server(&error)),
        reply => Ok(reply),
    }
}
