//! Parts of the examples, tested here, where `cargo test` finds them.
#![expect(clippy::unwrap_used, reason = "in a test a panic is a failure, and says where")]

mod address;
mod http_limits;
#[cfg(feature = "serde")]
mod limits_from_toml;
mod pictures;
mod prometheus;
mod replay;
// Both `pictures` and `replay` draw with it.
#[path = "../../examples/svg.rs"]
mod svg;
