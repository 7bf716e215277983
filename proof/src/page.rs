//! The page: `proof/page.md` with the table, the lists and the stamp filled in.
//!
//! A promise is a section that begins with `### ID: title` and has a line `{{proofs}}`. One that says
//! `<!-- planned -->` is not made yet, and must not have a proof.

use std::fmt::Write as _;

use crate::Result;
use crate::results::{Outcome, Results};
use crate::tags::{Kind, Tag};

/// Begins the line that is different each time.
const STAMP: &str = "*Generated:* ";

const KINDS: [(Kind, &str, &str); 5] = [
    (Kind::Model, "Models", "explored"),
    (Kind::Interleavings, "Random interleavings", "passed"),
    (Kind::Property, "Properties", "passed"),
    (Kind::Test, "Tests", "passed"),
    (Kind::Bug, "Seeded bugs", "killed"),
];

struct Proof<'a> {
    tag: &'a Tag,
    outcome: Outcome,
    names: Vec<String>,
}

struct Promise<'a> {
    id: &'a str,
    title: &'a str,
    is_planned: bool,
    proofs: Vec<Proof<'a>>,
}

pub(crate) struct Page<'a> {
    template: &'a str,
    promises: Vec<Promise<'a>>,
    /// Tags that name no promise.
    strays: Vec<String>,
}

impl<'a> Page<'a> {
    pub(crate) fn new(template: &'a str, tags: &'a [Tag], results: &Results) -> Result<Self> {
        let mut promises: Vec<Promise<'_>> = Vec::new();
        for line in template.lines() {
            if let Some((id, title)) = heading(line) {
                promises.push(Promise { id, title, is_planned: false, proofs: Vec::new() });
            } else if line == "<!-- planned -->" {
                let promise = promises.last_mut().ok_or("planned, but no promise above it")?;
                promise.is_planned = true;
            }
        }
        let mut strays = Vec::new();
        for tag in tags {
            let (outcome, names) = results.of(tag);
            for id in &tag.promises {
                match promises.iter_mut().find(|promise| promise.id == id) {
                    Some(promise) => {
                        promise.proofs.push(Proof { tag, outcome, names: names.clone() });
                    }
                    None => strays.push(format!("{}: {}: no promise {id}", tag.file, tag.name)),
                }
            }
        }
        Ok(Self { template, promises, strays })
    }

    /// All that is wrong, in words, each once.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut failures = self.strays.clone();
        for Promise { id, is_planned, proofs, .. } in &self.promises {
            match (is_planned, proofs.is_empty()) {
                (false, true) => failures.push(format!("{id}: nothing proves it")),
                (true, false) => failures.push(format!("{id}: planned, and yet proved")),
                _ => {}
            }
            for Proof { tag, outcome, .. } in proofs {
                let what = match outcome {
                    Outcome::Good => continue,
                    Outcome::Missing => "has no result",
                    Outcome::Bad if tag.kind == Kind::Bug => "was not killed",
                    Outcome::Bad => "failed",
                };
                failures.push(format!("{}: {} {what}", tag.file, tag.name));
            }
        }
        failures.sort();
        failures.dedup();
        failures
    }

    /// A row for each promise.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "| promise | models | random interleavings | properties | tests | seeded bugs | result |\n\
             |---|--:|--:|--:|--:|--:|---|\n",
        );
        for promise in &self.promises {
            let Promise { id, title, is_planned, proofs } = promise;
            let _ = write!(table, "| {id}: {title} |");
            for (kind, ..) in KINDS {
                let all = promise.proofs_of(kind).map(|proof| proof.names.len()).sum::<usize>();
                let _ = write!(table, " {all} |");
            }
            let wrong = proofs.iter().filter(|proof| proof.outcome != Outcome::Good).count();
            let result = match (is_planned, proofs.len(), wrong) {
                (true, ..) => "not built yet".to_owned(),
                (_, 0, _) => "NOTHING PROVES IT".to_owned(),
                (_, _, 0) => "all good".to_owned(),
                (_, _, wrong) => format!("{wrong} BAD OR MISSING"),
            };
            let _ = writeln!(table, " {result} |");
        }
        table
    }

    /// The page, stamped.
    pub(crate) fn text(&self, stamp: &str) -> String {
        let mut text = String::from("<!-- cargo run -p trypema-proof, from proof/page.md -->\n");
        let mut promises = self.promises.iter();
        let mut current = None;
        for line in self.template.lines() {
            if heading(line).is_some() {
                current = promises.next();
            }
            match line {
                "{{table}}" => text += &self.table(),
                "{{stamp}}" => text += &format!("{STAMP}{stamp}\n"),
                "{{proofs}}" => {
                    if let Some(promise) = current {
                        write_proofs(promise, &mut text);
                    }
                }
                "<!-- planned -->" => {}
                line => {
                    text += line;
                    text.push('\n');
                }
            }
        }
        text
    }
}

fn write_proofs(promise: &Promise<'_>, text: &mut String) {
    for (kind, title, word) in KINDS {
        let mut files: Vec<(&str, Vec<String>)> = Vec::new();
        let (mut good, mut all) = (0, 0);
        for Proof { tag, outcome, names } in promise.proofs_of(kind) {
            all += names.len();
            good += if *outcome == Outcome::Good { names.len() } else { 0 };
            let names = names.iter().map(|name| entry(*outcome, name));
            match files.last_mut() {
                Some((file, known)) if *file == tag.file => known.extend(names),
                _ => files.push((&tag.file, names.collect())),
            }
        }
        if all > 0 {
            let _ = writeln!(text, "- {title}, {good} of {all} {word}:");
        }
        for (file, names) in files {
            let _ = writeln!(text, "  - `{file}`: {}", names.join(", "));
        }
    }
}

fn entry(outcome: Outcome, name: &str) -> String {
    let name = name.trim_start_matches("models::");
    match outcome {
        Outcome::Good => format!("`{name}`"),
        Outcome::Bad => format!("**BAD:** `{name}`"),
        Outcome::Missing => format!("**MISSING:** `{name}`"),
    }
}

impl<'a> Promise<'a> {
    fn proofs_of(&self, kind: Kind) -> impl Iterator<Item = &Proof<'a>> {
        self.proofs.iter().filter(move |proof| proof.tag.kind == kind)
    }
}

/// `### ID: title`
fn heading(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("### ")?.split_once(": ")
}

/// A page but for what is different each time.
pub(crate) fn without_stamp(page: &str) -> String {
    page.lines().filter(|line| !line.starts_with(STAMP)).collect::<Vec<_>>().join("\n")
}
