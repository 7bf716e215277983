//! How many words a call looks at: that the fast path is taken, and is short.

use crate::memory;
use crate::sync::atomic::AtomicU64;
use crate::sync::{self, INLINE_MARKS, SMALLEST_RING, epoch};
use crate::window::{Layout, Limit, Outcome, Timeline, Window};

/// The purpose of the fast path: it looks at few words, and at no ring.
// proves: G3
#[test]
fn the_short_way_is_short() {
    memory::reset(1, 0, false);
    epoch::reset();
    sync::take_short_way(true);
    let timeline = Timeline::new(Layout::for_span(6));
    let window = Window::new(&timeline, 100);
    // How many words a call looks at or changes, the same word anew each time.
    let accesses = |call: &dyn Fn() -> Outcome, is_admitted: bool| {
        let before = memory::steps();
        assert_eq!(matches!(call(), Outcome::Admitted { .. }), is_admitted);
        memory::steps() - before
    };
    let add = |now, count, most| window.add(&timeline, now, count, Limit::Within(most));
    let unhinted =
        |now, count, most| window.add_unhinted(&timeline, now, count, Limit::Within(most));
    let peek = |now, count, most| window.peek(&timeline, now, count, Limit::Within(most));

    // The state, where the marks are, the note, `latest`, the oldest mark, the newest, and the
    // state again.
    assert!(accesses(&|| add(100, 1, 9), true) > 7);
    assert_eq!(accesses(&|| add(100, 1, 9), true), 7);
    assert_eq!(accesses(&|| add(100, 1, 2), false), 7);
    assert_eq!(accesses(&|| unhinted(100, 1, 2), false), 7);
    assert_eq!(accesses(&|| peek(100, 1, 2), false), 7);
    assert_eq!(window.capacity(), INLINE_MARKS);
    if INLINE_MARKS > 2 {
        return;
    }

    // And the second mark, which says what is left when the oldest has gone.
    assert!(accesses(&|| add(101, 2, 9), true) > 8);
    assert_eq!(accesses(&|| add(101, 1, 9), true), 8);
    assert_eq!(accesses(&|| add(101, 1, 5), false), 8);
    assert_eq!(accesses(&|| add(101, 2, 5), false), 8);
    assert_eq!(accesses(&|| unhinted(101, 5, 5), false), 8);
    assert_eq!(accesses(&|| unhinted(101, 6, 5), false), 8);
    // More than the oldest mark stands in the way: the full protocol.
    assert!(accesses(&|| add(101, 5, 5), false) > 8);
    // A call that never fits needs no hint.
    assert_eq!(accesses(&|| add(101, 6, 5), false), 8);

    // A ring: whoever adds to a tick for the second time keeps a note, which then takes the place
    // of all marks.
    assert!(accesses(&|| add(102, 1, 9), true) > 5);
    assert!(accesses(&|| add(102, 1, 9), true) > 5);
    assert_eq!(accesses(&|| add(102, 1, 9), true), 5);
    assert_eq!(accesses(&|| unhinted(102, 1, 8), false), 5);
    assert_eq!(accesses(&|| add(102, 9, 8), false), 5);
    assert_eq!(window.capacity(), 4);
    // The next tick needs a note of its own.
    assert!(accesses(&|| add(103, 1, 99), true) > 5);
    assert!(accesses(&|| add(103, 1, 99), true) > 5);
    assert_eq!(accesses(&|| add(103, 1, 99), true), 5);
    // So does every tick after one whose note was voided by a mark before units were added twice.
    assert!(accesses(&|| add(104, 1, 99), true) > 5);
    assert!(accesses(&|| add(105, 1, 99), true) > 5);
    assert!(accesses(&|| add(105, 1, 99), true) > 5);
    assert_eq!(accesses(&|| add(105, 1, 99), true), 5);
    // A reading that is a bit older is judged at the newest mark, by the full protocol.
    assert!(accesses(&|| add(104, 1, 99), true) > 5);
    assert_eq!(accesses(&|| add(105, 1, 99), true), 5);

    // The list of units given back takes the place of the note, until its bucket has left the window: here
    // the oldest.
    assert_eq!(window.refund(&timeline, 105, 1), Some(1));
    assert!(accesses(&|| add(105, 1, 99), true) > 5);
    assert!(accesses(&|| add(105, 1, 99), true) > 5);
    assert!(accesses(&|| add(106, 1, 99), true) > 5);
    assert!(accesses(&|| add(106, 1, 99), true) > 5);
    assert_eq!(accesses(&|| add(106, 1, 99), true), 5);
}

/// Rings are as large as their marks need, and no larger for long.
// proves: G5
#[test]
fn rings_grow_and_shrink_with_their_marks() {
    memory::reset(1, 0, false);
    epoch::reset();
    let timeline = Timeline::new(Layout::for_span(64));
    let window = Window::new(&timeline, 1_000);
    let add = |now| {
        let outcome = window.add(&timeline, now, 1, Limit::Unbounded);
        assert!(matches!(outcome, Outcome::Admitted { .. }));
        let slots = window.capacity();
        // A ring on the heap begins with its length.
        let words = if slots == INLINE_MARKS { 0 } else { slots + 1 };
        assert_eq!(window.heap_bytes(), words * size_of::<AtomicU64>());
        slots
    };
    for marks in 1..=33 {
        let needed = match usize::try_from(marks).expect("few").next_power_of_two() {
            few if few <= INLINE_MARKS => INLINE_MARKS,
            more => more.max(SMALLEST_RING),
        };
        assert_eq!(add(1_000 + marks), needed, "{marks} marks");
    }
    // The mark that finds few others in the window still goes into the old ring. The next one has a
    // ring of twice its marks, and one, rounded up.
    assert_eq!(add(1_090), 64, "8 marks are left, the newest included");
    assert_eq!(add(1_090), 64, "nothing changes within a tick");
    assert_eq!(add(1_091), 32, "17, rounded up");
    assert_eq!(add(1_096), 32, "4 marks are left");
    assert_eq!(add(1_097), 16, "9, rounded up");
    assert_eq!(add(1_160), 16, "2 marks are left");
    assert_eq!(add(1_161), 8, "5, rounded up");
    for tick in 1_162..1_172 {
        add(tick);
    }
    assert_eq!(add(1_172), 16, "13 marks");
    assert_eq!(add(1_228), 16, "9 marks");
    assert_eq!(add(2_000), 16, "nothing is left");
    assert_eq!(add(2_001), SMALLEST_RING);
}
