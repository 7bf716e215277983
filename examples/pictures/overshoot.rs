//! Units admitted in the last window, by a fixed window, a GCRA and this crate, over the same arrivals.

use std::collections::VecDeque;
use std::error::Error;
use std::time::Duration;

use trypema::{LocalRateLimiter, ManualClock, Random, RateLimit, SeededRandom};

use super::rivals::{FixedWindow, Gcra};
use super::svg::{Anchor, Picture, Plot};

/// Units in any `WINDOW`.
pub(crate) const CAPACITY: u64 = 100;
const WINDOW: u64 = 10 * SECOND;
const LENGTH: u64 = 60 * SECOND;
/// In microseconds, as all times here.
const SECOND: u64 = 1_000_000;
const SEED: u64 = 11;

/// Calls per second: some all the time, and many in two rushes.
const CALM: u64 = 4;
const RUSH: u64 = 40;
const RUSHES: [std::ops::Range<u64>; 2] = [6 * SECOND..17 * SECOND, 36 * SECOND..47 * SECOND];

/// The arrivals' outcome under one limiter.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    /// When units counted or expired, in seconds, and how many counted from then on.
    pub(crate) usage: Vec<(f64, f64)>,
    pub(crate) worst: u64,
}

/// When calls come: evenly, but for chance, which is seeded.
pub(crate) fn arrivals() -> Vec<u64> {
    let chance = SeededRandom::new(SEED);
    let mut arrivals = Vec::new();
    let mut now = 0;
    loop {
        let per_second = if RUSHES.iter().any(|rush| rush.contains(&now)) { RUSH } else { CALM };
        now += (SECOND as f64 / per_second as f64 * 2.0 * chance.draw()) as u64;
        if now >= LENGTH {
            return arrivals;
        }
        arrivals.push(now);
    }
}

/// All three, over the same arrivals.
pub(crate) fn outcomes(arrivals: &[u64]) -> Result<[Outcome; 3], Box<dyn Error>> {
    let mut fixed = FixedWindow::new(CAPACITY, WINDOW);
    let mut gcra = Gcra::new(CAPACITY, WINDOW);
    let clock = ManualClock::new();
    let limiter = LocalRateLimiter::builder().clock(clock.clone()).build()?;
    let rate = RateLimit::per(CAPACITY as f64, Duration::from_micros(WINDOW))?;
    let ours = |now| {
        clock.set(Duration::from_micros(now));
        limiter.absolute().inc("client", &rate, 1).is_allowed()
    };
    Ok([
        outcome("Fixed window", arrivals, |now| fixed.admits(now)),
        outcome("GCRA or token bucket", arrivals, |now| gcra.admits(now)),
        outcome("trypema", arrivals, ours),
    ])
}

fn outcome(name: &'static str, arrivals: &[u64], mut admits: impl FnMut(u64) -> bool) -> Outcome {
    let admitted: Vec<u64> = arrivals.iter().copied().filter(|&now| admits(now)).collect();
    // A unit counts from its own moment until a window later, which is when it stops.
    let mut inside = VecDeque::new();
    let mut usage = vec![(0.0, 0.0)];
    let mut worst = 0;
    let seconds = |time: u64| time as f64 / SECOND as f64;
    let changes = admitted.iter().copied().chain([LENGTH]);
    for now in changes {
        while let Some(end) = inside.front().copied().filter(|&end| end <= now) {
            inside.pop_front();
            usage.push((seconds(end), inside.len() as f64));
        }
        if now < LENGTH {
            inside.push_back(now + WINDOW);
            usage.push((seconds(now), inside.len() as f64));
            worst = worst.max(inside.len() as u64);
        }
    }
    Outcome { name, usage: thinned(&usage), worst }
}

/// The most of each tenth of a second: more than a picture can show.
fn thinned(usage: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let tenth = |at: &(f64, f64)| (at.0 * 10.0).floor();
    let of_a_tenth = usage.chunk_by(|one, next| tenth(one) == tenth(next));
    let most = |values: &[(f64, f64)]| {
        let most = values.iter().map(|value| value.1).fold(0.0, f64::max);
        values.first().map(|first| (tenth(first) / 10.0, most))
    };
    of_a_tenth.filter_map(most).collect()
}

pub(crate) fn picture() -> Result<String, Box<dyn Error>> {
    let arrivals = arrivals();
    let outcomes = outcomes(&arrivals)?;
    let mut picture = Picture::new(
        (760.0, 462.0),
        "The same calls under a limit of 100 in 10 seconds",
        &about(&outcomes),
    );
    let under = "Units admitted in the last 10 seconds, at each moment. Two rushes of 40 calls a second; 4 a \
                 second otherwise.";
    picture.label((16.0, 48.0), Anchor::Start, "tp-dim", under);
    let limit = CAPACITY as f64;
    for (place, outcome) in outcomes.iter().enumerate() {
        let top = 84.0 + place as f64 * 124.0;
        let plot = Plot {
            at: (52.0, top),
            size: (640.0, 84.0),
            across: 0.0..LENGTH as f64 / SECOND as f64,
            most: 2.2 * limit,
        };
        let over = outcome.worst.saturating_sub(CAPACITY);
        let verdict = match over {
            0 => format!("{}: never more than {}", outcome.name, outcome.worst),
            _ => format!("{}: {} at worst, {over} too many", outcome.name, outcome.worst),
        };
        picture.heading((52.0, top - 6.0), &verdict);
        let times = (0..=6).map(|ten| (f64::from(ten) * 10.0, format!("{} s", ten * 10)));
        let times: Vec<_> = if place + 1 == outcomes.len() { times.collect() } else { Vec::new() };
        plot.axes(&mut picture, &times, &[0.0, limit, 2.0 * limit]);
        plot.steps(
            &mut picture,
            &outcome.usage,
            0.0,
            if over == 0 { "tp-ours" } else { "tp-peer" },
        );
        plot.steps(&mut picture, &outcome.usage, limit, "tp-over");
        plot.limit(&mut picture, limit, "limit");
    }
    Ok(picture.finish())
}

fn about(outcomes: &[Outcome]) -> String {
    let part = |outcome: &Outcome| format!("{} up to {}", outcome.name, outcome.worst);
    let parts: Vec<_> = outcomes.iter().map(part).collect();
    format!("Units admitted in any 10 seconds under a limit of {CAPACITY}: {}.", parts.join(", "))
}
