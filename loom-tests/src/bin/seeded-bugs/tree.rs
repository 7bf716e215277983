//! The copy of the tree that bugs are put into.

use std::fs;
use std::io;
use std::path::Path;

use crate::bugs::Bug;

/// What is copied: the library, what tests it, and nothing that is built.
const TREE: [&str; 12] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "src",
    "tests",
    "examples",
    "loom-tests",
    "benches",
    "proof",
    "fuzz",
    "lua",
    "rustfmt.toml",
];

/// Copies the tree.
pub(crate) fn copy(root: &Path, copy: &Path) -> io::Result<()> {
    fs::create_dir_all(copy)?;
    for entry in TREE {
        let (from, to) = (root.join(entry), copy.join(entry));
        if from.exists() {
            copy_changed(&from, &to)?;
        }
    }
    Ok(())
}

/// Copies what differs only, so that cargo builds again no more than it must, and takes away what
/// is there no more.
fn copy_changed(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(to)? {
            let entry = entry?;
            if !from.join(entry.file_name()).exists() {
                let gone = entry.path();
                if gone.is_dir() { fs::remove_dir_all(gone)? } else { fs::remove_file(gone)? }
            }
        }
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_changed(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    let text = fs::read(from)?;
    if fs::read(to).is_ok_and(|there| there == text) { Ok(()) } else { fs::write(to, text) }
}

/// The text of the bug's file with the bug in it. What it replaces must be there exactly once.
pub(crate) fn broken_text(root: &Path, bug: &Bug) -> Result<String, String> {
    let text = fs::read_to_string(root.join(bug.file))
        .map_err(|error| format!("{}: {}: {error}", bug.name, bug.file))?;
    match text.matches(bug.original).count() {
        1 => Ok(text.replace(bug.original, bug.seeded)),
        found => Err(format!(
            "{}: {}: the text to replace is there {found} times, not once: {:?}",
            bug.name, bug.file, bug.original
        )),
    }
}

pub(crate) fn seed(root: &Path, copy: &Path, bug: &Bug) -> Result<(), String> {
    let text = broken_text(root, bug)?;
    fs::write(copy.join(bug.file), text).map_err(|error| error.to_string())
}

pub(crate) fn restore(root: &Path, copy: &Path, bug: &Bug) -> io::Result<()> {
    copy_changed(&root.join(bug.file), &copy.join(bug.file))
}
