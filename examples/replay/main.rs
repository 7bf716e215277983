//! What a limit would have rejected, had it been there: a log replayed under several candidates.
//!
//! ```sh
//! cargo run --release --example replay -- --limit 100/minute --limit 10/second access.csv
//! ```
//!
//! A line of the log is `time,key,count`: seconds as a number or a time such as `2026-11-29T10:00:00Z`, the key
//! that would be limited, and units (1 if there is none). A first line with names of columns is skipped.
//! The log drives the clock of the limiters, so an hour takes a moment, and what they decide is what they
//! would have decided then. For each limit it prints what was rejected, when and of whom, and which
//! limit would have rejected nothing. Without arguments it makes up a log.

mod arguments;
mod demo;
mod log;
mod report;
#[path = "../svg.rs"]
#[expect(dead_code, reason = "`pictures` draws more")]
mod svg;
mod timeline;
mod trial;

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use arguments::{Arguments, HELP, Source};
use report::count;
use trial::Replay;

/// More bad lines are counted, and not named.
const NAMED: u64 = 20;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            return told(print(HELP).map_err(Into::into));
        }
        Err(complaint) => {
            eprintln!("replay: {complaint}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    told(run(&arguments))
}

fn told(outcome: Result<(), Box<dyn Error>>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("replay: {error}");
            ExitCode::FAILURE
        }
    }
}

/// To somebody who may have seen enough, as `head` does.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let replay = match &arguments.source {
        Source::Demo => read(demo::log().as_bytes(), arguments)?,
        Source::Input => read(io::stdin().lock(), arguments)?,
        Source::File(path) => {
            let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
            read(BufReader::with_capacity(1 << 16, file), arguments)?
        }
    };
    print(&report::text(&replay, arguments.top)?)?;
    if let Some(path) = &arguments.picture {
        fs::write(path, report::picture(&replay))
            .map_err(|error| format!("{}: {error}", path.display()))?;
        eprintln!("picture: {}", path.display());
    }
    Ok(())
}

fn read(mut input: impl BufRead, arguments: &Arguments) -> Result<Replay, Box<dyn Error>> {
    let mut replay = Replay::new(&arguments.limits, arguments.is_suppressed)?;
    let (mut lines, mut bad) = (0_u64, 0_u64);
    let mut told = Instant::now();
    let mut bytes = Vec::new();
    while input.read_until(b'\n', &mut bytes)? > 0 {
        lines += 1;
        // A log may hold anything; what is no UTF-8 is still a key.
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_end_matches(['\r', '\n']).trim_start_matches('\u{feff}');
        if !(line.trim().is_empty() || lines == 1 && log::is_header(line)) {
            let outcome = log::parse(line, arguments.unit).and_then(|call| replay.call(&call));
            if let Err(reason) = outcome {
                bad += 1;
                if bad <= NAMED {
                    eprintln!("line {lines} is skipped: {reason}");
                }
            }
        }
        bytes.clear();
        if lines.is_multiple_of(1 << 14) && told.elapsed() > Duration::from_secs(1) {
            told = Instant::now();
            eprintln!("{} lines, {} of the log", count(lines), report::time(replay.length()));
        }
    }
    if bad > NAMED {
        eprintln!("{} lines were skipped in all", count(bad));
    }
    if replay.asked.calls == 0 {
        return Err("no line of the log makes sense".into());
    }
    Ok(replay)
}
