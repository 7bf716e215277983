//! Results, read from what `cargo test` and the seeded bugs print.

use std::collections::{BTreeMap, BTreeSet};

use crate::tags::{Kind, Tag};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Good,
    Bad,
    /// Not run, or ignored.
    Missing,
}

#[derive(Debug, Default)]
pub(crate) struct Results {
    /// By test crate and path. A test that was run more than once has to pass each time.
    tests: BTreeMap<(String, String), bool>,
    /// By name: whether it was noticed.
    bugs: BTreeMap<String, bool>,
    /// Models explored to the end, and interleavings.
    pub(crate) models: u64,
    pub(crate) interleavings: u64,
    bounds: BTreeSet<String>,
}

impl Results {
    /// Takes in an output of `cargo test` or of the seeded bugs, standard error included.
    pub(crate) fn add(&mut self, output: &str) {
        let mut target = String::new();
        // A test whose output stands between its name and its result.
        let mut begun = None;
        for line in output.lines().map(str::trim) {
            if let Some(program) = line.strip_prefix("Running ") {
                target = program_of(program).unwrap_or_default();
            } else if line.starts_with("Doc-tests ") {
                target = "doc".to_owned();
            } else if let Some((path, result)) = test_of(line) {
                match result {
                    "ok" | "FAILED" => self.test(&target, path, result == "ok"),
                    _ => begun = Some(path.to_owned()),
                }
            } else if let (Some(path), "ok" | "FAILED") = (&begun, line) {
                self.test(&target, path, line == "ok");
                begun = None;
            }
            self.model(line);
            self.bug(line);
        }
    }

    fn test(&mut self, target: &str, path: &str, passed: bool) {
        let known = self.tests.entry((target.to_owned(), path.to_owned())).or_insert(true);
        *known &= passed;
    }

    /// `loom-result TEST NAME BOUND INTERLEAVINGS SECONDS exhausted`, with tabs.
    fn model(&mut self, line: &str) {
        // Whatever stands before it: models print to standard error, and the harness beside them.
        let Some(start) = line.find("loom-result\t") else { return };
        let fields: Vec<&str> = line[start..].split('\t').collect();
        if let [_, _, _, bound, interleavings, _, "exhausted"] = fields[..]
            && let Ok(interleavings) = interleavings.parse::<u64>()
        {
            self.models += 1;
            self.interleavings += interleavings;
            self.bounds.insert(bound.to_owned());
        }
    }

    /// `| NAME | what | file | who noticed, or what became of it | 12.0 |`
    fn bug(&mut self, line: &str) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", name, _, _, by, seconds, ""] = cells[..]
            && seconds.parse::<f64>().is_ok()
        {
            let killed = !by.is_empty() && !by.contains("SURVIVED") && !by.contains("BROKEN");
            self.bugs.insert(name.to_owned(), killed);
        }
    }

    /// How a proof fared, and what stands for it on the page: a test may stand for several, one
    /// for each provider.
    pub(crate) fn of(&self, tag: &Tag) -> (Outcome, Vec<String>) {
        if tag.kind == Kind::Bug {
            let outcome = match self.bugs.get(&tag.name) {
                None => Outcome::Missing,
                Some(true) => Outcome::Good,
                Some(false) => Outcome::Bad,
            };
            return (outcome, vec![tag.name.clone()]);
        }
        let is_meant = |target: &str, path: &str| {
            let mut parts = path.rsplit("::");
            target == tag.target
                && parts.next() == Some(tag.name.as_str())
                && tag.module.as_ref().is_none_or(|module| parts.any(|part| part == module))
        };
        let meant = || self.tests.iter().filter(|((target, path), _)| is_meant(target, path));
        let outcome = match meant().map(|(_, passed)| *passed).reduce(|all, one| all && one) {
            None => return (Outcome::Missing, vec![tag.name.clone()]),
            Some(true) => Outcome::Good,
            Some(false) => Outcome::Bad,
        };
        (outcome, meant().map(|((_, path), _)| path.clone()).collect())
    }

    pub(crate) fn tests(&self) -> usize {
        self.tests.len()
    }

    pub(crate) fn bugs(&self) -> usize {
        self.bugs.len()
    }

    pub(crate) fn bounds(&self) -> String {
        self.bounds.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// `tests/absolute.rs (target/debug/deps/absolute-0123456789abcdef)`: the program without its hash.
fn program_of(line: &str) -> Option<String> {
    let program = line.rsplit_once('/')?.1.trim_end_matches(')');
    Some(program.rsplit_once('-')?.0.to_owned())
}

/// `test a::b ... ok`
fn test_of(line: &str) -> Option<(&str, &str)> {
    let (path, result) = line.strip_prefix("test ")?.split_once(" ...")?;
    let path = path.trim_end_matches(" - should panic");
    (!path.contains(' ')).then_some((path, result.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
     Running tests/absolute.rs (target/debug/deps/absolute-0123456789abcdef)
running 2 tests
test local::short ... ok
test redis::short ... FAILED
test local::long ... ok
     Running unittests src/lib.rs (target/loom/deps/trypema_loom_tests-0123456789abcdef)
test models::admit::edge ... loom-result\tmodels::admit::edge\tan edge\t2\t120\t0.01\texhausted
ok
test models::rings::edge ... ignored
   Doc-tests trypema
test src/rate.rs - rate::short (line 3) ... ok
| window-edge | what is broken | src/window/window.rs | loom: edge | 12.3 |
| left-alone | what is broken | src/window/window.rs | SURVIVED | 12.3 |
";

    fn outcome(kind: Kind, target: &str, module: Option<&str>, name: &str) -> Outcome {
        let mut results = Results::default();
        results.add(OUTPUT);
        assert_eq!((results.models, results.interleavings), (1, 120));
        let (target, name) = (target.to_owned(), name.to_owned());
        let (module, file) = (module.map(str::to_owned), String::new());
        results.of(&Tag { kind, promises: Vec::new(), target, module, name, file }).0
    }

    #[test]
    fn a_test_is_good_if_it_passed_for_every_provider() {
        assert_eq!(outcome(Kind::Test, "absolute", None, "long"), Outcome::Good);
        assert_eq!(outcome(Kind::Test, "absolute", None, "short"), Outcome::Bad);
    }

    #[test]
    fn what_did_not_run_here_is_missing() {
        for (target, module, name) in [
            ("suppressed", None, "long"),
            ("absolute", Some("elsewhere"), "long"),
            ("absolute", None, "lon"),
            ("trypema_loom_tests", Some("rings"), "edge"),
        ] {
            assert_eq!(outcome(Kind::Test, target, module, name), Outcome::Missing, "{name}");
        }
    }

    #[test]
    fn results_are_found_behind_what_a_model_prints() {
        let admit = outcome(Kind::Model, "trypema_loom_tests", Some("admit"), "edge");
        assert_eq!(admit, Outcome::Good);
    }

    #[test]
    fn only_killed_bugs_are_good() {
        assert_eq!(outcome(Kind::Bug, "", None, "window-edge"), Outcome::Good);
        assert_eq!(outcome(Kind::Bug, "", None, "left-alone"), Outcome::Bad);
        assert_eq!(outcome(Kind::Bug, "", None, "never-run"), Outcome::Missing);
    }
}
