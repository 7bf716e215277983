//! Absolute and Suppressed over a load that is calm, four times the limit, and calm again.

use std::error::Error;
use std::ops::Range;
use std::time::Duration;

use trypema::{LocalRateLimiter, ManualClock, RateLimit, SeededRandom};

use super::svg::{Anchor, Picture, Plot};

const PER_SECOND: f64 = 100.0;
const WINDOW: Duration = Duration::from_secs(10);
/// A row of the picture.
const STEP_MS: u64 = 500;
const END_MS: u64 = 80_000;
const SPIKE_MS: Range<u64> = 10_000..60_000;
/// Calls per second.
const CALM: u64 = 50;
const SPIKE: u64 = 400;
const SEED: u64 = 2;

/// Of one step, in calls per second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) begins_s: f64,
    pub(crate) offered: f64,
    pub(crate) absolute: f64,
    pub(crate) suppressed: f64,
}

pub(crate) fn steps() -> Result<Vec<Step>, Box<dyn Error>> {
    let clock = ManualClock::new();
    let limiter = LocalRateLimiter::builder()
        .window(WINDOW)
        .clock(clock.clone())
        .random(SeededRandom::new(SEED))
        .build()?;
    let rate = RateLimit::per_second(PER_SECOND)?;
    let mut steps = Vec::new();
    for begins_ms in (0..END_MS).step_by(STEP_MS as usize) {
        let calls = if SPIKE_MS.contains(&begins_ms) { SPIKE } else { CALM } * STEP_MS / 1_000;
        let (mut absolute, mut suppressed) = (0_u32, 0_u32);
        for call in 0..calls {
            clock.set(Duration::from_micros(begins_ms * 1_000 + STEP_MS * 1_000 * call / calls));
            absolute += u32::from(limiter.absolute().inc("shared", &rate, 1).is_allowed());
            suppressed += u32::from(limiter.suppressed().inc("shared", &rate, 1).is_allowed());
        }
        let per_second = |calls: f64| calls * 1_000.0 / STEP_MS as f64;
        steps.push(Step {
            begins_s: begins_ms as f64 / 1_000.0,
            offered: per_second(calls as f64),
            absolute: per_second(absolute.into()),
            suppressed: per_second(suppressed.into()),
        });
    }
    Ok(steps)
}

/// The least and the most admitted per second, once a spike has lasted for a window.
pub(crate) fn settled(steps: &[Step], admitted: fn(&Step) -> f64) -> (f64, f64) {
    let from = SPIKE_MS.start as f64 / 1_000.0 + WINDOW.as_secs_f64();
    let settled = steps.iter().filter(|step| step.begins_s >= from && step.offered == SPIKE as f64);
    settled
        .map(admitted)
        .fold((f64::MAX, 0.0), |(least, most), value| (least.min(value), most.max(value)))
}

pub(crate) fn picture() -> Result<String, Box<dyn Error>> {
    let steps = steps()?;
    let about = |(least, most): (f64, f64)| format!("between {least} and {most} a second");
    let by_absolute = about(settled(&steps, |step| step.absolute));
    let by_suppressed = about(settled(&steps, |step| step.suppressed));
    let mut picture = Picture::new(
        (760.0, 420.0),
        "A spike of four times the limit, under both strategies",
        &format!(
            "Calls admitted while the spike lasts: by Absolute {by_absolute}, in bursts; by Suppressed \
             {by_suppressed}, after a burst at its beginning."
        ),
    );
    let under = "Calls per second, in steps of half a second. Grey: offered. The limit is 100 a second over a \
                 window of 10 s.";
    picture.label((16.0, 48.0), Anchor::Start, "tp-dim", under);
    let absolute: Vec<_> = steps.iter().map(|step| (step.begins_s, step.absolute)).collect();
    let suppressed: Vec<_> = steps.iter().map(|step| (step.begins_s, step.suppressed)).collect();
    let offered: Vec<_> = steps.iter().map(|step| (step.begins_s, step.offered)).collect();
    let parts = [
        (format!("Absolute: bursts, {by_absolute}"), absolute, "tp-ours"),
        (format!("Suppressed: one burst, then {by_suppressed}"), suppressed, "tp-also"),
    ];
    for (place, (heading, admitted, class)) in parts.iter().enumerate() {
        let top = 84.0 + place as f64 * 170.0;
        let plot = Plot {
            at: (52.0, top),
            size: (640.0, 124.0),
            across: 0.0..END_MS as f64 / 1_000.0,
            most: 420.0,
        };
        picture.heading((52.0, top - 6.0), heading);
        let times: Vec<_> =
            (0..=8).map(|ten| (f64::from(ten) * 10.0, format!("{} s", ten * 10))).collect();
        plot.steps(&mut picture, &offered, 0.0, "tp-load");
        plot.axes(&mut picture, &times, &[0.0, 100.0, 200.0, 300.0, 400.0]);
        plot.steps(&mut picture, admitted, 0.0, class);
        plot.limit(&mut picture, PER_SECOND, "limit");
    }
    Ok(picture.finish())
}
