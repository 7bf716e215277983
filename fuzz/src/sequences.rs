//! Sequences of operations: a limiter and a model, side by side.

use arbitrary::Unstructured;
use proptest::test_runner::TestCaseError;

use super::decode;
use crate::common::Local;
use crate::common::thinned_provider::LocalThinned;
use crate::common::thinned_trial::{self, ThinnedTrial};
use crate::common::trial::{self, Trial};

pub(crate) fn absolute(bytes: &[u8]) -> Result<trial::Tally, TestCaseError> {
    let case = decode::case(&mut Unstructured::new(bytes)).map_err(no_case)?;
    Trial::<Local>::run(&case).map_err(|error| TestCaseError::fail(format!("{error}\n{case:?}")))
}

pub(crate) fn suppressed(bytes: &[u8]) -> Result<thinned_trial::Tally, TestCaseError> {
    let case = decode::thinned_case(&mut Unstructured::new(bytes)).map_err(no_case)?;
    ThinnedTrial::<LocalThinned>::run(&case)
        .map_err(|error| TestCaseError::fail(format!("{error}\n{case:?}")))
}

fn no_case(error: arbitrary::Error) -> TestCaseError {
    TestCaseError::fail(format!("every byte string is a case, but: {error}"))
}
