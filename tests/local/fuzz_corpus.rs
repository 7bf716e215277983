//! Runs again the inputs that fuzzing has found worth keeping, in `fuzz/kept/`. Together they reach all the
//! code that fuzzing has reached, and those that failed once are among them.
//!
//! Fuzzing itself is `fuzz/run SECONDS`, which tells what to do with a finding.

#[path = "../../fuzz/src/decode.rs"]
mod decode;
#[path = "../../fuzz/src/rates.rs"]
mod rates;
#[path = "../../fuzz/src/sequences.rs"]
mod sequences;

use std::fmt::Display;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use crate::common::trial::Tally;

/// Runs a target on all that is kept for it, which is written in hex, an input a line.
fn replay<T, E: Display>(target: &str, mut run: impl FnMut(&[u8]) -> Result<T, E>) -> Vec<T> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/kept");
    let kept = fs::read_to_string(folder.join(target).with_extension("hex")).unwrap();
    let inputs = kept.lines().filter(|line| !line.starts_with('#'));
    let outcomes = inputs.map(|line| {
        // Where it panics, the last line printed is the one.
        eprintln!("{line}");
        match run(&bytes(line)) {
            Ok(outcome) => outcome,
            Err(failure) => panic!("{line}: {failure}"),
        }
    });
    outcomes.collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at| hex.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    (0..hex.len()).step_by(2).map(|at| digit(at).expect("inputs are written in hex")).collect()
}

/// Inputs that never meet what the target is about hold, and say nothing.
const ENOUGH: usize = 30;

// proves (property): rates
#[test]
fn rates_are_read_as_the_grammar_says() {
    let outcomes = replay("rate", rates::check);
    let read = outcomes.iter().filter(|read| **read).count();
    assert!(read > ENOUGH && outcomes.len() - read > ENOUGH, "{read} of {}", outcomes.len());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Texts put together of the grammar's parts, and of others, of which many make a rate.
    // proves (property): rates input
    #[test]
    fn texts_of_parts_are_read_as_the_grammar_says(
        count in "[0-9]{1,3}|[0-9]\\.[0-9]|1e[0-9]|\\.5|-1||0",
        per in "/| / | per |  PER\t| per|per ||//",
        number in "[0-9]{0,4}|00[1-9]|1\\.5|1e3|[0-9]{15,21}",
        space in " ?| {0,3}|\u{2003}",
        unit in "m?s|msecs?|milliseconds?|secs?|m|mins?|minutes?|hr?|hours?|d|days?|wk?|weeks?|[a-z]{0,3}",
        more in "(/s|x| s|5)?",
    ) {
        rates::check(format!("{count}{per}{number}{space}{unit}{more}").as_bytes())?;
    }
}

// proves (property): G1 G2 G3 G9
#[test]
fn sequences_agree_with_the_model_of_absolute() {
    let tally = replay_all("absolute", sequences::absolute);
    tally.assert_more_than(
        ENOUGH as u64,
        &["allowed", "to be retried", "never", "waited for", "refunded"],
    );
    tally.assert_more_than(0, &["filled up"]);
}

// proves (property): G1 G2 G9 suppression
#[test]
fn sequences_agree_with_the_model_of_suppressed() {
    let tally = replay_all("suppressed", sequences::suppressed);
    let whats = ["allowed", "let through", "suppressed", "above hard"];
    tally.assert_more_than(ENOUGH as u64, &whats);
    tally.assert_more_than(0, &["refunded", "by a kept rate"]);
}

/// All that was met.
fn replay_all<E: Display>(target: &str, run: impl FnMut(&[u8]) -> Result<Tally, E>) -> Tally {
    let cases = replay(target, run);
    assert!(cases.len() > ENOUGH, "{}", cases.len());
    let mut tally = Tally::default();
    cases.iter().for_each(|case| tally.add(case));
    tally
}
