//! One key's sliding window, lock-free. Plain integers in and out; imports only [`crate::sync`].
//!
//! - `window`: the protocol. Its first page is the place to start reading.
//! - `glance`: the short way to most decisions.
//! - `snapshot`: what one read of a window says.
//! - `layout`: how the 64-bit words are packed.
//! - `ring`: where marks are stored, and how a ring is exchanged for another.
//! - `roll`: how the marks of a window change.
//! - `hint`: what to tell those who were turned away.
//! - `note`: a word for refunds, and for what makes the short way short.
//! - `search`: finding a threshold among marks.
//! - `lanes`: windows side by side, for what the Suppressed strategy declines.
//! - `kept`: a number computed now and then, for the Suppressed strategy.

mod glance;
mod hint;
mod kept;
mod lanes;
mod layout;
mod note;
mod ring;
mod roll;
mod search;
mod snapshot;
mod window;

pub(crate) use hint::Relief;
pub(crate) use kept::Kept;
pub(crate) use lanes::Lanes;
pub(crate) use layout::Layout;
pub(crate) use snapshot::Limit;
pub(crate) use window::{Outcome, Window};
