//! Short histories of real threads, each checked for an order that explains it.
//!
//! A history is linearizable if its calls can be put into an order in which every one of them
//! gives the answer that it gave, asked of the naive model at a moment between its start and its
//! return, such that no call comes before one that had returned when it began. (Herlihy and Wing's
//! definition; the search is that of Wing and Gong.) Moments of admissions never go back in that
//! order; a look leaves no trace, so that an admission after it may be of an earlier moment.
//!
//! One answer is not of a single moment, as its docs say: a call that adds makes its key known before
//! it is counted, so that a reset beside it may say that the key was known.
//!
//! The clock, and the hashing and comparing of keys, give way to other threads at random, so
//! that calls overlap in the middle. What may happen between any two accesses to memory is the
//! business of `loom-tests`.

use core::cell::Cell;
use core::hash::{Hash, Hasher};
use core::time::Duration;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use crate::common::{Answer, Grid, Model};
use trypema::{Clock, LocalRateLimiter, ManualClock, RateLimit};

const GRID: Grid = Grid { window_ms: 40, bucket_ms: 10 };
const CAPACITY: u64 = 4;
const MILLI: u64 = 1_000_000;
/// More than a window is ever asked to hold here.
const MOST: u64 = 1 << 30;
const KEY: u8 = 0;

/// A call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Inc(u64),
    IsAllowed(u64),
    Record(u64),
    Refund(u64),
    Usage,
    Reset,
    /// Moves the clock on by so many milliseconds.
    Advance(u64),
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Said {
    Decision(Answer),
    Units(u64),
    Was(bool),
    Nothing,
}

#[derive(Debug, Clone, Copy)]
struct Call {
    act: Act,
    said: Said,
    /// Places in the order of all starts and returns.
    began: u64,
    ended: u64,
    /// The clock before and after, in milliseconds.
    clock: (u64, u64),
}

// --- the checker ---------------------------------------------------------------------------------

/// A state of the search: the calls that were put in order, as bits; what the model has become; and
/// the moment, in milliseconds, before which nothing is counted any more.
#[derive(Clone, Copy)]
struct Reached<'a> {
    done: u32,
    model: &'a Model,
    last: u64,
}

/// Whether some order explains the rest of the calls.
fn is_explained(calls: &[Call], reached: Reached<'_>) -> bool {
    let Reached { done, model, last } = reached;
    let left = || (0..calls.len()).filter(move |index| done & (1 << index) == 0);
    let Some(first_return) = left().map(|index| calls[index].ended).min() else { return true };
    left().filter(|index| calls[*index].began < first_return).any(|index| {
        let call = &calls[index];
        let earliest = call.clock.0.max(last);
        // One moment of each bucket stands for all of them.
        let mut moments = (earliest..=call.clock.1)
            .filter(|moment| *moment == earliest || moment % GRID.bucket_ms == 0);
        moments.any(|moment| {
            let mut model = model.at(u128::from(moment * MILLI));
            let is_answer = answers(&mut model, call, moment)
                || (call.said == Said::Was(true) && makes_known(call, left().map(|i| &calls[i])));
            is_answer
                && lasts(call, moment, last).any(|last| {
                    is_explained(calls, Reached { done: done | 1 << index, model: &model, last })
                })
        })
    })
}

/// Whether a reset found the key of a call that is yet to be counted.
fn makes_known<'a>(reset: &Call, mut left: impl Iterator<Item = &'a Call>) -> bool {
    let adds = |act| matches!(act, Act::Inc(_) | Act::Record(_));
    reset.act == Act::Reset && left.any(|call| adds(call.act) && call.began < reset.ended)
}

/// The possible moments before which nothing counts any more, once this call has been made.
fn lasts(call: &Call, moment: u64, last: u64) -> impl Iterator<Item = u64> {
    let (one, another) = match (call.act, call.said) {
        (Act::Inc(_), Said::Decision(Answer::Allowed)) | (Act::Record(_), _) => (moment, None),
        // Only where something had left the window by then.
        (Act::Refund(_), _) => (last, (moment > last).then_some(moment)),
        // A window that is begun afresh.
        (Act::Reset, Said::Was(true)) => (0, None),
        _ => (last, None),
    };
    [one].into_iter().chain(another)
}

/// Whether the model, at this moment, answers as the limiter did; does to the model what the
/// call did.
fn answers(model: &mut Model, call: &Call, moment: u64) -> bool {
    let capacity = Some(CAPACITY);
    match (call.act, call.said) {
        (Act::Inc(count), Said::Decision(said)) => {
            is_same(call, moment, said, model.inc(KEY, capacity, count))
        }
        (Act::IsAllowed(count), Said::Decision(said)) => {
            is_same(call, moment, said, model.is_allowed(KEY, capacity, count))
        }
        (Act::Record(count), Said::Was(said)) => model.record(KEY, count) == said,
        // A refund gives back what it found, and is seen a moment later: others may add between the
        // two. So it may have given back less than all there is, but never what is not there.
        (Act::Refund(count), Said::Units(said)) => said <= count && model.refund(KEY, said) == said,
        (Act::Usage, Said::Units(said)) => model.usage(KEY) == said,
        (Act::Reset, Said::Was(said)) => model.reset(KEY) == said,
        (Act::Advance(_), Said::Nothing) => true,
        (act, said) => unreachable!("{act:?} never says {said:?}"),
    }
}

