//! A map that holds at most so many keys.
//!
//! Every entry owns a slot, taken before it is inserted and given back by the thread whose removal
//! succeeded, so there are never more entries than slots, whatever races. `keys[slot]` names the
//! key, for threads that look for an entry to displace.
//!
//! A thread that needs a slot when all are taken moves a shared hand over the next few of them, like the
//! hand of a clock, and retires the first idle key that it meets. That is a fixed amount of work;
//! if nothing idle is found, the new key is rejected. An entry in use is never touched: idle
//! means that nothing in its window counts.
//!
//! Two threads that bring the same new key may both find no entry, and the second no slot, because the
//! first has taken the last one. So a thread that finds no slot looks for the entry once more.
//!
//! A key's own code may panic. It runs before a slot is taken, or while a [`Taken`] gives the slot back;
//! a state that was ended and not removed keeps its slot until it is next met.

use core::hash::{BuildHasher, Hash};
use core::mem;
use core::ops::Range;

use crossbeam_epoch::{self as epoch, Atomic, Owned, Shared};
use papaya::HashMap;

use crate::key::Lookup;
use crate::local::guard::{MapGuard, guard};
use crate::local::key_ref::KeyRef;
use crate::local::map::{STEP, State};
use crate::local::slot_pool::SlotPool;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Slots that are looked at for a new key before it is rejected.
const LOOKS: u32 = 16;

pub(crate) struct BoundedMap<K, V, S> {
    map: HashMap<K, Seated<V>, S>,
    slots: SlotPool,
    keys: Box<[Atomic<K>]>,
    hand: AtomicU64,
    evictions: AtomicU64,
}

/// A taken slot. Unless it is kept, dropping it gives the slot back and takes its name off, also when a
/// panic unwinds.
struct Taken<'a, K, V, S> {
    map: &'a BoundedMap<K, V, S>,
    slot: u32,
}

impl<K, V, S> Taken<'_, K, V, S> {
    fn keep(self) {
        mem::forget(self);
    }
}

impl<K, V, S> Drop for Taken<'_, K, V, S> {
    fn drop(&mut self) {
        self.map.vacate(self.slot);
    }
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

    pub(crate) fn guard(&self) -> MapGuard<'_> {
        guard(&self.map)
    }

    #[inline]
    pub(crate) fn get<'g, Q>(&self, key: &Q, guard: &'g MapGuard<'_>) -> Option<&'g V>
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
        let guard = self.guard();
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
        guard: &'g MapGuard<'_>,
    ) -> Option<&'g Seated<V>>
    where
        K: 'g,
    {
        let name = Owned::new(key.clone());
        let state = make();
        let slot = match self.slots.take() {
            Some(slot) => slot,
            None => match self.displace(retire) {
                Some(slot) => slot,
                // That entry may have taken the last slot.
                None => return self.map.get(&KeyRef(&key), guard),
            },
        };
        let taken = Taken { map: self, slot };
        // Release: publishes the key to the Acquire loads in `displace` and `seated_at`. Named before it
        // is inserted; a hand that comes between finds no such entry and moves on.
        self.keys[slot as usize].store(name, Ordering::Release);
        match self.map.try_insert(key, Seated { state, slot }, guard) {
            Ok(seated) => {
                taken.keep();
                Some(seated)
            }
            Err(occupied) => Some(occupied.current),
        }
    }

    /// Retires an idle key among the next few, and returns its slot.
    fn displace(&self, retire: impl Fn(&V) -> bool) -> Option<u32> {
        let pin = epoch::pin();
        let guard = self.guard();
        let count = self.slots.count() as u64;
        (0..LOOKS).find_map(|_| {
            // Relaxed: only spreads the looks over the slots.
            let at = self.hand.fetch_add(1, Ordering::Relaxed) % count;
            let slot = u32::try_from(at).ok()?;
            let (key, seated) = self.seated_at(slot, &pin, &guard)?;
            if !retire(&seated.state) {
                return None;
            }
            let freed = self.remove(key)?;
            self.name_nothing(freed);
            // Relaxed: a plain counter.
            self.evictions.fetch_add(1, Ordering::Relaxed);
            Some(freed)
        })
    }

    /// Removes the key's entry if it is dead: its slot, if this call did.
    fn remove<Q: Lookup<K> + ?Sized>(&self, key: &Q) -> Option<u32> {
        let guard = self.guard();
        match self.map.remove_if(&KeyRef(key), |_, seated| seated.state.is_dead(), &guard) {
            Ok(Some((_, seated))) => Some(seated.slot),
            // Removed already, or alive and hence a newer state.
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

    /// The entry that holds this slot at present.
    fn seated_at<'g>(
        &self,
        slot: u32,
        pin: &'g epoch::Guard,
        guard: &'g MapGuard<'_>,
    ) -> Option<(&'g K, &'g Seated<V>)> {
        // Acquire: pairs with the Release store in `seat`.
        let key = self.keys[slot as usize].load(Ordering::Acquire, pin);
        // SAFETY: the key was pinned before it was loaded, and is destroyed by deferral only.
        let key = unsafe { key.as_ref() }?;
        let seated = self.map.get(&KeyRef(key), guard)?;
        (seated.slot == slot).then_some((key, seated))
    }

    /// Acts on the entries of these slots, under one guard.
    fn act_on(&self, slots: Range<u32>, mut act: impl FnMut(&K, &V)) {
        let (pin, guard) = (epoch::pin(), self.guard());
        for slot in slots {
            if let Some((key, seated)) = self.seated_at(slot, &pin, &guard) {
                act(key, &seated.state);
            }
        }
    }

    /// Slots that were ever taken, in steps.
    fn steps(&self) -> impl Iterator<Item = Range<u32>> {
        let used = self.slots.used();
        (0..used).step_by(STEP).map(move |from| from..used.min(from.saturating_add(STEP as u32)))
    }

    /// See [`KeyMap::sweep`](crate::local::map::KeyMap::sweep).
    pub(crate) fn sweep<C>(
        &self,
        mut begin: impl FnMut() -> Option<C>,
        retire: impl Fn(&C, &V) -> bool,
    ) -> usize {
        let mut removed = 0;
        for slots in self.steps() {
            let Some(context) = begin() else { break };
            self.act_on(slots, |key, state| {
                if retire(&context, state) && self.unlink(key) {
                    removed += 1;
                }
            });
        }
        removed
    }

    pub(crate) fn keys(&self, wanted: impl Fn(&V) -> bool) -> Vec<K> {
        let mut keys = Vec::new();
        for slots in self.steps() {
            self.act_on(slots, |key, state| {
                if wanted(state) {
                    keys.push(key.clone());
                }
            });
        }
        keys
    }

    pub(crate) fn sample(&self, most: usize, look: impl FnMut(&V)) {
        let most = u32::try_from(most).unwrap_or(u32::MAX).min(self.slots.used());
        let mut look = look;
        self.act_on(0..most, |_, state| look(state));
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

impl<K, V, S> BoundedMap<K, V, S> {
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
