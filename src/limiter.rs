//! One interface to every strategy of every provider.

use core::hash::BuildHasher;
use core::time::Duration;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crate::key::Key;
use crate::local::{LocalAbsolute, LocalSuppressed};
use crate::{
    Admitted, Bucket, Combined, RateLimit, RateLimitDecision, SuppressedUsage, TrypemaError,
};

/// A call of several, as `inc_many` and `inc_all` take them: a key, a rate, and a count of units.
type Asked<'a> = (&'a str, &'a RateLimit, u64);

/// The calls of every strategy of every provider, for string keys: write against this once, and pick
/// provider and strategy by configuration.
///
/// Providers that keep all state in this process never return an error, except from `acquire`.
///
/// ```
/// use trypema::{Limiter, LocalRateLimiter, RateLimit, TrypemaError};
///
/// fn may_send(limiter: &dyn Limiter, user: &str) -> Result<bool, TrypemaError> {
///     Ok(limiter.inc(user, &RateLimit::per_minute(30)?, 1)?.is_allowed())
/// }
///
/// # fn main() -> Result<(), TrypemaError> {
/// let limiter = LocalRateLimiter::builder().build()?;
/// let chosen: Box<dyn Limiter> = if cfg!(feature = "strict") {
///     Box::new(limiter.absolute().clone())
/// } else {
///     Box::new(limiter.suppressed().clone())
/// };
/// assert!(may_send(&chosen, "alice")?);
/// # Ok(())
/// # }
/// ```
///
/// A fake for tests needs two methods:
///
/// ```
/// use trypema::{Limiter, RateLimit, RateLimitDecision, TrypemaError};
///
/// struct AlwaysFull;
///
/// impl Limiter for AlwaysFull {
///     fn inc(&self, _: &str, _: &RateLimit, _: u64) -> Result<RateLimitDecision, TrypemaError> {
///         Ok(RateLimitDecision::rejected(Some(1_000), 0))
///     }
///
///     fn is_allowed(&self, key: &str, rate: &RateLimit, n: u64) -> Result<RateLimitDecision, TrypemaError> {
///         self.inc(key, rate, n)
///     }
/// }
///
/// # fn main() -> Result<(), TrypemaError> {
/// assert!(!AlwaysFull.inc("alice", &RateLimit::per_minute(30)?, 1)?.is_allowed());
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    note = "a strategy of a limiter is one: call `.absolute()` or `.suppressed()`"
)]
pub trait Limiter: Send + Sync {
    /// Checks and records in one atomic step.
    ///
    /// # Errors
    /// If the provider cannot decide.
    fn inc(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<RateLimitDecision, TrypemaError>;

    /// The answer that `inc` would give, without counting anything.
    ///
    /// # Errors
    /// If the provider cannot decide.
    fn is_allowed(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
    ) -> Result<RateLimitDecision, TrypemaError>;

    /// Many calls of `inc`, each decided by itself; the answers are in the order asked. Providers
    /// have quicker ways than one call after the other, which is what this does by default.
    fn inc_many(
        &self,
        calls: &[(&str, &RateLimit, u64)],
    ) -> Vec<Result<RateLimitDecision, TrypemaError>> {
        calls.iter().map(|&(key, rate, count)| self.inc(key, rate, count)).collect()
    }

    /// Several limits at once: all of the calls are admitted, or nothing is counted.
    ///
    /// By default it asks for one after the other, and undoes those that were admitted if one is not.
    /// That is not one atomic step: the providers here do better.
    ///
    /// # Errors
    /// If the provider cannot decide.
    fn inc_all(&self, calls: &[(&str, &RateLimit, u64)]) -> Result<Combined, TrypemaError> {
        let mut combined = Combined::new(RateLimitDecision::allowed(u64::MAX), 0);
        for (index, &(key, rate, count)) in calls.iter().enumerate() {
            if count == 0 {
                combined.buckets.push(Bucket::NONE);
                continue;
            }
            let decision = self.inc(key, rate, count);
            if let Ok(decision) = &decision
                && decision.is_allowed()
            {
                combined.buckets.push(decision.bucket().unwrap_or(Bucket::NONE));
                if decision.remaining() < combined.remaining() {
                    combined.decision = *decision;
                    combined.tightest = index;
                }
                continue;
            }
            // All of them, before the first problem is told.
            let mut undone = Ok(());
            for (&(key, rate, count), bucket) in calls.iter().zip(&combined.buckets) {
                undone = undone.and(self.undo(key, rate, *bucket, count).map(|_| ()));
            }
            let refused = Combined::new(decision?, index);
            return undone.map(|()| refused);
        }
        Ok(combined)
    }

    /// Admitted or recorded units that still count in the window of `rate`. By default the capacity
    /// less the units that a look says are left.
    ///
    /// # Errors
    /// If the provider cannot tell.
    fn usage(&self, key: &str, rate: &RateLimit) -> Result<u64, TrypemaError> {
        let remaining = self.is_allowed(key, rate, 0)?.remaining();
        Ok(self.capacity(rate).saturating_sub(remaining))
    }

    /// Counts units in the window of `rate`, whatever the limit. `false`: there was no room for a new
    /// key. By default it calls `inc`, which may refuse them.
    ///
    /// # Errors
    /// If the provider cannot record them.
    fn record(&self, key: &str, rate: &RateLimit, count: u64) -> Result<bool, TrypemaError> {
        Ok(self.inc(key, rate, count)?.is_allowed())
    }

    /// Gives units back, oldest first, and returns how many. By default none.
    ///
    /// # Errors
    /// If the provider cannot tell whether they were given back.
    fn refund(&self, key: &str, rate: &RateLimit, count: u64) -> Result<u64, TrypemaError> {
        let _ = (key, rate, count);
        Ok(0)
    }

    /// Takes units out of the very bucket in which an admission counted them, and returns how many.
    /// By default none.
    ///
    /// # Errors
    /// If the provider cannot tell whether they were taken out.
    fn undo(
        &self,
        key: &str,
        rate: &RateLimit,
        bucket: Bucket,
        count: u64,
    ) -> Result<u64, TrypemaError> {
        let _ = (key, rate, bucket, count);
        Ok(0)
    }

    /// Forgets the key in all windows, and returns whether it was known. By default it knows none.
    ///
    /// # Errors
    /// If the provider cannot tell whether it was forgotten.
    fn reset(&self, key: &str) -> Result<bool, TrypemaError> {
        let _ = key;
        Ok(false)
    }

    /// Parks this thread until admitted. By default it asks again after each rejection's hint; the providers
    /// here wait in line, and are woken early.
    ///
    /// # Errors
    /// [`TrypemaError::ExceedsCapacity`] if the call can never be admitted, [`TrypemaError::Timeout`] if it
    /// was not admitted in time, and the provider's own errors.
    fn acquire(
        &self,
        key: &str,
        rate: &RateLimit,
        count: u64,
        timeout: Duration,
    ) -> Result<Admitted, TrypemaError> {
        /// The pause between two attempts, where no hint says when.
        const PAUSE: Duration = Duration::from_millis(10);
        let started = Instant::now();
        loop {
            let decision = self.inc(key, rate, count)?;
            if decision.is_allowed() {
                let bucket = decision.bucket().unwrap_or(Bucket::NONE);
                return Ok(Admitted::new(started.elapsed(), bucket));
            }
            if decision.is_never() {
                let (capacity, window) = (self.capacity(rate), self.window(rate));
                return Err(TrypemaError::exceeds_capacity(count, capacity, window));
            }
            match timeout.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) {
                Some(left) => thread::sleep(decision.retry_after().unwrap_or(PAUSE).min(left)),
                None => return Err(TrypemaError::timeout(timeout)),
            }
        }
    }

