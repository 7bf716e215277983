//! What a script's reply means.

use ::redis::Value;

use crate::RateLimitDecision;

/// Why a reply is not an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misread {
    /// The key would hold more units than can be counted.
    TooMany,
    /// It makes no sense.
    Nonsense,
}

pub(crate) type Read<T> = Result<T, Misread>;

/// Whether it is an answer at all.
pub(crate) fn makes_sense<T>(read: &Read<T>) -> bool {
    !matches!(read, Err(Misread::Nonsense))
}

/// What the server says under Absolute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    Fits,
    /// In so many microseconds, with so many units still counted then.
    Later {
        wait_us: u64,
        left: u64,
    },
    Never {
        usage: u64,
    },
}

impl Judged {
    pub(crate) fn decision(self) -> RateLimitDecision {
        match self {
            Self::Fits => RateLimitDecision::Allowed,
            Self::Later { wait_us, left } => {
                RateLimitDecision::rejected(Some(wait_us.div_ceil(1_000)), left)
            }
            Self::Never { usage } => RateLimitDecision::rejected(None, usage),
        }
    }
}

/// What came of waiting under Suppressed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Waited {
    Admitted(RateLimitDecision),
    /// Above the hard limit for so many microseconds.
    Microseconds(u64),
    /// Another draw may do.
    Redraw,
}

/// Absolute: 1, or how long to wait (-1: for ever) and what counts then.
pub(crate) fn absolute(value: &Value) -> Read<Judged> {
    match value {
        Value::Array(hints) => match hints[..] {
            [Value::Int(-1), Value::Int(usage)] => Ok(Judged::Never { usage: whole(usage)? }),
            [Value::Int(wait), Value::Int(left)] => {
                Ok(Judged::Later { wait_us: whole(wait)?, left: whole(left)? })
            }
            _ => Err(Misread::Nonsense),
        },
        value => recorded(value).map(|()| Judged::Fits),
    }
}

/// Suppressed: 1, or whether it was admitted and the factor.
pub(crate) fn suppressed(value: &Value) -> Read<RateLimitDecision> {
    match value {
        Value::Array(parts) => match &parts[..] {
            [Value::Int(admitted @ 0..=1), share] => {
                Ok(RateLimitDecision::suppressed(factor(share)?, *admitted == 1))
            }
            _ => Err(Misread::Nonsense),
        },
        value => recorded(value).map(|()| RateLimitDecision::Allowed),
    }
}

pub(crate) fn waited(value: &Value) -> Read<Waited> {
    match value {
        Value::Int(-1) => Ok(Waited::Redraw),
        Value::Array(parts) if matches!(parts[..], [Value::Int(_), Value::Int(_)]) => {
            match absolute(value)? {
                Judged::Later { wait_us, .. } => Ok(Waited::Microseconds(wait_us)),
                _ => Err(Misread::Nonsense),
            }
        }
        value => suppressed(value).map(Waited::Admitted),
    }
}

/// 1, or 0 where it would have been too much.
pub(crate) fn recorded(value: &Value) -> Read<()> {
    match value {
        Value::Int(1) => Ok(()),
        Value::Int(0) => Err(Misread::TooMany),
        _ => Err(Misread::Nonsense),
    }
}

/// Admitted and declined.
pub(crate) fn usage(value: &Value) -> Read<(u64, u64)> {
    match value {
        Value::Array(parts) => match parts[..] {
            [Value::Int(admitted), Value::Int(declined)] => {
                Ok((whole(admitted)?, whole(declined)?))
            }
            _ => Err(Misread::Nonsense),
        },
        _ => Err(Misread::Nonsense),
    }
}

pub(crate) fn count(value: &Value) -> Read<u64> {
    match value {
        Value::Int(count) => whole(*count),
        _ => Err(Misread::Nonsense),
    }
}

pub(crate) fn factor(value: &Value) -> Read<f64> {
    let Value::BulkString(text) = value else { return Err(Misread::Nonsense) };
    let number = str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.filter(|factor| (0.0..=1.0).contains(factor)).ok_or(Misread::Nonsense)
}

fn whole(number: i64) -> Read<u64> {
    u64::try_from(number).map_err(|_| Misread::Nonsense)
}
