//! Settings, and their checks.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use crate::clock::{Clock, ClockSource, MonotonicClock};
use crate::redis::connections::LONGEST;
use crate::redis::denial_cache::DenialCache;
use crate::redis::inner::{Inner, OutagePolicy};
use crate::redis::observer::{Observer, RedisEvent};
use crate::redis::windows::{Leasing, Plan};
use crate::redis::{OnUnavailable, RedisConnectionSettings, RedisConnections, RedisRateLimiter};
use crate::settings::{Settings, setters};
use crate::wait::Closed;
use crate::{LocalRateLimiter, TrypemaError};

/// The most keys that a limiter which stands in for Redis holds.
const MOST_LOCAL_KEYS: usize = 100_000;

/// Settings of a [`RedisRateLimiter`], made by
/// [`RedisRateLimiter::builder`](RedisRateLimiter::builder).
#[must_use = "a builder does nothing until it is built"]
pub struct RedisRateLimiterBuilder {
    url: String,
    connections: Option<RedisConnections>,
    connect: RedisConnectionSettings,
    settings: Settings,
    prefix: String,
    deadline: Duration,
    on_unavailable: OnUnavailable,
    local_share: f64,
    denial_cache: Duration,
    denial_cache_keys: usize,
    server_time: Option<Arc<dyn Clock>>,
    observer: Option<Observer>,
}

