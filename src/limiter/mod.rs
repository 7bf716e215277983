//! Where a strategy meets a store.

mod absolute;
mod frame;
mod local;

pub use absolute::LocalAbsolute;
pub(crate) use frame::Frame;
pub use local::LocalRateLimiter;
