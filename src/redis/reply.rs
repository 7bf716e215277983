//! The meaning of a script's reply. A reply that is none to its request is `Kind::Protocol`.

use ::redis::Value;

use crate::redis::net::failure::Kind;
use crate::{Bucket, RateLimitDecision, SuppressedUsage};

type Parsed<T> = Result<T, Kind>;

/// The server's reply to a call that asks for a decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Verdict {
    /// It does not pass the limit.
    Fits(Counted),
    /// Above the limit for so many microseconds, with so many units still counted then.
    Later {
        wait_us: u64,
        left: u64,
        usage: u64,
    },
    Never {
        usage: u64,
    },
    /// Above the soft limit: admitted or declined.
    Drawn {
        counted: Counted,
        admitted: bool,
        factor: f64,
    },
    /// Between the limits and declined, not counted: another draw may do.
    Redraw,
}

/// The usage, with what the call has counted or would have, and the bucket that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) usage: u64,
    pub(crate) tick: u64,
}

impl Counted {
    pub(crate) fn bucket(self) -> Bucket {
        // The server keeps no position in a bucket: a new bucket of the same tick is taken for the old one.
        Bucket::new(self.tick, 0)
    }
}

impl Verdict {
    /// The decision on a call under a rate that allows so many units. `counts`: whether the call has
    /// counted what was admitted.
    pub(crate) fn decision(self, capacity: u64, counts: bool) -> RateLimitDecision {
        let in_bucket = |decision: RateLimitDecision, counted: Counted| {
            if counts { decision.with_bucket(counted.bucket()) } else { decision }
        };
        let (decision, usage) = match self {
            Self::Fits(counted) => {
                (in_bucket(RateLimitDecision::allowed(0), counted), counted.usage)
            }
            Self::Later { wait_us, left, usage } => {
                (RateLimitDecision::rejected(Some(wait_us.div_ceil(1_000)), left), usage)
            }
            Self::Never { usage } => (RateLimitDecision::rejected(None, usage), usage),
            Self::Drawn { counted, admitted, factor } => {
                let decision = RateLimitDecision::suppressed(factor, admitted);
                let decision = if admitted { in_bucket(decision, counted) } else { decision };
                (decision, counted.usage)
            }
            // Only waiting threads get this, and they only look at whether they were admitted.
            Self::Redraw => return RateLimitDecision::suppressed(1.0, false),
        };
        decision.with_remaining(capacity.saturating_sub(usage))
    }
}

/// Absolute: the units counted; or the wait, the usage after it and the usage now; or the usage alone.
pub(crate) fn absolute(value: Value) -> Parsed<Verdict> {
    match &value {
        Value::BulkString(bytes) => match bytes.len() {
            COUNT => Ok(Verdict::Never { usage: number(bytes) }),
            LATER => {
                let (wait_us, rest) = bytes.split_at(COUNT);
                let (left, usage) = rest.split_at(COUNT);
                let (wait_us, left, usage) = (number(wait_us), number(left), number(usage));
                Ok(Verdict::Later { wait_us, left, usage })
            }
            _ => counted(value).map(Verdict::Fits),
        },
        _ => counted(value).map(Verdict::Fits),
    }
}

/// Suppressed: the units counted; above the soft limit also whether it was admitted, and the factor.
pub(crate) fn suppressed(value: Value) -> Parsed<Verdict> {
    if let Value::BulkString(bytes) = &value
        && let Some((counts, [admitted @ 0..=1, factor @ ..])) = bytes.split_at_checked(COUNTED)
        && let Some(factor) = share(factor)
    {
        let (counted, admitted) = (Counted::read(counts), *admitted == 1);
        return Ok(Verdict::Drawn { counted, admitted, factor });
    }
    counted(value).map(Verdict::Fits)
}

/// The same for a thread that waits: also -1, or the wait.
pub(crate) fn waited(value: Value) -> Parsed<Verdict> {
    match &value {
        Value::Int(-1) => Ok(Verdict::Redraw),
        Value::BulkString(bytes) if bytes.len() == LATER => absolute(value),
        _ => suppressed(value),
    }
}

/// A verdict on each of several calls: replies, each behind a byte with its length.
pub(crate) fn each(value: Value, parse: fn(Value) -> Parsed<Verdict>) -> Parsed<Vec<Verdict>> {
    let bytes = match &value {
        Value::Int(0) => return Err(Kind::CountTooLarge),
        Value::BulkString(bytes) => bytes,
        _ => return nonsense(&value),
    };
    let (mut verdicts, mut rest) = (Vec::new(), &bytes[..]);
    while let [length, replies @ ..] = rest {
        let Some((reply, others)) = replies.split_at_checked(usize::from(*length)) else {
            return nonsense(&value);
        };
        verdicts.push(parse(Value::BulkString(reply.to_vec()))?);
        rest = others;
    }
    Ok(verdicts)
}

