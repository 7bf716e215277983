//! The fuzz targets: functions from bytes to a verdict.
//!
//! - [`rate`]: the rate parser, and what a rate that parses promises.
//! - [`absolute`], [`suppressed`]: sequences of operations on a limiter under a manual clock, compared
//!   decision by decision with the models in `tests/common`, which the property suites use as well.
//!   Draws come from a seed that is part of the bytes.
//!
//! `targets/` hands them to libFuzzer, which looks for bytes that reach code not reached before.
//! `tests/local/fuzz_corpus.rs` runs them on any compiler, on the bytes kept in `kept/`.

#[path = "../../tests/common/mod.rs"]
mod common;

mod decode;
mod rates;
mod sequences;

use proptest::test_runner::TestCaseError;

/// Whether the text was read as a rate, if all is well.
pub fn rate(bytes: &[u8]) -> Result<bool, TestCaseError> {
    rates::check(bytes)
}

/// Runs a sequence on Absolute.
pub fn absolute(bytes: &[u8]) -> Result<(), TestCaseError> {
    sequences::absolute(bytes).map(drop)
}

/// Runs a sequence on Suppressed.
pub fn suppressed(bytes: &[u8]) -> Result<(), TestCaseError> {
    sequences::suppressed(bytes).map(drop)
}
