//! The limiters that are compared.

mod burster;
mod floors;
mod governor;
mod ours;
mod peers;

use clap::ValueEnum;

pub use burster::Burster;
pub use floors::{FloorRead, FloorRmw};
pub use governor::{Governor, GovernorTuned};
pub use ours::{Absolute, AbsoluteCoarse, Suppressed};
pub use peers::{Trypema1, Trypema2};

use crate::keys::Prepared;
use crate::rule::Rule;

/// A rate limiter with one rule for all keys.
pub trait Rival: Send + Sync + Sized + 'static {
    /// A fresh one, without any key.
    fn new(rule: Rule) -> Self;

    /// Asks for one unit: whether it was admitted.
    fn inc(&self, key: &Prepared) -> bool;

    /// Asks for some units at once: whether they were admitted.
    fn inc_by(&self, key: &Prepared, count: u32) -> bool;

    /// Uses up all that the key may have.
    fn fill(&self, key: &Prepared) {
        while self.inc(key) {}
    }
}

/// The names of the rivals, in the order of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Name {
    /// `trypema` here, Absolute.
    Absolute,
    /// The same, reading a clock that a thread advances every millisecond.
    AbsoluteCoarse,
    /// `trypema` here, Suppressed.
    Suppressed,
    /// `governor`, as `RateLimiter::keyed` makes it.
    Governor,
    /// `governor` at its fastest: ahash, and keys that are stored inline.
    GovernorTuned,
    /// The async-flavoured crate of our name, version 2.2.1, its local provider.
    Trypema2,
    /// The same, version 1.0.1.
    Trypema1,
    /// `burster`'s sliding window counters in a `DashMap`.
    Burster,
    /// No limiter: a papaya lookup, the time-stamp counter, one read-modify-write.
    FloorRmw,
    /// No limiter: a papaya lookup and the time-stamp counter.
    FloorRead,
}

impl Name {
    /// As in the tables and on the command line.
    #[must_use]
    pub fn label(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The rival in a few words, for a table's legend.
    #[must_use]
    pub fn legend(self) -> &'static str {
        match self {
            Self::Absolute => "this crate, Absolute",
            Self::AbsoluteCoarse => "the same, reading a clock that a thread advances every ms",
            Self::Suppressed => "this crate, Suppressed",
            Self::Governor => "governor 0.10.4, `RateLimiter::keyed`, `String` keys",
            Self::GovernorTuned => "governor 0.10.4, DashMap store with ahash, keys inline",
            Self::Trypema2 => "trypema 2.2.1 of crates.io, local Absolute",
            Self::Trypema1 => "trypema 1.0.1 of crates.io, local Absolute",
            Self::Burster => "burster 0.1.2, `SlidingWindowCounter` in a DashMap with ahash",
            Self::FloorRmw => "no limiter: papaya lookup, time-stamp counter, one `fetch_add`",
            Self::FloorRead => "no limiter: papaya lookup, time-stamp counter",
        }
    }

    /// Whether it limits anything.
    #[must_use]
    pub fn is_floor(self) -> bool {
        matches!(self, Self::FloorRmw | Self::FloorRead)
    }

    /// Whether it is this crate.
    #[must_use]
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Absolute | Self::AbsoluteCoarse | Self::Suppressed)
    }

    /// Whether it is to hold by the time that attacks are judged by. A clock that a thread advances
    /// stands still while that thread waits for a core, and a limiter can be no better than its clock.
    #[must_use]
    pub fn is_exact(self) -> bool {
        matches!(self, Self::Absolute | Self::Suppressed)
    }

    /// The most units that a key may have in a window, which is above the capacity where the rival
    /// has a zone of graceful degradation.
    #[must_use]
    pub fn most(self, rule: &Rule) -> u64 {
        match self {
            Self::Suppressed => ours::hard_limit(rule),
            _ => u64::from(rule.capacity),
        }
    }
}

/// Evaluates an expression with `$rival` as the type of the rival of that name: each rival gets
/// code of its own, and no call of it goes through a pointer.
#[macro_export]
macro_rules! with_rival {
    ($name:expr, $rival:ident => $body:expr) => {{
        use $crate::rivals::{self, Name};
        macro_rules! arm {
            ($type:ty) => {{
                type $rival = $type;
                $body
            }};
        }
        match $name {
            Name::Absolute => arm!(rivals::Absolute),
            Name::AbsoluteCoarse => arm!(rivals::AbsoluteCoarse),
            Name::Suppressed => arm!(rivals::Suppressed),
            Name::Governor => arm!(rivals::Governor),
            Name::GovernorTuned => arm!(rivals::GovernorTuned),
            Name::Trypema2 => arm!(rivals::Trypema2),
            Name::Trypema1 => arm!(rivals::Trypema1),
            Name::Burster => arm!(rivals::Burster),
            Name::FloorRmw => arm!(rivals::FloorRmw),
            Name::FloorRead => arm!(rivals::FloorRead),
        }
    }};
}
