//! A map that holds at most so many keys.
//!
//! Every entry owns a slot, taken before it is inserted and given back by the thread whose removal
//! succeeded, so there are never more entries than slots, whatever races. `keys[slot]` names the
//! key, for those who look for an entry to displace.
//!
//! Who needs a slot when all are taken moves a shared hand over the next few of them, like the
//! hand of a clock, and retires the first idle key that it meets. That is a fixed amount of work;
//! if nothing idle is found the new key is turned away. An entry in use is never touched: idle
//! means that nothing in its window counts.

use core::hash::{BuildHasher, Hash};

use crossbeam_epoch::{self as epoch, Atomic, Owned, Shared};
use papaya::{HashMap, LocalGuard};

use crate::key::Lookup;
use crate::local::key_ref::KeyRef;
use crate::local::map::State;
use crate::local::slot_pool::SlotPool;
use crate::sync::atomic::{AtomicU64, Ordering};

/// SlotPool that a new key looks at before it is turned away.
const LOOKS: u32 = 16;

pub(crate) struct BoundedMap<K, V, S> {
    map: HashMap<K, Seated<V>, S>,
    slots: SlotPool,
    keys: Box<[Atomic<K>]>,
    hand: AtomicU64,
    evictions: AtomicU64,
}

struct Seated<V> {
    state: V,
    slot: u32,
}

impl<K, V, S> BoundedMap<K, V, S>
where
    K: Hash + Eq + Clone,
    V: State,
    S: BuildHasher,
{
    pub(crate) fn new(hasher: S, max_keys: u32) -> Self {
        Self {
            map: HashMap::with_hasher(hasher),
            slots: SlotPool::new(max_keys),
            keys: (0..max_keys).map(|_| Atomic::null()).collect(),
            hand: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
        }
    }

    pub(crate) fn guard(&self) -> LocalGuard<'_> {
        self.map.guard()
    }

    #[inline]
    pub(crate) fn get<'g, Q>(&self, key: &Q, guard: &'g LocalGuard<'_>) -> Option<&'g V>
    where
        K: 'g,
        Q: Lookup<K> + ?Sized,
    {
        Some(&self.map.get(&KeyRef(key), guard)?.state)
    }

    #[inline]
    pub(crate) fn find<Q, R>(&self, key: &Q, act: impl FnOnce(&V) -> Option<R>) -> Option<R>
    where
        Q: Lookup<K> + ?Sized,
    {
        act(self.get(key, &self.guard())?)
    }

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
        let guard = self.map.guard();
        loop {
            let found = match self.map.get(&KeyRef(key), &guard) {
                Some(found) => found,
                None => self.seat(key.to_key(), &make, &retire, &guard)?,
            };
            if let Some(result) = act(&found.state) {
                return Some(result);
            }
            self.unlink(key);
        }
    }

    /// Inserts a new key, or finds the one that another thread has inserted.
    #[cold]
    fn seat<'g>(
        &self,
        key: K,
        make: impl Fn() -> V,
        retire: impl Fn(&V) -> bool,
        guard: &'g LocalGuard<'_>,
    ) -> Option<&'g Seated<V>> {
        let slot = match self.slots.take() {
            Some(slot) => slot,
            None => self.displace(retire)?,
        };
        // Release: publishes the key to the Acquire load in `displace`. Named before it is
        // inserted; a hand that comes between finds no such entry and moves on.
        self.keys[slot as usize].store(Owned::new(key.clone()), Ordering::Release);
        match self.map.try_insert(key, Seated { state: make(), slot }, guard) {
            Ok(seated) => Some(seated),
            Err(occupied) => {
                self.vacate(slot);
                Some(occupied.current)
            }
        }
    }

    /// Retires an idle key among the next few, and returns its slot.
    fn displace(&self, retire: impl Fn(&V) -> bool) -> Option<u32> {
        let pin = epoch::pin();
        let guard = self.map.guard();
        let count = self.slots.count() as u64;
        (0..LOOKS).find_map(|_| {
            // Relaxed: only spreads the looks over the slots.
            let at = self.hand.fetch_add(1, Ordering::Relaxed) % count;
            let slot = u32::try_from(at).ok()?;
            // Acquire: pairs with the Release store in `seat`.
            let key = self.keys[slot as usize].load(Ordering::Acquire, &pin);
            // SAFETY: the key was pinned before it was loaded, and is destroyed by deferral only.
            let key = unsafe { key.as_ref() }?;
            let seated = self.map.get(&KeyRef(key), &guard)?;
            if seated.slot != slot || !retire(&seated.state) {
                return None;
            }
            // Another thread may have been first, and this key's next entry may have died since,
            // in another slot: whichever was removed here, its slot is this thread's now.
            let freed = self.remove(key)?;
            self.name_nothing(freed);
            // Relaxed: a plain counter.
            self.evictions.fetch_add(1, Ordering::Relaxed);
            Some(freed)
        })
    }

    /// Removes the key's entry if it is dead: its slot, if this call did.
    fn remove<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> Option<u32> {
        match self.map.pin().remove_if(&KeyRef(key), |_, seated| seated.state.is_dead()) {
            Ok(Some((_, seated))) => Some(seated.slot),
            // Gone already, or alive and hence another one.
            Ok(None) | Err(_) => None,
        }
    }

    pub(crate) fn unlink<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> bool {
        let removed = self.remove(key);
        if let Some(slot) = removed {
            self.vacate(slot);
        }
        removed.is_some()
    }

    fn vacate(&self, slot: u32) {
        self.name_nothing(slot);
        self.slots.give(slot);
    }

    /// The holder of a slot takes the key's name off it.
    fn name_nothing(&self, slot: u32) {
        let pin = epoch::pin();
        // AcqRel: Acquire, so that the key's memory may be given to the collector; Release orders
        // this before the next holder's.
        let key = self.keys[slot as usize].swap(Shared::null(), Ordering::AcqRel, &pin);
        if !key.is_null() {
            // SAFETY: the swap made the key unreachable, and only one thread gets it.
            unsafe { pin.defer_destroy(key) };
        }
    }

    pub(crate) fn each(&self, mut visit: impl FnMut(&K, &V) -> bool) {
        let guard = self.map.guard();
        let _ = self.map.iter(&guard).all(|(key, seated)| visit(key, &seated.state));
    }

    pub(crate) fn len(&self) -> usize {
        // The map adds up counters one after the other, and can come out too high.
        self.map.len().min(self.slots.count())
    }

    pub(crate) fn entry_bytes(&self) -> usize {
        size_of::<(K, Seated<V>)>() + size_of::<K>()
    }

    pub(crate) fn evictions(&self) -> u64 {
        // Relaxed: a plain counter.
        self.evictions.load(Ordering::Relaxed)
    }
}

impl<K, V, S> Drop for BoundedMap<K, V, S> {
    fn drop(&mut self) {
        for key in &mut self.keys {
            // SAFETY: `&mut self`: no other thread can reach the keys any more.
            let unprotected = unsafe { epoch::unprotected() };
            // Relaxed: exclusive access has ordered everything that came before.
            let key = key.load(Ordering::Relaxed, unprotected);
            if !key.is_null() {
                // SAFETY: owned by this slot, and unreachable after this drop.
                drop(unsafe { key.into_owned() });
            }
        }
    }
}