/// A wait is told from the clock reading of the call, which may be older than the moment at which it
/// was judged: they agree if they end together.
fn is_same(call: &Call, moment: u64, said: Answer, expected: Answer) -> bool {
    use Answer::Rejected;
    let (
        Rejected { retry_after_ms: Some(said), remaining_after_waiting: remaining },
        Rejected { retry_after_ms: Some(wait), remaining_after_waiting },
    ) = (said, expected)
    else {
        return said == expected;
    };
    let reading = (moment + wait).checked_sub(said);
    remaining == remaining_after_waiting
        && reading.is_some_and(|reading| (call.clock.0..=call.clock.1).contains(&reading))
}

fn is_linearizable(calls: &[Call]) -> bool {
    is_explained(calls, Reached { done: 0, model: &Model::new(GRID, MOST), last: 0 })
}

/// The checker has to be able to fail.
// proves: G1 G3
#[test]
fn what_cannot_be_explained_is_noticed() {
    let call = |act, said, (began, ended), clock| Call { act, said, began, ended, clock };
    let allowed = Said::Decision(Answer::Allowed);
    let rejected = |wait| {
        Said::Decision(Answer::Rejected { retry_after_ms: Some(wait), remaining_after_waiting: 0 })
    };
    let three = call(Act::Inc(3), allowed, (0, 2), (5, 5));

    // Two of three units each, beside each other or not, are too many for four.
    assert!(!is_linearizable(&[three, call(Act::Inc(3), allowed, (1, 3), (5, 5))]));
    assert!(is_linearizable(&[three, call(Act::Inc(1), allowed, (1, 3), (5, 5))]));
    // They count until their bucket, which ends at 10, is 40 ms old; 45 ms from the reading 5.
    assert!(is_linearizable(&[three, call(Act::Inc(3), rejected(45), (1, 3), (5, 5))]));
    assert!(!is_linearizable(&[three, call(Act::Inc(3), rejected(44), (1, 3), (5, 5))]));
    assert!(!is_linearizable(&[three, call(Act::Inc(3), rejected(46), (1, 3), (5, 5))]));
    assert!(is_linearizable(&[three, call(Act::Inc(3), allowed, (3, 4), (5, 50))]));
    assert!(!is_linearizable(&[three, call(Act::Inc(3), allowed, (3, 4), (5, 49))]));
    // A rejection needs a reason that came before it.
    assert!(!is_linearizable(&[call(Act::Inc(3), rejected(45), (0, 1), (5, 5)), {
        Call { began: 2, ended: 3, ..three }
    }]));
    // A look that had not returned may come first.
    assert!(is_linearizable(&[three, call(Act::Usage, Said::Units(0), (1, 3), (5, 5))]));
    assert!(!is_linearizable(&[three, call(Act::Usage, Said::Units(0), (3, 4), (5, 5))]));
    assert!(!is_linearizable(&[three, call(Act::Refund(4), Said::Units(4), (3, 4), (5, 5))]));
    assert!(!is_linearizable(&[three, call(Act::Reset, Said::Was(false), (3, 4), (5, 5))]));
    // A reset may forget a key beside the call that makes it known, but no other.
    let reset = |places| call(Act::Reset, Said::Was(true), places, (5, 5));
    let usage = |units, places| call(Act::Usage, Said::Units(units), places, (5, 5));
    let beside = Call { ended: 4, ..three };
    assert!(is_linearizable(&[beside, reset((1, 3)), usage(3, (5, 6))]));
    assert!(!is_linearizable(&[reset((0, 1)), Call { began: 2, ended: 3, ..three }]));
    assert!(!is_linearizable(&[three, reset((3, 4)), usage(3, (5, 6))]));
    assert!(!is_linearizable(&[three, reset((3, 4)), reset((5, 6))]));
}

// --- threads -------------------------------------------------------------------------------------

thread_local! {
    /// The state of this thread's draws.
    static DRAWS: Cell<u64> = const { Cell::new(0) };
}

/// Numbers without pattern (Steele, Lea and Flood's SplitMix64).
fn below(bound: u64) -> u64 {
    let state = DRAWS.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
    DRAWS.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ (mixed >> 31)) % bound
}

fn give_way() {
    if below(3) == 0 {
        thread::yield_now();
    }
}

struct YieldingClock(ManualClock);

impl Clock for YieldingClock {
    fn now(&self) -> Duration {
        give_way();
        let now = self.0.now();
        give_way();
        now
    }

