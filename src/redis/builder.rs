//! Settings, and what they have to satisfy.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::clock::{Clock, ClockSource, MonotonicClock};
use crate::policy::Grid;
use crate::policy::suppressed::Suppression;
use crate::random::Random;
use crate::redis::denial_cache::DenialCache;
use crate::redis::inner::{Inner, OutagePolicy};
use crate::redis::net::Connector;
use crate::redis::net::node::Limits;
use crate::redis::net::pool::Bounds;
use crate::redis::net::tls::{Certificates, Tls};
use crate::redis::net::url::{Deployment, Target};
use crate::redis::router::{AddressMap, Router};
use crate::redis::script::Settings;
use crate::redis::{OnUnavailable, RedisRateLimiter};
use crate::window::Layout;
use crate::{LocalRateLimiter, TrypemaError};

/// Of deadlines and pauses.
const LONGEST: Duration = Duration::from_secs(86_400);
/// The most keys that a limiter which stands in for Redis holds.
const MOST_LOCAL_KEYS: usize = 100_000;

/// Settings of a [`RedisRateLimiter`], made by
/// [`RedisRateLimiter::builder`](RedisRateLimiter::builder).
#[must_use = "a builder does nothing until it is built"]
pub struct RedisRateLimiterBuilder {
    url: String,
    window: Duration,
    bucket: Duration,
    hard_limit_factor: f64,
    suppression_refresh: Duration,
    random: Option<Arc<dyn Random>>,
    prefix: String,
    pool_size: usize,
    max_idle: Duration,
    max_lifetime: Duration,
    address_map: Option<AddressMap>,
    deadline: Duration,
    on_unavailable: OnUnavailable,
    local_share: f64,
    denial_cache: Duration,
    denial_cache_keys: usize,
    breaker: (u32, Duration),
    tls_roots: Option<Vec<u8>>,
    tls_client: Option<(Vec<u8>, Vec<u8>)>,
    credentials: Option<(String, String)>,
    sentinel_credentials: Option<(String, String)>,
    server_time: Option<Arc<dyn Clock>>,
}

