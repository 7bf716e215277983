//! How a window's 64-bit words are packed.
//!
//! ```text
//! state   | cum: C            | tail: B            | len: B-1 | dead: 1 |      C + 2B = 64
//! mark    | start: C          | tick: 2B-1                    | lap:  1 |
//! given   | position: C       | tick: 2B-1                    | set:  1 |
//! ```
//!
//! `C` is chosen when a limiter is built: the widest count whose `B` still numbers the ticks of
//! the window. Every field is modular. `cum`, `start` and refund positions are compared only as
//! differences below 2^C; ticks only where they are known to be less than a half of their range
//! apart (the window sees to that, see `window`).

/// The widest count on offer; fewer index bits than this leaves would make `tail` repeat soon.
const WIDEST_COUNT: u32 = 40;
/// The narrowest count on offer: below it a window could not hold a useful number of units.
const NARROWEST_COUNT: u32 = 24;

/// Bit positions of the packed words, fixed for the life of a limiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// `B`: bits of `tail`.
    index_bits: u32,
    /// Ticks that a window spans: a mark of tick `t` counts while `now - t < span`.
    span: u64,
}

impl Layout {
    /// The most ticks that any window can span.
    pub(crate) const LONGEST_SPAN: u64 = Self::longest_span(NARROWEST_COUNT);

    const fn longest_span(count_bits: u32) -> u64 {
        let index_bits = (64 - count_bits) / 2;
        // `len` reaches `span`, and is looked at as `len + 1` before it is stored.
        (1 << (index_bits - 1)) - 2
    }

    /// The layout for windows of `span` ticks, at most [`Layout::LONGEST_SPAN`]: with the widest
    /// count that leaves index bits enough.
    pub(crate) const fn for_span(span: u64) -> Self {
        debug_assert!(span <= Self::LONGEST_SPAN);
        let mut count_bits = WIDEST_COUNT;
        while span > Self::longest_span(count_bits) && count_bits > NARROWEST_COUNT {
            count_bits -= 2;
        }
        Self::with_index_bits((64 - count_bits) / 2, span)
    }

    /// A layout of any shape; tests use narrow ticks and counts so that they wrap within sight.
    pub(crate) const fn with_index_bits(index_bits: u32, span: u64) -> Self {
        Self { index_bits, span }
    }

    /// The most units that a window can hold: 2^C - 1.
    #[inline]
    pub(crate) const fn most(&self) -> u64 {
        u64::MAX >> self.shift()
    }

    #[inline]
    pub(crate) const fn span(&self) -> u64 {
        self.span
    }

    /// Where the counts (`cum`, `start`, positions) begin: 2B.
    #[inline]
    const fn shift(&self) -> u32 {
        2 * self.index_bits
    }

    #[inline]
    const fn tick_bits(&self) -> u32 {
        self.shift() - 1
    }

    /// A quarter of the tick range. Ticks closer than this compare reliably.
    #[inline]
    pub(crate) const fn quarter(&self) -> u64 {
        1 << (self.tick_bits() - 2)
    }

    /// Whether `now`, which is `since` ticks after some mark the nearer way round, is that in truth:
    /// `latest` is an unwrapped tick that no mark is far ahead of (see `window`).
    #[inline]
    pub(crate) const fn comparable(&self, now: u64, latest: u64, since: i64) -> bool {
        now.abs_diff(latest) <= self.quarter() && since.unsigned_abs() < self.quarter()
    }

    /// `later - earlier` for packed ticks, taken as the nearer of the two ways round.
    #[inline]
    pub(crate) const fn ticks_between(&self, earlier: u64, later: u64) -> i64 {
        let spare = 64 - self.tick_bits();
        (later.wrapping_sub(earlier) << spare).cast_signed() >> spare
    }

    /// `later - earlier` for packed counts, modulo 2^C.
    #[inline]
    pub(crate) const fn units_between(&self, earlier: u64, later: u64) -> u64 {
        later.wrapping_sub(earlier) & self.most()
    }

    /// `later - earlier` for mark indices, modulo 2^B.
    #[inline]
    pub(crate) const fn marks_between(&self, earlier: u64, later: u64) -> u64 {
        later.wrapping_sub(earlier) & ((1 << self.index_bits) - 1)
    }

    // --- state ---------------------------------------------------------------------------------

    /// A living state of no marks.
    #[inline]
    pub(crate) const fn blank(&self, cum: u64) -> u64 {
        cum << self.shift()
    }

    /// How far a restart moves `cum` on. Odd, large, and far from a half of the range, so that no
    /// few restarts and fill-ups (each of which moves it by almost the whole range) cancel out.
    #[inline]
    pub(crate) const fn stride(&self) -> u64 {
        self.most() / 1_618 * 1_000 + 1
    }

    #[inline]
    pub(crate) const fn is_dead(state: u64) -> bool {
        state & 1 != 0
    }

