//! Instructions of one call, counted by callgrind: what noise cannot blur.
//!
//! ```sh
//! benches/instructions.sh           # installs valgrind if need be, counts, writes results/instructions.txt
//! benches/instructions.sh --check   # counts, and fails if some figure moved by more than 2 %
//! ```
//!
//! Each scene runs in a process of its own under callgrind, which counts nothing but [`measured`]:
//! preparations, and the pauses in which time passes, are free. What an empty call costs is
//! subtracted. Instructions are not time: reading the time-stamp counter is one of them, and so is
//! a cache miss.
#![expect(clippy::print_stdout, reason = "a program that reports")]

mod scenes;

use core::fmt::Write as _;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs, process};

use clap::Parser;

use crate::scenes::SCENES;

/// The change that is no fault: the hash is keyed afresh in each process, so that lookups in a
/// large map differ a little from run to run.
const TOLERATED: f64 = 0.02;

/// Counts instructions.
#[derive(Debug, Parser)]
struct Args {
    /// Compares with the figures on file instead of replacing them.
    #[arg(long)]
    check: bool,
    /// Only scenes whose names contain this; writes nothing.
    filter: Option<String>,
    /// The scene that callgrind watches.
    #[arg(long, hide = true)]
    scene: Option<String>,
}

/// The one function that callgrind collects in. Not inlined, and named as it is written here.
#[unsafe(no_mangle)]
#[inline(never)]
fn measured(call: &mut dyn FnMut()) {
    call();
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(name) = &args.scene {
        let (_, scene) = SCENES.iter().find(|scene| scene.0 == name).expect("a scene's name");
        scene();
        return ExitCode::SUCCESS;
    }
    let wanted = |name: &str| args.filter.as_ref().is_none_or(|part| name.contains(part.as_str()));
    let mut counts = BTreeMap::new();
    let empty = match count(scenes::EMPTY) {
        Ok(empty) => empty,
        Err(error) => return fail(&error),
    };
    for (name, _) in SCENES.iter().filter(|scene| wanted(scene.0) && scene.0 != scenes::EMPTY) {
        match count(name) {
            Ok(instructions) => {
                println!("{name:32} {:8.1}", instructions - empty);
                counts.insert(*name, instructions - empty);
            }
            Err(error) => return fail(&error),
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/instructions.txt");
    if args.check {
        return check(&file, &counts);
    }
    if args.filter.is_some() {
        return ExitCode::SUCCESS;
    }
    match fs::write(&file, text(&counts)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("cannot write {}: {error}", file.display())),
    }
}

fn fail(error: &str) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

/// Instructions per call of a scene.
fn count(name: &str) -> Result<f64, String> {
    let myself = env::current_exe().map_err(|error| error.to_string())?;
    let out: PathBuf = env::temp_dir().join(format!("trypema-callgrind-{}.out", process::id()));
    let valgrind = Command::new("valgrind")
        // --toggle-collect: collects from where `measured` is entered to where it is left.
        // --quiet: the summary is read from the file.
        .args(["--quiet", "--tool=callgrind", "--toggle-collect=measured"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(myself)
        .args(["--scene", name])
        .stdout(Stdio::piped())
        .output()
        .map_err(|error| format!("cannot start valgrind: {error}"))?;
    let profile = fs::read_to_string(&out).unwrap_or_default();
    let _ = fs::remove_file(&out);
    let calls = String::from_utf8_lossy(&valgrind.stdout).trim().parse::<f64>();
    let total = profile
        .lines()
        .find_map(|line| line.strip_prefix("summary: ").or(line.strip_prefix("totals: ")))
        .and_then(|total| total.trim().parse::<f64>().ok());
    match (calls, total) {
        (Ok(calls), Some(total)) if valgrind.status.success() => Ok(total / calls),
        _ => Err(format!("{name}: {}", String::from_utf8_lossy(&valgrind.stderr))),
    }
}

fn text(counts: &BTreeMap<&str, f64>) -> String {
    let mut text = String::from(
        "# Instructions per call. Written by benches/instructions.sh, compared by --check.\n",
    );
    for (name, instructions) in counts {
        let _ = writeln!(text, "{name:32} {instructions:8.1}");
    }
    text
}

fn check(file: &Path, counts: &BTreeMap<&str, f64>) -> ExitCode {
    let Ok(text) = fs::read_to_string(file) else {
        return fail(&format!("no figures to compare with: {} is missing", file.display()));
    };
    let before: BTreeMap<&str, f64> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(char::is_whitespace))
        .filter_map(|(name, figure)| Some((name, figure.trim().parse().ok()?)))
        .collect();
    let mut moved = 0;
    for (name, now) in counts {
        let Some(before) = before.get(name) else {
            println!("{name}: {now:.1}, not on file");
            moved += 1;
            continue;
        };
        let change = now / before - 1.0;
        if change.abs() > TOLERATED {
            println!("{name}: {now:.1}, was {before:.1} ({:+.1} %)", change * 100.0);
            moved += 1;
        }
    }
    if moved > 0 {
        return fail(&format!("{moved} of {} figures moved", counts.len()));
    }
    println!("{} figures, none moved by more than {} %", counts.len(), TOLERATED * 100.0);
    ExitCode::SUCCESS
}
