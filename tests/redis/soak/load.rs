//! The process under test: 16 threads that ask three limiters for as long as they are told to.
//!
//! A process of its own, so that its threads, memory and descriptors are those of the library, not of
//! the servers and proxies that the test keeps. It is told what to do over a unix socket, a line each:
//! `step MS` moves the clock of the limiter that has one; `end ..` judges the round, and begins the
//! next.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use trypema::{
    Clock, RateLimit, RateLimitDecision, RedisRateLimiter, RedisRateLimiterBuilder, TrypemaError,
};

use super::judge::{Judge, Key, Outcome, Record, Round, room};
use super::{DEADLINE, TARGETS, Target};
use crate::common::draws::Draws;
use crate::common::until::FOREVER;
use crate::processes::{Own, now, start_again};

/// The threads of each target, 16 in all.
const THREADS: [usize; TARGETS.len()] = [7, 6, 3];
/// Keys of each target that all of its threads ask for.
pub(super) const HOT: u64 = 6;
/// The orders of the process: the file with its addresses, and the socket.
const TOLD: &str = "TRYPEMA_TEST_SOAK";

/// Of keys that all threads ask for, so that they are always full: under Absolute, and under
/// Suppressed.
pub(super) fn hot_rates() -> [RateLimit; 2] {
    [40.0, 10.0].map(|units| RateLimit::per(units, Duration::from_millis(500)).unwrap())
}

/// Of keys that are asked for once: they have room, and are remembered until the round is judged.
pub(super) fn once_rate() -> RateLimit {
    RateLimit::per(10.0, Duration::from_secs(120)).unwrap()
}

/// The process, seen from the test.
pub(super) struct Load {
    _process: Own,
    stream: BufReader<UnixStream>,
}

impl Load {
    pub(super) fn start(addresses: &std::path::Path, socket: &std::path::Path, seed: u64) -> Self {
        let listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
        let told = format!("{} {} {seed}", addresses.display(), socket.display());
        let process = start_again("soak::load::process", TOLD, &told, Stdio::null());
        let (stream, _) = listener.accept().unwrap();
        Self { _process: process, stream: BufReader::new(stream) }
    }

    /// Says a line, and returns the answer.
    pub(super) fn tell(&mut self, line: &str) -> String {
        writeln!(self.stream.get_mut(), "{line}").unwrap();
        let mut answer = String::new();
        self.stream.read_line(&mut answer).expect("the process answers");
        assert!(answer.ends_with('\n'), "the process has ended");
        answer
    }
}

/// The system's clock, and so much more.
#[derive(Clone)]
struct Stepping(std::sync::Arc<AtomicI64>);

impl Clock for Stepping {
    fn now(&self) -> Duration {
        // Relaxed: changed while nobody asks.
        let offset_ns = self.0.load(Ordering::Relaxed) * 1_000_000;
        Duration::from_nanos(now().saturating_add_signed(offset_ns))
    }
}

/// What the threads share.
struct Shared {
    limiters: Vec<RedisRateLimiter>,
    records: Vec<Mutex<Vec<Record>>>,
    /// Each call holds it; whoever judges, or moves the clock, waits until nobody calls.
    gate: RwLock<()>,
    done: AtomicBool,
    late_ns: AtomicU64,
}

/// No test of its own: what the process does that the soak starts.
#[test]
fn process() {
    let Ok(told) = env::var(TOLD) else { return };
    let [addresses, socket, seed] = *told.split(' ').collect::<Vec<_>>() else {
        panic!("told {told:?}")
    };
    let clock = Stepping(std::sync::Arc::default());
    let addresses = fs::read_to_string(addresses).unwrap();
    let builders = || addresses.lines().map(builder).zip(TARGETS);
    let with_clock = |(builder, target): (RedisRateLimiterBuilder, Target)| {
        let clocked = target == Target::Clock;
        let builder = if clocked { builder.server_time(clock.clone()) } else { builder };
        builder.build().unwrap()
    };
    let limiters =
        builders().map(|(builder, target)| with_clock((builder.deadline(DEADLINE), target)));
    let shared = Shared {
        limiters: limiters.collect(),
        records: (0..THREADS.iter().sum()).map(|_| Mutex::new(room(25_000))).collect(),
        gate: RwLock::new(()),
        done: AtomicBool::new(false),
        late_ns: AtomicU64::new(0),
    };
    let patient = builders().map(|(builder, target)| {
        with_clock((builder.deadline(Duration::from_secs(1)).breaker(u32::MAX, FOREVER), target))
    });
    let mut judge = Judge::new(patient.collect());
    let seed = seed.parse::<u64>().unwrap();

    let socket = UnixStream::connect(socket).unwrap();
    let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
    thread::scope(|scope| {
        let targets = THREADS.iter().enumerate();
        let targets = targets.flat_map(|(target, count)| std::iter::repeat_n(target, *count));
        for (number, target) in targets.enumerate() {
            let shared = &shared;
            scope.spawn(move || call(shared, target, number, seed));
        }
        scope.spawn(|| listen_for_noise(&shared));
        while let Some(Ok(line)) = lines.next() {
            let _quiet = shared.gate.write().unwrap_or_else(PoisonError::into_inner);
            let answer = match line.split_once(' ') {
                Some(("step", ms)) => {
                    let begun = now();
                    // Relaxed: nobody asks meanwhile.
                    clock.0.fetch_add(ms.parse::<i64>().unwrap(), Ordering::Relaxed);
                    format!("{begun} {}", now())
                }
                Some(("end", round)) => {
                    let each = shared.records.iter().map(|records| records.lock().unwrap());
                    let mut each = each.collect::<Vec<_>>();
                    let made = each.iter_mut().flat_map(|records| records.drain(..));
                    let late_ns = shared.late_ns.swap(0, Ordering::Relaxed); // A statistic.
                    judge.judge(&Round::parse(round), made, late_ns)
                }
                _ => panic!("told {line:?}"),
            };
            writeln!(&socket, "{answer}").unwrap();
        }
        // Relaxed: they stop sooner or later.
        shared.done.store(true, Ordering::Relaxed);
    });
}

