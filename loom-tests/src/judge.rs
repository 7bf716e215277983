//! Checks that the answers of a model add up.
//!
//! Admissions are judged by the tick that they were counted at, not by the clock reading of the
//! thread: a call that overlaps another may be judged at the newer tick.

use crate::scene::{Act, Answer, Lone};
use crate::window::{Layout, MarkId, Outcome};

/// Admissions: the ticks they were counted at, and their units.
#[derive(Debug, Default)]
pub(crate) struct Admissions(pub(crate) Vec<(u64, u64)>);

impl Admissions {
    pub(crate) fn new(before: &[(u64, u64)], acts: &[Act], answers: &[Answer]) -> Self {
        let mut admissions = Self(before.to_vec());
        for (act, answer) in acts.iter().zip(answers) {
            if let (
                Act::Add(_, count) | Act::Insist(_, count),
                Answer::Decision(Outcome::Admitted { mark: MarkId { tick, .. }, .. }),
            ) = (act, answer)
            {
                admissions.0.push((*tick, *count));
            }
        }
        admissions
    }

    /// Units that count at `now`.
    pub(crate) fn usage(&self, layout: &Layout, now: u64) -> u64 {
        self.0
            .iter()
            .filter(|(tick, _)| *tick <= now && now - tick < layout.span())
            .map(|(_, count)| count)
            .sum()
    }

    /// G1: no window of ticks holds more than `limit`.
    pub(crate) fn assert_within(&self, layout: &Layout, limit: u64) {
        for &(end, _) in &self.0 {
            let usage = self.usage(layout, end);
            assert!(usage <= limit, "{usage} units in the window that ends at {end}: {self:?}");
        }
    }
}

/// Everything that holds of additions within a limit, and nothing else, on one window: no
/// overshoot, no unit lost, no spurious rejection, nobody judged at a time that nobody has read.
pub(crate) fn assert_sound(scene: &Lone, before: &[(u64, u64)], acts: &[Act], answers: &[Answer]) {
    let (layout, limit) = (scene.timeline.layout(), scene.limit);
    let admissions = Admissions::new(before, acts, answers);
    admissions.assert_within(layout, limit);

    let times = acts.iter().map(|act| match act {
        Act::Add(now, _) => *now,
        other => panic!("{other:?} is not an addition"),
    });
    let newest = times.max().expect("somebody acts");
    for (act, answer) in acts.iter().zip(answers) {
        let (Act::Add(now, count), Answer::Decision(outcome)) = (act, answer) else { continue };
        match *outcome {
            Outcome::Admitted { mark: MarkId { tick, .. }, usage } => {
                assert!((*now..=newest).contains(&tick), "{act:?}: {answer:?}");
                assert!(usage + count <= limit, "{act:?}: {answer:?}");
            }
            Outcome::Rejected { usage, retry_hint } => {
                assert!(usage + count > limit, "spurious: {act:?}: {answer:?}");
                assert!(usage <= limit, "{act:?}: {answer:?}");
                let retry_hint = retry_hint.expect("everything here fits some time");
                assert!(retry_hint.remaining + count <= limit, "{act:?}: {answer:?}");
                assert!(retry_hint.remaining < usage, "{act:?}: {answer:?}");
            }
            Outcome::Dead => panic!("nobody kills it"),
        }
    }
    for now in newest..=newest + layout.span() {
        let expected = admissions.usage(layout, now);
        assert_eq!(scene.usage(now), expected, "at {now}: {admissions:?} {answers:?}");
    }
}

pub(crate) fn rejected(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| answer.is_rejected()).count()
}
