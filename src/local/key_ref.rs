//! A borrowed key, in the shape that papaya looks up by.

use core::hash::{Hash, Hasher};

use papaya::Equivalent;

use crate::key::Lookup;

pub(crate) struct KeyRef<'a, Q: ?Sized>(pub(crate) &'a Q);

impl<Q: Hash + ?Sized> Hash for KeyRef<'_, Q> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K, Q: Lookup<K> + ?Sized> Equivalent<K> for KeyRef<'_, Q> {
    #[inline]
    fn equivalent(&self, key: &K) -> bool {
        self.0.is(key)
    }
}
