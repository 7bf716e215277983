//! x
#[allow(dead_code)]
#[path = "../../src/key/mod.rs"]
mod key;
mod sync;