/// `URL from>to,from>to`: ports that are reached through others.
fn builder(line: &str) -> RedisRateLimiterBuilder {
    let (url, ports) = line.split_once(' ').expect("a URL and a map");
    let port = |text: &str| text.parse::<u16>().unwrap();
    let pairs = ports.split(',').filter_map(|pair| pair.split_once('>'));
    let map = pairs.map(|(from, to)| (port(from), port(to))).collect::<HashMap<_, _>>();
    RedisRateLimiter::builder(url)
        .denial_cache(Duration::ZERO)
        .address_map(move |host, port| Some((host.to_owned(), *map.get(&port)?)))
}

/// One thread: calls of all kinds, some milliseconds apart, until it is over.
fn call(shared: &Shared, target: usize, number: usize, seed: u64) {
    let mut draws = Draws::new(seed ^ ((number as u64) << 32));
    let mut below = |limit: u64| (draws.next() * limit as f64) as u64;
    let ([absolute, suppressed], once) = (hot_rates(), once_rate());
    let (limiter, mut fresh) = (&shared.limiters[target], 0);
    // Relaxed: see where it is set.
    while !shared.done.load(Ordering::Relaxed) {
        let open = shared.gate.read().unwrap_or_else(PoisonError::into_inner);
        let (hot, other, units) = (below(HOT), below(HOT), 1 + below(5));
        let mut next_once = || {
            fresh += 1;
            Key::Once((number as u64) << 48 | fresh)
        };
        let called = now();
        let answers = match below(8) {
            0..=3 => {
                let key = Key::Hot(hot);
                vec![(key, units, limiter.absolute().inc(&key.name(), &absolute, units))]
            }
            4 => {
                let key = Key::Suppressed(hot);
                vec![(key, units, limiter.suppressed().inc(&key.name(), &suppressed, units))]
            }
            5 | 6 => {
                let key = next_once();
                vec![(key, 1, limiter.absolute().inc(&key.name(), &once, 1))]
            }
            _ => {
                let keys = [Key::Hot(hot), next_once(), Key::Hot(other)];
                let names = keys.map(|key| key.name());
                let calls = [(&absolute, units), (&once, 1), (&absolute, 1)];
                let calls = names.iter().zip(calls);
                let calls = calls.map(|(name, (rate, count))| (name.as_str(), rate, count));
                let calls = calls.collect::<Vec<_>>();
                let answers = limiter.absolute().inc_many(&calls);
                let counts = calls.iter().map(|(_, _, count)| *count);
                keys.into_iter().zip(counts).zip(answers).map(|((k, c), a)| (k, c, a)).collect()
            }
        };
        let returned = now();
        let records = answers.into_iter().map(|(key, units, answer)| Record {
            target,
            thread: number,
            key,
            called,
            returned,
            units,
            outcome: outcome(&answer),
        });
        shared.records[number].lock().unwrap().extend(records);
        drop(open);
        thread::sleep(Duration::from_millis(3 + below(5)));
    }
}

fn outcome(answer: &Result<RateLimitDecision, TrypemaError>) -> Outcome {
    match answer {
        Ok(decision) if decision.is_allowed() => Outcome::Admitted,
        Ok(_) => Outcome::TurnedAway,
        Err(
            TrypemaError::Redis { outcome_unknown: true, .. }
            | TrypemaError::UnexpectedReply { .. },
        ) => Outcome::Unknown,
        Err(_) => Outcome::NotCounted,
    }
}

/// How late threads are on this machine, whatever they do.
fn listen_for_noise(shared: &Shared) {
    // Relaxed, both: a statistic, and see where it is set.
    while !shared.done.load(Ordering::Relaxed) {
        let (length, begun) = (Duration::from_millis(20), Instant::now());
        thread::sleep(length);
        let late = begun.elapsed().saturating_sub(length).as_nanos();
        shared.late_ns.fetch_max(u64::try_from(late).unwrap(), Ordering::Relaxed);
    }
}
