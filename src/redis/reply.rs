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

/// Absolute: 1, or how long to wait and what counts then, or what counts.
pub(crate) fn absolute(value: &Value) -> Read<Judged> {
    let Value::BulkString(bytes) = value else {
        return recorded(value).map(|()| Judged::Fits);
    };
    match counts(bytes)[..] {
        [Some(wait_us), Some(left)] => Ok(Judged::Later { wait_us, left }),
        [Some(usage), None] => Ok(Judged::Never { usage }),
        _ => Err(Misread::Nonsense),
    }
}

/// Suppressed: 1, or whether it was admitted and the factor.
pub(crate) fn suppressed(value: &Value) -> Read<RateLimitDecision> {
    let Value::BulkString(bytes) = value else {
        return recorded(value).map(|()| RateLimitDecision::Allowed);
    };
    match bytes.split_first() {
        Some((admitted @ 0..=1, share)) => {
            Ok(RateLimitDecision::suppressed(share_of(share)?, *admitted == 1))
        }
        _ => Err(Misread::Nonsense),
    }
}

pub(crate) fn waited(value: &Value) -> Read<Waited> {
    match value {
        Value::Int(-1) => Ok(Waited::Redraw),
        Value::BulkString(bytes) if bytes.len() == DOUBLE => match absolute(value)? {
            Judged::Later { wait_us, .. } => Ok(Waited::Microseconds(wait_us)),
            _ => Err(Misread::Nonsense),
        },
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
    let Value::BulkString(bytes) = value else { return Err(Misread::Nonsense) };
    match counts(bytes)[..] {
        [Some(admitted), Some(declined)] => Ok((admitted, declined)),
        _ => Err(Misread::Nonsense),
    }
}

pub(crate) fn count(value: &Value) -> Read<u64> {
    match value {
        Value::Int(count) => u64::try_from(*count).map_err(|_| Misread::Nonsense),
        _ => Err(Misread::Nonsense),
    }
}

pub(crate) fn factor(value: &Value) -> Read<f64> {
    let Value::BulkString(bytes) = value else { return Err(Misread::Nonsense) };
    share_of(bytes)
}

fn share_of(bytes: &[u8]) -> Read<f64> {
    let share = bytes.try_into().ok().map(f64::from_le_bytes);
    share.filter(|share| (0.0..=1.0).contains(share)).ok_or(Misread::Nonsense)
}

/// Bytes of a packed count.
const COUNT: usize = 7;
const DOUBLE: usize = 2 * COUNT;

/// One packed count or two; nothing of what is neither.
fn counts(bytes: &[u8]) -> [Option<u64>; 2] {
    let count = |bytes: &[u8]| {
        let mut wide = [0; 8];
        wide.get_mut(..COUNT)?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(wide))
    };
    match bytes.len() {
        COUNT => [count(bytes), None],
        DOUBLE => [count(&bytes[..COUNT]), count(&bytes[COUNT..])],
        _ => [None, None],
    }
}
