//! Sequences of operations: a limiter and a model, side by side.

use arbitrary::Unstructured;
use proptest::test_runner::TestCaseError;

use super::decode;
use crate::common::trial::{Tally, Trial};
use crate::common::{Case, LocalAbsolute, LocalSuppressed, Provider};

pub(crate) fn absolute(bytes: &[u8]) -> Result<Tally, TestCaseError> {
    run::<LocalAbsolute>(decode::case(&mut Unstructured::new(bytes)))
}

pub(crate) fn suppressed(bytes: &[u8]) -> Result<Tally, TestCaseError> {
    run::<LocalSuppressed>(decode::suppressed_case(&mut Unstructured::new(bytes)))
}

fn run<P: Provider>(case: arbitrary::Result<Case>) -> Result<Tally, TestCaseError> {
    let case = case.map_err(|error| {
        TestCaseError::fail(format!("every byte string is a case, but: {error}"))
    })?;
    Trial::<P>::run(&case).map_err(|error| TestCaseError::fail(format!("{error}\n{case:?}")))
}
