//! Leases: every granted unit is spent once, or taken back once, on the terms of its own grant and before
//! its end.

// each proves: G1

use loom::sync::Arc;
use loom::thread;

use crate::explore::{explore_model, is_long};
use crate::lease::{Grant, Held, Lease, OWN_RATE, Rest, Spend, Terms};

/// A capacity that no call here is below.
const WIDE: u64 = 100;

/// A grant of the tick, which all of its other numbers tell.
fn grant(tick: u64, units: u64) -> Grant {
    Grant { units, end: end_of(tick), terms: terms_of(tick) }
}

fn end_of(tick: u64) -> u64 {
    10 * tick
}

fn terms_of(tick: u64) -> Terms {
    Terms { tick, capacity: tick + 1, free: tick + 2, note: tick + 3 }
}

#[derive(Debug, Clone, Copy)]
enum Act {
    /// `now` and a count.
    Spend(u64, u64),
    /// `now`, a count, and a note that the caller does not admit itself by.
    Decline(u64, u64, u64),
    /// `now`, and a capacity.
    SpendUnder(u64, u64),
    Look(u64),
    Held,
    /// A tick and units.
    Renew(u64, u64),
    /// The same, and again with the next tick. Nobody else renews beside it.
    RenewTwice(u64, u64),
    TakeBack(u64),
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Spend(Spend),
    Held(Held),
    Rest(Option<Rest>),
    Rests(Option<Rest>, Option<Rest>),
    Busy,
}

fn act(lease: &Lease, act: Act) -> Answer {
    match act {
        Act::Spend(now, count) => Answer::Spend(lease.spend(now, count, WIDE, |_| true)),
        Act::Decline(now, count, note) => {
            Answer::Spend(lease.spend(now, count, WIDE, |its| its != note))
        }
        Act::SpendUnder(now, capacity) => Answer::Spend(lease.spend(now, 1, capacity, |_| true)),
        Act::Look(now) => Answer::Spend(lease.look(now, 1, WIDE, |_| true)),
        Act::Held => Answer::Held(lease.held()),
        Act::Renew(tick, units) => match lease.renew(grant(tick, units)) {
            Ok(rest) => Answer::Rest(rest),
            Err(_) => Answer::Busy,
        },
        Act::RenewTwice(tick, units) => {
            let rest = lease.renew(grant(tick, units)).unwrap_or(None);
            let next = lease.renew(grant(tick + 1, units)).unwrap_or(None);
            Answer::Rests(rest, next)
        }
        Act::TakeBack(ended_by) => Answer::Rest(lease.take_back(ended_by)),
    }
}

/// Explores the acts, each on a thread of its own, on a lease of `units` in tick 1, and then `judge`
/// besides all that always holds.
fn explore(
    name: &str,
    units: u64,
    acts: &'static [Act],
    judge: impl Fn(&[Answer]) + Send + Sync + 'static,
) {
    // Loom finds some races in one order only.
    let judge = std::sync::Arc::new(judge);
    for reversed in [false, true] {
        let judge = std::sync::Arc::clone(&judge);
        let name = if reversed { format!("{name}, started last first") } else { name.to_owned() };
        explore_model(&name, move || {
            let lease = Arc::new(Lease::new());
            assert_eq!(lease.renew(grant(1, units)), Ok(None));
            let answers = run(&lease, acts, reversed);
            assert_sound(&lease, units, acts, &answers);
            judge(&answers);
        });
    }
}

