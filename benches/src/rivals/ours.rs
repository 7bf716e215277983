use core::time::Duration;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use trypema::{Clock, LocalRateLimiter, LocalRateLimiterBuilder, RateLimit};

use crate::keys::Prepared;
use crate::rivals::Rival;
use crate::rule::Rule;

/// This crate, Absolute.
#[derive(Debug)]
pub struct Absolute {
    /// For what the interface of rivals does not offer.
    pub limiter: LocalRateLimiter,
    /// The rule's rate.
    pub rate: RateLimit,
}

/// This crate, Absolute, with a clock that a thread advances.
#[derive(Debug)]
pub struct AbsoluteCoarse(pub Absolute);

/// This crate, Suppressed.
#[derive(Debug)]
pub struct Suppressed {
    /// As of [`Absolute`].
    pub limiter: LocalRateLimiter,
    /// The rule's rate.
    pub rate: RateLimit,
    hard: u64,
}

fn builder(rule: Rule) -> LocalRateLimiterBuilder {
    LocalRateLimiter::builder().window(rule.window).bucket(rule.bucket)
}

/// The rule's rate, as a user would say it: per second if that is a whole number.
fn rate(rule: Rule) -> RateLimit {
    let rate = match rule.per_second() {
        whole if whole.fract() == 0.0 => RateLimit::per_second(whole),
        _ => RateLimit::per(rule.capacity, rule.window),
    };
    let rate = rate.expect("a positive rate");
    assert_eq!(rate.capacity(rule.window), u64::from(rule.capacity));
    rate
}

fn absolute(builder: LocalRateLimiterBuilder, rule: Rule) -> Absolute {
    Absolute { limiter: builder.build().expect("valid settings"), rate: rate(rule) }
}

/// With the default factor of 1.5.
pub(super) fn hard_limit(rule: &Rule) -> u64 {
    u64::from(rule.capacity) * 3 / 2
}

impl Rival for Absolute {
    fn new(rule: Rule) -> Self {
        absolute(builder(rule), rule)
    }

    #[inline]
    fn inc(&self, key: &Prepared) -> bool {
        self.limiter.absolute().inc(key.text.as_str(), &self.rate, 1).is_allowed()
    }

    #[inline]
    fn inc_by(&self, key: &Prepared, count: u32) -> bool {
        self.limiter.absolute().inc(key.text.as_str(), &self.rate, u64::from(count)).is_allowed()
    }
}

impl Rival for AbsoluteCoarse {
    fn new(rule: Rule) -> Self {
        Self(absolute(builder(rule).clock(CoarseClock::shared()), rule))
    }

    #[inline]
    fn inc(&self, key: &Prepared) -> bool {
        self.0.inc(key)
    }

    #[inline]
    fn inc_by(&self, key: &Prepared, count: u32) -> bool {
        self.0.inc_by(key, count)
    }
}

impl Rival for Suppressed {
    fn new(rule: Rule) -> Self {
        let limiter = builder(rule).build().expect("valid settings");
        Self { limiter, rate: rate(rule), hard: hard_limit(&rule) }
    }

    #[inline]
    fn inc(&self, key: &Prepared) -> bool {
        self.limiter.suppressed().inc(key.text.as_str(), &self.rate, 1).is_allowed()
    }

    #[inline]
    fn inc_by(&self, key: &Prepared, count: u32) -> bool {
        self.limiter.suppressed().inc(key.text.as_str(), &self.rate, u64::from(count)).is_allowed()
    }

    /// To the hard limit, where an overload of a key arrives at once and stays: asking until the
    /// first refusal would stop at some random place between the limits.
    fn fill(&self, key: &Prepared) {
        let _ = self.limiter.suppressed().record(key.text.as_str(), &self.rate, self.hard);
    }
}

/// Time that costs a load to read: a thread advances it every millisecond, or a little later where
/// that thread has to wait for a core.
#[derive(Debug)]
struct CoarseClock {
    nanos: AtomicU64,
}

impl CoarseClock {
    /// The one of this process, whose thread runs until the process ends.
    fn shared() -> &'static Self {
        static CLOCK: CoarseClock = CoarseClock { nanos: AtomicU64::new(0) };
        static STARTED: OnceLock<()> = OnceLock::new();
        STARTED.get_or_init(|| {
            let origin = Instant::now();
            thread::spawn(move || {
                loop {
                    let nanos = u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
                    // Relaxed: a number that stands for itself.
                    CLOCK.nanos.store(nanos, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(1));
                }
            });
        });
        &CLOCK
    }
}

impl Clock for &'static CoarseClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.now_nanos())
    }

    fn now_nanos(&self) -> u64 {
        self.nanos.load(Ordering::Relaxed)
    }
}
