//! The copy of the tree that bugs are put into.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::bugs::Bug;

/// The paths that are copied: the library and its tests, and nothing that is built.
const TREE: [&str; 11] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "src",
    "tests",
    "examples",
    "loom-tests",
    "benches",
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

/// A file of the library with a bug in it.
pub(crate) struct Broken {
    /// From the root of the tree.
    pub(crate) file: PathBuf,
    text: String,
}

/// Puts a bug into the function it names. What it replaces must be there exactly once.
pub(crate) fn broken(root: &Path, bug: &Bug) -> Result<Broken, String> {
    let mut places = Vec::new();
    let told = |error: io::Error| format!("{}: src: {error}", bug.name);
    // A type of the same name in another folder may have the same function.
    let (folder, within) = match bug.within.split_once("::") {
        Some((folder, rest)) if folder.starts_with(char::is_lowercase) => (folder, rest),
        _ => ("", bug.within),
    };
    for file in sources(&root.join("src").join(folder)).map_err(told)? {
        let text = fs::read_to_string(&file).map_err(told)?;
        places.extend(
            items(&text, within).into_iter().map(|item| (file.clone(), text.clone(), item)),
        );
    }
    let [(file, text, item)] = &places[..] else {
        return Err(format!("{}: {} {}s in src", bug.name, places.len(), bug.within));
    };
    let body = &text[item.clone()];
    let found = matches(body, bug.original);
    let [place] = &found[..] else {
        let (name, within, original) = (bug.name, bug.within, bug.original);
        return Err(format!("{name}: {within}: {} times {original:?}, not once", found.len()));
    };
    let text =
        [&text[..item.start + place.start], bug.seeded, &text[item.start + place.end..]].concat();
    let file = file.strip_prefix(root).unwrap_or(file).to_owned();
    Ok(Broken { file, text })
}

pub(crate) fn seed(copy: &Path, broken: &Broken) -> io::Result<()> {
    fs::write(copy.join(&broken.file), &broken.text)
}

pub(crate) fn restore(root: &Path, copy: &Path, broken: &Broken) -> io::Result<()> {
    copy_changed(&root.join(&broken.file), &copy.join(&broken.file))
}

fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

/// Where items of this name begin and end. Goes by how rustfmt indents them.
fn items(text: &str, within: &str) -> Vec<Range<usize>> {
    let (holder, name) = match within.split_once("::") {
        Some((holder, name)) => (Some(holder), format!("fn {name}")),
        None if within.starts_with("const ") => (None, within.to_owned()),
        None => (None, format!("fn {within}")),
    };
    let mut found = Vec::new();
    let (mut at, mut implemented) = (0, false);
    for line in text.split_inclusive('\n') {
        let item = line.trim_start();
        let indent = &line[..line.len() - item.len()];
        if line.starts_with("impl") {
            implemented = holder.is_some_and(|holder| names(holder) == names(line));
        }
        let is_meant = indent.is_empty() == holder.is_none() && (holder.is_none() || implemented);
        let declared = item.find(&name).map(|start| &item[start + name.len()..]);
        let is_declared = declared.is_some_and(|rest| rest.starts_with(['(', '<', ':']));
        if is_meant && is_declared && !item.starts_with("//") {
            let close = if within.starts_with("const ") {
                "\n\n".to_owned()
            } else {
                format!("\n{indent}}}\n")
            };
            let length = text[at..].find(&close).unwrap_or(text.len() - at);
            found.push(at..at + length);
        }
        at += line.len();
    }
    found
}

/// The trait and the type of `impl<'a, K: Hash> Trait for Type<'a, K> {`, or of `Trait for Type`.
fn names(header: &str) -> (Option<&str>, &str) {
    let mut header = header.strip_prefix("impl").unwrap_or(header);
    if header.starts_with('<') {
        header = header.split_once("> ").map_or("", |(_, rest)| rest);
    }
    let name = |text: &'_ str| {
        text.trim().split(|c: char| !c.is_alphanumeric()).next().map_or(0, str::len)
    };
    match header.split_once(" for ") {
        Some((of, rest)) => (Some(&of.trim()[..name(of)]), &rest.trim()[..name(rest)]),
        None => (None, &header.trim()[..name(header)]),
    }
}

/// Where a text holds another, whatever space, line comments and trailing commas there are.
fn matches(text: &str, wanted: &str) -> Vec<Range<usize>> {
    let (text, wanted) = (essence(text), essence(wanted));
    let is_same = |window: &[(usize, char)]| window.iter().zip(&wanted).all(|(a, b)| a.1 == b.1);
    let place = |window: &[(usize, char)]| {
        let (end, last) = window[window.len() - 1];
        window[0].0..end + last.len_utf8()
    };
    text.windows(wanted.len().max(1)).filter(|window| is_same(window)).map(place).collect()
}

/// All that counts in a text, and where it stands.
fn essence(text: &str) -> Vec<(usize, char)> {
    let mut essence: Vec<(usize, char)> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let code = line.split("//").next().unwrap_or("");
        for (offset, character) in code.char_indices().filter(|(_, c)| !c.is_whitespace()) {
            if matches!(character, ')' | '}' | ']')
                && essence.last().is_some_and(|(_, c)| *c == ',')
            {
                essence.pop();
            }
            essence.push((at + offset, character));
        }
        at += line.len();
    }
    essence
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
impl One {
    fn add(&self) {
        self.add(
            1, // one
        );
    }
}
impl Add for Two<'_> {
    fn add(&self) {
        self.add(2);
        self.add(2);
    }
}
fn add() {}
";

    #[test]
    fn an_expression_is_found_in_the_function_it_stands_in() {
        let [one] = &items(TEXT, "One::add")[..] else { panic!("one of it") };
        assert_eq!(matches(&TEXT[one.clone()], "self.add(1)").len(), 1);
        assert_eq!(matches(&TEXT[one.clone()], "self.add(2)").len(), 0);
        let [two] = &items(TEXT, "Add for Two::add")[..] else { panic!("one of it") };
        assert_eq!(matches(&TEXT[two.clone()], "self . add(2)").len(), 2);
        assert_eq!(items(TEXT, "add").len(), 1);
        assert_eq!(items(TEXT, "One::sub").len(), 0);
        assert_eq!(items(TEXT, "Two::add").len(), 0);
    }
}
