//! Tests of the tests: breaks the core on purpose, one bug at a time, in a copy of the tree, and
//! shows which check notices. A bug that none notices is a hole in the proof.
//!
//! ```text
//! cargo run --release -p trypema-loom-tests --bin seeded-bugs                 # all of them
//! cargo run --release -p trypema-loom-tests --bin seeded-bugs -- NAME...      # these
//! cargo run --release -p trypema-loom-tests --bin seeded-bugs -- --applies    # do the texts still stand?
//! cargo run --release -p trypema-loom-tests --bin seeded-bugs -- --write      # all, and the table
//! cargo run --release -p trypema-loom-tests --bin seeded-bugs -- --random     # by random runs alone
//! ```
//!
//! Each bug is first shown to the check that noticed it before, then, if that one is content, to
//! the whole suites: random interleavings, loom models, properties. The first test that fails ends it. Before
//! all that the checks are run on the tree as it is: one that fails there would prove nothing.
//!
//! `--write` puts the table into `loom-tests/results/seeded-bugs.md`.
#![expect(clippy::print_stdout, reason = "a program that reports")]

mod bugs;
mod checks;
mod table;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bugs::Bug;
use checks::{Check, Verdict};
use table::{Row, Table};

const OPTIONS: [&str; 3] = ["--applies", "--write", "--random"];
/// Exit code of a command that makes no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (options, names): (Vec<_>, Vec<_>) =
        arguments.iter().map(String::as_str).partition(|argument| argument.starts_with("--"));
    let is_applies = options.contains(&"--applies");
    let is_write = options.contains(&"--write");
    let is_random = options.contains(&"--random");
    let all = bugs::all();
    let chosen: Vec<&Bug> =
        all.iter().filter(|bug| names.is_empty() || names.contains(&bug.name)).collect();
    let known = |name: &&str| all.iter().any(|bug| bug.name == *name);
    if !names.iter().all(known) || !options.iter().all(|option| OPTIONS.contains(option)) {
        println!("usage: [{}] [NAME...]; there are:", OPTIONS.join(" | "));
        all.iter().for_each(|bug| println!("  {:<36} {:<8} {}", bug.name, bug.breaks, bug.what));
        return ExitCode::from(USAGE);
    }
    if is_write && (is_random || !names.is_empty()) {
        println!("the table is of all bugs and checks: --write goes with nothing else");
        return ExitCode::from(USAGE);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if !all_apply(&root, &chosen) {
        return ExitCode::FAILURE;
    }
    if is_applies {
        return ExitCode::SUCCESS;
    }
    let table = match run(&root, &chosen, is_random) {
        Ok(table) => table,
        Err(why) => {
            println!("{why}");
            return ExitCode::FAILURE;
        }
    };
    if is_write && let Err(error) = table.write(&root.join("loom-tests/results/seeded-bugs.md")) {
        println!("the table could not be written: {error}");
        return ExitCode::FAILURE;
    }
    println!("{}", table.summary());
    if table.all_killed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether the text that each bug replaces stands in the tree exactly once; says which do not.
fn all_apply(root: &Path, bugs: &[&Bug]) -> bool {
    let wrong: Vec<String> = bugs.iter().filter_map(|bug| tree::broken(root, bug).err()).collect();
    wrong.iter().for_each(|why| println!("DOES NOT APPLY  {why}"));
    println!("{} of {} bugs apply to this tree", bugs.len() - wrong.len(), bugs.len());
    wrong.is_empty()
}

fn run(root: &Path, bugs: &[&Bug], is_random: bool) -> Result<Table, String> {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let copy = target.join("seeded-bugs/tree");
    tree::copy(root, &copy).map_err(|error| format!("the tree could not be copied: {error}"))?;
    let begun = Instant::now();
    for check in expected(bugs, is_random) {
        let verdict = check.run(&copy);
        if !matches!(verdict, Verdict::Content) {
            return Err(format!("{check} fails without a bug: {verdict:?}"));
        }
    }
    println!("the checks hold without a bug: {:.0} s", begun.elapsed().as_secs_f64());
    let mut table = Table::default();
    for bug in bugs {
        let begun = Instant::now();
        let broken = tree::broken(root, bug)?;
        let told = |error| format!("{}: {}: {error}", bug.name, broken.file.display());
        tree::seed(&copy, &broken).map_err(told)?;
        let verdict = judge(&copy, &plan(bug, is_random));
        let row = Row { bug: (*bug).clone(), verdict, took: begun.elapsed() };
        println!("{row}");
        table.push(row);
        tree::restore(root, &copy, &broken).map_err(told)?;
    }
    Ok(table)
}

/// The checks that a bug is shown to, in order.
fn plan(bug: &Bug, is_random: bool) -> Vec<Check> {
    if is_random {
        return vec![Check::Random(""), Check::RealSizes("")];
    }
    let rest = Check::ALL.iter().filter(|check| !bug.by.contains(check));
    bug.by.iter().chain(rest).copied().collect()
}

/// The checks that bugs are first shown to, each once.
fn expected(bugs: &[&Bug], is_random: bool) -> Vec<Check> {
    let mut checks: Vec<Check> = Vec::new();
    for bug in bugs {
        let first = plan(bug, is_random)[0];
        if !checks.contains(&first) {
            checks.push(first);
        }
    }
    checks
}

/// A check that has not ended by then counts as one that noticed: without a bug it takes a small
/// part of this.
const PATIENCE: Duration = Duration::from_secs(240);

fn judge(copy: &Path, checks: &[Check]) -> Verdict {
    for check in checks {
        match check.run(copy) {
            Verdict::Content => {}
            verdict => return verdict,
        }
    }
    Verdict::Content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_applies() {
        let all = bugs::all();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        assert!(all_apply(&root, &all.iter().collect::<Vec<_>>()));
        for (index, bug) in all.iter().enumerate() {
            assert!(all[..index].iter().all(|other| other.name != bug.name), "{}", bug.name);
        }
    }
}
