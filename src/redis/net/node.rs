//! One server: its pool, and a breaker that stops asking it while it fails.

use core::cell::Cell;
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use ::redis::{Value, cmd};

use crate::redis::net::breaker::Pass;
use crate::redis::net::connection::Connection;
use crate::redis::net::failure::Kind;
use crate::redis::net::guard::{Guard, Health};
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
    /// The deadline of a probe that no call waits for.
    pub(crate) deadline: Duration,
    /// Whether one failure that took all of its time opens the breaker.
    pub(crate) is_impatient: bool,
}

pub(crate) struct Node {
    pub(crate) address: Address,
    connector: Arc<Connector>,
    resolver: Resolver,
    pool: Pool,
    guard: Guard,
    deadline: Duration,
    /// It has answered once.
    is_proven: AtomicBool,
    /// A thread probes it at present.
    is_probed: AtomicBool,
}

impl Node {
    pub(crate) fn new(address: Address, connector: Arc<Connector>, limits: &Limits) -> Self {
        Self {
            address,
            connector,
            resolver: Resolver::default(),
            pool: Pool::new(limits.pool),
            guard: Guard::new(limits),
            deadline: limits.deadline,
            is_proven: AtomicBool::new(false),
            is_probed: AtomicBool::new(false),
        }
    }

    /// Sends all requests in one round trip; in two if the server does not know a script. `asking`: for keys
    /// that are migrating to this node of a cluster.
    pub(crate) fn ask<T>(
        self: &Arc<Self>,
        requests: &[&Request<'_, T>],
        asking: bool,
        deadline: Deadline,
    ) -> Result<Vec<Answer<T>>, Failure> {
        self.call(deadline, |connection| exchange(connection, requests, asking, deadline))
    }

    /// Sends a single command that is not a script.
    pub(crate) fn ask_plainly(
        self: &Arc<Self>,
        request: &::redis::Cmd,
        deadline: Deadline,
    ) -> Result<Value, Failure> {
        let ask = |connection: &mut Connection| {
            connection.exchange(1, deadline, |out| request.write_packed_command(out))
        };
        let mut answers = self.call(deadline, ask)?;
        answers.pop().unwrap_or(Ok(Value::Nil)).and_then(said).map_err(|kind| self.failure(kind))
    }

    /// See `Pool::abandon`.
    pub(crate) fn abandon(&self) {
        self.pool.abandon();
    }

    /// Whether it has ever answered.
    pub(crate) fn is_proven(&self) -> bool {
        // Relaxed: a hint of whether to wait for it.
        self.is_proven.load(Ordering::Relaxed)
    }

    pub(crate) fn failure(&self, kind: Kind) -> Failure {
        kind.at(&self.address)
    }

    fn call<T>(
        self: &Arc<Self>,
        deadline: Deadline,
        act: impl FnOnce(&mut Connection) -> Result<Vec<Answer<T>>, Kind>,
    ) -> Result<Vec<Answer<T>>, Failure> {
        if let Err(error) = deadline.left_or_timed_out() {
            // That says nothing about the server.
            return Err(self.failure(Kind::of_io(&error, false)));
        }
        let pass = self.guard.enter().map_err(|open| self.failure(open))?;
        if pass == Pass::Probe && self.guard.was_slow() && self.probe_apart() {
            return Err(self.failure(self.guard.open(self.guard.pause)));
        }
        let called = self.attempt(deadline, act);
        self.told(pass, called.health());
        called.answers.map_err(|kind| self.failure(kind))
    }

    fn told(&self, pass: Pass, health: Health) {
        if let Health::Up = health {
            // Relaxed: see `is_proven`.
            self.is_proven.store(true, Ordering::Relaxed);
        }
        self.guard.leave(pass, health);
    }

    /// Probes the server on a separate thread, so that no call waits for a server that hangs. `false` if no
    /// thread could be started.
    fn probe_apart(self: &Arc<Self>) -> bool {
        // Relaxed, all of them: the flag only avoids a second probe, and nothing else depends on it.
        if self.is_probed.swap(true, Ordering::Relaxed) {
            return true;
        }
        let node = Arc::clone(self);
        let probe = move || {
            let deadline = Deadline::after(node.deadline);
            let ping = |connection: &mut Connection| {
                let replies =
                    connection.exchange(1, deadline, |out| cmd("PING").write_packed_command(out));
                Ok(replies?.into_iter().map(|reply| reply.and_then(said)).collect())
            };
            let health = node.attempt(deadline, ping).health();
            node.told(Pass::Probe, health);
            node.is_probed.store(false, Ordering::Relaxed); // As above.
        };
        let begun = thread::Builder::new().name("trypema-probe".into()).spawn(probe).is_ok();
        if !begun {
            self.is_probed.store(false, Ordering::Relaxed); // As above.
        }
        begun
    }

    fn attempt<T>(
        &self,
        deadline: Deadline,
        act: impl FnOnce(&mut Connection) -> Result<Vec<Answer<T>>, Kind>,
    ) -> Called<T> {
        // When the server was first contacted.
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
        let is_slow = deadline.left().is_none();
        match used {
            Ok(used) => {
                Called { is_news: !used.was_retired && !was_hasty(), is_slow, answers: used.result }
            }
            Err(kind) => Called { is_news: !was_hasty(), is_slow, answers: Err(kind) },
        }
    }
}

/// The result of a call.
struct Called<T> {
    answers: Result<Vec<Answer<T>>, Kind>,
    /// Whether a failure says something new about the server: not if the server had hardly any time, nor if
    /// the connection was from a generation that had failed already.
    is_news: bool,
    is_slow: bool,
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
                        // The server has answered at least one request.
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
            Some(kind) => Health::Down { cause: kind.to_string(), is_slow: self.is_slow },
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

/// Sends the requests and parses each reply as its request says. A connection that brings a malformed reply
/// is not used again.
fn exchange<T>(
    connection: &mut Connection,
    requests: &[&Request<'_, T>],
    asking: bool,
    deadline: Deadline,
) -> Result<Vec<Answer<T>>, Kind> {
    let each = if asking { 2 } else { 1 };
    let mut send = |which: &[usize], first: ScriptRef| -> Result<Vec<Answer<T>>, Kind> {
        let replies = connection.exchange(which.len() * each, deadline, |out| {
            // The scripts named so far: few.
            let mut named = Vec::new();
            for index in which {
                if asking {
                    out.extend_from_slice(b"*1\r\n$6\r\nASKING\r\n");
                }
                let hash = requests[*index].script.map(|script| &script.hash);
                let by = if named.contains(&hash) { ScriptRef::Hash } else { first };
                if by == ScriptRef::Text {
                    named.push(hash);
                }
                requests[*index].write(by, out);
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
    // A request whose script the server does not know did nothing. The first resend of each script carries its
    // text.
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
