//! The state of a key in this process: its lease, and how much was asked of it.

use core::hash::Hash;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::RateLimit;
use crate::hybrid::fork;
use crate::hybrid::lease::Lease;
use crate::key::{Key, Lookup};
use crate::local::map::State;

/// A key in one window.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WindowKey {
    pub(crate) window_ms: u64,
    pub(crate) key: Key,
}

/// The same, borrowed. It hashes alike.
#[derive(Hash)]
pub(crate) struct WindowKeyRef<'a> {
    pub(crate) window_ms: u64,
    pub(crate) key: &'a str,
}

impl Lookup<WindowKey> for WindowKeyRef<'_> {
    #[inline]
    fn is(&self, key: &WindowKey) -> bool {
        self.window_ms == key.window_ms && Lookup::<Key>::is(self.key, &key.key)
    }

    fn to_key(&self) -> WindowKey {
        WindowKey { window_ms: self.window_ms, key: self.key.into() }
    }
}

#[derive(Debug)]
pub(crate) struct KeyState {
    pub(crate) lease: Lease,
    /// Suppressed: units declined here that the server has not been told of.
    pub(crate) declined: AtomicU64,
    /// When the key was last asked for, in nanoseconds.
    asked_at: AtomicU64,
    /// Units that the server granted then, to callers and for the lease.
    granted: AtomicU64,
    /// Whether the background thread has it on its list.
    pub(crate) listed: AtomicBool,
    /// The rate that the key was last asked for under.
    rate: Mutex<RateLimit>,
    dead: AtomicBool,
    epoch: u64,
}

/// A key whose demand grows is leased so many times as much as the last time, at most: two calls that happen
/// to come together are no demand yet.
const GROWTH: u64 = 4;

impl KeyState {
    pub(crate) fn new(rate: RateLimit) -> Self {
        Self {
            lease: Lease::new(),
            declined: AtomicU64::new(0),
            asked_at: AtomicU64::new(0),
            granted: AtomicU64::new(0),
            listed: AtomicBool::new(false),
            rate: Mutex::new(rate),
            dead: AtomicBool::new(false),
            epoch: fork::epoch(),
        }
    }

    /// Whether its lease is this process's own: a forked child must not spend its parent's.
    #[inline]
    pub(crate) fn is_own(&self) -> bool {
        self.epoch == fork::epoch()
    }

    /// Notes what the server has granted.
    pub(crate) fn note(&self, asked_at: u64, granted: u64, rate: RateLimit) {
        *self.rate.lock().unwrap_or_else(PoisonError::into_inner) = rate;
        // Relaxed, here and below: numbers for a guess. Only the thread that has claimed the key writes them.
        self.asked_at.store(asked_at, Ordering::Relaxed);
        self.granted.store(granted, Ordering::Relaxed);
    }

    /// The rate that the key was last asked for under.
    pub(crate) fn rate(&self) -> RateLimit {
        *self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the key was last asked for.
    pub(crate) fn asked_at(&self) -> u64 {
        // Relaxed: as in `note`.
        self.asked_at.load(Ordering::Relaxed)
    }

    /// The units to ask for, so that they last for `lease_ns`: as many as were spent since the last time, taken
    /// to that length, and a quarter more. `left`: units not spent.
    pub(crate) fn wish(&self, now: u64, left: u64, lease_ns: u64) -> u64 {
        // Relaxed: as in `note`.
        let granted = self.granted.load(Ordering::Relaxed);
        let spent = u128::from(granted.saturating_sub(left));
        let since = now.saturating_sub(self.asked_at()).max(1);
        let wish = spent * u128::from(lease_ns) * 5 / 4 / u128::from(since);
        u64::try_from(wish).unwrap_or(u64::MAX).min(granted.saturating_mul(GROWTH))
    }

    /// Gives the state up. Its lease must have been taken back.
    pub(crate) fn give_up(&self) {
        // Release: pairs with the load in `is_dead`.
        self.dead.store(true, Ordering::Release);
    }
}

impl State for KeyState {
    fn is_dead(&self) -> bool {
        // Acquire: pairs with the store in `give_up`.
        !self.is_own() || self.dead.load(Ordering::Acquire)
    }
}
