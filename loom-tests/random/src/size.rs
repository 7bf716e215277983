//! The size of a window: what its layout is made from. What follows from it is computed here once
//! more, in plain words, so that the judge does not go by what it judges.

use crate::window::Layout;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Bits of a mark's index, and half the bits that ticks and indices take from a word.
    pub(crate) index_bits: u32,
    /// Ticks that a window spans.
    pub(crate) span: u64,
}

impl Size {
    pub(crate) const fn layout(self) -> Layout {
        Layout::with_index_bits(self.index_bits, self.span)
    }

    /// The most units that a window can hold: what is left of a word.
    pub(crate) const fn most(self) -> u64 {
        u64::MAX >> (2 * self.index_bits)
    }

    /// Ticks wrap at a bit less than indices take together. A clock reading that is further than an
    /// eighth of that from the others may be taken for an old one.
    pub(crate) const fn distrusted(self) -> u64 {
        (1 << (2 * self.index_bits - 1)) / 8
    }
}
