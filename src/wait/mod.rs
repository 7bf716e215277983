//! Waiting until there is room.

mod park;
mod queue;

pub(crate) use park::{Attempt, TimedOut, Wait};
pub(crate) use queue::WaitQueue;
