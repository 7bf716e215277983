//! Rings, and lists of units given back, are not freed under a reader.
//!
//! With `--cfg crossbeam_loom` this runs the real crossbeam-epoch on loom's atomics, and an
//! allocator that overwrites whatever is freed and never hands it out again: a reader of a freed
//! ring finds no atomic there and panics. Otherwise it explores the same threads with rings and lists
//! that are kept. The real one is a hundred times slower, so the model is small.

// each proves: G4 G5

use crate::explore::explore;
use crate::scene::Act::{Add, All, Collect, Undo, Usage};
use crate::scene::{Lone, Scene};

#[test]
fn reader_of_an_outgrown_ring() {
    const FOUR: &[(u64, u64)] = &[(10, 1), (11, 1), (12, 1), (13, 1)];
    // The ring of four is full: the next mark exchanges it.
    let acts = &[Usage(13), All(&[Add(14, 1), Collect])];
    explore(
        "a reader beside the exchange of its ring",
        acts,
        || Lone::new(6, 100, FOUR),
        |scene, answers| {
            let usage = answers[0].units();
            assert!(usage == 4 || usage == 5, "{usage}");
            assert_eq!(scene.usage(14), 5);
        },
    );
}

#[test]
fn reader_of_a_replaced_list() {
    let acts = &[Usage(10), All(&[Undo(10, 0, 1), Collect])];
    explore(
        "a reader beside the replacement of its list",
        acts,
        || {
            let scene = Lone::new(3, 100, &[(10, 4)]);
            assert_eq!(scene.act(Undo(10, 0, 1)).units(), 1);
            scene
        },
        |scene, answers| {
            let usage = answers[0].units();
            assert!(usage == 3 || usage == 2, "{usage}");
            assert_eq!(scene.usage(10), 2);
        },
    );
}
