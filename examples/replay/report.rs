//! What became of a log, as text and as a picture.

use std::fmt::{self, Write as _};
use std::time::Duration;

use trypema::RateLimit;

use super::svg::{Anchor, Picture, Plot, number};
use super::timeline::sparkline;
use super::trial::{Replay, Trial};

/// The text. Shows so many keys of each limit.
pub(crate) fn text(replay: &Replay, top: usize) -> Result<String, fmt::Error> {
    let mut text = String::new();
    let (columns, column) = replay.over_time.columns(replay.length(), 64);
    let most = columns.iter().copied().max().unwrap_or(0);
    writeln!(
        text,
        "{} for {} by {} in {}",
        several(replay.asked.calls, "call"),
        several(replay.asked.units, "unit"),
        several(replay.names.len() as u64, "key"),
        time(replay.length())
    )?;
    if replay.late > 0 {
        writeln!(
            text,
            "{} earlier than one before, by up to {}, judged at the later time: sort the log if that matters",
            several(replay.late, "line"),
            time(replay.latest_by)
        )?;
    }
    writeln!(text, "asked     {}  a column is {}", sparkline(&columns, most), time(column))?;
    for trial in &replay.trials {
        writeln!(text)?;
        limit(&mut text, replay, trial, top)?;
    }
    Ok(text)
}

fn limit(text: &mut String, replay: &Replay, trial: &Trial, top: usize) -> fmt::Result {
    let Trial { rate, rejected, keys, .. } = trial;
    let mut hit: Vec<usize> = (0..keys.len()).filter(|&key| keys[key].rejected.calls > 0).collect();
    writeln!(
        text,
        "{rate}: {} rejected ({}), {}, of {} ({})",
        several(rejected.calls, "call"),
        percent(rejected.calls, replay.asked.calls),
        several(rejected.units, "unit"),
        several(hit.len() as u64, "key"),
        percent(hit.len() as u64, replay.names.len() as u64)
    )?;
    let (columns, _) = trial.over_time.columns(replay.length(), 64);
    let (asked, _) = replay.over_time.columns(replay.length(), 64);
    let most = asked.iter().copied().max().unwrap_or(0);
    writeln!(text, "rejected  {}", sparkline(&columns, most))?;

    let mut peaks: Vec<u64> = keys.iter().map(|key| key.peak).collect();
    peaks.sort_unstable();
    if let Some(&peak) = peaks.last() {
        let of_keys = |share: usize| peaks[(peaks.len() * share).div_ceil(100).saturating_sub(1)];
        writeln!(
            text,
            "needed    {} so that nothing is rejected; 99 % of the keys need no more than {}, half of them {}",
            rate_of(peak, rate),
            rate_of(of_keys(99), rate),
            rate_of(of_keys(50), rate)
        )?;
    }
    if trial.never > 0 {
        writeln!(
            text,
            "never     {} for more at once than the limit allows",
            several(trial.never, "call")
        )?;
    }
    // Those that lose most; of equals, the first in the log.
    hit.sort_by_key(|&key| std::cmp::Reverse(keys[key].rejected.units));
    for &key in hit.iter().take(top) {
        let (asked, under) = (replay.asked_by_key[key], keys[key]);
        writeln!(
            text,
            "{:>10} of {:>9} units rejected ({:>6}), at most {:>7} in a window: {}",
            count(under.rejected.units),
            count(asked.units),
            percent(under.rejected.units, asked.units),
            count(under.peak),
            shown(&replay.names[key])
        )?;
    }
    if hit.len() > top {
        writeln!(text, "       and {} more", several((hit.len() - top) as u64, "key"))?;
    }
    Ok(())
}