/// The units counted, or 0 where they would have been too many: a count and the bucket. If the reply is
/// longer, a second count follows that is to be subtracted.
pub(crate) fn counted(value: Value) -> Parsed<Counted> {
    match &value {
        Value::BulkString(bytes) if ONE_ENDS.contains(&bytes.len()) => Ok(Counted::read(bytes)),
        Value::BulkString(bytes) if MANY_ENDS.contains(&bytes.len()) => {
            let Counted { usage: cum, tick } = Counted::read(bytes);
            let base = number(&bytes[COUNTED..][..COUNT]);
            match cum.checked_sub(base) {
                Some(usage) => Ok(Counted { usage, tick }),
                None => nonsense(&value),
            }
        }
        Value::Int(0) => Err(Kind::CountTooLarge),
        _ => nonsense(&value),
    }
}

/// Admitted and declined.
pub(crate) fn usage(value: Value) -> Parsed<SuppressedUsage> {
    match &value {
        Value::BulkString(bytes) if bytes.len() == 2 * COUNT => {
            let (admitted, declined) = bytes.split_at(COUNT);
            Ok(SuppressedUsage { admitted: number(admitted), declined: number(declined) })
        }
        _ => nonsense(&value),
    }
}

/// The same, of a call that asks for nothing.
pub(crate) fn nothing(value: Value) -> Parsed<Verdict> {
    let SuppressedUsage { admitted, .. } = usage(value)?;
    Ok(Verdict::Fits(Counted { usage: admitted, tick: 0 }))
}

pub(crate) fn count(value: Value) -> Parsed<u64> {
    match value {
        Value::Int(count @ 0..) => Ok(count.unsigned_abs()),
        _ => nonsense(&value),
    }
}

pub(crate) fn factor(value: Value) -> Parsed<f64> {
    match &value {
        Value::BulkString(bytes) => share(bytes).map_or_else(|| nonsense(&value), Ok),
        _ => nonsense(&value),
    }
}

#[cold]
pub(crate) fn nonsense<T>(value: &Value) -> Parsed<T> {
    Err(Kind::Protocol { cause: format!("{value:?} is no answer to this") })
}

fn share(bytes: &[u8]) -> Option<f64> {
    let share = bytes.try_into().ok().map(f64::from_le_bytes);
    share.filter(|share| (0.0..=1.0).contains(share))
}

/// Bytes of a packed count.
const COUNT: usize = 7;
/// Bytes of a count and a tick.
const COUNTED: usize = COUNT + 6;
/// Bytes of the ends of values, or of their first fields, as `lua/formats.lua` packs them.
const ONE_ENDS: [usize; 2] = [COUNTED, 35];
const MANY_ENDS: [usize; 3] = [COUNTED + COUNT, 48, 84];
/// Bytes of three counts.
const LATER: usize = 3 * COUNT;

impl Counted {
    fn read(bytes: &[u8]) -> Self {
        Self { usage: number(&bytes[..COUNT]), tick: number(&bytes[COUNT..COUNTED]) }
    }
}

/// A packed number, of at most 8 bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A reply to be read from its beginning on. Each part is `None` if the bytes are not such.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(crate) fn count(&mut self) -> Option<u64> {
        self.take(COUNT).map(number)
    }

    pub(crate) fn tick(&mut self) -> Option<u64> {
        self.take(COUNTED - COUNT).map(number)
    }

    pub(crate) fn factor(&mut self) -> Option<f64> {
        self.take(8).and_then(share)
    }

    /// One of several verdicts, as `lua/grant.lua` tells them; what it admits is counted in `tick`.
    pub(crate) fn verdict(&mut self, tick: u64) -> Option<Verdict> {
        let kind = self.byte()?;
        let first = self.count()?;
        let counted = Counted { usage: first, tick };
        match kind {
            0 => Some(Verdict::Fits(counted)),
            1 => Some(Verdict::Later { wait_us: first, left: self.count()?, usage: self.count()? }),
            2 => Some(Verdict::Never { usage: first }),
            3 | 4 => Some(Verdict::Drawn { counted, admitted: kind == 3, factor: self.factor()? }),
            _ => None,
        }
    }
}
