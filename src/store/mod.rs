//! Where keys live.

pub(crate) mod local;
