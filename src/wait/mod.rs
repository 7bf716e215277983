//! Waiting until there is room.

mod line;
mod park;

pub(crate) use line::Line;
pub(crate) use park::{Attempt, TimedOut, Wait};
