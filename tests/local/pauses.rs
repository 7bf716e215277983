//! G4: a thread that stops in the middle of a decision stops nobody else.
//!
//! A decision calls code that is not the library's: it reads a clock, hashes a key, compares keys,
//! draws a number, tells an observer. Each of those is made to stop a thread here, for as long as
//! others go through all that a limiter can do. That a thread may also stop between any two accesses
//! to memory is shown by the random interleavings (`sleepers::a_thread_stopped_anywhere_stops_nobody`).

use core::cell::RefCell;
use core::hash::{Hash, Hasher};
use core::time::Duration;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use trypema::{Clock, LocalRateLimiter, ManualClock, Random, RateLimit};

/// Far longer than any of this takes: only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Clock,
    Hash,
    /// In the middle of a lookup, with the map's protection held.
    Compare,
    Draw,
    /// Past the decision, with all protection still held.
    Observer,
}

/// Where a thread stops, once.
struct Stop {
    place: Place,
    stopped: Sender<()>,
    go_on: Receiver<()>,
}

thread_local! {
    static STOP: RefCell<Option<Stop>> = const { RefCell::new(None) };
}

fn pass(place: Place) {
    let stop = STOP.with_borrow_mut(|stop| stop.take_if(|stop| stop.place == place));
    if let Some(stop) = stop {
        stop.stopped.send(()).unwrap();
        // An error says that nobody will ever wake this thread: the test has failed.
        let _ = stop.go_on.recv();
    }
}

#[derive(Debug, Clone)]
struct Stopping(u64);

impl Hash for Stopping {
    fn hash<H: Hasher>(&self, state: &mut H) {
        pass(Place::Hash);
        self.0.hash(state);
    }
}

impl PartialEq for Stopping {
    fn eq(&self, other: &Self) -> bool {
        pass(Place::Compare);
        self.0 == other.0
    }
}

impl Eq for Stopping {}

struct StoppingClock(ManualClock);

impl Clock for StoppingClock {
    fn now(&self) -> Duration {
        pass(Place::Clock);
        self.0.now()
    }

    fn now_nanos(&self) -> u64 {
        pass(Place::Clock);
        self.0.now_nanos()
    }
}

/// Always admits what is not above the hard limit.
struct StoppingDraw;

impl Random for StoppingDraw {
    fn draw(&self) -> f64 {
        pass(Place::Draw);
        0.999_999
    }
}

struct Scene {
    clock: ManualClock,
    limiter: LocalRateLimiter<Stopping>,
    rate: RateLimit,
}

const KEY: Stopping = Stopping(0);
const CAPACITY: u64 = 100;

fn scene() -> Scene {
    let clock = ManualClock::new();
    let limiter = LocalRateLimiter::builder()
        .window(Duration::from_secs(1))
        .bucket(Duration::from_millis(10))
        .clock(StoppingClock(clock.clone()))
        .random(StoppingDraw)
        .keys::<Stopping>()
        .observer(|_| pass(Place::Observer))
        .build()
        .unwrap();
    let rate = RateLimit::per_second(CAPACITY as f64).unwrap();
    // The key is known: first insertions are another matter, see G4.
    assert!(limiter.absolute().inc(&KEY, &rate, 1).is_allowed());
    assert!(limiter.suppressed().inc(&KEY, &rate, 1).is_allowed());
    Scene { clock, limiter, rate }
}

