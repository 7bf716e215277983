//! The meaning of a script's reply. A reply that is none to its request is `Kind::Protocol`.

use ::redis::Value;

use crate::redis::net::failure::Kind;
use crate::{RateLimitDecision, SuppressedUsage};

type Parsed<T> = Result<T, Kind>;

/// What the server says to a call that is to be decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Verdict {
    Fits,
    /// Above the limit for so many microseconds, with so many units still counted then.
    Later {
        wait_us: u64,
        left: u64,
    },
    Never {
        usage: u64,
    },
    /// Between the limits.
    Drawn {
        factor: f64,
        admitted: bool,
    },
    /// Between the limits and declined, not counted: another draw may do.
    Redraw,
}

impl Verdict {
    pub(crate) fn decision(self) -> RateLimitDecision {
        match self {
            Self::Fits => RateLimitDecision::allowed(0),
            Self::Later { wait_us, left } => {
                RateLimitDecision::rejected(Some(wait_us.div_ceil(1_000)), left)
            }
            Self::Never { usage } => RateLimitDecision::rejected(None, usage),
            Self::Drawn { factor, admitted } => RateLimitDecision::suppressed(factor, admitted),
            // Only a waiting thread hears it, and only that it was not admitted.
            Self::Redraw => RateLimitDecision::suppressed(1.0, false),
        }
    }
}

/// Absolute: 1, or how long to wait and what counts then, or what counts.
pub(crate) fn absolute(value: Value) -> Parsed<Verdict> {
    let Value::BulkString(bytes) = &value else { return recorded(value).map(|()| Verdict::Fits) };
    match counts(bytes) {
        [Some(wait_us), Some(left)] => Ok(Verdict::Later { wait_us, left }),
        [Some(usage), None] => Ok(Verdict::Never { usage }),
        _ => nonsense(&value),
    }
}

/// Suppressed: 1, or whether it was admitted and the factor.
pub(crate) fn suppressed(value: Value) -> Parsed<Verdict> {
    let Value::BulkString(bytes) = &value else { return recorded(value).map(|()| Verdict::Fits) };
    match bytes.split_first() {
        Some((admitted @ 0..=1, share)) => match share_of(share) {
            Some(factor) => Ok(Verdict::Drawn { factor, admitted: *admitted == 1 }),
            None => nonsense(&value),
        },
        _ => nonsense(&value),
    }
}

/// The same for a thread that waits: also -1, or how long to wait and what counts then.
pub(crate) fn waited(value: Value) -> Parsed<Verdict> {
    match &value {
        Value::Int(-1) => Ok(Verdict::Redraw),
        Value::BulkString(bytes) if bytes.len() == DOUBLE => absolute(value),
        _ => suppressed(value),
    }
}

/// 1, or 0 where it would have been too much.
pub(crate) fn recorded(value: Value) -> Parsed<()> {
    match value {
        Value::Int(1) => Ok(()),
        Value::Int(0) => Err(Kind::CountTooLarge),
        _ => nonsense(&value),
    }
}

/// Admitted and declined.
pub(crate) fn usage(value: Value) -> Parsed<SuppressedUsage> {
    if let Value::BulkString(bytes) = &value
        && let [Some(admitted), Some(declined)] = counts(bytes)
    {
        return Ok(SuppressedUsage { admitted, declined });
    }
    nonsense(&value)
}

pub(crate) fn count(value: Value) -> Parsed<u64> {
    match value {
        Value::Int(count @ 0..) => Ok(count.unsigned_abs()),
        _ => nonsense(&value),
    }
}

pub(crate) fn factor(value: Value) -> Parsed<f64> {
    let Value::BulkString(bytes) = &value else { return nonsense(&value) };
    share_of(bytes).map_or_else(|| nonsense(&value), Ok)
}

#[cold]
fn nonsense<T>(value: &Value) -> Parsed<T> {
    Err(Kind::Protocol { cause: format!("{value:?} is no answer to this") })
}

fn share_of(bytes: &[u8]) -> Option<f64> {
    let share = bytes.try_into().ok().map(f64::from_le_bytes);
    share.filter(|share| (0.0..=1.0).contains(share))
}

/// Bytes of a packed count.
const COUNT: usize = 7;
const DOUBLE: usize = 2 * COUNT;

/// One packed count or two; nothing of other lengths.
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
