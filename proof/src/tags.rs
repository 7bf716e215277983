//! What a test says that it is for, in a comment above it.
//!
//! ```text
//! // proves: G1 G3                above a function: a test, or one that tests are made of
//! // proves (property): G1 G3     the same, of a test that tries random cases
//! // each proves: G1              anywhere in a file: of all its `#[test]`s that say nothing else
//! // breaks: G1                   above a seeded bug
//! // each breaks: G1              anywhere in a file: of all its seeded bugs that say nothing else
//! ```
//!
//! The words after the colon are promises, and have a section in `proof/page.md` each. What a model or
//! a random interleaving is goes by where it lies; those and seeded bugs have to say what they are for.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Result, read};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Model,
    Interleavings,
    Property,
    Test,
    Bug,
}

/// A proof, and what it is for.
#[derive(Debug, Clone)]
pub(crate) struct Tag {
    pub(crate) kind: Kind,
    pub(crate) promises: Vec<String>,
    /// The test crate, as cargo names its program. Empty for bugs.
    pub(crate) target: String,
    /// A part of the test's path, where its crate has more than one file.
    pub(crate) module: Option<String>,
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) file: String,
}

/// Where proofs are looked for.
const PLACES: [&str; 3] = ["tests", "loom-tests", "src"];
const MODELS: &str = "loom-tests/src/models/";
const INTERLEAVINGS: &str = "loom-tests/random/";
const BUGS: &str = "loom-tests/src/bin/";
/// A tag is about the next function or bug, which is no further away than this.
const REACH: usize = 16;

/// All tags, and what is wrong with some.
pub(crate) fn scan(root: &Path) -> Result<(Vec<Tag>, Vec<String>)> {
    let (mut tags, mut failures) = (Vec::new(), Vec::new());
    for place in PLACES {
        for path in sources(&root.join(place))? {
            let file = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            let text = read(&path)?;
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            if file.starts_with(BUGS) {
                scan_bugs(&file, &lines, &mut tags, &mut failures);
            } else {
                scan_tests(&file, &lines, &mut tags, &mut failures);
            }
        }
    }
    Ok((tags, failures))
}

/// Rust files, in order.
pub(crate) fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()).map_err(|error| error.to_string()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

fn scan_tests(file: &str, lines: &[&str], tags: &mut Vec<Tag>, failures: &mut Vec<String>) {
    let (target, module) = place(file);
    let by_place = if file.starts_with(MODELS) {
        Some(Kind::Model)
    } else {
        file.starts_with(INTERLEAVINGS).then_some(Kind::Interleavings)
    };
    let tag = |name: &str, is_property: bool, promises: &str| Tag {
        kind: by_place.unwrap_or(if is_property { Kind::Property } else { Kind::Test }),
        promises: words(promises),
        target: target.clone(),
        module: module.clone(),
        name: name.to_owned(),
        file: file.to_owned(),
    };
    let each = lines.iter().find_map(|line| line.strip_prefix("// each proves: "));
    let mut tagged = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((is_property, promises)) = proves(line) else { continue };
        match function_after(lines, at) {
            Some((at, name)) => {
                tagged.push(at);
                tags.push(tag(name, is_property, promises));
            }
            None => failures.push(format!("{file}:{}: no function below this tag", at + 1)),
        }
    }
    for at in (0..lines.len()).filter(|&at| lines[at] == "#[test]") {
        let Some((at, name)) = function_after(lines, at) else { continue };
        match each {
            _ if tagged.contains(&at) => {}
            Some(promises) => tags.push(tag(name, false, promises)),
            None if by_place.is_some() => {
                failures.push(format!("{file}: {name} says not what it proves"))
            }
            None => {}
        }
    }
}

fn proves(line: &str) -> Option<(bool, &str)> {
    match line.strip_prefix("// proves: ") {
        Some(promises) => Some((false, promises)),
        None => line.strip_prefix("// proves (property): ").map(|promises| (true, promises)),
    }
}

