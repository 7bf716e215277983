//! Waiting until a call is admitted.

use core::hash::{BuildHasher, Hash};
use core::time::Duration;

use crate::key::Lookup;
use crate::local::call::Verdict;
use crate::local::engine::Engine;
use crate::local::key_ref::KeyRef;
use crate::local::key_state::KeyState;
use crate::wait::{Attempt, Unadmitted};
use crate::{Admitted, Bucket, RateLimit, TrypemaError};

/// How long a waiting thread whose key found no room waits before it looks again.
const LONGEST_LOOK: Duration = Duration::from_millis(100);
/// The least time after which a waiting thread draws again: anything less is a busy loop.
const SHORTEST_REDRAW: Duration = Duration::from_millis(1);

impl<K, V, S> Engine<K, V, S>
where
    K: Hash + Eq + Clone,
    V: KeyState,
    S: BuildHasher,
{
    /// Waits until admitted. Between the limits of a strategy that draws, draws again every `redraw`, and as
    /// soon as the call fits below the lower of them.
    pub(crate) fn acquire<Q>(
        &self,
        key: &Q,
        rate: &RateLimit,
        count: u64,
        timeout: Duration,
        redraw: Duration,
    ) -> Result<Admitted, TrypemaError>
    where
        Q: Lookup<K> + ?Sized,
    {
        if count == 0 {
            return Ok(Admitted::new(Duration::ZERO, Bucket::NONE));
        }
        if let Some(most) = self.exceeds(rate, count) {
            let window = self.config.grid.window();
            return Err(TrypemaError::exceeds_capacity(count, most, window));
        }
        let attempt = || match self.attempt(key, rate, count, V::try_acquire) {
            Some(Verdict { decision, .. }) if decision.is_allowed() => Attempt::Admitted(decision),
            Some(Verdict { frees_at, draws_again, .. }) => {
                let freed = frees_at.map(|tick| self.until_gone(tick, self.config.now()));
                let drawn = draws_again.then_some(redraw.max(SHORTEST_REDRAW));
                Attempt::Later(freed.into_iter().chain(drawn).min().unwrap_or(SHORTEST_REDRAW))
            }
            // No room: any other key may become idle at any time, and nothing wakes this thread then.
            None => Attempt::Later(self.config.grid.bucket().min(LONGEST_LOOK)),
        };
        let clock = &self.config.clock;
        let admitted = self.waiting.wait(&KeyRef(key), || key.to_key(), clock, timeout, attempt);
        // Only now that the line is left: an observer may take its time, or wait for this very key.
        let admitted = admitted.map(|(waited, decision)| {
            self.counters.note_wait(waited);
            let bucket = self.decided(key, count, decision).bucket();
            Admitted::new(waited, bucket.unwrap_or(Bucket::NONE))
        });
        admitted.map_err(|why| {
            match why {
                Unadmitted::TimedOut => {}
                Unadmitted::Closed => return TrypemaError::Closed,
                Unadmitted::TooManyWaiting => {
                    return TrypemaError::too_many_waiting(self.max_waiting);
                }
            }
            self.counters.count_timeout();
            match self.max_keys {
                Some(max_keys) if self.map.find(key, |_| Some(())).is_none() => {
                    self.counters.count_no_room();
                    return TrypemaError::TooManyKeys { max_keys: max_keys as usize };
                }
                _ => {}
            }
            if V::RECORDS_DECLINES {
                let call = self.call(rate, count);
                self.with(key, call.now, |state| state.give_up(&self.context(), &call));
            }
            TrypemaError::Timeout { waited: timeout }
        })
    }
}
