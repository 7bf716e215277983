//! Words on the heap that threads read under the protection of crossbeam-epoch.

use core::mem::MaybeUninit;

use crate::sync::atomic::AtomicU64;
use crate::sync::epoch::Owned;

pub(in crate::window) type Words = [MaybeUninit<AtomicU64>];

/// `len` words, the one at each index from `word(index)`.
pub(in crate::window) fn filled(len: usize, word: impl Fn(u64) -> u64) -> Owned<Words> {
    let mut words = Owned::<Words>::init(len);
    for (index, slot) in (0..).zip(words.iter_mut()) {
        slot.write(AtomicU64::new(word(index)));
    }
    words
}

/// # Safety
/// The words were made by [`filled`].
pub(in crate::window) unsafe fn initialised(words: &Words) -> &[AtomicU64] {
    // SAFETY: `filled` writes every word, and `MaybeUninit<T>` has the layout of `T`.
    unsafe { &*(core::ptr::from_ref(words) as *const [AtomicU64]) }
}
