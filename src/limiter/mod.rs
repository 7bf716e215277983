//! Where a strategy meets a store.

mod absolute;
mod any;
mod cleaner;
mod core;
mod dial;
mod frame;
mod local;
mod observer;
mod side;
mod suppressed;
mod tally;
mod thinned;

pub(crate) use core::Plan;
pub(crate) use frame::Frame;
pub(crate) use observer::Observer;

pub use absolute::LocalAbsolute;
pub use any::Limiter;
pub use local::LocalRateLimiter;
pub use observer::{Event, Strategy};
pub use suppressed::{LocalSuppressed, SuppressedUsage};
pub use tally::Stats;
