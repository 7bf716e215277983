//! A line of a log: when, which key, how many units.

use std::borrow::Cow;
use std::time::Duration;

/// A call that somebody made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call<'a> {
    /// Since any origin that the whole log shares.
    pub(crate) time: Duration,
    pub(crate) key: Cow<'a, str>,
    pub(crate) count: u64,
}

/// What a number in the column of times is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Seconds,
    Millis,
}

/// Whether this may be the names of the columns: its time is none, nor meant to be one.
pub(crate) fn is_header(line: &str) -> bool {
    line.trim_start().starts_with(|first: char| first.is_alphabetic() || first == '"')
}

/// Reads `time,key,count`; without a count it is 1. The error says what is wrong.
pub(crate) fn parse(line: &str, unit: Unit) -> Result<Call<'_>, String> {
    let (time, rest) = line.split_once(',').ok_or("no comma after a time")?;
    let (key, rest) = key(rest)?;
    if key.is_empty() {
        return Err("the key is empty".into());
    }
    let count = match rest.trim() {
        "" => 1,
        text => text.parse().map_err(|_| {
            format!("the count is {text:?}, not a whole number from 0 to {}", u64::MAX)
        })?,
    };
    let text = time.trim();
    let time = match unit {
        _ if text.contains([':', 'T']) => rfc3339(text),
        Unit::Seconds => decimal(text, 1_000_000_000),
        Unit::Millis => decimal(text, 1_000_000),
    };
    let time = time.ok_or_else(|| {
        format!("the time is {text:?}, not a number such as 1700000000.25 or 2026-11-29T10:00:00Z")
    })?;
    Ok(Call { time, key, count })
}

/// The key, bare or in quotes, and what comes after the comma that ends it.
fn key(text: &str) -> Result<(Cow<'_, str>, &str), String> {
    let Some(quoted) = text.trim_start().strip_prefix('"') else {
        let (key, rest) = text.split_once(',').unwrap_or((text, ""));
        return Ok((key.trim().into(), rest));
    };
    // A quote inside is written twice.
    let mut key = String::new();
    let mut rest = quoted;
    loop {
        let (part, after) = rest.split_once('"').ok_or("a quote that does not end")?;
        key.push_str(part);
        rest = after;
        match rest.strip_prefix('"') {
            Some(after) => {
                key.push('"');
                rest = after;
            }
            None => break,
        }
    }
    match rest.trim_start().strip_prefix(',') {
        Some(rest) => Ok((key.into(), rest)),
        None if rest.trim().is_empty() => Ok((key.into(), "")),
        None => Err(format!("{:?} after a quote, where a comma belongs", rest.trim())),
    }
}

/// A number with or without a fraction, in units of so many nanoseconds.
fn decimal(text: &str, nanos: u64) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole = u128::from(whole.parse::<u64>().ok()?) * u128::from(nanos);
    // Nine digits are nanoseconds of a second; more are cut.
    let fraction = &fraction[..fraction.len().min(9)];
    let scale = 10_u64.pow(fraction.len() as u32);
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()? * nanos / scale };
    let nanos = whole + u128::from(part);
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    Some(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
}

/// `2026-11-29T10:00:00Z`, with a fraction, another offset, or a space instead of the T. Since 1970.
fn rfc3339(text: &str) -> Option<Duration> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (clock, offset) = match time.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => {
            let (clock, offset) = time.split_at_checked(time.len().checked_sub(6)?)?;
            let sign = match offset.get(..1)? {
                "+" => 1,
                "-" => -1,
                _ => return None,
            };
            let [hours, minutes] = numbers(offset.get(1..)?, ':', [2, 2])?;
            (clock, sign * (hours * 3_600 + minutes * 60))
        }
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let in_range = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        // A leap second counts as the next one.
        && second <= 60;
    if !in_range {
        return None;
    }
    let seconds =
        days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset;
    let fraction = decimal(&format!("0.{fraction}"), 1_000_000_000)?;
    Some(Duration::from_secs(u64::try_from(seconds).ok()?) + fraction)
}

/// Numbers of so many digits each.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// By the Gregorian calendar. A year is taken to begin in March: leap days then come last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let since_march = (month + 9) % 12;
    let leap_days = year / 4 - year / 100 + year / 400;
    // Days of the months from March on: 31, 30, 31, 30, 31, and again.
    let before_month = (since_march * 153 + 2) / 5;
    /// Until 1 January 1970.
    const EPOCH: i64 = 719_469;
    year * 365 + leap_days + before_month + day - EPOCH
}
