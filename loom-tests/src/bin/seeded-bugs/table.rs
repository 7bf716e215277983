//! The table of what came of each bug.

use std::fmt::{self, Write};
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::bugs::Bug;
use crate::checks::Verdict;

pub(crate) struct Row {
    pub(crate) bug: Bug,
    pub(crate) verdict: Verdict,
    pub(crate) took: Duration,
}

impl Row {
    fn words(&self) -> (&'static str, &str) {
        match &self.verdict {
            Verdict::Killed(by) => ("killed", by),
            Verdict::Content => ("SURVIVED", ""),
            Verdict::DoesNotBuild(why) => ("BROKEN", why),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, by) = self.words();
        let seconds = self.took.as_secs_f64();
        write!(f, "{word:<8} {:<36} {seconds:>5.1} s  {by}", self.bug.name)
    }
}

#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    pub(crate) fn push(&mut self, row: Row) {
        self.0.push(row);
    }

    fn killed(&self) -> usize {
        self.0.iter().filter(|row| matches!(row.verdict, Verdict::Killed(_))).count()
    }

    pub(crate) fn all_killed(&self) -> bool {
        self.killed() == self.0.len()
    }

    pub(crate) fn summary(&self) -> String {
        let killed = self.killed();
        let seconds: f64 = self.0.iter().map(|row| row.took.as_secs_f64()).sum();
        let each = seconds / self.0.len() as f64;
        format!(
            "seeded bugs: {killed} killed, {} not, {seconds:.0} s, {each:.1} s a bug",
            self.0.len() - killed
        )
    }

    pub(crate) fn write(&self, file: &Path) -> io::Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, self.markdown())
    }

    fn markdown(&self) -> String {
        let mut text = format!(
            "# Seeded bugs\n\n\
             Written by `cargo run --release -p trypema-loom-tests --bin seeded-bugs -- --write`, on \
             {}, with {}. {}.\n\n\
             | bug | what is broken | within | killed by | s |\n|---|---|---|---|--:|\n",
            said_by("date", &["-u", "+%Y-%m-%d"]),
            said_by("rustc", &["--version"]),
            self.summary(),
        );
        for row in &self.0 {
            let (word, by) = row.words();
            let by = if by.is_empty() { word } else { by };
            let (Bug { name, what, within, .. }, seconds) = (&row.bug, row.took.as_secs_f64());
            // Writing to a string does not fail.
            let _ = writeln!(text, "| {name} | {what} | {within} | {by} | {seconds:.1} |");
        }
        let _ =
            writeln!(text, "\nState of `src/`: {}.", said_by("git", &["rev-parse", "HEAD:src"]));
        text
    }
}

/// The first line that a program prints.
fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.ok()
        .and_then(|text| text.lines().next().map(str::to_owned))
        .unwrap_or_else(|| format!("an unknown {program}"))
}
