//! Links and images of the documentation: every file, heading and reference that they name is there. Offline: links
//! to other hosts are not followed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A page as a reader meets it: without code, with all that it links to.
struct Page {
    path: PathBuf,
    /// `](target)`, and sources of images.
    inline: Vec<String>,
    /// `[label]: target`.
    definitions: BTreeMap<String, String>,
    /// `[text][label]`.
    references: BTreeSet<String>,
    /// Anchors that others may link to.
    anchors: BTreeSet<String>,
}

impl Page {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|_| panic!("{}", path.display()));
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Self {
        let (inline, definitions) = (Vec::new(), BTreeMap::new());
        let (references, anchors) = (BTreeSet::new(), BTreeSet::new());
        let mut page = Self { path: path.into(), inline, definitions, references, anchors };
        let mut prose = String::new();
        let mut fence = None;
        for line in text.lines() {
            let indented = line.trim_start();
            match fence {
                Some(mark) if indented.starts_with(mark) => fence = None,
                Some(_) => {}
                None if indented.starts_with("```") => fence = Some("```"),
                None if indented.starts_with("~~~") => fence = Some("~~~"),
                None => page.line(line, &mut prose),
            }
        }
        assert_eq!(fence, None, "{}: a fence that does not end", path.display());
        // A link may go over the end of a line.
        page.links(&without_code(&prose));
        page
    }

    fn line(&mut self, line: &str, prose: &mut String) {
        let heading = line.trim_start_matches('#');
        if heading.len() < line.len() && heading.starts_with(' ') {
            self.add_anchor(slug(heading));
        }
        match line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
            Some((label, target)) => {
                let twice = self.definitions.insert(label.to_owned(), target.trim().to_owned());
                assert_eq!(twice, None, "{}: [{label}] twice", self.path.display());
            }
            None => {
                prose.push_str(line);
                prose.push('\n');
            }
        }
    }

    /// Headings alike are numbered.
    fn add_anchor(&mut self, slug: String) {
        let mut anchor = slug.clone();
        let mut number = 0;
        while !self.anchors.insert(anchor) {
            number += 1;
            anchor = format!("{slug}-{number}");
        }
    }

    fn links(&mut self, prose: &str) {
        for (at, _) in prose.match_indices("](") {
            let target = prose[at + 2..].split(')').next().unwrap_or_default();
            self.inline.push(target.trim().to_owned());
        }
        for (at, _) in prose.match_indices("][") {
            let label = prose[at + 2..].split(']').next().unwrap_or_default();
            self.references.insert(label.replace('\n', " "));
        }
        for quoted in ["src=\"", "href=\""] {
            for (at, _) in prose.match_indices(quoted) {
                let target = prose[at + quoted.len()..].split('"').next().unwrap_or_default();
                self.inline.push(target.to_owned());
            }
        }
        for (at, _) in prose.match_indices("<a id=\"") {
            let id = prose[at + 7..].split('"').next().unwrap_or_default();
            self.anchors.insert(id.to_owned());
        }
    }

    /// The links that lead nowhere, and the definitions that nothing needs.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let targets = self.inline.iter().chain(self.definitions.values());
        for target in targets.filter(|target| !is_elsewhere(target)) {
            if let Some(fault) = self.fault(target) {
                faults.push(format!("{}: {target}: {fault}", self.path.display()));
            }
        }
        for label in &self.references {
            if !self.definitions.contains_key(label) {
                faults.push(format!("{}: [{label}] is not defined", self.path.display()));
            }
        }
        for label in self.definitions.keys().filter(|label| !self.references.contains(*label)) {
            faults.push(format!("{}: [{label}] is not used", self.path.display()));
        }
        faults
    }

    fn fault(&self, target: &str) -> Option<&'static str> {
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        if file.is_empty() {
            return (!self.anchors.contains(anchor)).then_some("no such heading");
        }
        let path = self.path.parent().unwrap_or(Path::new("")).join(file);
        if !path.exists() {
            return Some("no such file");
        }
        let is_there = anchor.is_empty() || Self::read(&path).anchors.contains(anchor);
        (!is_there).then_some("no such heading")
    }
}

/// A heading's anchor, by the rule that GitHub and rustdoc agree on for plain text.
fn slug(heading: &str) -> String {
    let mut slug = String::new();
    for letter in heading.trim().chars() {
        match letter {
            ' ' => slug.push('-'),
            '-' | '_' => slug.push(letter),
            _ if letter.is_alphanumeric() => slug.extend(letter.to_lowercase()),
            _ => {}
        }
    }
    slug
}

/// The text without what is between backticks.
fn without_code(text: &str) -> String {
    text.split('`').step_by(2).collect()
}

fn is_elsewhere(target: &str) -> bool {
    ["http://", "https://", "mailto:"].iter().any(|scheme| target.starts_with(scheme))
}