/// The picture: units asked for and rejected over time, a part for each limit.
pub(crate) fn picture(replay: &Replay) -> String {
    const PART: f64 = 130.0;
    let length = replay.length();
    let heading = "Units asked for and rejected over time";
    let about = format!(
        "{} by {} in {}",
        several(replay.asked.calls, "call"),
        several(replay.names.len() as u64, "key"),
        time(length)
    );
    let mut picture =
        Picture::new((760.0, 72.0 + PART * replay.trials.len() as f64), heading, &about);
    let (asked, column) = replay.over_time.columns(length, 128);
    let most = asked.iter().copied().max().unwrap_or(0).max(1);
    let about = format!("{about}. Grey: asked for, in columns of {}. Red: rejected.", time(column));
    picture.label((16.0, 48.0), Anchor::Start, "tp-dim", &about);

    let end = column.as_secs_f64() * asked.len() as f64;
    let steps = |units: &[u64]| -> Vec<(f64, f64)> {
        let step =
            |(place, &units): (usize, &u64)| (column.as_secs_f64() * place as f64, units as f64);
        units.iter().enumerate().map(step).collect()
    };
    let times = ticks(end);
    for (place, trial) in replay.trials.iter().enumerate() {
        let top = 84.0 + place as f64 * PART;
        picture.heading(
            (72.0, top - 6.0),
            &format!(
                "{}: {} rejected",
                trial.rate,
                percent(trial.rejected.units, replay.asked.units)
            ),
        );
        let plot = Plot {
            at: (72.0, top),
            size: (660.0, PART - 50.0),
            across: 0.0..end,
            most: most as f64,
        };
        let (rejected, _) = trial.over_time.columns(length, 128);
        plot.axes(&mut picture, &times, &[0.0, most as f64]);
        plot.steps(&mut picture, &steps(&asked), 0.0, "tp-load");
        plot.steps(&mut picture, &steps(&rejected), 0.0, "tp-over");
    }
    picture.finish()
}

/// Times for an axis that long in seconds: at most seven, of a round number each.
fn ticks(end: f64) -> Vec<(f64, String)> {
    const ROUND: [f64; 20] = [
        0.001,
        0.01,
        0.1,
        1.0,
        2.0,
        5.0,
        10.0,
        30.0,
        60.0,
        120.0,
        300.0,
        600.0,
        1_800.0,
        3_600.0,
        7_200.0,
        21_600.0,
        43_200.0,
        86_400.0,
        604_800.0,
        2_592_000.0,
    ];
    let fits = |step: &f64| end / step < 7.0;
    let step = ROUND.into_iter().find(fits).unwrap_or(end / 6.0);
    let tick = |place: u32| f64::from(place) * step;
    let inside = (0..7).map(tick).take_while(|&at| at < end);
    inside.map(|at| (at, time(Duration::from_secs_f64(at)))).collect()
}

/// As many units in the period of that limit.
fn rate_of(units: u64, like: &RateLimit) -> String {
    RateLimit::per(units as f64, like.period()).unwrap_or_else(|_| RateLimit::zero()).to_string()
}

fn several(number_of: u64, name: &str) -> String {
    format!("{} {name}{}", count(number_of), if number_of == 1 { "" } else { "s" })
}

pub(crate) fn count(number_of: u64) -> String {
    number(number_of as f64)
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", part as f64 / whole.max(1) as f64 * 100.0)
}

/// Two units at most: `2 h 5 min`.
pub(crate) fn time(time: Duration) -> String {
    const UNITS: [(u128, &str); 5] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"), (1, "ms")];
    let mut left = time.as_millis();
    let mut parts = Vec::new();
    for (unit, name) in UNITS {
        if left >= unit && parts.len() < 2 {
            parts.push(format!("{} {name}", left / unit));
            left %= unit;
        } else if !parts.is_empty() {
            break;
        }
    }
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

/// A key on one line of a terminal, whatever is in it.
fn shown(key: &str) -> String {
    let mut shown: String = key.escape_debug().take(60).collect();
    if key.escape_debug().nth(60).is_some() {
        shown.push('…');
    }
    shown
}