impl RedisRateLimiterBuilder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            window: Duration::from_secs(60),
            bucket: Duration::from_millis(100),
            hard_limit_factor: 1.5,
            suppression_refresh: Duration::from_millis(100),
            random: None,
            prefix: "trypema".into(),
            pool_size: 16,
            max_idle: Duration::from_secs(60),
            max_lifetime: Duration::from_secs(1_800),
            address_map: None,
            deadline: Duration::from_millis(500),
            on_unavailable: OnUnavailable::Error,
            local_share: 1.0,
            denial_cache: Duration::from_secs(1),
            denial_cache_keys: 10_000,
            breaker: (5, Duration::from_millis(500)),
            tls_roots: None,
            tls_client: None,
            credentials: None,
            sentinel_credentials: None,
            server_time: None,
        }
    }

    /// The sliding window: a rate's capacity is what it allows in this time. Default: 60 s.
    ///
    /// A whole number of milliseconds. One that is not a whole number of buckets is held for the
    /// next longer time that is; capacities are still taken over the window given here.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// The grain of time: units admitted in the same bucket expire together, when the bucket's
    /// *end* is older than the window. Default: 100 ms.
    ///
    /// A whole number of milliseconds, at most the window.
    pub fn bucket(mut self, bucket: Duration) -> Self {
        self.bucket = bucket;
        self
    }

    /// For the Suppressed strategy: the hard limit as a multiple of the capacity. Default: 1.5. At
    /// least 1.
    pub fn hard_limit_factor(mut self, factor: f64) -> Self {
        self.hard_limit_factor = factor;
        self
    }

    /// For the Suppressed strategy: how long a key's perceived rate is used before it is computed
    /// again. Default: 100 ms.
    pub fn suppression_refresh(mut self, refresh: Duration) -> Self {
        self.suppression_refresh = refresh;
        self
    }

    /// Where the Suppressed strategy draws from. Default: a
    /// [`ThreadRandom`](crate::ThreadRandom).
    pub fn random(mut self, random: impl Random + 'static) -> Self {
        self.random = Some(Arc::new(random));
        self
    }

    /// What the names of all keys in Redis begin with. Default: `trypema`. Without `:`, `{` and
    /// `}`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The most connections to each server. Default: 16. They are opened when they are needed.
    pub fn pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections;
        self
    }

    /// How long a connection may be idle before it is closed rather than used again. Default: 60 s, which
    /// is less than load balancers and NAT allow before they drop it without a word.
    pub fn max_idle(mut self, time: Duration) -> Self {
        self.max_idle = time;
        self
    }

    /// How long a connection may live. Default: 30 min. Each lives for up to a tenth less, so that not all end
    /// at the same moment. Afterwards another look is taken at the name of the server.
    pub fn max_lifetime(mut self, time: Duration) -> Self {
        self.max_lifetime = time;
        self
    }

    /// For a cluster, or a master, that is reached by other addresses than it tells of itself, as behind NAT: from a
    /// host and port as Redis or a Sentinel tells them to those that lead there from here. `None` leaves them as
    /// they are. Default: all are left as they are. Those of the URL are never mapped.
    pub fn address_map(
        mut self,
        map: impl Fn(&str, u16) -> Option<(String, u16)> + Send + Sync + 'static,
    ) -> Self {
        self.address_map = Some(Arc::new(map));
        self
    }

    /// The longest that a call may take: waiting for a connection, connecting, sending and
    /// receiving. Default: 500 ms.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What to answer when Redis is away. Default: an error.
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

    /// How long a rejection by Absolute may be repeated without asking Redis again: the same ask
    /// (key, capacity and count) is rejected here until the hint it was given has passed, and no
    /// longer than this. Default: 1 s. Zero turns it off.
    pub fn denial_cache(mut self, longest: Duration) -> Self {
        self.denial_cache = longest;
        self
    }

    /// The most keys that the denial cache holds. Default: 10,000.
    pub fn denial_cache_keys(mut self, keys: usize) -> Self {
        self.denial_cache_keys = keys;
        self
    }

    /// When to leave a server alone: after so many failures in a row, for so long. Then one call is
    /// let through, and says by its success or failure how it goes on. Default: 5 failures, 500 ms.
    pub fn breaker(mut self, failures: u32, pause: Duration) -> Self {
        self.breaker = (failures, pause);
        self
    }

    /// For TLS: the certificates (PEM) of the authorities to trust, instead of those of the system.
    pub fn tls_roots(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls_roots = Some(pem.into());
        self
    }

    /// For TLS: a certificate (PEM, with those that lead to the authority) and its private key
    /// (PEM), for servers that ask their clients for one.
    pub fn tls_client(mut self, certificates: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.tls_client = Some((certificates.into(), key.into()));
        self
    }

    /// User (of Redis' ACL; empty for the default one) and password, for when they are not part of
    /// the URL.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some((user.into(), password.into()));
        self
    }

    /// User (empty for the default one) and password for the Sentinels. Default: none.
    pub fn sentinel_credentials(
        mut self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        self.sentinel_credentials = Some((user.into(), password.into()));
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
    /// [`TrypemaError::InvalidConfig`] for a URL that makes no sense; for a window, bucket or
    /// `hard_limit_factor` that [`LocalRateLimiterBuilder`](crate::LocalRateLimiterBuilder) would not
    /// take either; for a prefix with `:`, `{` or `}` in it; for a pool, deadline, breaker or pause of
    /// zero, or of more than a day; for a share that is not above 0 and at most 1; and for
    /// certificates that cannot be read.
    pub fn build(self) -> Result<RedisRateLimiter, TrypemaError> {
        let mut target = Target::parse(&self.url)?;
        if let Some((user, password)) = self.credentials {
            target.user = Some(user).filter(|user| !user.is_empty());
            target.password = Some(password);
        }
        let grid = Grid::new(self.window, self.bucket, Layout::LONGEST_SPAN)?;
        let factor = self.hard_limit_factor;
        if !(factor.is_finite() && factor >= 1.0) {
            let allowed = "it must be a finite number, at least 1";
            return Err(TrypemaError::config("hard_limit_factor", factor, allowed));
        }
        if self.prefix.contains([':', '{', '}']) {
            let allowed = "it must not contain any of :, { and }";
            return Err(TrypemaError::config("prefix", self.prefix, allowed));
        }
        if self.pool_size == 0 {
            return Err(TrypemaError::config("pool_size", 0, "it must be at least 1"));
        }
        let (failures, pause) = self.breaker;
        if failures == 0 {
            return Err(TrypemaError::config("breaker", 0, "it must be at least 1 failure"));
        }
        for (field, time) in [("max_idle", self.max_idle), ("max_lifetime", self.max_lifetime)] {
            if time.is_zero() {
                return Err(TrypemaError::config(field, time, "it must be above zero"));
            }
        }
        for (field, time) in [("deadline", self.deadline), ("breaker", pause)] {
            if time.is_zero() || time > LONGEST {
                let allowed = "it must be above zero, and at most a day";
                return Err(TrypemaError::config(field, time, allowed));
            }
        }
        let share = self.local_share;
        if !(share > 0.0 && share <= 1.0) {
            let allowed = "it must be above 0 and at most 1";
            return Err(TrypemaError::config("local_share", share, allowed));
        }
        let certificates = Certificates { roots: self.tls_roots, client: self.tls_client };
        let tls = if target.tls { Some(Arc::new(Tls::new(&certificates)?)) } else { None };

        let local = match self.on_unavailable {
            OnUnavailable::Local => {
                let builder = LocalRateLimiter::builder()
                    .window(self.window)
                    .bucket(self.bucket)
                    .hard_limit_factor(factor)
                    .suppression_refresh(self.suppression_refresh)
                    .max_keys(MOST_LOCAL_KEYS);
                let builder = match &self.random {
                    Some(random) => builder.random(Arc::clone(random)),
                    None => builder,
                };
                Some(builder.build()?)
            }
            _ => None,
        };
        let suppression = Suppression::new(&grid, factor, self.suppression_refresh);
        let told_time = self.server_time.is_some();
        // Where tests tell the server's time, that of this process goes with it.
        let clock = match &self.server_time {
            Some(clock) => ClockSource::Custom(Box::new(Arc::clone(clock))),
            None => ClockSource::Monotonic(MonotonicClock::new()),
        };
        let opened = Arc::new(AtomicU64::new(0));
        let connector = |user, password, database, masters_only| Connector {
            tls: tls.clone(),
            user,
            password,
            database,
            masters_only,
            opened: Arc::clone(&opened),
        };
        let (sentinel_user, sentinel_password) = match self.sentinel_credentials {
            Some((user, password)) => (Some(user).filter(|user| !user.is_empty()), Some(password)),
            None => (None, None),
        };
        let scouts = connector(sentinel_user, sentinel_password, 0, false);
        let masters_only = matches!(target.deployment, Deployment::Sentinel { .. });
        let connector = connector(target.user, target.password, target.database, masters_only);
        let pool = Bounds {
            size: self.pool_size,
            max_idle: self.max_idle,
            max_lifetime: self.max_lifetime,
        };
        let limits = Limits { pool, failures, pause, deadline: self.deadline, is_impatient: false };
        let inner = Inner {
            prefix: self.prefix,
            router: Router::new(target.deployment, limits, connector, scouts, self.address_map),
            deadline: self.deadline,
            outage_policy: OutagePolicy { policy: self.on_unavailable, local, share, pause },
            random: self.random,
            server_time: self.server_time,
            opened,
        };
        let denial_cache = DenialCache::new(self.denial_cache, self.denial_cache_keys, clock);
        Ok(RedisRateLimiter::new(inner, Settings { grid, suppression, told_time }, denial_cache))
    }
}

impl fmt::Debug for RedisRateLimiterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRateLimiterBuilder")
            .field("window", &self.window)
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}
