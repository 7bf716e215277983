//! Where keys live.

mod bounded;
pub(crate) mod local;
mod probe;
mod slots;
