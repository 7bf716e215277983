//! A limiter on a manual clock that lets a test know who waits in `acquire`, and since when.
//!
//! A test of who is served first has to know who came first. A thread that waits says nothing, and
//! to give it "enough time" would be a guess. Two hooks that anybody can pass to a limiter do tell:
//!
//! - The first of a line watches the clock, so a clock that keeps note of who does knows of it.
//! - All others find that their key has a line already, by comparing keys, and do so with the lock
//!   in hand under which they also join it. So who comes after that comparison joins after them.
//!   Keys in the map are looked up by [`Ask`] here, which compares names; the comparison that is
//!   noted is the line's alone.
//!
//! The observer is told after a thread's turn has ended, so that two may be told of in either order.
//! The order of admissions is that of the time and of what each left: within a tick every admission
//! leaves less than the one before.

use std::cmp::Reverse;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope, ScopedJoinHandle, ThreadId};
use std::time::Duration;

use trypema::{
    Admitted, Clock, LocalRateLimiter, Lookup, ManualClock, RateLimit, TrypemaError, Watch,
};

pub(crate) use super::provider::{SIDES, Side};
use super::until::until;

/// Threads that have done something, once for each time.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<ThreadId>>>);

impl Notes {
    fn all(&self) -> MutexGuard<'_, Vec<ThreadId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A manual clock that notes who watches it.
#[derive(Clone, Default)]
pub(crate) struct Watched {
    pub(crate) clock: ManualClock,
    watches: Notes,
}

impl Watched {
    /// How many waits have come to the head of a line so far.
    pub(crate) fn watches(&self) -> usize {
        self.watches.all().len()
    }

    /// Returns when one more wait than `before` has come to the head of a line.
    #[track_caller]
    pub(crate) fn until_watched(&self, before: usize) {
        until("somebody waits", || self.watches() > before);
    }
}

impl Clock for Watched {
    fn now(&self) -> Duration {
        self.clock.now()
    }

    fn watch(&self, thread: &thread::Thread) -> Option<Watch> {
        let watch = self.clock.watch(thread);
        self.watches.all().push(thread.id());
        watch
    }
}

/// A key that notes which threads have compared two of it.
#[derive(Clone)]
pub(crate) struct Compared {
    name: u8,
    notes: Notes,
}

impl PartialEq for Compared {
    fn eq(&self, other: &Self) -> bool {
        self.notes.all().push(thread::current().id());
        self.name == other.name
    }
}

impl Eq for Compared {}

impl Hash for Compared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// Looks up a [`Compared`], without a note.
pub(crate) struct Ask(Compared);

impl Hash for Ask {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Lookup<Compared> for Ask {
    fn is(&self, key: &Compared) -> bool {
        self.0.name == key.name
    }

    fn to_key(&self) -> Compared {
        self.0.clone()
    }
}

/// When a thread was admitted, what its admission left, and its name.
type Told = (Duration, Reverse<u64>, String);

/// A limiter with one key that is waited for. Its hard limit is its soft limit, so that both
/// strategies admit the same.
pub(crate) struct Queue {
    pub(crate) limiter: LocalRateLimiter<Compared>,
    pub(crate) clock: Watched,
    pub(crate) key: Ask,
    pub(crate) side: Side,
    rate: RateLimit,
    admitted: Arc<Mutex<Vec<Told>>>,
}

impl Queue {
    pub(crate) fn new(side: Side, window: Duration, bucket: Duration, capacity: u32) -> Self {
        let clock = Watched::default();
        let admitted = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&admitted);
        let time = clock.clone();
        let limiter = LocalRateLimiter::builder()
            .window(window)
            .bucket(bucket)
            .hard_limit_factor(1.0)
            .clock(clock.clone())
            .keys::<Compared>()
            .observer(move |event| {
                let name = thread::current().name().unwrap_or("unnamed").to_owned();
                let order = (time.now(), Reverse(event.decision.remaining()), name);
                log.lock().unwrap_or_else(PoisonError::into_inner).push(order);
            })
            .build()
            .expect("settings under test are valid");
        let rate = RateLimit::per_second(f64::from(capacity) / window.as_secs_f64())
            .expect("rates under test are valid");
        assert_eq!(rate.capacity(window), u64::from(capacity));
        let key = Ask(Compared { name: 0, notes: Notes::default() });
        Self { limiter, clock, key, side, rate, admitted }
    }

    /// Uses up units, without the observer's notice. The key is in the map from then on.
    pub(crate) fn fill(&self, count: u64) {
        assert!(match self.side {
            Side::Absolute =>
                self.limiter.absolute().record(&self.key, &RateLimit::unlimited(), count),
            Side::Suppressed =>
                self.limiter.suppressed().record(&self.key, &RateLimit::unlimited(), count),
        });
    }

    pub(crate) fn usage(&self) -> u64 {
        match self.side {
            Side::Absolute => self.limiter.absolute().usage(&self.key, &RateLimit::unlimited()),
            Side::Suppressed => {
                self.limiter.suppressed().usage(&self.key, &RateLimit::unlimited()).admitted
            }
        }
    }

    pub(crate) fn refund(&self, count: u64) -> u64 {
        match self.side {
            Side::Absolute => {
                self.limiter.absolute().refund(&self.key, &RateLimit::unlimited(), count)
            }
            Side::Suppressed => {
                self.limiter.suppressed().refund(&self.key, &RateLimit::unlimited(), count)
            }
        }
    }

    pub(crate) fn inc(&self, count: u64) -> bool {
        let decision = match self.side {
            Side::Absolute => self.limiter.absolute().inc(&self.key, &self.rate, count),
            Side::Suppressed => self.limiter.suppressed().inc(&self.key, &self.rate, count),
        };
        decision.is_allowed()
    }

    pub(crate) fn acquire(&self, count: u64, timeout: Duration) -> Result<Admitted, TrypemaError> {
        match self.side {
            Side::Absolute => {
                self.limiter.absolute().acquire(&self.key, &self.rate, count, timeout)
            }
            Side::Suppressed => {
                self.limiter.suppressed().acquire(&self.key, &self.rate, count, timeout)
            }
        }
    }

    /// Starts a thread of this name that waits, and returns when it has joined the line.
    pub(crate) fn join<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        name: &str,
        count: u64,
        timeout: Duration,
    ) -> ScopedJoinHandle<'scope, Result<Admitted, TrypemaError>> {
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn_scoped(scope, move || self.acquire(count, timeout))
            .expect("the system can start a thread");
        let id = thread.thread().id();
        until("the thread has joined the line", || {
            self.key.0.notes.all().contains(&id) || self.clock.watches.all().contains(&id)
        });
        thread
    }

    /// Names of the threads admitted so far, in the order of their admission.
    pub(crate) fn admitted(&self) -> Vec<String> {
        let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        admitted.sort_by_key(|&(when, left, _)| (when, left));
        admitted.into_iter().map(|(.., name)| name).collect()
    }

    /// Returns when so many have been admitted in all. That it may be more is for the caller to
    /// see, by a later look.
    #[track_caller]
    pub(crate) fn until_admitted(&self, count: usize) {
        until("so many are admitted", || {
            self.admitted.lock().unwrap_or_else(PoisonError::into_inner).len() >= count
        });
    }
}
