//! A map from keys to their states in this process. The only file that knows papaya.
//!
//! papaya's `get_or_insert_with` and `compute` never help a resize along: a map grown by them
//! alone stays half migrated, and each lookup searches two tables. `try_insert` does help, at the
//! price of an entry made for nothing when another thread is first.

use core::fmt;
use core::hash::{BuildHasher, Hash, Hasher};

use papaya::{Equivalent, HashMap};

use crate::keys::Lookup;
use crate::sync::atomic::AtomicU64;

/// A key's state, which may have been given up while a thread still looks at it.
pub(crate) trait State {
    /// Whether it was given up for good. It is then removed from the map by whoever notices.
    fn is_dead(&self) -> bool;
}

pub(crate) struct LocalStore<K, V, S> {
    map: HashMap<K, V, S>,
    /// No fresh state admits anything at an earlier tick than this; see `key::window`.
    pub(crate) floor: AtomicU64,
}

impl<K, V, S> LocalStore<K, V, S>
where
    K: Hash + Eq,
    V: State,
    S: BuildHasher,
{
    pub(crate) fn new(hasher: S) -> Self {
        Self { map: HashMap::with_hasher(hasher), floor: AtomicU64::new(0) }
    }

    /// Acts on the key's state, if it has one. `act` says `None` of a dead state, which counts as
    /// absent.
    #[inline]
    pub(crate) fn find<Q, R>(&self, key: &Q, act: impl FnOnce(&V) -> Option<R>) -> Option<R>
    where
        Q: Lookup<K> + ?Sized,
    {
        let guard = self.map.guard();
        act(self.map.get(&Probe(key), &guard)?)
    }

    /// Acts on the key's state, which is made if there is none. `act` says `None` of a dead state,
    /// and is called again with another.
    #[inline]
    pub(crate) fn with<Q, R>(
        &self,
        key: &Q,
        make: impl Fn() -> V,
        mut act: impl FnMut(&V) -> Option<R>,
    ) -> R
    where
        Q: Lookup<K> + ?Sized,
    {
        let guard = self.map.guard();
        loop {
            let found = match self.map.get(&Probe(key), &guard) {
                Some(found) => found,
                None => match self.map.try_insert(key.to_key(), make(), &guard) {
                    Ok(inserted) => inserted,
                    Err(occupied) => occupied.current,
                },
            };
            if let Some(result) = act(found) {
                return result;
            }
            self.unlink(key);
        }
    }

    /// Removes the key's state if it is dead.
    #[cold]
    pub(crate) fn unlink<Q: Lookup<K> + ?Sized>(&self, key: &Q) {
        // An error says that the state is alive, hence another one than the caller's.
        let _ = self.map.pin().remove_if(&Probe(key), |_, state| state.is_dead());
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }
}

impl<K, V, S> fmt::Debug for LocalStore<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalStore").finish_non_exhaustive()
    }
}

/// A borrowed key, in the shape that papaya looks up by.
struct Probe<'a, Q: ?Sized>(&'a Q);

impl<Q: Hash + ?Sized> Hash for Probe<'_, Q> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K, Q: Lookup<K> + ?Sized> Equivalent<K> for Probe<'_, Q> {
    #[inline]
    fn equivalent(&self, key: &K) -> bool {
        self.0.is(key)
    }
}