    #[inline]
    pub(crate) const fn kill(state: u64) -> u64 {
        state | 1
    }

    #[inline]
    pub(crate) const fn len(&self, state: u64) -> u64 {
        (state >> 1) & ((1 << (self.index_bits - 1)) - 1)
    }

    #[inline]
    pub(crate) const fn tail(&self, state: u64) -> u64 {
        (state >> self.index_bits) & ((1 << self.index_bits) - 1)
    }

    #[inline]
    pub(crate) const fn cum(&self, state: u64) -> u64 {
        state >> self.shift()
    }

    /// `state` with `count` more units and the same marks.
    #[inline]
    pub(crate) const fn with_units(&self, state: u64, count: u64) -> u64 {
        state.wrapping_add(count << self.shift())
    }

    /// `state` with `count` more units and one more mark, `len` of its marks being in the window.
    #[inline]
    pub(crate) const fn with_mark(&self, state: u64, count: u64, len: u64) -> u64 {
        let index_mask = (1 << self.index_bits) - 1;
        let tail = (self.tail(state) + 1) & index_mask;
        let cum = self.cum(state).wrapping_add(count);
        (cum << self.shift()) | (tail << self.index_bits) | (len << 1)
    }

    /// `state` with another cumulative count and `len`, and the same number of marks ever.
    #[inline]
    pub(crate) const fn with_window(&self, state: u64, cum: u64, len: u64) -> u64 {
        (cum << self.shift()) | (self.tail(state) << self.index_bits) | (len << 1)
    }

    // --- marks, and the refund word, which is read as one ---------------------------------------

    /// A mark. `lap` tells the odd turns round its ring from the even ones.
    #[inline]
    pub(crate) const fn mark(&self, start: u64, tick: u64, lap: bool) -> u64 {
        let tick_mask = (1 << self.tick_bits()) - 1;
        (start << self.shift()) | ((tick & tick_mask) << 1) | lap as u64
    }

    #[inline]
    pub(crate) const fn is_odd_lap(mark: u64) -> bool {
        mark & 1 != 0
    }

    /// The same mark, in another ring.
    #[inline]
    pub(crate) const fn on_lap(mark: u64, lap: bool) -> u64 {
        (mark & !1) | lap as u64
    }

    /// A refund up to `position`, just past a unit of the mark of `tick`.
    #[inline]
    pub(crate) const fn given(&self, position: u64, tick: u64) -> u64 {
        self.mark(position, tick, true)
    }

    #[inline]
    pub(crate) const fn is_set(given: u64) -> bool {
        given & 1 != 0
    }

    #[inline]
    pub(crate) const fn unset(given: u64) -> u64 {
        given & !1
    }

    #[inline]
    pub(crate) const fn start(&self, mark: u64) -> u64 {
        mark >> self.shift()
    }

    /// The packed tick of a mark: the low bits of the real one.
    #[inline]
    pub(crate) const fn tick(&self, mark: u64) -> u64 {
        (mark >> 1) & ((1 << self.tick_bits()) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_decides_the_width_of_counts() {
        let most = |span| Layout::for_span(span).most();
        assert_eq!(most(2), (1 << 40) - 1);
        assert_eq!(most(2_046), (1 << 40) - 1);
        assert_eq!(most(2_047), (1 << 38) - 1);
        assert_eq!(most(32_766), (1 << 32) - 1);
        assert_eq!(most(131_070), (1 << 28) - 1);
        assert_eq!(most(524_286), (1 << 24) - 1);
        assert_eq!(Layout::LONGEST_SPAN, 524_286);
    }

    #[test]
    fn fields_do_not_touch_each_other() {
        for span in [2, 2_046, 8_000, 524_286] {
            let layout = Layout::for_span(span);
            let mut state = layout.blank(layout.most());
            for tail in 1..=3 {
                state = layout.with_mark(state, 1, span);
                assert_eq!(layout.tail(state), tail);
                assert_eq!(layout.len(state), span);
                assert_eq!(layout.cum(state), tail - 1, "cum wraps");
                assert!(!Layout::is_dead(state));
            }
            state = layout.with_units(state, layout.most());
            assert_eq!((layout.cum(state), layout.tail(state), layout.len(state)), (1, 3, span));
            assert!(Layout::is_dead(Layout::kill(state)));

            let mark = layout.mark(layout.most(), u64::MAX, true);
            assert!(Layout::is_odd_lap(mark));
            assert_eq!(Layout::on_lap(mark, false), layout.mark(layout.most(), u64::MAX, false));
            assert_eq!(layout.start(mark), layout.most());
            assert_eq!(layout.start(layout.given(7, 0)), 7);
            assert!(Layout::is_set(layout.given(0, 0)) && !Layout::is_set(0));
            assert_eq!(layout.ticks_between(layout.tick(mark), 3), 4);
            assert_eq!(layout.ticks_between(3, layout.tick(mark)), -4);
        }
    }
}
