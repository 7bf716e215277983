//! Where the admissions of each key were counted, so that a trial can undo any of them later.

use std::collections::BTreeMap;

use trypema::Bucket;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Admission {
    pub(crate) bucket: Bucket,
    /// The bucket, as the model names it.
    pub(crate) tick: u128,
    /// How often its key had begun afresh.
    begun: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Admissions {
    /// Of each key, in their order.
    counted: BTreeMap<u8, Vec<Admission>>,
    begun: BTreeMap<u8, u64>,
}

impl Admissions {
    pub(crate) fn note(&mut self, key: u8, bucket: Bucket, tick: u128) {
        let begun = self.begun_of(key);
        self.counted.entry(key).or_default().push(Admission { bucket, tick, begun });
    }

    /// The latest of the key but so many, and whether the key has begun afresh since.
    pub(crate) fn latest_but(&self, key: u8, back: u8) -> Option<(Admission, bool)> {
        let counted = self.counted.get(&key)?;
        let admission = counted.iter().rev().nth(usize::from(back) % counted.len())?;
        Some((*admission, admission.begun != self.begun_of(key)))
    }

    /// A reset, or what amounts to one: from here on the key's buckets are others.
    pub(crate) fn begun_afresh(&mut self, key: u8) {
        *self.begun.entry(key).or_default() += 1;
    }

    /// Those of this key are not undone any more.
    pub(crate) fn forget(&mut self, key: u8) {
        self.counted.remove(&key);
    }

    fn begun_of(&self, key: u8) -> u64 {
        self.begun.get(&key).copied().unwrap_or(0)
    }
}
