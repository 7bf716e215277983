//! How a window's 64-bit words are packed.
//!
//! ```text
//! state   | cum: C            | tail: B            | len: B-1 | dead: 1 |      C + 2B = 64
//! mark    | start: C          | tick: 2B-1                    | lap:  1 |
//! head    | start: C          | index: B           | tick: B-1| kind: 1 |
//! ```
//!
//! `C` is chosen when a limiter is built: the widest count whose `B` still numbers the ticks of
//! the window. Every field is modular. `cum` and `start` are compared only as
//! differences below 2^C; ticks only where they are known to be less than a half of their range
//! apart (the window sees to that, see `window`).
//!
//! Every decision asks for these widths several times, so masks and shifts are computed once.

/// The widest count on offer; fewer index bits than this leaves would make `tail` repeat soon.
const WIDEST_COUNT: u32 = 40;
/// The narrowest count on offer: below it a window could not hold a useful number of units.
const NARROWEST_COUNT: u32 = 24;

/// The golden ratio's share of 64 bits, odd: its multiples stay far from each other.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// The square root of three's, odd: few of its multiples come near one of the golden ratio's.
const ROOT: u64 = 0xbb67_ae85_84ca_a73b;

/// Bit positions of the packed words, fixed for the life of a limiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Ticks that a window spans: a mark of tick `t` counts while `now - t < span`.
    span: u64,
    /// The most units that a window can hold: 2^C - 1.
    most: u64,
    /// The low `B` bits.
    index_mask: u64,
    /// The low 2B bits.
    low_mask: u64,
    /// A quarter of the tick range.
    quarter: u64,
    /// `B`: bits of `tail`.
    index_bits: u32,
    /// Where the counts (`cum`, `start`) begin: 2B.
    shift: u32,
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

    /// A layout of any shape; tests use narrow ticks and counts so that they wrap within usage.
    pub(crate) const fn with_index_bits(index_bits: u32, span: u64) -> Self {
        let shift = 2 * index_bits;
        Self {
            span,
            most: u64::MAX >> shift,
            index_mask: (1 << index_bits) - 1,
            low_mask: (1 << shift) - 1,
            quarter: 1 << (shift - 3),
            index_bits,
            shift,
        }
    }

    /// The most units that a window can hold: 2^C - 1.
    #[inline]
    pub(crate) const fn most(&self) -> u64 {
        self.most
    }

    #[inline]
    pub(crate) const fn span(&self) -> u64 {
        self.span
    }

    #[inline]
    const fn tick_bits(&self) -> u32 {
        self.shift - 1
    }

    /// A quarter of the tick range. Ticks closer than this compare reliably.
    #[inline]
    pub(crate) const fn quarter(&self) -> u64 {
        self.quarter
    }

    /// Whether `now`, which is `since` ticks after some mark the nearer way round, is that in truth:
    /// `latest` is an unwrapped tick that no mark is far ahead of (see `window`).
    #[inline]
    pub(crate) const fn comparable(&self, now: u64, latest: u64, since: i64) -> bool {
        now.abs_diff(latest) <= self.quarter && since.unsigned_abs() < self.quarter
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
        later.wrapping_sub(earlier) & self.most
    }

    /// `later - earlier` for mark indices, modulo 2^B.
    #[inline]
    pub(crate) const fn marks_between(&self, earlier: u64, later: u64) -> u64 {
        later.wrapping_sub(earlier) & self.index_mask
    }

    // --- state ---------------------------------------------------------------------------------

    /// A living state of no marks. That of every generation has another `cum` and `tail`, far from
    /// those before. Of `tail` the lowest `turn` bits are 0.
    #[inline]
    pub(crate) const fn blank(&self, generation: u64, turn: u32) -> u64 {
        generation.wrapping_mul(GOLDEN) & (u64::MAX << (self.index_bits + turn))
    }

    /// How far a restart moves `cum` on. Odd, large, and far from a half of the range, so that no
    /// few restarts and fill-ups (each of which moves it by almost the whole range) cancel out, nor take a
    /// window to where one of another generation has begun.
    #[inline]
    pub(crate) const fn stride(&self) -> u64 {
        (ROOT >> self.shift) | 1
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
        (state >> 1) & (self.index_mask >> 1)
    }

    #[inline]
    pub(crate) const fn tail(&self, state: u64) -> u64 {
        (state >> self.index_bits) & self.index_mask
    }

    #[inline]
    pub(crate) const fn cum(&self, state: u64) -> u64 {
        state >> self.shift
    }

    /// `state` with `count` more units and the same marks.
    #[inline]
    pub(crate) const fn with_units(&self, state: u64, count: u64) -> u64 {
        state.wrapping_add(count << self.shift)
    }

    /// `state` with `count` more units and one more mark, `len` of its marks being in the window.
    #[inline]
    pub(crate) const fn with_mark(&self, state: u64, count: u64, len: u64) -> u64 {
        let tail = (self.tail(state) + 1) & self.index_mask;
        let cum = self.cum(state).wrapping_add(count);
        (cum << self.shift) | (tail << self.index_bits) | (len << 1)
    }

    /// `state` with another cumulative count and `len`, and the same number of marks ever.
    #[inline]
    pub(crate) const fn with_window(&self, state: u64, cum: u64, len: u64) -> u64 {
        (cum << self.shift) | (self.tail(state) << self.index_bits) | (len << 1)
    }

    // --- marks ---------------------------------------------------------------------------------

    /// A mark. `lap` tells the odd turns round its ring from the even ones.
    #[inline]
    pub(crate) const fn mark(&self, start: u64, tick: u64, lap: bool) -> u64 {
        (start << self.shift) | ((tick << 1) & self.low_mask()) | lap as u64
    }

    /// All bits below the counts.
    #[inline]
    const fn low_mask(&self) -> u64 {
        self.low_mask
    }

    #[inline]
    const fn tick_mask(&self) -> u64 {
        self.low_mask >> 1
    }

    #[inline]
    pub(crate) const fn is_odd_lap(mark: u64) -> bool {
        mark & 1 != 0
    }

    #[inline]
    pub(crate) const fn start(&self, mark: u64) -> u64 {
        mark >> self.shift
    }

    /// The packed tick of a mark: the low bits of the real one.
    #[inline]
    pub(crate) const fn tick(&self, mark: u64) -> u64 {
        (mark & self.low_mask()) >> 1
    }

    /// Ticks from a mark to `now`, modulo their range: more than a half of it if the mark is the
    /// later one.
    #[inline]
    pub(crate) const fn age(&self, mark: u64, now: u64) -> u64 {
        now.wrapping_sub(mark >> 1) & self.tick_mask()
    }

    // --- heads ---------------------------------------------------------------------------------

    /// Mark `index`, which is `start` and `tick`, as a word that tells its index, too. Of its tick only
    /// so many bits are kept as tell it from those of the other marks inside.
    #[inline]
    pub(crate) const fn head(&self, index: u64, start: u64, tick: u64) -> u64 {
        let index = (index & self.index_mask) << self.index_bits;
        (start << self.shift) | index | ((tick << 1) & self.index_mask) | 1
    }

    /// Whether this is the head of a state: of the oldest mark that it counts.
    #[inline]
    pub(crate) const fn is_head_of(&self, head: u64, state: u64) -> bool {
        let index = self.tail(state).wrapping_sub(self.len(state));
        head & 1 != 0 && self.marks_between(self.tail(head), index) == 0
    }

    /// Ticks from the head of a state to its newest mark.
    #[inline]
    pub(crate) const fn head_before(&self, head: u64, newest: u64) -> u64 {
        ((newest >> 1).wrapping_sub(head >> 1)) & (self.index_mask >> 1)
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

    /// Else a bucket of one would be taken for a bucket of the other.
    #[test]
    fn no_restart_leads_to_another_generation() {
        for span in [2, 8_000, 524_286] {
            let layout = Layout::for_span(span);
            let cums = (0..8).flat_map(|generation: u64| {
                let begun = layout.cum(layout.blank(generation, 3));
                (0..8).map(move |restarts| begun.wrapping_add(restarts * layout.stride()))
            });
            let mut cums: Vec<u64> = cums.map(|cum| cum & layout.most()).collect();
            cums.sort_unstable();
            let nearest = cums.windows(2).map(|pair| pair[1] - pair[0]).min();
            assert!(nearest > Some(layout.most() >> 9), "{nearest:?} of {}", layout.most());
        }
    }

    #[test]
    fn fields_do_not_touch_each_other() {
        for span in [2, 2_046, 8_000, 524_286] {
            let layout = Layout::for_span(span);
            let mut state = layout.with_window(0, layout.most(), 0);
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
            assert_eq!(layout.start(mark), layout.most());
            let (oldest, newest) = (layout.mark(0, 1_000, true), layout.mark(0, 999 + span, true));
            let head = layout.head(layout.tail(state).wrapping_sub(span), layout.most(), 1_000);
            assert_eq!(layout.start(head), layout.most());
            assert_eq!(
                layout.tail(head),
                layout.tail(state).wrapping_sub(span) & layout.index_mask
            );
            assert!(layout.is_head_of(head, state));
            assert!(!layout.is_head_of(head, layout.with_mark(state, 1, span)));
            assert!(!layout.is_head_of(head & !1, state), "no head");
            assert_eq!(layout.head_before(head, newest), span - 1);
            assert_eq!(layout.head_before(head, oldest), 0);
            assert_eq!(layout.ticks_between(layout.tick(mark), 3), 4);
            assert_eq!(layout.ticks_between(3, layout.tick(mark)), -4);
        }
    }
}
