//! Why a server was not asked, or has not answered as it should: which of it is an outage, and
//! after which of it the server may have done what it was asked for.

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
    /// The server said so, and did nothing.
    Server { code: String, cause: String },
    /// All connections were in use for too long.
    PoolTimeout { pool_size: usize, waited: Duration },
    /// Not asked, since it failed so often.
    BreakerOpen { cause: String, retry_after: Duration },
    /// The two sides do not come to terms on TLS: nothing that passes by itself. Nothing was asked for yet.
    Tls { cause: String },
    /// What it said makes no sense.
    Protocol { cause: String },
    /// The key would hold more units than a script can count. It did nothing.
    CountTooLarge,
}

/// Answers of a server that cannot decide a call now, and that may be otherwise later.
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
/// Answers of a server that was demoted, has just started, or does not know us any more.
const WRONG_SERVER: [&str; 7] =
    ["READONLY", "MASTERDOWN", "LOADING", "CLUSTERDOWN", "NOAUTH", "WRONGPASS", NOT_MASTER];
/// Of a server that is full.
const MAX_CLIENTS: &str = "max number of clients";
/// Ours, for a server that Sentinel calls the master, and that does not see itself so.
pub(crate) const NOT_MASTER: &str = "NOTMASTER";

impl Kind {
    /// Whether it is a matter of the server being away, for this call at least: such failures are
    /// answered as the user chose.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::Io { .. } | Self::PoolTimeout { .. } | Self::BreakerOpen { .. } => true,
            Self::Server { code, cause } => {
                PASSING.contains(&code.as_str()) || cause.contains(MAX_CLIENTS)
            }
            Self::Tls { .. } | Self::Protocol { .. } | Self::CountTooLarge => false,
        }
    }

    /// Whether the server is away for all calls: such failures open the breaker. A server that will not
    /// write still rejects what is over its limit, one slot is not the cluster, and a full pool is ours.
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

    /// Whether the server has as many clients as it takes.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self, Self::Server { cause, .. } if cause.contains(MAX_CLIENTS))
    }

    /// Whether it says that this is not the server to ask, or not this connection: others that were made
    /// earlier are no better, and another look at the name may lead elsewhere.
    pub(crate) fn is_wrong_server(&self) -> bool {
        matches!(self, Self::Server { code, .. } if WRONG_SERVER.contains(&code.as_str()))
    }

    /// Whether the server has certainly not done what it was asked for.
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

    /// What became of reading or writing. `sent`: some of the request may have left.
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

    /// What became of reading a reply.
    pub(crate) fn of_reply(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => {
                Self::Protocol { cause: format!("it is not of the protocol: {error}") }
            }
            _ if error.is_timeout() => Self::of_io(&io::ErrorKind::TimedOut.into(), true),
            _ if error.is_connection_dropped() => {
                Self::of_io(&io::ErrorKind::UnexpectedEof.into(), true)
            }
            _ => Self::Io { cause: error.to_string(), sent: true },
        }
    }

    /// What the server has said.
    pub(crate) fn of_server(error: &ServerError) -> Self {
        let mut code = error.code();
        let detail = error.details().unwrap_or_default();
        // Before version 7, errors inside of a script are told in the text of another.
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
