//! The verdict on a run.

use crate::act::{Act, Answer, Call, Scene};
use crate::linear;
use crate::model::Rules;
use crate::run::Shape;
use crate::window::{MarkId, Outcome};

/// The fault in a history, if any.
pub(crate) fn judge(scene: &Scene, shape: &Shape) -> Result<(), String> {
    let rules = Rules {
        span: shape.size.span,
        limit: scene.limit,
        most: shape.size.most(),
        distrusted: shape.size.distrusted(),
        is_stale: shape.pace.stale > 0,
        is_single: shape.racing.len() == 1,
    };
    let calls = scene.calls.borrow();
    overshoot(&rules, &calls)?;
    linear::check(rules, &calls).map_err(|explained| {
        format!("not linearizable; of the threads' calls, at most {explained:?} can be explained")
    })
}

/// No window of ticks holds more than the limit, by the ticks that admissions were counted at. Of
/// histories where nothing but `Add` decides what counts; the others are left to the model.
fn overshoot(rules: &Rules, calls: &[Call]) -> Result<(), String> {
    let mut admissions = Vec::new();
    for call in calls {
        match (call.act, call.answer) {
            (
                Act::Add(count) | Act::Insist(count),
                Answer::Decision(Outcome::Admitted { mark: MarkId { tick, .. }, .. }),
            ) => {
                if tick < call.now {
                    return Err(format!("counted before its reading: {call}"));
                }
                admissions.push((tick, count));
            }
            (Act::Kill, Answer::Done(true))
            | (Act::Record(_), Answer::Decision(Outcome::Admitted { .. })) => return Ok(()),
            (act, Answer::Units(units)) if act.gives_back() && units > 0 => return Ok(()),
            _ => {}
        }
    }
    for &(end, _) in &admissions {
        let inside = |&&(tick, _): &&(u64, u64)| tick <= end && end - tick < rules.span;
        let usage: u64 = admissions.iter().filter(inside).map(|(_, count)| count).sum();
        if usage > rules.limit {
            return Err(format!("OVERSHOOT: {usage} units in the window that ends at {end}"));
        }
    }
    Ok(())
}
