//! Rates as text: a count, a slash or the word "per", and a period.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use super::{DAY, HOUR, MINUTE, RateLimit, SECOND, WEEK};
use crate::TrypemaError;

const GRAMMAR: &str = "write a positive number and a period, as in \"100/minute\", \"100/10s\" or \
                       \"0.5 per second\"; a period is a unit from ms, second, minute, hour and day \
                       to week, or a whole number of those, up to 100 years; \"unlimited\" and \
                       \"zero\" are rates, too";

/// Characters of a refused text that an error repeats: the text may come from anybody.
const ECHOED: usize = 64;

/// The units of a period, from the longest: milliseconds, full name, name behind a number.
const UNITS: [(u64, &str, &str); 6] = [
    (WEEK, "week", "w"),
    (DAY, "day", "d"),
    (HOUR, "hour", "h"),
    (MINUTE, "minute", "min"),
    (SECOND, "second", "s"),
    (1, "millisecond", "ms"),
];

fn unit_named(name: &str) -> Option<u64> {
    Some(match name.to_ascii_lowercase().as_str() {
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => 1,
        "s" | "sec" | "secs" | "second" | "seconds" => SECOND,
        "m" | "min" | "mins" | "minute" | "minutes" => MINUTE,
        "h" | "hr" | "hrs" | "hour" | "hours" => HOUR,
        "d" | "day" | "days" => DAY,
        "w" | "wk" | "wks" | "week" | "weeks" => WEEK,
        _ => return None,
    })
}

/// Reads `"100/minute"`, `"5/s"`, `"0.5 per second"`, `"100/10s"`, `"5 per 15 minutes"`,
/// `"1/week"`, in any letter case; `"unlimited"`; and `"zero"`. Space around the parts is ignored.
///
/// A period is a unit, or a whole number of them and a unit, and at most 100 years of 365 days:
///
/// | unit | also written |
/// |---|---|
/// | `millisecond` | `ms`, `msec`, `msecs`, `milliseconds` |
/// | `second` | `s`, `sec`, `secs`, `seconds` |
/// | `minute` | `m`, `min`, `mins`, `minutes` |
/// | `hour` | `h`, `hr`, `hrs`, `hours` |
/// | `day` | `d`, `days` |
/// | `week` | `w`, `wk`, `wks`, `weeks` |
impl FromStr for RateLimit {
    type Err = TrypemaError;

    fn from_str(text: &str) -> Result<Self, TrypemaError> {
        parse(text).ok_or_else(|| {
            let given = text.chars().take(ECHOED).collect::<String>();
            TrypemaError::InvalidRateLimit { given: format!("{given:?}"), allowed: GRAMMAR }
        })
    }
}

fn parse(text: &str) -> Option<RateLimit> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("unlimited") {
        return Some(RateLimit::unlimited());
    }
    if text.eq_ignore_ascii_case("zero") {
        return Some(RateLimit::zero());
    }
    let (count, period) = match text.split_once('/') {
        Some(parts) => parts,
        None => {
            let (count, rest) = text.split_once(char::is_whitespace)?;
            let rest = rest.trim_start();
            let per = rest.get(..3).filter(|per| per.eq_ignore_ascii_case("per"))?;
            let period = &rest[per.len()..];
            if !period.starts_with(char::is_whitespace) {
                return None;
            }
            (count, period)
        }
    };
    let count = count.trim();
    // `f64` also reads "inf", "nan" and signs; a rate is written in digits.
    if !count.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    let period = Duration::from_millis(period_ms(period.trim())?);
    RateLimit::per(count.parse::<f64>().ok()?, period).ok()
}

/// Milliseconds of `minute`, `10s` or `15 minutes`, also of none of them.
pub(crate) fn period_ms(text: &str) -> Option<u64> {
    let unit = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let number = &text[..text.len() - unit.len()];
    let number = if number.is_empty() { 1 } else { number.parse::<u64>().ok()? };
    unit_named(unit.trim_start())?.checked_mul(number)
}

/// A period as a rate's text ends: `minute`, `15min`.
pub(super) struct Period(pub(super) u64);

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.into_iter().find(|&(unit_ms, ..)| unit_ms == self.0) {
            Some((_, name, _)) => f.write_str(name),
            None => f.write_str(&time_text(self.0)),
        }
    }
}

/// A time as [`period_ms`] reads it: `1min`, `90s`.
pub(crate) fn time_text(ms: u64) -> String {
    let divides = |&(unit_ms, ..): &(u64, &str, &str)| ms > 0 && ms.is_multiple_of(unit_ms);
    let (unit_ms, _, short) = UNITS.into_iter().find(divides).unwrap_or((1, "millisecond", "ms"));
    format!("{}{short}", ms / unit_ms)
}

/// As [`FromStr`] reads it: `100/minute`, `5/15min`, `unlimited` or `zero`. Reading it gives an
/// equal rate.
impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unlimited() {
            f.pad("unlimited")
        } else if self.is_zero() {
            f.pad("zero")
        } else {
            f.pad(&format!("{}/{}", self.count, Period(self.period_ms)))
        }
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RateLimit").field(&format_args!("{self}")).finish()
    }
}
