//! URLs: what a limiter is told about its server in one line.

use ::redis::{ConnectionAddr, IntoConnectionInfo};

use crate::TrypemaError;
use crate::redis::net::Address;

const FORMS: &str = "it must be redis://, rediss:// (with TLS), redis-sentinel:// or \
                     redis-cluster:// (rediss- with TLS), then [user:password@]host[:port], of \
                     which the latter two may have several, separated by commas, then [/database], \
                     or for Sentinel /service[/database]; or redis+unix:///path";

/// What may follow the path of a unix socket.
const SOCKET_QUERY: [&str; 3] = ["db", "user", "pass"];

/// What a URL says.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) deployment: Deployment,
    pub(crate) tls: bool,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deployment {
    Single(Address),
    Sentinel { sentinels: Vec<Address>, service: String },
    Cluster { seeds: Vec<Address> },
}

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, TrypemaError> {
        Self::read(url).map_err(|problem| TrypemaError::InvalidConfig {
            field: "url",
            given: format!("{:?}", without_password(url)),
            allowed: match problem {
                Some(problem) => format!("{problem}; {FORMS}"),
                None => FORMS.into(),
            },
        })
    }

    fn read(url: &str) -> Result<Self, Option<String>> {
        let (scheme, rest) = url.split_once("://").ok_or(None)?;
        let (tls, kind) = match scheme {
            "redis" => (false, ""),
            "rediss" => (true, ""),
            "redis+unix" | "unix" => (false, "unix"),
            "redis-sentinel" => (false, "sentinel"),
            "rediss-sentinel" => (true, "sentinel"),
            "redis-cluster" => (false, "cluster"),
            "rediss-cluster" => (true, "cluster"),
            _ => return Err(None),
        };
        if rest.contains('#') {
            return Err(Some("what follows a # is not parse".into()));
        }
        if let Some((_, query)) = rest.split_once('?') {
            let mut names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
            // Not repeated: it may be a piece of a password.
            if kind != "unix" || !names.all(|name| SOCKET_QUERY.contains(&name)) {
                return Err(Some("what follows the ? is not parse".into()));
            }
        }
        match kind {
            "unix" => Self::one(&format!("redis+unix://{rest}"), false),
            "" => Self::one(&format!("redis://{rest}"), tls),
            _ => Self::several(kind, rest, tls),
        }
    }

    /// A URL with a single server, as the `redis` crate reads it.
    fn one(url: &str, tls: bool) -> Result<Self, Option<String>> {
        let info = url.into_connection_info().map_err(|error| Some(error.to_string()))?;
        let settings = info.redis_settings();
        if settings.db() < 0 {
            return Err(Some("a database is not below 0".into()));
        }
        let address = match info.addr() {
            ConnectionAddr::Tcp(_, 0) => return Err(Some("nothing listens on port 0".into())),
            ConnectionAddr::Tcp(host, _) if host.contains(',') => {
                let problem = "several servers are for redis-sentinel:// and redis-cluster://";
                return Err(Some(problem.into()));
            }
            ConnectionAddr::Tcp(host, port) => Address::Tcp { host: host.clone(), port: *port },
            ConnectionAddr::Unix(path) => Address::Unix(path.clone()),
            _ => return Err(None),
        };
        Ok(Self {
            deployment: Deployment::Single(address),
            tls,
            user: settings.username().map(str::to_owned),
            password: settings.password().map(str::to_owned),
            database: settings.db(),
        })
    }

    fn several(kind: &str, rest: &str, tls: bool) -> Result<Self, Option<String>> {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        let (service, database) = match kind {
            "sentinel" => path.split_once('/').unwrap_or((path, "")),
            _ => ("", path),
        };
        let mut addresses = Vec::new();
        let mut target = None;
        for host in hosts.split(',') {
            let one = Self::one(&format!("redis://{user}{host}/{database}"), tls)?;
            if let Deployment::Single(address) = &one.deployment {
                addresses.push(address.clone());
            }
            target.get_or_insert(one);
        }
        let target = target.ok_or(None)?;
        let deployment = if kind == "sentinel" {
            if service.is_empty() {
                return Err(Some("the name of the service is missing".into()));
            }
            Deployment::Sentinel { sentinels: addresses, service: service.to_owned() }
        } else {
            if target.database != 0 {
                return Err(Some("a cluster has no database but 0".into()));
            }
            Deployment::Cluster { seeds: addresses }
        };
        Ok(Self { deployment, ..target })
    }
}

/// For errors: passwords are not to be found in logs.
fn without_password(url: &str) -> String {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at(after_scheme);
    let rest = match rest.rsplit_once('@') {
        Some((_, rest)) => format!("...@{rest}"),
        None => rest.to_owned(),
    };
    match rest.split_once("pass=") {
        Some((before, _)) => format!("{scheme}{before}pass=..."),
        None => format!("{scheme}{rest}"),
    }
}