impl RedisRateLimiterBuilder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            connections: None,
            connect: RedisConnectionSettings::new(),
            settings: Settings::default(),
            prefix: "trypema".into(),
            deadline: Duration::from_millis(500),
            on_unavailable: OnUnavailable::Error,
            local_share: 1.0,
            denial_cache: Duration::from_secs(1),
            denial_cache_keys: 10_000,
            server_time: None,
            observer: None,
        }
    }

    setters!();

    /// The prefix of the names of all keys in Redis. Default: `trypema`. It must not contain `:`, `{` or
    /// `}`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Uses connections that other limiters use as well, instead of opening its own. They bring their URL and
    /// settings: the URL of this builder must be the same or empty, and it must set no connection settings.
    pub fn connections(mut self, connections: &RedisConnections) -> Self {
        self.connections = Some(connections.clone());
        self
    }

    /// The most connections to each server. Default: 16. They are opened when they are needed.
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.connect = self.connect.pool_size(connections);
        self
    }

    /// How long a connection may be idle before it is closed rather than used again. Default: 60 s, which
    /// is less than load balancers and NAT allow before they silently drop it.
    pub fn max_idle(mut self, time: Duration) -> Self {
        self.connect = self.connect.max_idle(time);
        self
    }

    /// How long a connection may live. Default: 30 min. Each lives for up to a tenth less, so that not all end
    /// at the same moment. A new connection looks the server's name up again.
    pub fn max_lifetime(mut self, time: Duration) -> Self {
        self.connect = self.connect.max_lifetime(time);
        self
    }

    /// For a cluster or a master that announces addresses which this process cannot reach, as behind NAT: maps a
    /// host and port announced by Redis or a Sentinel to those that lead there from here. `None` leaves an
    /// address as it is. Default: no mapping. Addresses in the URL are never mapped.
    ///
    /// ```
    /// use trypema::RedisRateLimiter;
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let limiter = RedisRateLimiter::builder("redis-cluster://gateway.example:7000")
    ///     .address_map(|host, port| host.starts_with("10.").then(|| ("gateway.example".into(), port)))
    ///     .build()?;
    /// # let _ = limiter;
    /// # Ok(())
    /// # }
    /// ```
    pub fn address_map(
        mut self,
        map: impl Fn(&str, u16) -> Option<(String, u16)> + Send + Sync + 'static,
    ) -> Self {
        self.connect = self.connect.address_map(map);
        self
    }

    /// The longest that a call may take: waiting for a connection, connecting, sending and
    /// receiving. Default: 500 ms.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How to answer calls while Redis is unavailable. Default: with an error.
    pub fn on_unavailable(mut self, policy: OnUnavailable) -> Self {
        self.on_unavailable = policy;
        self
    }

    /// With [`OnUnavailable::Local`]: the share of a rate that this process may admit by itself.
    /// Default: 1.0, all of it. Above 0 and at most 1; for `n` processes, `1 / n` keeps the sum.
    pub fn local_share(mut self, share: f64) -> Self {
        self.local_share = share;
        self
    }

    /// How long a rejection by Absolute may be repeated without asking Redis again: a call with the same
    /// key, capacity and count is rejected here until the hint of the first rejection has passed, and no
    /// longer than this. Default: 1 s. Zero turns the cache off.
    pub fn denial_cache(mut self, longest: Duration) -> Self {
        self.denial_cache = longest;
        self
    }

    /// The most keys that the denial cache holds. Default: 10,000.
    pub fn denial_cache_keys(mut self, keys: usize) -> Self {
        self.denial_cache_keys = keys;
        self
    }

    /// Calls `observer` after every `inc`, for each call of `inc_many`, once after `inc_all` (of the
    /// tightest limit, or of the first if it failed), and after every `acquire` that was admitted, on the
    /// calling thread, when no connection and no place in a queue is held any more. Default: none, and then
    /// no clock is read for it.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use trypema::{DecisionSource, OnUnavailable, RateLimit, RedisEvent, RedisRateLimiter};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// static DURING_OUTAGES: AtomicU64 = AtomicU64::new(0);
    /// // Nobody listens there.
    /// let limiter = RedisRateLimiter::builder("redis://127.0.0.1:1")
    ///     .on_unavailable(OnUnavailable::Reject)
    ///     .observer(|event: &RedisEvent<'_>| {
    ///         if event.source == DecisionSource::Policy {
    ///             DURING_OUTAGES.fetch_add(event.count, Ordering::Relaxed);
    ///         }
    ///     })
    ///     .build()?;
    /// assert!(!limiter.absolute().inc("alice", &RateLimit::per_minute(5.0)?, 2)?.is_allowed());
    /// assert_eq!(DURING_OUTAGES.load(Ordering::Relaxed), 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn observer(mut self, observer: impl Fn(&RedisEvent<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// When to stop asking a server: after `failures` in a row, for `pause`. Then one call is let through as a
    /// probe, and its success or failure decides how it goes on; if the last call hung, a separate thread
    /// probes instead. Default: 5 failures, 500 ms.
    pub fn breaker(mut self, failures: u32, pause: Duration) -> Self {
        self.connect = self.connect.breaker(failures, pause);
        self
    }

    /// For TLS: the certificates (PEM) of the authorities to trust, instead of those of the system.
    pub fn tls_roots(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.connect = self.connect.tls_roots(pem);
        self
    }

    /// For TLS: the whole configuration, for a crypto provider other than ring or other rules on
    /// certificates. Excludes `tls_roots` and `tls_client`.
    pub fn tls_config(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.connect = self.connect.tls_config(config);
        self
    }

    /// For TLS: a certificate (PEM, with those that lead to the authority) and its private key
    /// (PEM), for servers that ask their clients for one.
    pub fn tls_client(mut self, certificates: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.connect = self.connect.tls_client(certificates, key);
        self
    }

    /// User (of Redis' ACL; empty for the default one) and password, if the URL does not contain them.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.connect = self.connect.credentials(user, password);
        self
    }

    /// User (empty for the default one) and password for the Sentinels. Default: none.
    pub fn sentinel_credentials(
        mut self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        self.connect = self.connect.sentinel_credentials(user, password);
        self
    }

    /// Overrides the server's time, for tests: processes that are told different times would
    /// over-admit. Keys then live for a day longer, since the server forgets by its own time.
    #[doc(hidden)]
    pub fn server_time(mut self, clock: impl Clock + 'static) -> Self {
        self.server_time = Some(Arc::new(clock));
        self
    }

    /// Checks the settings and builds the limiter. Nothing is connected to yet.
    ///
    /// # Errors
    /// [`TrypemaError::InvalidConfig`] for a malformed URL (no part of which is shown); for a window, bucket or
    /// `hard_limit_factor` that [`LocalRateLimiterBuilder`](crate::LocalRateLimiterBuilder) would refuse;
    /// for a prefix with `:`, `{` or `}` in it; for a pool, deadline, breaker or pause of
    /// zero, or of more than a day; for a share that is not above 0 and at most 1; and for
    /// certificates that cannot be read.
    pub fn build(self) -> Result<RedisRateLimiter, TrypemaError> {
        self.parts(Leasing::Never).map(RedisRateLimiter::new)
    }

    /// [`build`](Self::build), for limiters that lease units as well.
    pub(crate) fn parts(self, leasing: Leasing) -> Result<Parts, TrypemaError> {
        let windowing = self.settings.windowing()?;
        if self.prefix.contains([':', '{', '}']) {
            let allowed = "it must not contain any of :, { and }";
            return Err(TrypemaError::config("prefix", self.prefix, allowed));
        }
        let deadline = self.deadline;
        if deadline.is_zero() || deadline > LONGEST {
            let allowed = "it must be above zero, and at most a day";
            return Err(TrypemaError::config("deadline", deadline, allowed));
        }
        let share = self.local_share;
        if !(share > 0.0 && share <= 1.0) {
            let allowed = "it must be above 0 and at most 1";
            return Err(TrypemaError::config("local_share", share, allowed));
        }
        let connections = match self.connections {
            None => self.connect.open(self.url, deadline)?,
            Some(connections) => {
                if self.connect.is_set {
                    let given = "set together with other connection settings";
                    let allowed = "the shared connections bring these settings";
                    return Err(TrypemaError::config("connections", given, allowed));
                }
                if !(self.url.is_empty() || self.url == connections.url) {
                    let allowed = "the URL of the limiter must be the same, or empty";
                    return Err(TrypemaError::config("connections", "to another URL", allowed));
                }
                connections
            }
        };
        let local = match self.on_unavailable {
            OnUnavailable::Local => {
                let builder = LocalRateLimiter::builder().settings(self.settings.clone());
                Some(builder.max_keys(MOST_LOCAL_KEYS).build()?)
            }
            _ => None,
        };
        let plan = Plan {
            prefix: self.prefix,
            windowing,
            hard_limit_factor: self.settings.hard_limit_factor,
            suppression_refresh: self.settings.suppression_refresh,
            told_time: self.server_time.is_some(),
            max_waiting: self.settings.max_waiting,
            closed: Closed::default(),
            leasing,
        };
        let pause = connections.pause;
        let inner = Inner {
            router: connections.routers,
            deadline,
            outage_policy: OutagePolicy { policy: self.on_unavailable, local, share, pause },
            random: self.settings.random,
            server_time: self.server_time,
            opened: connections.opened,
            observer: self.observer,
        };
        Ok(Parts { inner, plan, denials: (self.denial_cache, self.denial_cache_keys) })
    }
}

/// Everything that a limiter is made of.
pub(crate) struct Parts {
    pub(crate) inner: Inner,
    pub(crate) plan: Plan,
    /// How long a rejection is repeated, and of how many keys.
    pub(crate) denials: (Duration, usize),
}

impl Parts {
    /// A denial cache that repeats a rejection for at most so long, if there is to be one.
    pub(crate) fn denial_cache(&self, longest: Duration) -> Option<DenialCache> {
        // If a test sets the server's time, this process goes by the same time.
        let clock = match &self.inner.server_time {
            Some(clock) => ClockSource::Custom(Box::new(Arc::clone(clock))),
            None => ClockSource::Monotonic(MonotonicClock::new()),
        };
        let (set, keys) = self.denials;
        DenialCache::new(set.min(longest), keys, clock)
    }
}

impl fmt::Debug for RedisRateLimiterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRateLimiterBuilder")
            .field("windows", &self.settings.windows)
            .field("bucket", &self.settings.bucket)
            .finish_non_exhaustive()
    }
}
