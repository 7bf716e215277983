//! Code of your own over the limiter, fuzzed: time, chance, rates and decisions are all yours.
//!
//! `cargo run --example fuzz_own_code --features proptest`
//!
//! The code is a client that retries within its patience (`client.rs`); what happens to it is made
//! up by proptest (`world.rs`). Three things are checked:
//!
//! 1. Whatever a limiter answers, the client keeps its own promises. The limiter is a script of
//!    arbitrary decisions, so that answers occur that no real one would give in that order.
//! 2. Over a real limiter, of either strategy and at an arbitrary rate, no tenant takes more than
//!    the limit in any window. A [`ManualClock`] stands for hours in microseconds, a
//!    [`SeededRandom`] makes what Suppressed draws part of the case, so that a failure repeats.
//! 3. That the second check can fail: the first version of the client gave units back however late
//!    a delivery failed. The case that shows why that is wrong is found, and made small.

#![expect(clippy::print_stdout, reason = "an example prints")]

mod client;
mod world;

use std::cell::Cell;
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use trypema::{
    Limiter, LocalRateLimiter, ManualClock, RateLimit, RateLimitDecision, SeededRandom,
    TrypemaError,
};

use client::Client;
use world::{Event, Taken, World, events};

const WINDOW: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(25);
const RETRIES: u32 = 5;
const CASES: u32 = 2_000;

/// A limiter that answers by a script, whatever it is asked.
struct Scripted {
    answers: Vec<RateLimitDecision>,
    next: AtomicUsize,
}

impl Limiter for Scripted {
    fn inc(&self, _: &str, _: &RateLimit, _: u64) -> Result<RateLimitDecision, TrypemaError> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(self.answers[next % self.answers.len()])
    }

    fn is_allowed(
        &self,
        _: &str,
        _: &RateLimit,
        _: u64,
    ) -> Result<RateLimitDecision, TrypemaError> {
        Ok(self.answers[0])
    }

    fn refund(&self, _: &str, _: &RateLimit, count: u64) -> Result<u64, TrypemaError> {
        Ok(count)
    }
}

/// Any answers in any order: what the client promises of itself is checked by the world.
fn keeps_its_promises(
    answers: &[RateLimitDecision],
    rate: RateLimit,
    events: &[Event],
) -> Result<u32, TestCaseError> {
    let limiter = Scripted { answers: answers.to_vec(), next: AtomicUsize::new(0) };
    let clock = ManualClock::new();
    let mut world = World::new(client(&limiter, &clock, rate, false), &clock, 100);
    world.run(events)?;
    Ok(world.given_up)
}

#[derive(Debug, Clone)]
struct Case {
    suppressed: bool,
    rate: RateLimit,
    seed: u64,
    events: Vec<Event>,
}

fn cases() -> impl Strategy<Value = Case> {
    (any::<bool>(), any::<RateLimit>(), any::<u64>(), events())
        .prop_map(|(suppressed, rate, seed, events)| Case { suppressed, rate, seed, events })
}

/// Over a real limiter: no tenant takes more than the limit in any window.
fn keeps_to_the_limit(case: &Case, refunds_late: bool) -> Result<u32, TestCaseError> {
    let clock = ManualClock::new();
    let limiter = LocalRateLimiter::builder()
        .window(WINDOW)
        .bucket(Duration::from_millis(100))
        .clock(clock.clone())
        .random(SeededRandom::new(case.seed))
        .build()
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    let capacity = case.rate.capacity(WINDOW);
    let (strategy, limit): (&dyn Limiter, u64) = if case.suppressed {
        // The hard limit is one and a half times the capacity unless told otherwise.
        (limiter.suppressed(), capacity.saturating_add(capacity / 2))
    } else {
        (limiter.absolute(), capacity)
    };
    let mut world = World::new(client(strategy, &clock, case.rate, refunds_late), &clock, capacity);
    let taken = world.run(&case.events)?;
    for last in &taken {
        let in_window = |other: &&Taken| {
            other.tenant == last.tenant && other.at <= last.at && last.at - other.at < WINDOW
        };
        let units: u64 = taken.iter().filter(in_window).map(|taken| taken.units).sum();
        prop_assert!(units <= limit, "{units} units in a window, of {limit}: {taken:?}");
    }
    Ok(world.given_up)
}

fn client<'a>(
    limiter: &'a dyn Limiter,
    clock: &'a ManualClock,
    rate: RateLimit,
    refunds_late: bool,
) -> Client<'a> {
    let (window, patience, retries) = (WINDOW, PATIENCE, RETRIES);
    Client { limiter, clock, rate, window, patience, retries, refunds_late }
}

fn main() -> Result<(), Box<dyn Error>> {
    // In a test of your own this is `proptest! { #[test] fn ... }`, and failures are kept in a file.
    let config = || Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let given_up = Cell::new(0);
    let count = |more| given_up.set(given_up.get() + more);

    let answers = proptest::collection::vec(any::<RateLimitDecision>(), 1..8);
    let strategy = (answers, any::<RateLimit>(), events());
    TestRunner::new(config()).run(&strategy, |(answers, rate, events)| {
        keeps_its_promises(&answers, rate, &events).map(count)
    })?;
    println!("any answers:     promises kept in {CASES} cases; given up {}", given_up.take());

    TestRunner::new(config()).run(&cases(), |case| keeps_to_the_limit(&case, false).map(count))?;
    println!("a real limiter:  limits kept in {CASES} cases; given up {}", given_up.take());

    match TestRunner::new(config()).run(&cases(), |case| keeps_to_the_limit(&case, true).map(drop))
    {
        Err(TestError::Fail(why, Case { suppressed, rate, events, .. })) => {
            println!("the first version of the client: {why}");
            println!("suppressed: {suppressed}, rate: {rate}, and then:");
            events.iter().for_each(|event| println!("  {event:?}"));
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(()) => Err("the first version of the client was not found out".into()),
    }
}
