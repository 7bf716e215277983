//! Why a server was not asked, or has not answered as it should: which failures are outages, and after
//! which the server may have carried out the request all the same.

use core::fmt;
use core::time::Duration;
use std::io;

use ::redis::{ErrorKind, RedisError, ServerError};

use crate::TrypemaError;
use crate::redis::request::MAX_COUNT;

/// A failure, and the server that it is about.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) address: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// No connection, or it broke. `sent`: the request may have arrived.
    Io { cause: String, sent: bool },
    /// The server replied with this error, and did nothing.
    Server { code: String, cause: String },
    /// No connection came free in time.
    PoolTimeout { pool_size: usize, waited: Duration },
    /// Not asked: the breaker is open.
    BreakerOpen { cause: String, retry_after: Duration },
    /// The TLS handshake failed. That does not pass by itself. No request was sent yet.
    Tls { cause: String },
    /// The reply makes no sense.
    Protocol { cause: String },
    /// The key would hold more units than a script can count. It did nothing.
    CountTooLarge,
}

/// Errors of a server that cannot decide a call now, but may later.
const PASSING: [&str; 10] = [
    "LOADING",
    "READONLY",
    "OOM",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "TRYAGAIN",
    "BUSY",
    "MISCONF",
    "NOREPLICAS",
    NOT_MASTER,
];
/// Errors of a server that was demoted, has just started, or no longer knows us.
const WRONG_SERVER: [&str; 7] =
    ["READONLY", "MASTERDOWN", "LOADING", "CLUSTERDOWN", "NOAUTH", "WRONGPASS", NOT_MASTER];
/// The error of a server that takes no more clients.
const MAX_CLIENTS: &str = "max number of clients";
/// Our own code, for a server that a Sentinel calls the master but that says it is not.
pub(crate) const NOT_MASTER: &str = "NOTMASTER";

impl Kind {
    /// Whether it is an outage, for this call at least: the user's policy answers such failures.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::Io { .. } | Self::PoolTimeout { .. } | Self::BreakerOpen { .. } => true,
            Self::Server { code, cause } => {
                PASSING.contains(&code.as_str()) || cause.contains(MAX_CLIENTS)
            }
            Self::Tls { .. } | Self::Protocol { .. } | Self::CountTooLarge => false,
        }
    }

    /// Whether it is an outage for all calls: such failures open the breaker. A server that refuses writes still
    /// rejects calls above their limit, one lost slot is not the whole cluster, and a full pool is not the
    /// server's fault.
    pub(crate) fn opens_breaker(&self) -> bool {
        match self {
            Self::Server { code, cause } => match code.as_str() {
                "OOM" | "MISCONF" | "NOREPLICAS" | "TRYAGAIN" => false,
                "CLUSTERDOWN" => cause.contains("is down"),
                _ => self.is_outage(),
            },
            Self::PoolTimeout { .. } => false,
            _ => self.is_outage(),
        }
    }

    /// Whether the server takes no more clients.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Server { cause, .. } if cause.contains(MAX_CLIENTS))
    }

    /// Whether it says that this server, or this connection, is the wrong one to ask: earlier connections are no
    /// better, and looking the name up again may lead elsewhere.
    pub(crate) fn is_wrong_server(&self) -> bool {
        matches!(self, Self::Server { code, .. } if WRONG_SERVER.contains(&code.as_str()))
    }

    /// Whether the server has certainly not carried out the request.
    pub(crate) fn is_known_undone(&self) -> bool {
        match self {
            Self::Io { sent, .. } => !sent,
            Self::Server { .. }
            | Self::Tls { .. }
            | Self::PoolTimeout { .. }
            | Self::BreakerOpen { .. }
            | Self::CountTooLarge => true,
            Self::Protocol { .. } => false,
        }
    }

    pub(crate) fn at(self, address: impl fmt::Display) -> Failure {
        Failure { address: address.to_string(), kind: self }
    }

    /// The failure of a read or write. `sent`: some of the request may have left.
    pub(crate) fn of_io(error: &io::Error, sent: bool) -> Self {
        let cause = match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock if sent => {
                "no answer in time".to_owned()
            }
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no connection in time".into(),
            io::ErrorKind::UnexpectedEof => "it closed the connection".into(),
            _ => error.to_string(),
        };
        Self::Io { cause, sent }
    }

    /// The failure to read a reply.
    pub(crate) fn of_reply(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => {
                Self::Protocol { cause: format!("its reply is not of the protocol: {error}") }
            }
            _ if error.is_timeout() => Self::of_io(&io::ErrorKind::TimedOut.into(), true),
            _ if error.is_connection_dropped() => {
                Self::of_io(&io::ErrorKind::UnexpectedEof.into(), true)
            }
            _ => Self::Io { cause: error.to_string(), sent: true },
        }
    }

    /// The failure that an error reply means.
    pub(crate) fn of_server(error: &ServerError) -> Self {
        let mut code = error.code();
        let detail = error.details().unwrap_or_default();
        // Before version 7, an error inside a script comes in the text of another error.
        if code == "ERR"
            && detail.contains("Error running script")
            && let Some(inner) =
                PASSING.iter().find(|passing| detail.contains(&format!("-{passing} ")))
        {
            code = inner;
        }
        Self::Server { code: code.to_owned(), cause: format!("{} {detail}", error.code()) }
    }
}

impl Failure {
    /// As users see it. `count`: the units that the call was about.
    pub(crate) fn into_error(self, count: u64) -> TrypemaError {
        let Self { address, kind } = self;
        match kind {
            Kind::Io { cause, sent } => {
                TrypemaError::Redis { address, cause, outcome_unknown: sent }
            }
            Kind::Server { cause, .. } | Kind::Tls { cause } => {
                TrypemaError::Redis { address, cause, outcome_unknown: false }
            }
            Kind::PoolTimeout { pool_size, waited } => {
                TrypemaError::PoolTimeout { address, pool_size, waited }
            }
            Kind::BreakerOpen { cause, retry_after } => {
                TrypemaError::Unavailable { address, cause, retry_after }
            }
            Kind::Protocol { cause } => TrypemaError::UnexpectedReply { address, cause },
            Kind::CountTooLarge => TrypemaError::CountTooLarge { given: count, most: MAX_COUNT },
        }
    }
}

/// The cause alone, as the last one that a breaker remembers.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { cause, .. }
            | Self::Server { cause, .. }
            | Self::BreakerOpen { cause, .. }
            | Self::Tls { cause }
            | Self::Protocol { cause } => f.write_str(cause),
            Self::CountTooLarge => f.write_str("more units than can be counted"),
            Self::PoolTimeout { waited, .. } => {
                write!(f, "no connection was free for {waited:?}")
            }
        }
    }
}
