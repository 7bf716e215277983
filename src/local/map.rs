//! A map from keys to their states in this process. papaya is known here, in `bounded_map`, `guard` and
//! `key_ref`, and by no other part of a limiter in this process.
//!
//! papaya's `get_or_insert_with` and `compute` never help a resize along: a map grown by them
//! alone stays half migrated, and each lookup searches two tables. `try_insert` does help, at the
//! price of an entry made for nothing when another thread is first.
//!
//! Its iterator cannot be paused, so it holds one guard for a whole pass over the table. Hence a sweep first
//! notes the keys that it may remove, without a pause, and then acts on them in steps, each under a guard of
//! its own.
//!
//! Without a bound on the number of keys the map's values are the states themselves. With one,
//! each also carries the number of a slot, see `bounded_map`.

use core::fmt;
use core::hash::{BuildHasher, Hash};

use papaya::{HashMap, HashMapRef, LocalGuard};
use seize::Guard;

use crate::key::Lookup;
use crate::local::bounded_map::BoundedMap;
use crate::local::guard::guard;
use crate::local::key_ref::KeyRef;
use crate::thread_exit::Running;

/// A key's state, which may have been given up while a thread still looks at it.
pub(crate) trait State {
    /// Whether it was given up for good. Any thread that notices removes it from the map.
    fn is_dead(&self) -> bool;
}

/// States that are fetched at once: a few more than a processor can wait for at a time.
pub(crate) const AHEAD: usize = 32;

/// Keys that a sweep acts on under one guard.
pub(crate) const STEP: usize = 256;

pub(crate) struct KeyMap<K, V, S> {
    map: Map<K, V, S>,
}

enum Map<K, V, S> {
    Open(HashMap<K, V, S>),
    BoundedMap(BoundedMap<K, V, S>),
}

/// States found through this stay readable for as long as it lives. Keep it for no longer than a
/// decision: nothing that was removed from the map is freed meanwhile.
pub(crate) struct Pinned<'a, K, V, S>(HashMapRef<'a, K, V, S, LocalGuard<'a>>);

impl<K, V, S> Pinned<'_, K, V, S>
where
    K: Hash + Eq,
    S: BuildHasher,
{
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "part of every hot call")]
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        Q: Lookup<K> + ?Sized,
    {
        self.0.get(&KeyRef(key))
    }
}

