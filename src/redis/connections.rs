//! Connections to one Redis, which limiters may share, and their settings.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::ClientConfig;

use crate::TrypemaError;
use crate::redis::RedisRateLimiterBuilder;
use crate::redis::net::node::Limits;
use crate::redis::net::pool::Bounds;
use crate::redis::net::tls::{Certificates, Tls};
use crate::redis::net::url::{Deployment, Target};
use crate::redis::net::{Connector, Role};
use crate::redis::router::{AddressMap, Recipe, Routers};

/// The longest deadline or pause.
pub(crate) const LONGEST: Duration = Duration::from_secs(86_400);

/// The deadline of probes where no limiter sets one: a limiter's default deadline.
const PROBE: Duration = Duration::from_millis(500);

/// Pools of connections to the servers behind one URL, for any number of limiters to share, together with
/// the topology learned from Sentinels or the cluster, and each server's breaker.
///
/// A limiter makes its own unless it is given these. Cheap to clone; they close when the last clone and the
/// last limiter over them are dropped.
///
/// ```no_run
/// use core::time::Duration;
/// use trypema::{RedisConnectionSettings, RedisConnections, TrypemaError};
///
/// # fn main() -> Result<(), TrypemaError> {
/// let settings = RedisConnectionSettings::new().pool_size(8);
/// let connections = RedisConnections::open("redis://127.0.0.1:6379", settings)?;
/// let logins = connections.limiter().prefix("logins").build()?;
/// let searches = connections.limiter().prefix("searches").window(Duration::from_secs(1)).build()?;
/// # let _ = (logins, searches);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisConnections {
    pub(crate) url: String,
    pub(crate) routers: Arc<Routers>,
    /// The breaker's.
    pub(crate) pause: Duration,
    pub(crate) opened: Arc<AtomicU64>,
}

impl RedisConnections {
    /// Checks the URL (see [`RedisRateLimiter::builder`](crate::RedisRateLimiter::builder)) and the settings.
    /// Nothing is connected to yet.
    ///
    /// # Errors
    /// [`TrypemaError::InvalidConfig`], as [`build`](RedisRateLimiterBuilder::build) for the same settings.
    pub fn open(
        url: impl Into<String>,
        settings: RedisConnectionSettings,
    ) -> Result<Self, TrypemaError> {
        settings.open(url.into(), PROBE)
    }

    /// A builder with default settings, for a limiter over these connections.
    pub fn limiter(&self) -> RedisRateLimiterBuilder {
        RedisRateLimiterBuilder::new(String::new()).connections(self)
    }

    /// Connections opened so far.
    #[must_use]
    pub fn opened(&self) -> u64 {
        // Relaxed: a statistic.
        self.opened.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for RedisConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConnections").field("opened", &self.opened()).finish_non_exhaustive()
    }
}

/// Settings of [`RedisConnections`]. The methods of the same names of [`RedisRateLimiterBuilder`] explain each.
#[derive(Clone)]
#[must_use = "settings do nothing until something is opened with them"]
pub struct RedisConnectionSettings {
    pool_size: usize,
    max_idle: Duration,
    max_lifetime: Duration,
    address_map: Option<AddressMap>,
    breaker: (u32, Duration),
    tls_config: Option<Arc<ClientConfig>>,
    tls_roots: Option<Vec<u8>>,
    tls_client: Option<(Vec<u8>, Vec<u8>)>,
    credentials: Option<(String, String)>,
    sentinel_credentials: Option<(String, String)>,
    /// Whether any setting was made.
    pub(crate) is_set: bool,
}

impl Default for RedisConnectionSettings {
    fn default() -> Self {
        Self::new()
    }
}

impl RedisConnectionSettings {
    /// The breaker unless it is set.
    pub(crate) const BREAKER: (u32, Duration) = (5, Duration::from_millis(500));

    /// The defaults.
    pub fn new() -> Self {
        Self {
            pool_size: 16,
            max_idle: Duration::from_secs(60),
            max_lifetime: Duration::from_secs(1_800),
            address_map: None,
            breaker: Self::BREAKER,
            tls_config: None,
            tls_roots: None,
            tls_client: None,
            credentials: None,
            sentinel_credentials: None,
            is_set: false,
        }
    }

    fn with(mut self, set: impl FnOnce(&mut Self)) -> Self {
        self.is_set = true;
        set(&mut self);
        self
    }

    /// The most connections to each server. Default: 16.
    pub fn pool_size(self, connections: usize) -> Self {
        self.with(|settings| settings.pool_size = connections)
    }

