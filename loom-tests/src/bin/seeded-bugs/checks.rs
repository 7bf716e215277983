//! The checks that a bug is shown to.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use crate::PATIENCE;

/// A suite, and which of its tests: those whose names contain this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// Random interleavings.
    Random(&'static str),
    /// The same with the library's own numbers of marks.
    RealSizes(&'static str),
    /// Loom models.
    Loom(&'static str),
    /// The loom model with the real crossbeam-epoch.
    Reclaim,
    /// Tests of `tests/local/`.
    Property(&'static str),
}

/// The result of a check.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    /// It noticed nothing.
    Content,
    /// It noticed: by which test.
    Killed(String),
    DoesNotBuild(String),
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (suite, filter) = match self {
            Self::Random(filter) => ("random", *filter),
            Self::RealSizes(filter) => ("random, real sizes", *filter),
            Self::Loom(filter) => ("loom", *filter),
            Self::Reclaim => ("loom, real epoch", "reclaim"),
            Self::Property(filter) => ("property", *filter),
        };
        write!(f, "{suite} {filter}")
    }
}

impl Check {
    /// Every suite whole, the quickest first.
    pub(crate) const ALL: [Self; 5] = [
        Self::Random(""),
        Self::RealSizes(""),
        Self::Loom(""),
        Self::Property("absolute::"),
        Self::Property("suppressed::"),
    ];

    pub(crate) fn run(&self, copy: &Path) -> Verdict {
        let program = match self.build(copy) {
            Ok(program) => program,
            Err(why) => return Verdict::DoesNotBuild(why),
        };
        let filter = match self {
            Self::Random(filter)
            | Self::RealSizes(filter)
            | Self::Loom(filter)
            | Self::Property(filter) => filter,
            Self::Reclaim => "reclaim",
        };
        match first_failure(&program, filter, copy) {
            Ok(None) => Verdict::Content,
            Ok(Some(test)) => {
                let suite = match self {
                    Self::Random(_) => "random",
                    Self::RealSizes(_) => "random, real sizes",
                    Self::Loom(_) => "loom",
                    Self::Reclaim => "loom with the real epoch",
                    Self::Property(_) => "property",
                };
                Verdict::Killed(format!("{suite}: {test}"))
            }
            Err(why) => Verdict::DoesNotBuild(why),
        }
    }

    /// Builds the suite: the program that runs it.
    fn build(&self, copy: &Path) -> Result<PathBuf, String> {
        const PROFILE: [&str; 4] = ["test", "--no-run", "--profile", "loom"];
        let (arguments, flags, target) = match self {
            Self::Random(_) => (vec!["-p", "trypema-random-tests", "--lib"], "", "../build"),
            Self::RealSizes(_) => {
                let arguments =
                    vec!["-p", "trypema-random-tests", "--lib", "--features", "real-sizes"];
                (arguments, "", "../build")
            }
            Self::Loom(_) => (vec!["-p", "trypema-loom-tests", "--lib"], "", "../build"),
            Self::Reclaim => {
                let arguments = vec!["-p", "trypema-loom-tests", "--lib"];
                (arguments, "--cfg crossbeam_loom", "../build-reclaim")
            }
            Self::Property(_) => (vec!["-p", "trypema", "--test", "local"], "", "../build"),
        };
        let output = Command::new(env!("CARGO"))
            .args(PROFILE)
            .args(arguments)
            .args(["--offline", "--quiet", "--message-format=json-render-diagnostics"])
            .args(["--target-dir", target])
            .current_dir(copy)
            .env("RUSTFLAGS", flags)
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let program = text.lines().rev().find_map(|line| {
            let (_, rest) = line.split_once("\"executable\":\"")?;
            rest.split_once('"').map(|(path, _)| PathBuf::from(path))
        });
        match program {
            Some(program) if output.status.success() => Ok(program),
            _ => {
                let errors = String::from_utf8_lossy(&output.stderr);
                let told = errors.lines().skip_while(|line| !line.starts_with("error"));
                Err(told.take(12).collect::<Vec<_>>().join("\n"))
            }
        }
    }
}

/// Runs tests until one fails: its name, or `None` if all passed.
fn first_failure(program: &Path, filter: &str, copy: &Path) -> Result<Option<String>, String> {
    let output = copy.join("../output.txt");
    let log = fs::File::create(&output).map_err(|error| error.to_string())?;
    let errors = log.try_clone().map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        // --nocapture: what a test says is in the log before it has ended.
        .args([filter, "--nocapture"])
        .current_dir(copy)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let status: Option<ExitStatus> = loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            break Some(status);
        }
        let text = fs::read_to_string(&output).unwrap_or_default();
        if failed(&text).is_some() || begun.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    let text = fs::read_to_string(&output).unwrap_or_default();
    match (status, failed(&text)) {
        (Some(status), _) if status.success() => Ok(None),
        (_, Some(test)) => Ok(Some(test)),
        (None, None) => Ok(Some(format!("did not end in {PATIENCE:?}"))),
        (Some(_), None) => Err(text.lines().take(12).collect::<Vec<_>>().join("\n")),
    }
}

/// The first test that failed. One that panics while it unwinds takes the whole program down: then
/// its name is in the panic alone. No test of these suites panics and passes.
fn failed(text: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let name = line.trim().strip_prefix("thread '")?.split_once("' (")?.0;
        (name != "main").then(|| name.to_owned())
    })
}