impl<K, V, S> KeyMap<K, V, S>
where
    K: Hash + Eq + Clone,
    V: State,
    S: BuildHasher,
{
    pub(crate) fn new(hasher: S, max_keys: Option<u32>) -> Self {
        let map = match max_keys {
            None => Map::Open(HashMap::with_hasher(hasher)),
            Some(max_keys) => Map::BoundedMap(BoundedMap::new(hasher, max_keys)),
        };
        Self { map }
    }

    /// Acts on the key's state, if it has one. `act` says `None` of a dead state, which counts as
    /// absent.
    #[inline]
    pub(crate) fn find<Q, R>(&self, key: &Q, act: impl FnOnce(&V) -> Option<R>) -> Option<R>
    where
        Q: Lookup<K> + ?Sized,
    {
        match &self.map {
            Map::Open(map) => act(map.get(&KeyRef(key), &guard(map))?),
            Map::BoundedMap(bounded) => bounded.find(key, act),
        }
    }

    /// The map if it has no bound, ready for a look-up: the quickest way to a state.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "part of every hot call")]
    pub(crate) fn pinned(&self, _: Running) -> Option<Pinned<'_, K, V, S>> {
        match &self.map {
            Map::Open(map) => Some(Pinned(map.pin())),
            Map::BoundedMap(_) => None,
        }
    }

    /// Acts on the states of some keys in turn, or on `None` where there is none; see [`ahead`].
    #[inline]
    pub(crate) fn find_each<'k, Q>(
        &self,
        keys: impl Iterator<Item = &'k Q>,
        touch: impl FnMut(&V),
        act: impl FnMut(Option<&V>),
    ) where
        Q: Lookup<K> + ?Sized + 'k,
    {
        match &self.map {
            Map::Open(map) => {
                let guard = guard(map);
                ahead(keys.map(|key| map.get(&KeyRef(key), &guard)), touch, act);
            }
            Map::BoundedMap(bounded) => {
                let guard = bounded.guard();
                ahead(keys.map(|key| bounded.get(key, &guard)), touch, act);
            }
        }
    }

    /// Acts on the key's state, which is made if there is none. `act` says `None` of a dead state,
    /// and is called again with another. `None` if there is no room for a new key, even after
    /// `retire` was asked of some others: it ends a state if that is idle, and says whether it is
    /// dead.
    #[inline]
    pub(crate) fn with<Q, R>(
        &self,
        key: &Q,
        make: impl Fn() -> V,
        retire: impl Fn(&V) -> bool,
        mut act: impl FnMut(&V) -> Option<R>,
    ) -> Option<R>
    where
        Q: Lookup<K> + ?Sized,
    {
        let map = match &self.map {
            Map::Open(map) => map,
            Map::BoundedMap(bounded) => return bounded.with(key, make, retire, act),
        };
        let guard = guard(map);
        loop {
            let found = match map.get(&KeyRef(key), &guard) {
                Some(found) => found,
                None => match map.try_insert(key.to_key(), make(), &guard) {
                    Ok(inserted) => inserted,
                    Err(occupied) => occupied.current,
                },
            };
            if let Some(result) = act(found) {
                return Some(result);
            }
            self.unlink(key);
        }
    }

    /// Removes the key's state if it is dead. Returns whether this call did.
    #[cold]
    pub(crate) fn unlink<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        match &self.map {
            Map::Open(map) => unlink(map, key, &guard(map)),
            Map::BoundedMap(bounded) => bounded.unlink(key),
        }
    }

    /// Removes keys in steps, and returns how many: those of which `retire` says that the state is
    /// dead, asked only where `may_retire` has said so of it. It is asked for all keys that stay, and
    /// maybe for some that come and go meanwhile. Before each step, while nothing is protected, `begin`
    /// says what the other two are given, or `None` to end the sweep.
    pub(crate) fn sweep<C>(
        &self,
        mut begin: impl FnMut() -> Option<C>,
        may_retire: impl Fn(&C, &V) -> bool,
        retire: impl Fn(&C, &V) -> bool,
    ) -> usize {
        let map = match &self.map {
            Map::Open(map) => map,
            Map::BoundedMap(bounded) => return bounded.sweep(begin, retire),
        };
        let Some(context) = begin() else { return 0 };
        let keys = self.keys(|state| may_retire(&context, state));
        let mut removed = 0;
        for keys in keys.chunks(STEP) {
            let Some(context) = begin() else { break };
            let guard = guard(map);
            for key in keys {
                let found = map.get(&KeyRef(key), &guard);
                if found.is_some_and(|state| retire(&context, state)) && unlink(map, key, &guard) {
                    removed += 1;
                }
            }
        }
        removed
    }

    /// The keys whose state is wanted.
    pub(crate) fn keys(&self, wanted: impl Fn(&V) -> bool) -> Vec<K> {
        let map = match &self.map {
            Map::Open(map) => map,
            Map::BoundedMap(bounded) => return bounded.keys(wanted),
        };
        if map.is_empty() {
            return Vec::new();
        }
        let guard = guard(map);
        let wanted = map.iter(&guard).filter(|(_, state)| wanted(state));
        wanted.map(|(key, _)| key.clone()).collect()
    }

    /// Looks at some states, at most so many. An empty map costs nothing, however large it was.
    pub(crate) fn sample(&self, most: usize, look: impl FnMut(&V)) {
        match &self.map {
            Map::Open(map) if map.is_empty() => {}
            Map::Open(map) => {
                map.iter(&guard(map)).take(most).map(|(_, state)| state).for_each(look)
            }
            Map::BoundedMap(bounded) => bounded.sample(most, look),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match &self.map {
            Map::Open(map) => map.len(),
            Map::BoundedMap(bounded) => bounded.len(),
        }
    }

    /// Bytes of one entry, without what it refers to.
    pub(crate) fn entry_bytes(&self) -> usize {
        match &self.map {
            Map::Open(_) => size_of::<(K, V)>(),
            Map::BoundedMap(bounded) => bounded.entry_bytes(),
        }
    }

    /// States displaced by new keys.
    pub(crate) fn evictions(&self) -> u64 {
        match &self.map {
            Map::Open(_) => 0,
            Map::BoundedMap(bounded) => bounded.evictions(),
        }
    }
}

/// Removes the key's state if it is dead. Returns whether this call did.
fn unlink<K, V, S, Q>(map: &HashMap<K, V, S>, key: &Q, guard: &impl Guard) -> bool
where
    K: Hash + Eq,
    V: State,
    S: BuildHasher,
    Q: Lookup<K> + ?Sized,
{
    // An error says that the state is alive, hence another one than the caller's.
    matches!(map.remove_if(&KeyRef(key), |_, state| state.is_dead(), guard), Ok(Some(_)))
}

/// Finds and touches up to [`AHEAD`] states before it acts on the first. Each has to be fetched, and
/// none of them tells where the next one is: together they take hardly longer than one of them.
#[inline]
fn ahead<'v, V: 'v>(
    states: impl Iterator<Item = Option<&'v V>>,
    mut touch: impl FnMut(&V),
    mut act: impl FnMut(Option<&V>),
) {
    let mut found = [None; AHEAD];
    let mut count = 0;
    for (found, state) in found.iter_mut().zip(states) {
        state.inspect(|state| touch(state));
        *found = state;
        count += 1;
    }
    found[..count].iter().for_each(|state| act(*state));
}

impl<K, V, S> fmt::Debug for KeyMap<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyMap").finish_non_exhaustive()
    }
}
