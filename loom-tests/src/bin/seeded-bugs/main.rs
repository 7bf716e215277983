//! Tests of the tests: breaks the core on purpose, one bug at a time, in a copy of the tree, and
//! shows which model or property notices. A bug that none notices is a hole in the proof.
//!
//! ```text
//! cargo run --release -p trypema-loom-tests --bin seeded-bugs [-- NAME...]
//! ```
#![expect(clippy::print_stdout, reason = "a program that reports")]

mod bugs;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use bugs::{BUGS, Bug};

/// A suite that has not ended by then is stopped, and the bug counts as noticed: without it the
/// suites take a small part of this.
const PATIENCE: Duration = Duration::from_secs(400);

/// What is copied: the library, what tests it, and nothing that is built.
const TREE: [&str; 9] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "src",
    "tests",
    "examples",
    "loom-tests",
    "benches",
    "rustfmt.toml",
];

enum Verdict {
    Killed(String),
    Survived,
    DoesNotBuild(String),
}

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let chosen: Vec<&Bug> = BUGS
        .iter()
        .filter(|bug| wanted.is_empty() || wanted.iter().any(|name| name == bug.name))
        .collect();
    if chosen.is_empty() {
        println!("no such bug; there are: {}", BUGS.map(|bug| bug.name).join(", "));
        return ExitCode::from(2);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let copy = root.join("target/seeded-bugs/tree");
    let (mut killed, mut failed) = (0, 0);
    for bug in chosen {
        let started = Instant::now();
        let verdict = match seed(&root, &copy, bug) {
            Ok(()) => judge(&copy, bug),
            Err(error) => Verdict::DoesNotBuild(error.to_string()),
        };
        let (word, by) = match verdict {
            Verdict::Killed(by) => {
                killed += 1;
                ("killed", by)
            }
            Verdict::Survived => {
                failed += 1;
                ("SURVIVED", String::new())
            }
            Verdict::DoesNotBuild(why) => {
                failed += 1;
                ("BROKEN", why)
            }
        };
        let seconds = started.elapsed().as_secs();
        println!("{word:<8} {:<34} {seconds:>4} s  {by}", bug.name);
    }
    println!("seeded bugs: {killed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Copies the tree and puts the bug in. The text that it replaces must be there exactly once.
fn seed(root: &Path, copy: &Path, bug: &Bug) -> io::Result<()> {
    fs::create_dir_all(copy)?;
    for entry in TREE {
        let (from, to) = (root.join(entry), copy.join(entry));
        if from.exists() {
            copy_changed(&from, &to)?;
        }
    }
    let file = copy.join(bug.file);
    let text = fs::read_to_string(root.join(bug.file))?;
    let found = text.matches(bug.original).count();
    if found != 1 {
        let message = format!("{}: the text to replace is there {found} times", bug.file);
        return Err(io::Error::other(message));
    }
    fs::write(file, text.replace(bug.original, bug.seeded))
}

/// Copies what differs only, so that cargo builds again no more than it must.
fn copy_changed(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_changed(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    let text = fs::read(from)?;
    if fs::read(to).is_ok_and(|there| there == text) { Ok(()) } else { fs::write(to, text) }
}

fn judge(copy: &Path, bug: &Bug) -> Verdict {
    for suite in bug.suites {
        match run(copy, suite) {
            Ok(None) => {}
            Ok(Some(by)) => return Verdict::Killed(format!("{suite}: {by}")),
            Err(why) => return Verdict::DoesNotBuild(why),
        }
    }
    Verdict::Survived
}

/// Runs a suite: the first test that failed, or `None` if all passed.
fn run(copy: &Path, suite: &str) -> Result<Option<String>, String> {
    const MODELS: [&str; 6] = ["test", "--profile", "loom", "-p", "trypema-loom-tests", "--lib"];
    let (arguments, flags, build) = match suite {
        "loom" => (MODELS.to_vec(), "", "../build"),
        "reclaim" => {
            let only = [&MODELS[..], &["reclaim"]].concat();
            (only, "--cfg crossbeam_loom", "../build-reclaim")
        }
        properties => (vec!["test", "--test", properties], "", "../build"),
    };
    let output: PathBuf = copy.join("../output.txt");
    let log = fs::File::create(&output).map_err(|error| error.to_string())?;
    let errors = log.try_clone().map_err(|error| error.to_string())?;
    let mut child = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--offline", "--quiet", "--target-dir", build])
        .current_dir(copy)
        .env("RUST_BACKTRACE", "0")
        .env("RUSTFLAGS", flags)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|error| error.to_string())?;
    let started = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break Some(status),
            None if started.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    let text = fs::read_to_string(&output).unwrap_or_default();
    // A test that panics while it unwinds takes the whole run down: then its name is in the panic.
    let failed = text.lines().map(str::trim).find_map(|line| {
        line.strip_prefix("---- ")
            .and_then(|line| line.strip_suffix(" stdout ----"))
            .or_else(|| line.strip_prefix("thread '")?.split_once("' (").map(|(name, _)| name))
    });
    match (status, failed) {
        (Some(status), _) if status.success() => Ok(None),
        (_, Some(test)) => Ok(Some(test.to_owned())),
        (None, None) => Ok(Some(format!("did not end in {PATIENCE:?}"))),
        (Some(_), None) => Err(text.lines().take(12).collect::<Vec<_>>().join("\n")),
    }
}