fn run(lease: &Arc<Lease>, acts: &'static [Act], reversed: bool) -> Vec<Answer> {
    let mut order = (0..acts.len()).collect::<Vec<_>>();
    if reversed {
        order.reverse();
    }
    let (&last, others) = order.split_last().expect("a model acts");
    let threads = others.iter().map(|&index| {
        let lease = Arc::clone(lease);
        (index, thread::spawn(move || act(&lease, acts[index])))
    });
    let threads = threads.collect::<Vec<_>>();
    let mut answers = vec![(last, act(lease, acts[last]))];
    for (index, thread) in threads {
        answers.push((index, thread.join().expect("no thread panics")));
    }
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// Of each grant, the units spent, taken back and left are those granted; nobody spends after the end
/// of the grant, or on the terms of another.
fn assert_sound(lease: &Lease, units: u64, acts: &[Act], answers: &[Answer]) {
    let mut granted = vec![(1, units)];
    let mut gone = Vec::new();
    for (act, answer) in acts.iter().zip(answers) {
        match (*act, answer) {
            (Act::Renew(tick, units), Answer::Rest(_)) => granted.push((tick, units)),
            (Act::RenewTwice(tick, units), _) => granted.extend([(tick, units), (tick + 1, units)]),
            _ => {}
        }
        let rests = match *answer {
            Answer::Rest(rest) => [rest, None],
            Answer::Rests(rest, next) => [rest, next],
            Answer::Spend(_) | Answer::Held(_) | Answer::Busy => [None, None],
        };
        gone.extend(rests.into_iter().flatten().map(|rest| (rest.tick, rest.units)));
        let (Answer::Spend(outcome), Some((now, count, takes))) = (answer, spends(act)) else {
            continue;
        };
        match *outcome {
            Spend::Spent { terms, .. } => {
                assert_eq!(terms, terms_of(terms.tick), "{act:?}");
                assert!(now < end_of(terms.tick), "{act:?} after the end: {terms:?}");
                if takes {
                    gone.push((terms.tick, count));
                }
            }
            Spend::Declined { terms, .. } => assert_eq!(terms, terms_of(terms.tick), "{act:?}"),
            Spend::TooFew { left } => assert!(left < count, "{act:?}"),
            Spend::Ended | Spend::OtherRate => {}
        }
    }
    if let Some(rest) = lease.take_back(u64::MAX) {
        gone.push((rest.tick, rest.units));
    }
    for (tick, units) in granted {
        let its = gone.iter().filter(|(gone, _)| *gone == tick).map(|(_, units)| units);
        assert_eq!(its.sum::<u64>(), units, "of tick {tick}: {acts:?} {answers:?}");
    }
    assert_eq!(lease.take_back(u64::MAX), None);
}

fn spends(act: &Act) -> Option<(u64, u64, bool)> {
    match *act {
        Act::Spend(now, count) | Act::Decline(now, count, _) => Some((now, count, true)),
        Act::SpendUnder(now, _) => Some((now, 1, true)),
        Act::Look(now) => Some((now, 1, false)),
        Act::Held | Act::Renew(..) | Act::RenewTwice(..) | Act::TakeBack(_) => None,
    }
}

fn spent(answers: &[Answer]) -> usize {
    let spent = |answer: &&Answer| matches!(answer, Answer::Spend(Spend::Spent { .. }));
    answers.iter().filter(spent).count()
}

#[test]
fn spend_beside_spend() {
    explore("two spend, one fits", 3, &[Act::Spend(9, 2), Act::Spend(9, 2)], |answers| {
        assert_eq!(spent(answers), 1, "{answers:?}");
    });
}

#[test]
fn three_spend() {
    const ACTS: &[Act] = &[Act::Spend(9, 1), Act::Spend(8, 1), Act::Spend(7, 1)];
    explore("three spend, two fit", 2, ACTS, |answers| {
        assert_eq!(spent(answers), 2, "{answers:?}");
    });
}

#[test]
fn spend_beside_the_end() {
    const ACTS: &[Act] = &[Act::Spend(9, 1), Act::Spend(10, 1), Act::TakeBack(10)];
    explore("one spends before the end, one after, one takes back", 3, ACTS, |answers| {
        let [_, Answer::Spend(late), _] = answers else { panic!("{answers:?}") };
        assert!(matches!(late, Spend::Ended | Spend::TooFew { .. }), "{late:?}");
    });
}

#[test]
fn spend_beside_giving_back() {
    explore(
        "one spends, two take back",
        3,
        &[Act::Spend(9, 2), Act::TakeBack(10), Act::TakeBack(u64::MAX)],
        |_| {},
    );
}

#[test]
fn what_has_not_ended_stays() {
    const ACTS: &[Act] = &[Act::Renew(2, 5), Act::TakeBack(10)];
    explore("the ended one alone is taken back beside a renewal", 3, ACTS, |answers| {
        let [_, Answer::Rest(rest)] = answers else { panic!("{answers:?}") };
        assert!(rest.is_none_or(|rest| rest.tick == 1), "{rest:?}");
    });
}

#[test]
fn spend_beside_renewal() {
    explore("one spends beside a renewal", 1, &[Act::Spend(9, 1), Act::Renew(2, 1)], |_| {});
}

#[test]
fn late_spend_beside_renewal() {
    explore(
        "one spends after the end beside a renewal",
        2,
        &[Act::Spend(15, 1), Act::Renew(2, 2)],
        |answers| {
            let [Answer::Spend(outcome), _] = answers else { panic!("{answers:?}") };
            assert!(
                matches!(outcome, Spend::Ended | Spend::TooFew { left: 0 })
                    || matches!(outcome, Spend::Spent { terms: Terms { tick: 2, .. }, .. }),
                "{outcome:?}"
            );
        },
    );
}

#[test]
fn spend_beside_renewal_twice() {
    explore("one spends, one renews twice", 1, &[Act::Spend(9, 1), Act::RenewTwice(2, 1)], |_| {});
}

/// A quarter of a million interleavings.
#[test]
fn spends_beside_renewal() {
    if !is_long() {
        return;
    }
    const ACTS: &[Act] = &[Act::Spend(9, 1), Act::Spend(12, 2), Act::Renew(2, 2)];
    explore("two spend beside a renewal", 2, ACTS, |_| {});
}

#[test]
fn spend_beside_renewal_and_giving_back() {
    const ACTS: &[Act] = &[Act::Spend(9, 1), Act::Renew(2, 1), Act::TakeBack(u64::MAX)];
    explore("one spends, one renews, one takes back", 1, ACTS, |_| {});
}

#[test]
fn two_renewals() {
    explore("two renew", 1, &[Act::Renew(2, 2), Act::Renew(3, 3)], |answers| {
        let busy = answers.iter().filter(|answer| matches!(answer, Answer::Busy)).count();
        assert!(busy < 2, "{answers:?}");
    });
}

/// As above, seventy thousand.
#[test]
fn spend_beside_two_renewals() {
    if !is_long() {
        return;
    }
    const ACTS: &[Act] = &[Act::Spend(9, 1), Act::Renew(2, 1), Act::Renew(3, 1)];
    explore("one spends beside two renewals", 1, ACTS, |_| {});
}

#[test]
fn narrower_calls_spend_nothing_beside_renewal() {
    const ACTS: &[Act] = &[Act::SpendUnder(9, 2), Act::Renew(2, 1)];
    explore("a call of a small capacity beside a renewal under a larger", 1, ACTS, |answers| {
        let [Answer::Spend(outcome), _] = answers else { panic!("{answers:?}") };
        let is_of_the_first =
            |outcome: &Spend| matches!(outcome, Spend::Spent { terms, .. } if terms.tick == 1);
        assert!(
            is_of_the_first(outcome)
                || matches!(outcome, Spend::OtherRate | Spend::TooFew { left: 0 }),
            "{outcome:?}"
        );
    });
}

/// A grant whose note is about one capacity alone.
#[test]
fn calls_of_another_rate_spend_nothing_that_has_a_note_of_its_own() {
    explore_model("calls of three capacities beside the end of such a grant", || {
        let lease = Arc::new(Lease::new());
        let terms = Terms { tick: 1, capacity: 5, free: 0, note: OWN_RATE };
        assert_eq!(lease.renew(Grant { units: 3, end: 10, terms }), Ok(None));
        let other = Arc::clone(&lease);
        let thread = thread::spawn(move || other.take_back(10));
        let spent = [4, 5, 6].map(|capacity| lease.spend(9, 1, capacity, |_| true));
        let rest = thread.join().expect("no thread panics");
        assert_eq!(spent[0], Spend::OtherRate);
        assert_eq!(spent[2], Spend::OtherRate);
        let is_spent = matches!(spent[1], Spend::Spent { .. });
        assert_eq!(rest.map_or(0, |rest| rest.units) + u64::from(is_spent), 3);
    });
}

#[test]
fn calls_admit_themselves_by_the_note_of_the_grant() {
    const ACTS: &[Act] = &[Act::Decline(9, 1, 4), Act::Renew(2, 1)];
    explore("a call that declines by the first note beside a renewal", 1, ACTS, |answers| {
        let [Answer::Spend(outcome), _] = answers else { panic!("{answers:?}") };
        match outcome {
            Spend::Declined { terms, .. } => assert_eq!(terms.tick, 1),
            Spend::Spent { terms, .. } => assert_eq!(terms.tick, 2),
            Spend::TooFew { left } => assert_eq!(*left, 0),
            Spend::Ended | Spend::OtherRate => panic!("{outcome:?}"),
        }
    });
}

/// Nor need they units for that.
#[test]
fn calls_decline_themselves_where_too_few_are_left() {
    const ACTS: &[Act] = &[Act::Decline(9, 2, 4), Act::Spend(9, 1)];
    explore("a call that declines for more than is left", 1, ACTS, |answers| {
        let [Answer::Spend(outcome), _] = answers else { panic!("{answers:?}") };
        assert!(matches!(outcome, Spend::Declined { left: 0..=1, .. }), "{outcome:?}");
    });
}

#[test]
fn a_look_is_of_one_grant() {
    explore("a look beside a renewal", 3, &[Act::Look(9), Act::Renew(2, 5)], |_| {});
}

#[test]
fn units_and_end_are_of_one_grant() {
    explore("units and end beside a renewal", 3, &[Act::Held, Act::Renew(2, 5)], |answers| {
        let [Answer::Held(held), _] = answers else { panic!("{answers:?}") };
        assert!(
            [(3, 10), (5, 20)].contains(&(held.units, held.end)) || held.units == 0,
            "{held:?}"
        );
    });
}
