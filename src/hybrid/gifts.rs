//! Units that are given back: the rests of leases, and the units of callers who have gone.
//!
//! Units are given back at most once. Where it is unknown whether the server took them they are lost until
//! they expire: taken out twice, they would be units that others have spent.

use core::sync::atomic::Ordering;
use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};

use crate::DefaultHashBuilder;
use crate::hybrid::caller::{Caller, Want};
use crate::hybrid::engine::Engine;
use crate::hybrid::flight::Answer;
use crate::hybrid::key_state::WindowKey;
use crate::hybrid::lease::Rest;
use crate::key::Key;
use crate::redis::engine::Strategy;
use crate::redis::net::Failure;
use crate::redis::reply::{self, Verdict};
use crate::redis::request::{Argument, Arguments, Request};
use crate::redis::script::Operation;
use crate::redis::windows::Window;

/// Units to be given back that are held at most, by entries, while the server is away.
const MOST_GIFTS: usize = 100_000;

/// Units to be given back.
#[derive(Debug)]
pub(crate) struct Gift {
    pub(crate) key: WindowKey,
    pub(crate) rest: Rest,
    /// When they have expired in any case.
    expires: u64,
}

/// Units that are kept to be given back. They are taken out only while their key is claimed: a reset that claims
/// it finds all of them, or comes after.
#[derive(Default)]
pub(crate) struct Gifts {
    of: HashMap<WindowKey, Vec<Gift>, DefaultHashBuilder>,
    len: usize,
    /// Some have come since the background thread looked last.
    has_new: bool,
}

impl Gifts {
    fn keep(&mut self, gift: Gift) {
        self.of.entry(gift.key.clone()).or_default().push(gift);
        self.len += 1;
    }

    fn take(&mut self, key: &WindowKey) -> Vec<Gift> {
        let taken = self.of.remove(key).unwrap_or_default();
        self.len -= taken.len();
        // After an outage there were many.
        self.of.shrink_to(self.of.len().max(64) * 2);
        taken
    }

    /// The keys of all, if there are new ones.
    pub(crate) fn keys_if_new(&mut self) -> Option<Vec<WindowKey>> {
        core::mem::take(&mut self.has_new).then(|| self.keys())
    }

    fn keys(&self) -> Vec<WindowKey> {
        self.of.keys().cloned().collect()
    }
}

impl<S: Strategy> Engine<S> {
    pub(crate) fn gift(&self, window: &Window, key: &WindowKey, rest: Rest, now: u64) -> Gift {
        let counted = u64::try_from(window.settings.grid.counted().as_nanos()).unwrap_or(u64::MAX);
        Gift { key: key.clone(), rest, expires: now.saturating_add(counted) }
    }

    /// Keeps units to be given back, soon.
    pub(crate) fn keep_gift(&self, gift: Gift) {
        if self.keep_for_later(gift, true) {
            self.look_by(self.now());
        }
    }

    /// Keeps units to be given back with a later look of the background thread, or by a call that claims their key.
    fn keep_for_later(&self, gift: Gift, is_new: bool) -> bool {
        let mut gifts = self.gifts();
        let keeps = gifts.len < MOST_GIFTS && self.now() < gift.expires;
        if keeps {
            gifts.keep(gift);
            gifts.has_new |= is_new;
        } else {
            drop(gifts);
            self.lose(gift.rest.units);
        }
        keeps
    }

    /// Takes the units that are kept to be given back to a key, which must be claimed.
    pub(crate) fn kept_gifts(&self, key: &WindowKey) -> Vec<Gift> {
        self.gifts().take(key)
    }

    /// The keys that there are units to be given back to.
    pub(crate) fn keys_of_gifts(&self) -> Vec<WindowKey> {
        let mut gifts = self.gifts();
        gifts.has_new = false;
        gifts.keys()
    }

    pub(crate) fn gifts(&self) -> MutexGuard<'_, Gifts> {
        // Nothing that could panic runs while it is held.
        self.here.here().gifts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn given_back(&self, gift: Gift, answer: Result<Answer, Failure>) {
        match answer {
            Ok(Answer::GivenBack(units)) => {
                // Relaxed: a statistic.
                self.leased.given_back.fetch_add(units, Ordering::Relaxed);
                let key = gift.key.key.as_str();
                self.remote.forget_denial(key);
                if let Some(window) = self.window_of(&gift.key) {
                    window.waiting.units_freed(key, || Key::from(key));
                }
            }
            Err(failure) if failure.kind.is_known_undone() => {
                self.keep_for_later(gift, false);
            }
            _ => self.lose(gift.rest.units),
        }
    }

    /// Gives back what a caller was granted who has gone.
    #[cold]
    pub(crate) fn give_back_unwanted(&self, key: &WindowKey, caller: &Caller, verdict: &Verdict) {
        let tick = match verdict {
            Verdict::Fits(counted) | Verdict::Drawn { counted, admitted: true, .. } => counted.tick,
            _ => return,
        };
        if let (Want::Units { count: units, .. }, Some(window)) =
            (&caller.want, self.window_of(key))
        {
            let rest = Rest { units: *units, tick };
            self.keep_gift(self.gift(window, key, rest, self.now()));
        }
    }

    fn lose(&self, units: u64) {
        // Relaxed: a statistic.
        self.leased.lost.fetch_add(units, Ordering::Relaxed);
    }
}

pub(crate) fn give_back<'a>(
    window: &'a Window,
    gift: &Gift,
    now_us: Option<u64>,
) -> Request<'a, Answer> {
    let Rest { units, tick } = gift.rest;
    let arguments = Arguments::new([Argument::Whole(units), Argument::Whole(tick)]);
    Request {
        script: Some(window.scripts.get(Operation::Undo)),
        key: window.name_of(gift.key.key.as_str()),
        more_keys: Vec::new(),
        packed: Vec::new(),
        arguments: now_us.map_or(arguments, |now_us| arguments.with_time(now_us)),
        parse: |value| reply::count(value).map(Answer::GivenBack),
    }
}