    /// How long a connection may be idle. Default: 60 s.
    pub fn max_idle(self, time: Duration) -> Self {
        self.with(|settings| settings.max_idle = time)
    }

    /// How long a connection may live. Default: 30 min.
    pub fn max_lifetime(self, time: Duration) -> Self {
        self.with(|settings| settings.max_lifetime = time)
    }

    /// Maps addresses that servers announce to those that lead there from here.
    pub fn address_map(
        self,
        map: impl Fn(&str, u16) -> Option<(String, u16)> + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.address_map = Some(Arc::new(map)))
    }

    /// When to stop asking a server, and for how long. Default: after 5 failures, for 500 ms.
    pub fn breaker(self, failures: u32, pause: Duration) -> Self {
        self.with(|settings| settings.breaker = (failures, pause))
    }

    /// For TLS: the certificates (PEM) of the authorities to trust.
    pub fn tls_roots(self, pem: impl Into<Vec<u8>>) -> Self {
        self.with(|settings| settings.tls_roots = Some(pem.into()))
    }

    /// For TLS: a certificate and its private key (PEM).
    pub fn tls_client(self, certificates: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.with(|settings| settings.tls_client = Some((certificates.into(), key.into())))
    }

    /// For TLS: the whole configuration.
    pub fn tls_config(self, config: Arc<ClientConfig>) -> Self {
        self.with(|settings| settings.tls_config = Some(config))
    }

    /// User (empty for the default one) and password.
    pub fn credentials(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.with(|settings| settings.credentials = Some((user.into(), password.into())))
    }

    /// User (empty for the default one) and password for the Sentinels.
    pub fn sentinel_credentials(
        self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        self.with(|settings| settings.sentinel_credentials = Some((user.into(), password.into())))
    }

    /// `probe`: the deadline of a probe that no call waits for.
    pub(crate) fn open(
        self,
        url: String,
        probe: Duration,
    ) -> Result<RedisConnections, TrypemaError> {
        let mut target = Target::parse(&url)?;
        if let Some((user, password)) = self.credentials {
            target.user = Some(user).filter(|user| !user.is_empty());
            target.password = Some(password);
        }
        if self.pool_size == 0 {
            return Err(TrypemaError::config("pool_size", 0, "it must be at least 1"));
        }
        let (failures, pause) = self.breaker;
        if failures == 0 {
            return Err(TrypemaError::config("breaker", 0, "it must be at least 1 failure"));
        }
        if pause.is_zero() || pause > LONGEST {
            let allowed = "it must be above zero, and at most a day";
            return Err(TrypemaError::config("breaker", pause, allowed));
        }
        for (field, time) in [("max_idle", self.max_idle), ("max_lifetime", self.max_lifetime)] {
            if time.is_zero() {
                return Err(TrypemaError::config(field, time, "it must be above zero"));
            }
        }
        let certificates = Certificates { roots: self.tls_roots, client: self.tls_client };
        let tls = match self.tls_config {
            _ if !target.tls => None,
            Some(config) => Some(Arc::new(Tls::of(config, &certificates)?)),
            None => Some(Arc::new(Tls::new(&certificates)?)),
        };
        let opened = Arc::new(AtomicU64::new(0));
        let connector = |user, password, database, role| {
            Arc::new(Connector {
                tls: tls.clone(),
                user,
                password,
                database,
                role,
                opened: Arc::clone(&opened),
            })
        };
        let (sentinel_user, sentinel_password) = match self.sentinel_credentials {
            Some((user, password)) => (Some(user).filter(|user| !user.is_empty()), Some(password)),
            None => (None, None),
        };
        let scouts = connector(sentinel_user, sentinel_password, 0, Role::Sentinel);
        let role = match target.deployment {
            Deployment::Sentinel { .. } => Role::Master,
            _ => Role::Server,
        };
        let connector = connector(target.user, target.password, target.database, role);
        let pool = Bounds {
            size: self.pool_size,
            max_idle: self.max_idle,
            max_lifetime: self.max_lifetime,
        };
        let limits = Limits { pool, failures, pause, deadline: probe, is_impatient: false };
        let routers = Routers::new(Recipe {
            deployment: target.deployment,
            limits,
            connector,
            scouts,
            address_map: self.address_map,
        });
        Ok(RedisConnections { url, routers: Arc::new(routers), pause, opened })
    }
}

impl fmt::Debug for RedisConnectionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConnectionSettings")
            .field("pool_size", &self.pool_size)
            .field("max_idle", &self.max_idle)
            .field("max_lifetime", &self.max_lifetime)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}
