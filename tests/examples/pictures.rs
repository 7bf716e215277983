//! The pictures of the documentation: they show what they claim, and are those that the sources draw.

// each proves: input

#[path = "../../examples/pictures/bars.rs"]
mod bars;
#[path = "../../examples/pictures/overshoot.rs"]
mod overshoot;
#[path = "../../examples/pictures/results.rs"]
mod results;
#[path = "../../examples/pictures/rivals.rs"]
mod rivals;
#[path = "../../examples/pictures/spike.rs"]
mod spike;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use results::Results;
use rivals::{FixedWindow, Gcra};

use super::svg;

fn file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn measured() -> Results {
    Results::read(&file("benches/results/compare.md")).unwrap()
}

#[test]
fn pictures_are_up_to_date() {
    let drawn = BTreeMap::from([
        ("memory.svg", bars::memory(&measured())),
        ("overshoot.svg", overshoot::picture().unwrap()),
        ("spike.svg", spike::picture().unwrap()),
        ("throughput.svg", bars::throughput(&measured())),
    ]);
    for (name, picture) in drawn {
        let kept = file(&format!("docs/images/{name}"));
        assert!(kept == picture, "{name} is out of date: cargo run --release --example pictures");
        // Markdown ends a piece of HTML at an empty line.
        assert!(!picture.contains("\n\n"), "{name}");
    }
}

// proves: G1
#[test]
fn over_the_same_arrivals_only_ours_keeps_to_the_limit() {
    let outcomes = overshoot::outcomes(&overshoot::arrivals()).unwrap();
    let worst = outcomes.map(|outcome| outcome.worst);
    let [fixed, gcra, ours] = worst;
    assert!(fixed > overshoot::CAPACITY && gcra > overshoot::CAPACITY, "{worst:?}");
    assert_eq!(ours, overshoot::CAPACITY, "it admits all that it may");
}

// proves: suppression
#[test]
fn suppressed_admits_the_limit_where_absolute_goes_on_and_off() {
    let steps = spike::steps().unwrap();
    let (least, most) = spike::settled(&steps, |step| step.suppressed);
    assert!(least > 50.0 && most < 200.0, "{least} {most}");
    let (least, most) = spike::settled(&steps, |step| step.absolute);
    assert!(least < 60.0 && most > 350.0, "{least} {most}");
}

#[test]
fn the_rivals_are_what_textbooks_say() {
    // Three in 30: a count until 30, then another.
    let mut fixed = FixedWindow::new(3, 30);
    let admitted = [0, 1, 2, 3, 29, 30, 31, 32, 33].map(|now| fixed.admits(now));
    assert_eq!(admitted, [true, true, true, false, false, true, true, true, false]);
    // A bucket of three that gets one every ten.
    let mut gcra = Gcra::new(3, 30);
    let admitted = [0, 0, 0, 0, 9, 10, 10, 25, 30, 30].map(|now| gcra.admits(now));
    assert_eq!(admitted, [true, true, true, false, false, true, false, true, true, false]);
}

#[test]
fn results_without_tables_are_an_error() {
    for text in ["", "## Throughput\n\n## Memory\n", "## Memory\n| a | b | c | d | e | f | g |\n"] {
        assert!(Results::read(text).is_err(), "{text:?}");
    }
    let results = measured();
    assert_eq!(results.throughput.len(), 6);
    for (workload, speeds) in &results.throughput {
        assert!(
            speeds.iter().all(|(_, figures)| figures.len() == results.threads.len()),
            "{workload}"
        );
    }
    assert!(results.memory.iter().any(|(name, _)| name == "absolute"));
}
