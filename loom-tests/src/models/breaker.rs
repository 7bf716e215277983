//! The breaker of the Redis provider: one caller probes, no failure is lost, and who goes once it is
//! closed sees what the probe has seen to.

// each proves: G7

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use crate::breaker::{Breaker, Pass};
use crate::explore::explore_model;

const PAUSE: u64 = 10;

/// A breaker that was opened at 0, so that it is probed from 10 on.
fn open() -> Breaker {
    let breaker = Breaker::new(1, PAUSE);
    assert!(breaker.failed(Pass::Go, 0), "one failure opens it");
    assert_eq!(breaker.ask(9), Pass::Wait(1));
    breaker
}

#[test]
fn one_caller_probes() {
    explore_model("of three callers one probes", || {
        let breaker = Arc::new(open());
        let others = [10, 11].map(|now| {
            let breaker = Arc::clone(&breaker);
            thread::spawn(move || breaker.ask(now))
        });
        let mine = breaker.ask(10);
        let passes = others.map(|other| other.join().expect("no thread panics"));
        let probes = passes.iter().chain([&mine]).filter(|pass| **pass == Pass::Probe).count();
        assert_eq!(probes, 1, "{mine:?}, {passes:?}");
        assert!(!passes.contains(&Pass::Go) && mine != Pass::Go, "it is open");
    });
}

#[test]
fn a_lost_probe_is_followed_by_another() {
    explore_model("a probe that never comes back", || {
        let breaker = Arc::new(open());
        let other = Arc::clone(&breaker);
        let lost = thread::spawn(move || other.ask(10));
        let early = breaker.ask(10);
        let lost = lost.join().expect("no thread panics");
        assert!((lost == Pass::Probe) != (early == Pass::Probe));
        assert_eq!(breaker.ask(19), Pass::Wait(1));
        assert_eq!(breaker.ask(20), Pass::Probe);
    });
}

/// The reader is started first or last: loom finds some races in one order only.
fn who_goes_sees(name: &str, reader_first: bool) {
    explore_model(name, move || {
        let (breaker, seen_to) = (Arc::new(open()), Arc::new(AtomicU64::new(0)));
        let probe = |breaker: &Breaker, seen_to: &AtomicU64| {
            assert_eq!(breaker.ask(10), Pass::Probe);
            seen_to.store(1, Ordering::Relaxed);
            breaker.succeeded();
        };
        let go = |breaker: &Breaker, seen_to: &AtomicU64| {
            if breaker.ask(9) == Pass::Go {
                assert_eq!(seen_to.load(Ordering::Relaxed), 1, "what the probe has seen to");
            }
        };
        let (one, another) = (Arc::clone(&breaker), Arc::clone(&seen_to));
        let thread =
            thread::spawn(
                move || {
                    if reader_first { go(&one, &another) } else { probe(&one, &another) }
                },
            );
        if reader_first {
            probe(&breaker, &seen_to)
        } else {
            go(&breaker, &seen_to)
        }
        thread.join().expect("no thread panics");
        assert_eq!(breaker.ask(10), Pass::Go, "a probe that succeeds closes it");
    });
}

#[test]
fn who_goes_sees_what_the_probe_did_reader_first() {
    who_goes_sees("closed by a probe, reader started first", true);
}

#[test]
fn who_goes_sees_what_the_probe_did_reader_last() {
    who_goes_sees("closed by a probe, reader started last", false);
}

#[test]
fn no_failure_is_lost() {
    explore_model("three failures in a row open it once", || {
        let breaker = Arc::new(Breaker::new(3, PAUSE));
        let others = [(); 2].map(|()| {
            let breaker = Arc::clone(&breaker);
            thread::spawn(move || breaker.failed(Pass::Go, 0))
        });
        let mine = breaker.failed(Pass::Go, 0);
        let opened = others.map(|other| other.join().expect("no thread panics"));
        let opened = opened.into_iter().chain([mine]).filter(|opened| *opened).count();
        assert_eq!(opened, 1);
        assert_eq!(breaker.ask(9), Pass::Wait(1));
    });
}

#[test]
fn a_late_failure_does_not_keep_it_open() {
    explore_model("a failure of before beside a probe that succeeds", || {
        let breaker = Arc::new(Breaker::new(2, PAUSE));
        assert!(!breaker.failed(Pass::Go, 0) && breaker.failed(Pass::Go, 0));
        let other = Arc::clone(&breaker);
        let late = thread::spawn(move || other.failed(Pass::Go, 10));
        assert_eq!(breaker.ask(10), Pass::Probe);
        breaker.succeeded();
        assert!(!late.join().expect("no thread panics"), "one failure does not open it");
        assert_eq!(breaker.ask(10), Pass::Go);
    });
}
