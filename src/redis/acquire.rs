//! Waiting until a call is admitted.

use core::time::Duration;

use crate::redis::DecisionSource;
use crate::redis::engine::{Engine, Mode, Settled, Strategy};
use crate::redis::reply;
use crate::redis::request::{Argument, Call};
use crate::redis::script::{Family, Operation};
use crate::wait::{Attempt, Unadmitted};
use crate::{Admitted, Bucket, Key, RateLimit, RateLimitDecision, TrypemaError};

/// The longest sleep of a thread that waits for room: units that another process gives back do not wake
/// it.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// The least time after which a waiting thread asks again.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

impl<S: Strategy> Engine<S> {
    /// Parks this thread until the call is admitted.
    pub(crate) fn acquire(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
        timeout: Duration,
    ) -> Result<Admitted, TrypemaError> {
        let attempt = |call: &Call<'_>| self.execute(Mode::Wait, call);
        self.acquire_by((key, rate, count), timeout, attempt)
    }

    /// The same, with another way to try.
    pub(crate) fn acquire_by(
        &self,
        (key, rate, count): (&str, &RateLimit, u64),
        timeout: Duration,
        attempt: impl Fn(&Call<'_>) -> Settled,
    ) -> Result<Admitted, TrypemaError> {
        let observed = self.observed();
        let call = Call::new(&self.windows, key, rate, count);
        let waited = call.and_then(|call| self.wait(&call, timeout, attempt));
        let waited = self.counters.checked(waited);
        // Only now that the queue is left: an observer may take its time, or wait for this very key.
        if let (Some(observed), Ok((_, decision, source))) = (observed, &waited) {
            self.tell(&observed, observed.took(), (key, count), Ok((decision, *source)));
        }
        waited.map(|(waited, decision, _)| {
            Admitted::new(waited, decision.bucket().unwrap_or(Bucket::NONE))
        })
    }

    /// Wakes all threads that wait, since the limiter was closed.
    pub(crate) fn wake_all(&self) {
        self.windows.iter().for_each(|window| window.waiting.wake_all());
    }

    fn wait(
        &self,
        call: &Call<'_>,
        timeout: Duration,
        attempt: impl Fn(&Call<'_>) -> Settled,
    ) -> Result<(Duration, RateLimitDecision, DecisionSource), TrypemaError> {
        let Call { window, key, rate, count } = *call;
        if count == 0 {
            let decision = RateLimitDecision::allowed(u64::MAX);
            return Ok((Duration::ZERO, decision, DecisionSource::Nobody));
        }
        let most = S::limit(window, rate);
        if !rate.is_unlimited() && count > most {
            return Err(TrypemaError::exceeds_capacity(count, most, window.settings.grid.window()));
        }
        let waited = window.waiting.wait(
            key,
            || Key::from(key),
            &self.real_time,
            timeout,
            // There is no use in waiting any longer after a failure.
            || {
                self.attempted(call, attempt(call))
                    .unwrap_or_else(|error| Attempt::Admitted(Err(error)))
            },
        );
        match waited {
            Ok((waited, admitted)) => {
                let (decision, source) = admitted?;
                self.counters.note_wait(waited);
                Ok((waited, decision, source))
            }
            Err(Unadmitted::Closed) => Err(TrypemaError::Closed),
            Err(Unadmitted::TooManyWaiting) => {
                Err(TrypemaError::too_many_waiting(self.windows.max_waiting()))
            }
            Err(Unadmitted::TimedOut) => {
                self.counters.timed_out();
                self.decline(call);
                Err(TrypemaError::timeout(timeout))
            }
        }
    }

    /// The next step of a waiting thread after an attempt.
    fn attempted(
        &self,
        call: &Call<'_>,
        settled: Settled,
    ) -> Result<Attempt<Settled>, TrypemaError> {
        let (decision, source) = settled?;
        if decision.is_allowed() {
            self.counters.came_from(source);
            self.counters.decided(&decision);
            return Ok(Attempt::Admitted(Ok((decision, source))));
        }
        let wait = decision.retry_after().unwrap_or_else(|| S::pause(call.window));
        Ok(Attempt::Later(wait.clamp(SHORTEST_WAIT, LONGEST_WAIT)))
    }

    /// Counts a wait that timed out as one decline, under Suppressed. It only measures the
    /// demand, so it may be lost.
    fn decline(&self, call: &Call<'_>) {
        if S::FAMILY == Family::Suppressed {
            let count = [Argument::Whole(call.count)];
            let asked = self.ask(Operation::Decline, call, count, reply::counted);
            let _ = self.settle(call.count, asked.map(|_| ()), |_| Ok(()));
        }
    }
}
