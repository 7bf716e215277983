//! One server: its pool, and a breaker that leaves it alone while it fails.

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
    /// How long a probe may take that no call waits for.
    pub(crate) deadline: Duration,
    /// Whether one failure that has taken all of its time is enough to open the breaker.
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
    /// A thread sees whether it answers again.
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

    /// Asks all of it in one round trip; in two where the server does not know a script. `asking`:
    /// for keys that are on their way to this node of a cluster.
    pub(crate) fn ask<T>(
        self: &Arc<Self>,
        requests: &[&Request<'_, T>],
        asking: bool,
        deadline: Deadline,
    ) -> Result<Vec<Answer<T>>, Failure> {
        self.call(deadline, |connection| exchange(connection, requests, asking, deadline))
    }

    /// A request that is no script, and is not asked often.
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
            // The server has had no part in that.
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

    /// Sees on a thread of its own whether the server answers again, so that no call waits for one that
    /// hangs. False if there is no thread to be had.
    fn probe_apart(self: &Arc<Self>) -> bool {
        // Relaxed, all of them: there need not be two, and nothing else depends on it.
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
        let is_slow = deadline.left().is_none();
        match used {
            Ok(used) => {
                Called { is_news: !used.was_retired && !was_hasty(), is_slow, answers: used.result }
            }
            Err(kind) => Called { is_news: !was_hasty(), is_slow, answers: Err(kind) },
        }
    }
}

/// What became of a call.
struct Called<T> {
    answers: Result<Vec<Answer<T>>, Kind>,
    /// Whether a failure would say something of the server that was not known: not if it was given hardly
    /// any time, nor if the connection was one of those that have failed already.
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
            // Of each script. Few.
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
    // The server has done nothing of what it has no script for. It learns each from the first.
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
