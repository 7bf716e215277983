//! Which models, properties, tests and seeded bugs stand behind each guarantee, and how they fared.
//!
//! ```text
//! cargo run -p trypema-proof [-- OPTION...]
//!
//!   --results FILE...   read these outputs of `cargo test` instead of running it
//!   --bugs              run the seeded bugs as well, which takes long; else what is known of them
//!                       is their table in loom-tests/results/
//!   --earlier-bugs      make do with seeded bugs that were run on an earlier state of src/
//!   --check             write nothing; fail if docs/guarantees.md is not what would be written,
//!                       but for its dates and versions
//! ```
//!
//! The page is `proof/page.md` with what was found filled in. It fails, having written the page, if a
//! promise has no proof, if a proof has no result or a bad one, or if a model or a seeded bug says
//! nothing about what it is for. How they say so is told in `tags.rs`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

mod page;
mod results;
mod run;
mod tags;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use page::Page;
use results::Results;

/// What a step failed with, in words.
pub(crate) type Result<T> = core::result::Result<T, String>;

const PAGE: &str = "docs/guarantees.md";
const TEMPLATE: &str = "proof/page.md";

#[derive(Default)]
struct Options {
    results: Vec<PathBuf>,
    bugs: bool,
    earlier_bugs: bool,
    check: bool,
}

fn main() -> ExitCode {
    match options().and_then(|options| prove(&options)) {
        Ok(failures) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(failures) => {
            failures.iter().for_each(|failure| eprintln!("error: {failure}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn options() -> Result<Options> {
    let mut options = Options::default();
    let mut arguments = std::env::args().skip(1).peekable();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bugs" => options.bugs = true,
            "--earlier-bugs" => options.earlier_bugs = true,
            "--check" => options.check = true,
            "--results" => {
                while let Some(file) = arguments.next_if(|next| !next.starts_with("--")) {
                    options.results.push(file.into());
                }
            }
            other => return Err(format!("{other}: no such option; see proof/src/main.rs")),
        }
    }
    Ok(options)
}

/// Returns all that is wrong.
fn prove(options: &Options) -> Result<Vec<String>> {
    let root = &Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let template = read(&root.join(TEMPLATE))?;
    let (tags, mut failures) = tags::scan(root)?;

    let mut results = Results::default();
    if options.results.is_empty() {
        for file in run::suites(root)? {
            results.add(&read(&file)?);
        }
    } else {
        for file in &options.results {
            results.add(&read(file)?);
        }
    }
    let bugs = run::bugs(root, options.bugs)?;
    results.add(&bugs.table);
    if !bugs.is_of_this_tree && !options.earlier_bugs {
        failures.push("the seeded bugs were run on an earlier state of src/: run --bugs".into());
    }

    let page = Page::new(&template, &tags, &results)?;
    failures.extend(page.failures());
    let text = page.text(&run::stamp(root, &results, &bugs)?);
    print!("{}", page.table());
    let file = root.join(PAGE);
    if options.check {
        if page::without_stamp(&read(&file)?) != page::without_stamp(&text) {
            failures.push(format!("{PAGE} is out of date: cargo run -p trypema-proof"));
        }
    } else {
        fs::create_dir_all(root.join("docs")).map_err(|error| format!("docs: {error}"))?;
        fs::write(&file, text).map_err(|error| format!("{PAGE}: {error}"))?;
    }
    Ok(failures)
}

pub(crate) fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}