fn function_after<'a>(lines: &[&'a str], at: usize) -> Option<(usize, &'a str)> {
    let below = lines.iter().enumerate().skip(at + 1).take(REACH);
    let mut functions = below.filter_map(|(at, line)| {
        let rest = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("fn ")?;
        let end = rest.find(['(', '<'])?;
        Some((at, &rest[..end]))
    });
    // A test made by a macro has its name elsewhere.
    functions.next().filter(|(_, name)| !name.starts_with('$'))
}

fn scan_bugs(file: &str, lines: &[&str], tags: &mut Vec<Tag>, failures: &mut Vec<String>) {
    let each = lines.iter().find_map(|line| line.strip_prefix("// each breaks: "));
    let mut own = None;
    for line in lines {
        own = line.strip_prefix("// breaks: ").or(own);
        // The name comes first in a bug.
        let Some(rest) = line.strip_prefix("name: \"") else { continue };
        let name = rest.trim_end_matches([',', '"']).to_owned();
        match own.take().or(each) {
            Some(promises) => tags.push(Tag {
                kind: Kind::Bug,
                promises: words(promises),
                target: String::new(),
                module: None,
                name,
                file: file.to_owned(),
            }),
            None => failures.push(format!("{file}: {name} says not what it breaks")),
        }
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The test crate of a file, and its module in there.
fn place(file: &str) -> (String, Option<String>) {
    let stem = |part: &str| part.trim_end_matches(".rs").to_owned();
    let parts: Vec<&str> = file.split('/').collect();
    match parts[..] {
        ["tests", file] => (stem(file), None),
        ["tests", target, .., folder, "mod.rs"] => (target.to_owned(), Some(folder.to_owned())),
        ["tests", target, .., file] => (target.to_owned(), Some(stem(file))),
        ["loom-tests", "random", .., file] => ("trypema_random_tests".to_owned(), Some(stem(file))),
        ["loom-tests", .., file] => ("trypema_loom_tests".to_owned(), Some(stem(file))),
        [.., file] => ("trypema".to_owned(), Some(stem(file))),
        [] => (String::new(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(file: &str, text: &str) -> (Vec<String>, usize) {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let (mut tags, mut failures) = (Vec::new(), Vec::new());
        if file.starts_with(BUGS) {
            scan_bugs(file, &lines, &mut tags, &mut failures);
        } else {
            scan_tests(file, &lines, &mut tags, &mut failures);
        }
        let name = |tag: &Tag| format!("{} {}", tag.name, tag.promises.join(" "));
        (tags.iter().map(name).collect(), failures.len())
    }

    #[test]
    fn a_tag_is_about_the_function_below_it() {
        let text = "// proves: G1 G2\n#[test]\nfn one() {\n}\n#[test]\nfn two() {\n}\n";
        assert_eq!(names("tests/any.rs", text), (vec!["one G1 G2".to_owned()], 0));
    }

    #[test]
    fn a_model_has_to_say_what_it_proves() {
        let text = "#[test]\nfn one() {\n}\n";
        assert_eq!(names("loom-tests/src/models/any.rs", text), (vec![], 1));
        let text = format!("// each proves: G1\n{text}");
        assert_eq!(names("loom-tests/src/models/any.rs", &text), (vec!["one G1".to_owned()], 0));
    }

    #[test]
    fn a_bug_may_say_more_than_its_file_does() {
        let file = "loom-tests/src/bin/seeded-bugs/bugs/any.rs";
        let bug = |name| format!("Bug {{\n    name: \"{name}\",\n}},\n");
        let text = format!("{}// breaks: G5\n{}{}", bug("one"), bug("two"), bug("three"));
        assert_eq!(names(file, &text), (vec!["two G5".to_owned()], 2));
        let text = format!("// each breaks: G1\n{text}");
        let all = ["one G1", "two G5", "three G1"].map(str::to_owned).to_vec();
        assert_eq!(names(file, &text), (all, 0));
    }
}
