//! Runs what there is to run, and tells when and with what that was.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::results::Results;
use crate::{Result, read};

/// The table of the seeded bugs, as they were last run.
const BUGS: &str = "loom-tests/results/seeded-bugs.md";
/// Begins the line that tells on which state of `src/` that was.
const STATE: &str = "State of `src/`: ";

/// Runs the tests and the models. Returns where their outputs are.
pub(crate) fn suites(root: &Path) -> Result<Vec<PathBuf>> {
    let tests = ["test", "--locked", "--no-fail-fast", "-p", "trypema", "--all-features"];
    let loom = ["test", "--locked", "--no-fail-fast", "--profile", "loom"];
    // Loom models, random interleavings, and whatever else is a test of its own.
    let models = [
        &loom[..],
        &["--workspace", "--exclude", "trypema", "--exclude", "trypema-benches"],
        &["--", "--nocapture"],
    ]
    .concat();
    // The same random interleavings, with the library's own numbers of marks.
    let sizes = ["-p", "trypema-random-tests", "--features", "real-sizes"];
    let sizes = [&loom[..], &sizes].concat();
    // The one model that runs the real crossbeam-epoch. Flags of its own, so a folder of its own.
    let reclaim = [
        &loom[..],
        &["-p", "trypema-loom-tests", "--target-dir", "target/crossbeam-loom", "--lib"],
        &["--", "--nocapture", "reclaim"],
    ]
    .concat();
    Ok(vec![
        cargo(root, "tests", &tests, "")?,
        cargo(root, "models", &models, "")?,
        cargo(root, "sizes", &sizes, "")?,
        cargo(root, "reclaim", &reclaim, "--cfg crossbeam_loom")?,
    ])
}

/// Failing tests fail cargo, and are seen in its output; so whether it fails is not asked here.
fn cargo(root: &Path, name: &str, arguments: &[&str], flags: &str) -> Result<PathBuf> {
    let folder = root.join("target/proof");
    let path = folder.join(name).with_extension("txt");
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    let output = File::create(&path).map_err(failed)?;
    let errors = output.try_clone().map_err(failed)?;
    eprintln!("$ cargo {}", arguments.join(" "));
    let mut command = Command::new(env!("CARGO"));
    if !flags.is_empty() {
        command.env("RUSTFLAGS", flags);
    }
    let command = command.args(arguments).current_dir(root).stdin(Stdio::null());
    command.stdout(output).stderr(errors).status().map_err(failed)?;
    Ok(path)
}

/// What is known of the seeded bugs.
pub(crate) struct Bugs {
    pub(crate) table: String,
    pub(crate) is_of_this_tree: bool,
}

/// Runs them, or looks up what came of them last.
pub(crate) fn bugs(root: &Path, run: bool) -> Result<Bugs> {
    let (file, state) = (root.join(BUGS), state(root)?);
    if run {
        let program = ["run", "--locked", "--release", "-p", "trypema-loom-tests"];
        let arguments = [&program[..], &["--bin", "seeded-bugs", "--", "--write"]].concat();
        cargo(root, "seeded-bugs", &arguments, "")?;
        let text = format!("{}\n{STATE}{state}\n", read(&file)?.trim_end());
        fs::write(&file, text).map_err(|error| format!("{BUGS}: {error}"))?;
    }
    let table = if file.exists() { read(&file)? } else { String::new() };
    let is_of_this_tree = table.lines().any(|line| line == format!("{STATE}{state}"));
    Ok(Bugs { table, is_of_this_tree })
}

/// When, and with what.
pub(crate) fn stamp(root: &Path, results: &Results, bugs: &Bugs) -> Result<String> {
    let lock = read(&root.join("Cargo.lock"))?;
    let locked = |name: &str| {
        let version = lock.split_once(&format!("name = \"{name}\"\nversion = \""));
        version.and_then(|(_, rest)| rest.split('"').next()).unwrap_or("?").to_owned()
    };
    let bugs_state = match (bugs.table.is_empty(), bugs.is_of_this_tree) {
        (true, _) => "were not run",
        (false, true) => "on this state",
        (false, false) => "on an EARLIER state of `src/`",
    };
    Ok(format!(
        "{} tests run; {} models explored to the end at preemption bound {}, {} \
         interleavings; {} seeded bugs, {bugs_state}. On {}, {}, trypema {}, loom {}, proptest {}, \
         state of `src/` {}.",
        results.tests(),
        results.models,
        results.bounds(),
        results.interleavings,
        results.bugs(),
        version("date", "-uI")?,
        version("rustc", "-V")?,
        locked("trypema"),
        locked("loom"),
        locked("proptest"),
        state(root)?,
    ))
}

fn version(program: &str, argument: &str) -> Result<String> {
    let output = Command::new(program).arg(argument).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A hash of all of `src/`: Fowler, Noll and Vo's 1a, in 64 bits.
fn state(root: &Path) -> Result<String> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for file in crate::tags::sources(&root.join("src"))? {
        for byte in read(&file)?.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    Ok(format!("{hash:016x}"))
}