    /// The window that this rate is judged over. By default the rate's own period.
    fn window(&self, rate: &RateLimit) -> Duration {
        rate.period()
    }

    /// The units that this rate allows in its window.
    fn capacity(&self, rate: &RateLimit) -> u64 {
        rate.capacity(self.window(rate))
    }
}

/// Calls the macro `$then` with `$arguments` and the signature of every method of [`Limiter`].
macro_rules! methods {
    ($then:ident!($($arguments:tt)*)) => {
        $then! { ($($arguments)*)
            inc(key: &str, rate: &RateLimit, count: u64) -> Result<RateLimitDecision, TrypemaError>;
            is_allowed(key: &str, rate: &RateLimit, count: u64) -> Result<RateLimitDecision, TrypemaError>;
            inc_many(calls: &[Asked<'_>]) -> Vec<Result<RateLimitDecision, TrypemaError>>;
            inc_all(calls: &[Asked<'_>]) -> Result<Combined, TrypemaError>;
            usage(key: &str, rate: &RateLimit) -> Result<u64, TrypemaError>;
            record(key: &str, rate: &RateLimit, count: u64) -> Result<bool, TrypemaError>;
            refund(key: &str, rate: &RateLimit, count: u64) -> Result<u64, TrypemaError>;
            undo(key: &str, rate: &RateLimit, bucket: Bucket, count: u64) -> Result<u64, TrypemaError>;
            reset(key: &str) -> Result<bool, TrypemaError>;
            acquire(key: &str, rate: &RateLimit, count: u64, timeout: Duration) -> Result<Admitted, TrypemaError>;
            window(rate: &RateLimit) -> Duration;
            capacity(rate: &RateLimit) -> u64;
        }
    };
}

/// Implements the trait for a pointer, by the methods of the limiter behind it.
macro_rules! behind {
    (([$($generics:tt)*] $pointer:ty) $($method:ident($($name:ident: $type:ty),*) -> $answer:ty;)+) => {
        impl<$($generics)*> Limiter for $pointer {
            $(fn $method(&self, $($name: $type),*) -> $answer {
                (**self).$method($($name),*)
            })+
        }
    };
}

methods!(behind!([L: Limiter + ?Sized] &L));
methods!(behind!([L: Limiter + ?Sized] Box<L>));
methods!(behind!([L: Limiter + ?Sized] Arc<L>));

/// Implements the trait for a handle, by its own methods of the same names.
macro_rules! handle {
    (([$($generics:tt)*] $handle:ty) $($method:ident($($name:ident: $type:ty),*) -> $answer:ty;)+) => {
        impl<$($generics)*> Limiter for $handle {
            $(fn $method(&self, $($name: $type),*) -> $answer {
                Answer::answer(Self::$method(self, $($name),*))
            })+
        }
    };
}

methods!(handle!([S: BuildHasher + Clone + Send + Sync] LocalAbsolute<Key, S>));
methods!(handle!([S: BuildHasher + Clone + Send + Sync] LocalSuppressed<Key, S>));
#[cfg(feature = "redis")]
methods!(handle!([] crate::RedisAbsolute));
#[cfg(feature = "redis")]
methods!(handle!([] crate::RedisSuppressed));
#[cfg(feature = "redis")]
methods!(handle!([] crate::HybridAbsolute));
#[cfg(feature = "redis")]
methods!(handle!([] crate::HybridSuppressed));

/// Turns a handle's own answer into that of the trait.
trait Answer<T> {
    fn answer(self) -> T;
}

/// An answer that cannot fail.
impl<T> Answer<Result<T, TrypemaError>> for T {
    fn answer(self) -> Result<T, TrypemaError> {
        Ok(self)
    }
}

/// An answer that is the trait's already.
impl<T> Answer<Self> for Result<T, TrypemaError> {
    fn answer(self) -> Self {
        self
    }
}

impl Answer<Vec<Result<RateLimitDecision, TrypemaError>>> for Vec<RateLimitDecision> {
    fn answer(self) -> Vec<Result<RateLimitDecision, TrypemaError>> {
        self.into_iter().map(Ok).collect()
    }
}

impl Answer<Result<u64, TrypemaError>> for SuppressedUsage {
    fn answer(self) -> Result<u64, TrypemaError> {
        Ok(self.admitted)
    }
}

#[cfg(feature = "redis")]
impl Answer<Self> for Vec<Result<RateLimitDecision, TrypemaError>> {
    fn answer(self) -> Self {
        self
    }
}

#[cfg(feature = "redis")]
impl Answer<Result<u64, TrypemaError>> for Result<SuppressedUsage, TrypemaError> {
    fn answer(self) -> Result<u64, TrypemaError> {
        self.map(|usage| usage.admitted)
    }
}

impl Answer<Self> for Duration {
    fn answer(self) -> Self {
        self
    }
}

impl Answer<Self> for u64 {
    fn answer(self) -> Self {
        self
    }
}