/// All that a limiter can do, again and again, so that rings grow, the map is exchanged for larger
/// ones, and what was thrown away would be reclaimed if nobody held it.
fn go_through_everything(Scene { clock, limiter, rate }: &Scene) {
    let (absolute, suppressed) = (limiter.absolute(), limiter.suppressed());
    for round in 0..300 {
        clock.advance(Duration::from_millis(10));
        for key in [KEY, Stopping(round % 5)] {
            let _ = absolute.inc(&key, rate, 1 + round % 3);
            let _ = suppressed.inc(&key, rate, 1 + round % 3);
            let _ = absolute.is_allowed(&key, rate, 1);
            let _ = suppressed.is_allowed(&key, rate, 1);
            assert!(absolute.record(&key, &RateLimit::unlimited(), 1));
            assert!(suppressed.record(&key, &RateLimit::unlimited(), 1));
            assert!(absolute.usage(&key, &RateLimit::unlimited()) > 0);
            assert!(suppressed.suppression_factor(&key, rate) <= 1.0);
            assert!(absolute.refund(&key, &RateLimit::unlimited(), 1) <= 1);
            assert!(suppressed.refund(&key, &RateLimit::unlimited(), 1) <= 1);
        }
    }
    for key in (1..20_000).map(Stopping) {
        assert!(absolute.inc(&key, rate, 1).is_allowed());
    }
    assert!(limiter.len() > 20_000);
    clock.advance(Duration::from_secs(60));
    assert!(limiter.cleanup(Duration::from_secs(30)) > 0);
    for key in [KEY, Stopping(1)] {
        assert!(absolute.inc(&key, rate, 1).is_allowed());
        assert!(absolute.reset(&key));
        assert!(suppressed.inc(&key, rate, 1).is_allowed());
        assert!(suppressed.reset(&key));
    }
    assert!(limiter.stats().allowed > 0);
}

/// Stops one thread in `call` at `place`, and lets another go through everything meanwhile.
fn stop(place: Place, call: fn(&Scene) -> bool) {
    let scene = Arc::new(scene());
    let (stopped, is_stopped) = channel();
    let (go, go_on) = channel();
    let sleeper = thread::spawn({
        let scene = Arc::clone(&scene);
        move || {
            STOP.set(Some(Stop { place, stopped, go_on }));
            call(&scene)
        }
    });
    is_stopped.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("nobody came to {place:?}"));

    let (done, is_done) = channel();
    let other = thread::spawn({
        let scene = Arc::clone(&scene);
        move || {
            go_through_everything(&scene);
            done.send(()).unwrap();
        }
    });
    // Sent while the sleeper still sleeps.
    let ended = is_done.recv_timeout(PATIENCE);
    assert!(ended.is_ok(), "a thread that stopped at {place:?} stopped another");
    other.join().unwrap();
    go.send(()).unwrap();
    assert!(sleeper.join().unwrap(), "what the sleeper was told, {place:?}");

    // Nothing of it was lost or done twice: the window holds what the sleeper did, at most.
    assert!(scene.limiter.absolute().usage(&KEY, &RateLimit::unlimited()) <= 1);
    assert!(scene.limiter.suppressed().usage(&KEY, &RateLimit::unlimited()).admitted <= 1);
}

// proves: G4
#[test]
fn a_thread_stopped_in_absolute_stops_nobody() {
    for place in [Place::Clock, Place::Hash, Place::Compare, Place::Observer] {
        stop(place, |scene| scene.limiter.absolute().inc(&KEY, &scene.rate, 1).is_allowed());
    }
}

// proves: G4
#[test]
fn a_thread_stopped_in_suppressed_stops_nobody() {
    for place in [Place::Clock, Place::Hash, Place::Compare, Place::Draw, Place::Observer] {
        stop(place, |scene| scene.limiter.suppressed().inc(&KEY, &scene.rate, 1).is_allowed());
    }
}

// proves: G4
#[test]
fn a_thread_stopped_while_it_looks_stops_nobody() {
    for place in [Place::Clock, Place::Hash, Place::Compare] {
        stop(place, |scene| scene.limiter.absolute().is_allowed(&KEY, &scene.rate, 1).is_allowed());
    }
}

// proves: G4
#[test]
fn a_thread_stopped_in_a_refund_stops_nobody() {
    for place in [Place::Clock, Place::Hash, Place::Compare] {
        // All of it has expired, or was reset, by the time that it goes on.
        stop(place, |scene| scene.limiter.absolute().refund(&KEY, &RateLimit::unlimited(), 1) <= 1);
    }
}
