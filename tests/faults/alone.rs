//! A test that needs a process of its own: it runs this binary again, for that one test.

use std::env;
use std::process::{Command, Output};

const ALONE: &str = "TRYPEMA_TEST_ALONE";

/// Whether this process was started for the test of this name.
pub(crate) fn is_alone(test: &str) -> bool {
    env::var_os(ALONE).is_some_and(|name| name == test)
}

/// Runs the test of this name in a process of its own.
pub(crate) fn run_alone(test: &str) -> Output {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ALONE, test)
        .output()
        .unwrap()
}

/// Runs it, and fails unless it has succeeded and said `done`.
#[track_caller]
pub(crate) fn passes_alone(test: &str, done: &str) {
    let output = run_alone(test);
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}\n{complained}", output.status);
    assert!(said.contains(done), "{said}\n{complained}");
}
