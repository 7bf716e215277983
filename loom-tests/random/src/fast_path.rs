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

    // The state, the note, `latest`, the newest mark, and the state again.
    assert!(accesses(&|| add(100, 1, 9), true) > 9);
    assert_eq!(accesses(&|| add(100, 1, 9), true), 5);
    assert_eq!(accesses(&|| add(100, 1, 2), false), 5);
    assert_eq!(accesses(&|| unhinted(100, 1, 2), false), 5);
    assert_eq!(accesses(&|| peek(100, 1, 2), false), 5);
    assert_eq!(accesses(&|| peek(100, 1, 3), true), 5);

    // A call that begins a bucket also looks whether there is a ring, at the slot of the next mark, and at the
    // state, and changes that slot.
    assert_eq!(accesses(&|| peek(101, 1, 9), true), 5);
    assert_eq!(accesses(&|| add(101, 2, 9), true), 9);
    assert_eq!(accesses(&|| add(101, 1, 9), true), 5);
    assert_eq!(accesses(&|| unhinted(101, 5, 5), false), 5);
    assert_eq!(accesses(&|| unhinted(101, 6, 5), false), 5);
    // And the second mark, which says how much is left when the oldest has gone.
    assert_eq!(accesses(&|| add(101, 1, 5), false), 6);
    assert_eq!(accesses(&|| add(101, 2, 5), false), 6);
    // More than the oldest mark stands in the way: the full protocol.
    assert!(accesses(&|| add(101, 5, 5), false) > 8);
    // A call that never fits needs no hint.
    assert_eq!(accesses(&|| add(101, 6, 5), false), 5);
    assert_eq!(window.capacity(), INLINE_MARKS);
    if INLINE_MARKS > 2 {
        return;
    }

    // A ring, which none of these looks at.
    assert!(accesses(&|| add(102, 1, 9), true) > 9);
    assert_eq!(window.capacity(), 4);
    assert_eq!(accesses(&|| add(102, 1, 9), true), 5);
    assert_eq!(accesses(&|| unhinted(102, 1, 7), false), 5);
    assert_eq!(accesses(&|| add(102, 9, 8), false), 5);
    // The second mark may be in the ring.
    assert!(accesses(&|| add(102, 1, 7), false) > 5);
    assert_eq!(accesses(&|| add(103, 1, 99), true), 9);
    assert_eq!(accesses(&|| add(103, 1, 99), true), 5);
    // Every second mark, two have to be copied first: the ring, two marks, and two slots to be changed.
    assert_eq!(accesses(&|| add(104, 1, 99), true), 9 + 2 + 2 + 2 + 2 + 1);
    assert_eq!(accesses(&|| add(104, 1, 99), true), 5);
    assert_eq!(accesses(&|| add(105, 1, 99), true), 9);
    // A reading that is a bit older is judged at the newest mark, by the full protocol.
    assert!(accesses(&|| add(104, 1, 99), true) > 5);
    assert_eq!(accesses(&|| add(105, 1, 99), true), 5);

    // The list of units given back takes the place of the note, until its bucket has left the window: here
    // the oldest.
    assert_eq!(window.refund(&timeline, 105, 1), Some(1));
    assert!(accesses(&|| add(105, 1, 99), true) > 5);
    assert!(accesses(&|| add(105, 1, 99), true) > 5);
    assert!(accesses(&|| add(106, 1, 99), true) > 9);
    assert_eq!(accesses(&|| add(106, 1, 99), true), 5);
    // A mark leaves the window: the ring, the mark that is now the oldest, and another note.
    assert_eq!(accesses(&|| add(107, 1, 99), true), 9 + 1 + 1 + 1);
    assert_eq!(accesses(&|| add(107, 1, 99), true), 5);
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
        let words = if slots == INLINE_MARKS { 0 } else { slots };
        assert_eq!(window.heap_bytes(), words * size_of::<AtomicU64>());
        slots
    };
    for marks in 1..=40 {
        // Those that were in the window when the last of them were copied to the ring.
        let copied = (marks - 1) / INLINE_MARKS * INLINE_MARKS;
        let needed = match copied.next_power_of_two() {
            few if few < INLINE_MARKS => INLINE_MARKS,
            more => more.max(SMALLEST_RING),
        };
        assert_eq!(add(1_000 + marks as u64), needed, "{marks} marks");
    }
    // Nothing changes before the next time that marks are copied. Then there are seven.
    let later = 1_098 + INLINE_MARKS as u64;
    for tick in 1_098..later {
        assert_eq!(add(tick), 64, "at {tick}");
    }
    assert_eq!(add(later), 16, "twice the marks, and one, rounded up");
    assert_eq!(add(later), 16, "nothing changes within a tick");
    // One mark at a time.
    let slots: Vec<_> =
        (20..20 + INLINE_MARKS as u64).map(|hundreds| add(hundreds * 100)).collect();
    assert_eq!(slots.last(), Some(&SMALLEST_RING));
}
