//! Calls about a key's units that ask for no decision. Those that take units out of a key first give back
//! what this process has leased of it and not spent: else they could take out those, and they would be
//! spent all the same.

use core::cell::Cell;
use core::sync::atomic::Ordering;

use crate::hybrid::engine::Engine;
use crate::hybrid::key_state::{WindowKey, WindowKeyRef};
use crate::hybrid::lease::Spend;
use crate::key::Lookup;
use crate::redis::engine::Strategy;
use crate::redis::net::{Deadline, Failure};
use crate::{Bucket, LocalRateLimiter, RateLimit, SuppressedUsage, TrypemaError};

impl<S: Strategy> Engine<S> {
    /// Units that count, without those that this process has leased and not spent, and with those that it has
    /// declined and not told yet.
    pub(crate) fn usage(
        &self,
        key: &str,
        rate: &RateLimit,
        local: impl FnOnce(&LocalRateLimiter, &RateLimit) -> SuppressedUsage,
    ) -> Result<SuppressedUsage, TrypemaError> {
        self.keep_told_time();
        let is_local = Cell::new(false);
        let mut usage = self.remote.usage(key, rate, |limiter, rate| {
            is_local.set(true);
            local(limiter, rate)
        })?;
        if is_local.get() {
            // The local limiter has counted none of what was leased.
            return Ok(usage);
        }
        let window_ms = self.remote.windows.of(rate).settings.grid.window_ms();
        self.state(&WindowKeyRef { window_ms, key }, |state| {
            let held = state.lease.held();
            // Of a lease that has ended it is not known whether its rest has been given back.
            if self.now() < held.end {
                usage.admitted = usage.admitted.saturating_sub(held.units);
            }
            // Relaxed: a number that is told to the server now or the next time.
            let declined = state.declined.load(Ordering::Relaxed);
            usage.declined = usage.declined.saturating_add(declined);
            Some(())
        });
        Ok(usage)
    }

    /// Gives units back.
    pub(crate) fn refund(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<u64, TrypemaError> {
        self.take_out((key, rate, count), None, |time| {
            self.remote.refund_within((key, rate, count), time)
        })
    }

    /// Takes units out of the bucket that they were counted in.
    pub(crate) fn undo(
        &self,
        key: &str,
        rate: &RateLimit,
        bucket: Bucket,
        count: u64,
    ) -> Result<u64, TrypemaError> {
        let only = Some(bucket.tick());
        self.take_out((key, rate, count), only, |time| {
            self.remote.undo_within((key, rate, count), bucket, time)
        })
    }

    /// `only`: units of other buckets are not in the way.
    fn take_out(
        &self,
        (key, rate, count): (&str, &RateLimit, u64),
        only: Option<u64>,
        take_out: impl FnOnce(Result<Deadline, Failure>) -> Result<u64, TrypemaError>,
    ) -> Result<u64, TrypemaError> {
        // One for everything that is asked.
        let deadline = self.remote.deadline();
        if count == 0 || key.is_empty() {
            return take_out(Ok(deadline));
        }
        let window = self.remote.windows.of(rate);
        let window_ms = window.settings.grid.window_ms();
        let window_key = WindowKeyRef { window_ms, key }.to_key();
        let claim = match self.claim(window_key, deadline) {
            Ok(claim) => claim,
            Err(failure) => return take_out(Err(failure)),
        };
        let now = self.now();
        for window_key in &claim.keys {
            let mut gifts = self.kept_gifts(window_key);
            let rest = self.state(window_key, |state| {
                // A lease that has ended is given back in any case.
                let stays = match (only, state.lease.look(now, 0, u64::MAX, |_| true)) {
                    (Some(tick), Spend::Spent { terms, .. }) => terms.tick != tick,
                    _ => false,
                };
                if stays { None } else { state.lease.take_back(u64::MAX) }
            });
            gifts.extend(rest.map(|rest| self.gift(window, window_key, rest, now)));
            if !gifts.is_empty() {
                self.ask_for(&[], gifts, deadline);
            }
        }
        take_out(Ok(deadline))
    }

    /// Forgets a key in all windows that were set, or that this limiter has used.
    pub(crate) fn reset(&self, key: &str) -> Result<bool, TrypemaError> {
        let deadline = self.remote.deadline();
        let mut claims = Vec::new();
        for window in self.remote.windows.iter() {
            let window_ms = window.settings.grid.window_ms();
            match self.claim(WindowKey { window_ms, key: key.into() }, deadline) {
                Ok(claim) => claims.push(claim),
                Err(failure) => return self.remote.reset_within(key, Err(failure)),
            }
        }
        for key in claims.iter().flat_map(|claim| &claim.keys) {
            // The server is about to forget them: given back, they would be others'.
            self.kept_gifts(key);
            self.state(key, |state| state.lease.take_back(u64::MAX));
        }
        self.remote.reset_within(key, Ok(deadline))
    }
}
