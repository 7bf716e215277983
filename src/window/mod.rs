//! One key's sliding window, lock-free. Plain integers in and out; imports only [`crate::sync`].
//!
//! - `window`: the protocol. Its first page is the place to start reading.
//! - `fast_path`: most decisions, from the window's own words alone.
//! - `begin`: calls that begin a bucket, without the full protocol where that is not needed.
//! - `snapshot`: what one read of a window says.
//! - `layout`: how the 64-bit words are packed.
//! - `timeline`: the layout and the floor, shared by all windows of a map.
//! - `ring`: where marks are stored, and how a ring is exchanged for another.
//! - `advance`: how the marks of a window change.
//! - `retry_hint`: when a rejected call would fit.
//! - `undo`: how units are given back.
//! - `two_steps`: additions that look first, for calls that concern several windows.
//! - `given_back`: the list of those units.
//! - `note`: the word that holds that list's address, or a shortcut for the fast path.
//! - `gallop`: finding a threshold among marks.
//! - `striped`: a contended count in several windows, for units that Suppressed declines.
//! - `expiring`: a number computed now and then, for the Suppressed strategy.

mod advance;
mod begin;
mod expiring;
mod fast_path;
mod gallop;
mod given_back;
mod layout;
mod note;
pub(crate) mod retry_hint;
mod ring;
mod snapshot;
mod striped;
mod timeline;
pub(crate) mod two_steps;
mod undo;
#[expect(clippy::module_inception, reason = "the folder is named after the type that it is about")]
mod window;
mod words;

pub(crate) use expiring::Expiring;
pub(crate) use layout::Layout;
pub(crate) use snapshot::Limit;
pub(crate) use striped::Striped;
pub(crate) use timeline::Timeline;
pub(crate) use undo::MarkId;
pub(crate) use window::{Outcome, Window};
