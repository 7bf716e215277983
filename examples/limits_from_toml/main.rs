//! Limits by name, in a file that an operator edits while the program runs.
//!
//! `cargo run --features serde --example limits_from_toml`
//!
//! A thread looks at the file now and then. Since the limiter stays and rates come with each call, an
//! edited limit applies to what is counted already: nobody gets a fresh start by an edit. A file with a
//! mistake in it changes nothing, and the mistake is told with its line.

#![expect(clippy::print_stdout, reason = "an example prints")]

mod limits;

use std::error::Error;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{env, fs, process, thread};

use limits::Limits;

const POLL: Duration = Duration::from_millis(20);

const FIRST: &str = r#"
[limiter]
provider = "local"
max_keys = 100000
stale_after = "10min"

[limits]
login = "5 per minute"
search = "100/10s"
export = "zero"        # off, for now
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::temp_dir().join(format!("limits-{}.toml", process::id()));
    fs::write(&path, FIRST)?;
    let limits = Limits::open(&path)?;

    let outcome = thread::scope(|scope| {
        let (stop, stopped) = mpsc::channel::<()>();
        let (told, news) = mpsc::channel();
        let limits = &limits;
        // The watcher. It ends when `stop` is dropped.
        scope.spawn(move || {
            let mut last = None;
            while stopped.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
                let outcome = limits.reload().map_err(|error| error.to_string());
                // The same mistake is told once.
                if outcome != Ok(false) && last.as_ref() != Some(&outcome) {
                    let _ = told.send(outcome.clone());
                    last = Some(outcome);
                }
            }
        });
        let edit = |from: &str, to: &str| -> Result<_, Box<dyn Error>> {
            println!("\nThe operator writes: {to}");
            fs::write(&path, FIRST.replace(from, to))?;
            Ok(news.recv_timeout(Duration::from_secs(60))?)
        };
        let outcome = calls(limits, edit);
        drop(stop);
        outcome
    });
    fs::remove_file(&path)?;
    outcome
}

fn calls(
    limits: &Limits,
    edit: impl Fn(&str, &str) -> Result<Result<bool, String>, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let login = || -> Result<bool, Box<dyn Error>> {
        let decision = limits.inc("login", "alice")?;
        let left = decision.remaining();
        println!(
            "login of alice: {}, {left} left",
            if decision.is_allowed() { "yes" } else { "no" }
        );
        Ok(decision.is_allowed())
    };
    for _ in 0..3 {
        assert!(login()?);
    }
    assert!(!limits.inc("export", "alice")?.is_allowed());

    let line = r#"login = "5 per minute""#;
    assert_eq!(edit(line, r#"login = "3 per minute""#)?, Ok(true));
    assert!(!login()?, "her three logins count under the new limit, too");

    let mistake = edit(line, r#"login = "3 per moment""#)?;
    println!("told the operator: {mistake:?}");
    assert!(!login()?, "and the limit is still the last that made sense");

    let restart = edit("max_keys = 100000", "max_keys = 5")?;
    println!("told the operator: {restart:?}");

    assert_eq!(edit(line, r#"login = "10 per minute""#)?, Ok(true));
    assert!(login()?, "there is room again");
    Ok(())
}