    fn now_nanos(&self) -> u64 {
        u64::try_from(self.now().as_nanos()).unwrap()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct YieldingKey(u8);

impl Hash for YieldingKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        give_way();
        self.0.hash(state);
    }
}

struct Scene {
    clock: ManualClock,
    limiter: LocalRateLimiter<YieldingKey>,
    rate: RateLimit,
    /// Counts starts and returns.
    order: AtomicU64,
}

impl Scene {
    fn new() -> Self {
        let clock = ManualClock::new();
        let limiter = LocalRateLimiter::builder()
            .window(Duration::from_millis(GRID.window_ms))
            .bucket(Duration::from_millis(GRID.bucket_ms))
            .clock(YieldingClock(clock.clone()))
            .keys::<YieldingKey>()
            .build()
            .unwrap();
        let rate = RateLimit::per_second(CAPACITY as f64 * 1e3 / GRID.window_ms as f64).unwrap();
        assert_eq!(rate.capacity(Duration::from_millis(GRID.window_ms)), CAPACITY);
        Self { clock, limiter, rate, order: AtomicU64::new(0) }
    }

    fn millis(&self) -> u64 {
        self.clock.now_nanos() / MILLI
    }

    fn call(&self, act: Act) -> Call {
        let key = YieldingKey(KEY);
        let absolute = self.limiter.absolute();
        let began = self.order.fetch_add(1, Ordering::SeqCst);
        let before = self.millis();
        let said = match act {
            Act::Inc(count) => Said::Decision(absolute.inc(&key, &self.rate, count).into()),
            Act::IsAllowed(count) => {
                Said::Decision(absolute.is_allowed(&key, &self.rate, count).into())
            }
            Act::Record(count) => Said::Was(absolute.record(&key, &RateLimit::unlimited(), count)),
            Act::Refund(count) => {
                Said::Units(absolute.refund(&key, &RateLimit::unlimited(), count))
            }
            Act::Usage => Said::Units(absolute.usage(&key, &RateLimit::unlimited())),
            Act::Reset => Said::Was(absolute.reset(&key)),
            Act::Advance(ms) => {
                self.clock.advance(Duration::from_millis(ms));
                Said::Nothing
            }
        };
        let clock = (before, self.millis());
        Call { act, said, began, ended: self.order.fetch_add(1, Ordering::SeqCst), clock }
    }
}

fn some_act(with_refunds: bool) -> Act {
    match below(16) {
        0..7 => Act::Inc(1 + below(3)),
        7 => Act::IsAllowed(1 + below(3)),
        8 => Act::Record(1),
        9 | 10 if with_refunds => Act::Refund(1 + below(3)),
        11 => Act::Usage,
        12 => Act::Reset,
        13 => Act::Advance(40 + below(20)),
        _ => Act::Advance(1 + below(12)),
    }
}

/// A history: some calls one after the other, then those of so many threads.
fn history(seed: u64, threads: u64, with_refunds: bool) -> Vec<Call> {
    let scene = Scene::new();
    DRAWS.set(seed);
    let mut calls = (0..below(4)).map(|_| scene.call(some_act(with_refunds))).collect::<Vec<_>>();
    let waiting = AtomicUsize::new(usize::try_from(threads).unwrap());
    thread::scope(|scope| {
        let running = (1..=threads)
            .map(|thread| {
                let (scene, waiting) = (&scene, &waiting);
                scope.spawn(move || {
                    DRAWS.set(seed.wrapping_mul(31).wrapping_add(thread));
                    let acts =
                        (0..1 + below(3)).map(|_| some_act(with_refunds)).collect::<Vec<_>>();
                    waiting.fetch_sub(1, Ordering::SeqCst);
                    while waiting.load(Ordering::SeqCst) > 0 {
                        thread::yield_now();
                    }
                    acts.into_iter().map(|act| scene.call(act)).collect::<Vec<_>>()
                })
            })
            .collect::<Vec<_>>();
        calls.extend(running.into_iter().flat_map(|thread| thread.join().unwrap()));
    });
    calls
}

fn check(histories: u64, threads: u64, with_refunds: bool) {
    let mut overlapping = 0;
    for seed in 0..histories {
        let mut calls = history(seed, threads, with_refunds);
        calls.sort_unstable_by_key(|call| call.began);
        let lines = || calls.iter().map(|call| format!("{call:?}\n")).collect::<String>();
        assert!(is_linearizable(&calls), "seed {seed}, no order explains these:\n{}", lines());
        overlapping += u64::from(calls.windows(2).any(|pair| pair[1].began < pair[0].ended));
    }
    assert!(overlapping > 0, "no calls overlapped: nothing was shown");
}

// proves: G1 G3
#[test]
fn histories_of_two_threads_are_linearizable() {
    check(3_000, 2, false);
}

// proves: G1 G3
#[test]
fn histories_of_four_threads_are_linearizable() {
    check(1_000, 4, false);
}

// proves: G2
#[test]
fn histories_with_refunds_are_linearizable() {
    check(1_500, 3, true);
}