/// All pages that people read.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for folder in [".", "docs", "examples", "benches", "benches/results"] {
        for entry in fs::read_dir(folder).expect("the root of the repository") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    assert!(pages.len() > 10, "{pages:?}");
    pages
}

#[test]
fn every_link_and_image_is_there() {
    let faults: Vec<_> = pages().iter().flat_map(|path| Page::read(path).faults()).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// In the guide, links lead to modules by `src/guide/links.md`, which has to know all of them, and pictures are
/// parts of their pages.
#[test]
fn the_guide_knows_its_links() {
    let guide = fs::read_to_string("src/guide/mod.rs").expect("the guide");
    let links = fs::read_to_string("src/guide/links.md").expect("its links");
    let mut expected = BTreeSet::new();
    let mut shown = 0;
    for call in guide.split("page!(").skip(1) {
        let arguments: Vec<_> = call.split(')').next().unwrap_or_default().split(',').collect();
        let unquoted = |text: &str| text.trim().trim_matches('"').to_owned();
        let file = unquoted(arguments[1]);
        assert_eq!(arguments[0], file.trim_end_matches(".md").replace('-', "_"));
        let page = Page::read(&Path::new("docs").join(&file));
        let pictures: BTreeSet<_> =
            arguments[2..].iter().map(|picture| unquoted(picture)).collect();
        let mut linked = BTreeSet::new();
        for (label, target) in &page.definitions {
            assert_eq!(label, target, "{file}");
            if let Some(picture) = label.strip_prefix("images/") {
                linked.insert(picture.to_owned());
                expected.insert(format!("[{label}]: #{picture}"));
            } else if !is_elsewhere(label) {
                let (name, anchor) = label.split_once(".md").unwrap_or((label, ""));
                let name = name.replace('-', "_");
                expected.insert(format!("[{label}]: crate::guide::{name}{anchor}"));
            }
        }
        assert_eq!(pictures, linked, "pictures of {file}");
        let by_path = |target: &&String| !is_elsewhere(target) && !target.starts_with('#');
        assert_eq!(page.inline.iter().find(by_path), None, "{file}: not by reference");
        shown += 1;
    }
    assert!(shown > 10);
    let known: BTreeSet<_> =
        links.lines().filter(|line| !line.is_empty()).map(Into::into).collect();
    assert_eq!(known, expected);
}

/// Lists that people read have what they are lists of.
#[test]
fn lists_are_complete() {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_else(|_| panic!("{path}"));
    let error = read("src/error.rs");
    let variants =
        error.split("pub enum TrypemaError {").nth(1).and_then(|rest| rest.split("\n}").next());
    let variants = variants.expect("the enum").lines().filter_map(|line| {
        let name = line.strip_prefix("    ")?.trim_end_matches([' ', '{', ',']);
        name.starts_with(|first: char| first.is_ascii_uppercase()).then_some(name)
    });
    check_list("docs/operations.md", variants.map(|variant| format!("| `{variant}`")));

    let manifests = [read("examples/Cargo.toml"), read("examples/runtimes/Cargo.toml")];
    let examples = manifests.iter().flat_map(|manifest| manifest.split("[[example]]").skip(1));
    let named = examples.filter_map(|example| example.split('"').nth(1));
    check_list("examples/README.md", named.map(|name| format!("`{name}`")));

    let pages = pages().into_iter().filter_map(|path| {
        let file = path.strip_prefix("docs").ok()?.to_str()?.to_owned();
        Some(format!("\"{file}\""))
    });
    check_list("src/guide/mod.rs", pages);
}

fn check_list(path: &str, entries: impl Iterator<Item = String>) {
    let list = fs::read_to_string(path).unwrap_or_else(|_| panic!("{path}"));
    let entries: Vec<_> = entries.collect();
    assert!(entries.len() > 10, "{path}: {entries:?}");
    let missing: Vec<_> = entries.iter().filter(|entry| !list.contains(*entry)).collect();
    assert!(missing.is_empty(), "{path} misses {missing:?}");
}

/// The check itself: what is broken is found.
#[test]
fn what_is_broken_is_found() {
    let text = "# A heading\n[a](README.md) [b](nowhere.md) [c](#a-heading) [d](#no-heading)\n\
                [e](README.md#no-such-heading) ![f](docs/none.svg) `[g](code.md)` [h][there] [i][missing]\n\
                ```\n[j](fenced.md)\n```\n[k](https://example.org/) <img src=\"none.png\">\n\n\
                [there]: Cargo.toml\n[unused]: Cargo.toml\n";
    let faults = Page::parse(Path::new("page.md"), text).faults().join("\n");
    assert_eq!(
        faults,
        "page.md: nowhere.md: no such file\n\
         page.md: #no-heading: no such heading\n\
         page.md: README.md#no-such-heading: no such heading\n\
         page.md: docs/none.svg: no such file\n\
         page.md: none.png: no such file\n\
         page.md: [missing] is not defined\n\
         page.md: [unused] is not used"
    );
}
