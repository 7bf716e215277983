//! Asking for a lease: the calls that wait for it, and the units wished for besides. See `lua/grant.lua` and
//! `lua/suppressed_grant.lua`.

use ::redis::Value;

use crate::RateLimit;
use crate::redis::net::failure::Kind;
use crate::redis::reply::{self, Verdict};
use crate::redis::request::{Arguments, Request};
use crate::redis::script::{Family, Operation, pack};
use crate::redis::windows::Window;

/// A call that waits for the reply.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Need {
    /// At least 1, and at most `MAX_COUNT`.
    pub(crate) count: u64,
    /// From 0 to below 1. Suppressed alone goes by it.
    pub(crate) draw: f64,
}

/// One key's part in a round trip.
#[derive(Clone, Copy)]
pub(crate) struct GrantAsk<'a> {
    pub(crate) window: &'a Window,
    pub(crate) key: &'a str,
    /// Of all the calls, and of the lease.
    pub(crate) rate: &'a RateLimit,
    /// None: for a lease alone.
    pub(crate) needs: &'a [Need],
    /// Units for the lease, besides the needs.
    pub(crate) wish: u64,
    /// Units that this process has declined out of leases since it last told the server. Suppressed alone.
    pub(crate) declined: u64,
}

/// The reply.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Granted {
    /// The bucket that all units of this reply are counted in.
    pub(crate) tick: u64,
    /// Units that count after it all.
    pub(crate) usage: u64,
    /// Units of the lease: at most as many as were wished for.
    pub(crate) lease: u64,
    /// Units of the lease that lie above the soft limit are spent by draws against this factor.
    pub(crate) factor: Option<f64>,
    /// On each of the needs, in their order, as if each had been a call alone.
    pub(crate) verdicts: Vec<Verdict>,
}

impl<'a> GrantAsk<'a> {
    /// `now_us`: the server's time, if tests set it.
    pub(crate) fn request(&self, family: Family, now_us: Option<u64>) -> Request<'a, Granted> {
        let Self { window, key, rate, needs, wish, declined } = *self;
        let mut packed = Vec::with_capacity(64);
        pack::<7>(window.capacity(rate), &mut packed);
        let parse = match family {
            Family::Absolute => {
                pack::<7>(wish, &mut packed);
                needs.iter().for_each(|need| pack::<7>(need.count, &mut packed));
                absolute
            }
            Family::Suppressed => {
                pack::<7>(window.hard_limit(rate), &mut packed);
                packed.extend_from_slice(&rate.as_per_second().to_le_bytes());
                pack::<7>(wish, &mut packed);
                pack::<7>(declined, &mut packed);
                for need in needs {
                    pack::<7>(need.count, &mut packed);
                    packed.extend_from_slice(&need.draw.to_le_bytes());
                }
                suppressed
            }
        };
        let arguments = Arguments::new([]);
        Request {
            script: Some(window.scripts.get(Operation::Grant)),
            key: window.name_of(key),
            more_keys: Vec::new(),
            packed,
            arguments: now_us.map_or(arguments, |now_us| arguments.with_time(now_us)),
            parse,
        }
    }
}

/// Parses the reply of Absolute.
pub(crate) fn absolute(value: Value) -> Result<Granted, Kind> {
    parse(value, |_| Some(None))
}

/// Parses the reply of Suppressed.
pub(crate) fn suppressed(value: Value) -> Result<Granted, Kind> {
    parse(value, |bytes| {
        let (above, factor) = (bytes.byte()?, bytes.factor()?);
        Some((above > 0).then_some(factor))
    })
}

/// `factor` reads the part of the reply that only Suppressed has.
fn parse(
    value: Value,
    factor: impl Fn(&mut reply::Bytes<'_>) -> Option<Option<f64>>,
) -> Result<Granted, Kind> {
    let granted = match &value {
        Value::BulkString(bytes) => {
            let mut bytes = reply::Bytes(bytes);
            granted(&mut bytes, factor)
        }
        Value::Int(0) => return Err(Kind::CountTooLarge),
        _ => None,
    };
    granted.map_or_else(|| reply::nonsense(&value), Ok)
}

fn granted(
    bytes: &mut reply::Bytes<'_>,
    factor: impl Fn(&mut reply::Bytes<'_>) -> Option<Option<f64>>,
) -> Option<Granted> {
    let (tick, usage, lease) = (bytes.tick()?, bytes.count()?, bytes.count()?);
    let factor = factor(bytes)?;
    let mut verdicts = Vec::new();
    while !bytes.0.is_empty() {
        verdicts.push(bytes.verdict(tick)?);
    }
    Some(Granted { tick, usage, lease, factor, verdicts })
}
