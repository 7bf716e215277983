use core::fmt;
use core::ops::Deref;
use core::time::Duration;

use crate::{Bucket, RateLimitDecision};

/// The answer to `inc_all`: one decision for several limits.
///
/// Two answers are equal if they say the same, wherever the units were counted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Combined {
    /// Whether all of it was admitted. `remaining` is the least that any of the limits has left. If it
    /// was rejected, the hint is the longest of those limits that do not fit.
    pub decision: RateLimitDecision,
    /// The index of that limit in the list.
    pub tightest: usize,
    /// The bucket in which each of the calls was counted, in the order asked, for `undo`; [`Bucket::NONE`]
    /// for calls for no units. Empty if it was not admitted.
    pub buckets: Buckets,
}

impl PartialEq for Combined {
    fn eq(&self, other: &Self) -> bool {
        self.decision == other.decision && self.tightest == other.tightest
    }
}

impl Combined {
    /// For limiters of your own.
    #[must_use]
    pub const fn new(decision: RateLimitDecision, tightest: usize) -> Self {
        Self { decision, tightest, buckets: Buckets::new() }
    }

    /// Whether all of it may go ahead.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        self.decision.is_allowed()
    }

    /// The decision's [`remaining`](RateLimitDecision::remaining).
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.decision.remaining()
    }

    /// The decision's [`retry_after`](RateLimitDecision::retry_after).
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.decision.retry_after()
    }
}

/// The most buckets that are kept without memory of their own.
const INLINE: usize = 4;

/// Where the calls of an `inc_all` were counted: a list of [`Bucket`]s, in the order asked.
#[derive(Clone)]
pub struct Buckets(List);

#[derive(Clone)]
enum List {
    Few { count: usize, buckets: [Bucket; INLINE] },
    Many(Vec<Bucket>),
}

impl Buckets {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self(List::Few { count: 0, buckets: [Bucket::NONE; INLINE] })
    }

    /// Puts a bucket at the end, for limiters of your own.
    pub fn push(&mut self, bucket: Bucket) {
        match &mut self.0 {
            List::Few { count, buckets } if *count < INLINE => {
                buckets[*count] = bucket;
                *count += 1;
            }
            List::Few { buckets, .. } => {
                let mut many = buckets.to_vec();
                many.push(bucket);
                self.0 = List::Many(many);
            }
            List::Many(buckets) => buckets.push(bucket),
        }
    }

    /// So many times [`Bucket::NONE`].
    #[inline]
    pub(crate) fn none(count: usize) -> Self {
        Self(if count <= INLINE {
            List::Few { count, buckets: [Bucket::NONE; INLINE] }
        } else {
            List::Many(vec![Bucket::NONE; count])
        })
    }

    /// Puts a bucket in the place of another.
    #[inline]
    pub(crate) fn set(&mut self, index: usize, bucket: Bucket) {
        match &mut self.0 {
            List::Few { buckets, .. } => buckets[index] = bucket,
            List::Many(buckets) => buckets[index] = bucket,
        }
    }
}

impl Deref for Buckets {
    type Target = [Bucket];

    #[inline]
    fn deref(&self) -> &[Bucket] {
        match &self.0 {
            List::Few { count, buckets } => &buckets[..*count],
            List::Many(buckets) => buckets,
        }
    }
}

impl Default for Buckets {
    fn default() -> Self {
        Self::new()
    }
}

impl FromIterator<Bucket> for Buckets {
    fn from_iter<I: IntoIterator<Item = Bucket>>(buckets: I) -> Self {
        let mut all = Self::new();
        buckets.into_iter().for_each(|bucket| all.push(bucket));
        all
    }
}

impl<'a> IntoIterator for &'a Buckets {
    type Item = &'a Bucket;
    type IntoIter = core::slice::Iter<'a, Bucket>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<const N: usize> PartialEq<[Bucket; N]> for Buckets {
    fn eq(&self, other: &[Bucket; N]) -> bool {
        **self == *other
    }
}

impl PartialEq for Buckets {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Buckets {}

impl fmt::Debug for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_the_same_however_many_there_are() {
        for count in 0..2 * INLINE as u64 + 1 {
            let expected: Vec<_> = (0..count).map(|tick| Bucket::new(tick, 1)).collect();
            let listed: Buckets = expected.iter().copied().collect();
            assert_eq!(*listed, *expected);
            let mut set = Buckets::none(expected.len());
            assert!(
                set.iter().all(|bucket| *bucket == Bucket::NONE) && set.len() == expected.len()
            );
            expected.iter().enumerate().for_each(|(index, bucket)| set.set(index, *bucket));
            assert_eq!(set, listed);
        }
    }
}
