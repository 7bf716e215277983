//! The pictures of the documentation.
//!
//! `cargo run --release --example pictures` draws them into `docs/images/`; with `--out FOLDER`, into
//! another folder. Two come from decisions under a manual clock, two from `benches/results/compare.md`:
//! the same files on every run.

mod bars;
mod overshoot;
mod results;
mod rivals;
mod spike;
#[path = "../svg.rs"]
mod svg;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

const HELP: &str = "usage: cargo run --release --example pictures [-- --out FOLDER]";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pictures: {error}\n\n{HELP}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let arguments: Vec<String> = env::args().skip(1).collect();
    let folder = match &*arguments {
        [] => root.join("docs/images"),
        [option, folder] if option == "--out" => PathBuf::from(folder),
        _ => return Err("arguments that make no sense".into()),
    };
    let measured = fs::read_to_string(root.join("benches/results/compare.md"))?;

    fs::create_dir_all(&folder)?;
    for (name, picture) in all(&measured)? {
        fs::write(folder.join(name), picture)?;
    }
    eprintln!("written: {}", folder.display());
    Ok(())
}

/// All pictures, by the names of their files.
fn all(measured: &str) -> Result<[(&'static str, String); 4], Box<dyn Error>> {
    let results = results::Results::read(measured)?;
    Ok([
        ("overshoot.svg", overshoot::picture()?),
        ("spike.svg", spike::picture()?),
        ("throughput.svg", bars::throughput(&results)),
        ("memory.svg", bars::memory(&results)),
    ])
}
