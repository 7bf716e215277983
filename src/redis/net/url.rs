//! URLs: server, credentials and database in one line.
//!
//! A URL may hold a password, and a malformed one may hold it anywhere: before a missing `@`, behind a `?`,
//! in place of a port. So an error repeats no part of a URL except a known scheme; it names the part that is
//! wrong instead.

use std::net::Ipv6Addr;

use crate::TrypemaError;
use crate::redis::net::Address;

const FORMS: &str = "it must be redis://, rediss:// (with TLS), redis-sentinel:// or \
                     redis-cluster:// (rediss- with TLS), then [user:password@]host[:port], of \
                     which the latter two may have several, separated by commas, then [/database], \
                     or for Sentinel /service[/database]; or redis+unix:///path";

const DEFAULT_PORT: u16 = 6379;

/// A parsed URL. Not `Debug`: it holds the password.
#[derive(Clone)]
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

#[derive(Clone, Copy)]
enum Form {
    Single,
    Unix,
    Sentinel,
    Cluster,
}

const SCHEMES: [(&str, bool, Form); 8] = [
    ("redis", false, Form::Single),
    ("rediss", true, Form::Single),
    ("redis+unix", false, Form::Unix),
    ("unix", false, Form::Unix),
    ("redis-sentinel", false, Form::Sentinel),
    ("rediss-sentinel", true, Form::Sentinel),
    ("redis-cluster", false, Form::Cluster),
    ("rediss-cluster", true, Form::Cluster),
];

/// The wrong part, in words that do not depend on the URL.
type Problem = &'static str;

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, TrypemaError> {
        let invalid = |given: String, problem: Problem| TrypemaError::InvalidConfig {
            field: "url",
            given,
            allowed: format!("{problem}; {FORMS}"),
        };
        let known = url.split_once("://").and_then(|(scheme, rest)| {
            let (scheme, tls, form) = SCHEMES.iter().find(|(known, ..)| *known == scheme)?;
            Some((scheme, *tls, *form, rest))
        });
        let Some((scheme, tls, form, rest)) = known else {
            return Err(invalid("of no scheme that is known".into(), "the scheme is wrong"));
        };
        let read = match form {
            _ if rest.contains('#') => Err("a # has to be written as %23"),
            Form::Unix => Self::unix(rest),
            Form::Single | Form::Sentinel | Form::Cluster => Self::tcp(rest, form),
        };
        let target = read.map_err(|problem| invalid(format!("{scheme}://.."), problem))?;
        Ok(Self { tls, ..target })
    }

    /// `[user:password@]host[:port][/..]`, of hosts also several.
    fn tcp(rest: &str, form: Form) -> Result<Self, Problem> {
        if rest.contains('?') {
            return Err("a ? has to be written as %3F, and nothing is set behind one");
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if path.contains('@') {
            return Err("a / before the @ has to be written as %2F");
        }
        let (user, password, hosts) = match authority.rsplit_once('@') {
            None => (None, None, authority),
            Some((info, hosts)) => {
                let (user, password) = info.split_once(':').unwrap_or((info, ""));
                let user = Some(decoded(user)?).filter(|user| !user.is_empty());
                let password = decoded(password)?;
                // A user without a password needs none.
                let password = Some(password).filter(|given| user.is_some() || !given.is_empty());
                (user, password, hosts)
            }
        };
        let mut addresses = hosts.split(',').map(address).collect::<Result<Vec<_>, _>>()?;
        let (service, database) = match form {
            Form::Sentinel => path.split_once('/').unwrap_or((path, "")),
            _ => ("", path),
        };
        let database = number(database.trim_matches('/'))?;
        let deployment = match form {
            Form::Sentinel if service.is_empty() => {
                return Err("the name of the service is missing");
            }
            Form::Sentinel => {
                Deployment::Sentinel { sentinels: addresses, service: decoded(service)? }
            }
            Form::Cluster if database != 0 => return Err("a cluster has no database but 0"),
            Form::Cluster => Deployment::Cluster { seeds: addresses },
            Form::Single | Form::Unix => match (addresses.pop(), addresses.is_empty()) {
                (Some(address), true) => Deployment::Single(address),
                _ => return Err("several hosts are for redis-sentinel:// and redis-cluster://"),
            },
        };
        Ok(Self { deployment, tls: false, user, password, database })
    }

    /// `/path[?db=..&user=..&pass=..]`
    fn unix(rest: &str) -> Result<Self, Problem> {
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !path.starts_with('/') || path.len() == 1 {
            return Err("a path begins behind the third /, and user and password stand behind a ?");
        }
        // Such a character is more likely part of a misplaced password than of a file name.
        if path.contains(['@', '&', '=']) {
            return Err("@, & and = in a path have to be written as %40, %26 and %3D");
        }
        let (mut user, mut password, mut database) = (None, None, 0);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(&value.replace('+', " "))?;
            match name {
                "db" => database = number(&value)?,
                "user" => user = Some(value).filter(|user| !user.is_empty()),
                "pass" => password = Some(value),
                _ => return Err("only db, user and pass may be set behind the ?"),
            }
        }
        if user.is_some() {
            password.get_or_insert_default();
        }
        let deployment = Deployment::Single(Address::Unix(decoded(path)?.into()));
        Ok(Self { deployment, tls: false, user, password, database })
    }
}

/// `host`, `host:port`, `[address]` or `[address]:port`.
fn address(text: &str) -> Result<Address, Problem> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("a [ is not closed")?;
            let host = host.parse::<Ipv6Addr>().map_err(|_| "what is in [] is no IPv6 address")?;
            (host.to_string(), port.strip_prefix(':').or(port.is_empty().then_some("")))
        }
        None => {
            let (host, port) = text.split_once(':').unwrap_or((text, ""));
            (host.to_owned(), Some(port))
        }
    };
    let port = match port.ok_or("a ] is followed by something else than a port")? {
        "" => DEFAULT_PORT,
        port => port.parse().map_err(|_| "the port is no number from 1 to 65535")?,
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
    if host.is_empty() {
        Err("the host is missing")
    } else if !host.bytes().all(is_plain) {
        Err("a host is made of letters, digits, dots, - and _")
    } else if port == 0 {
        Err("nothing listens on port 0")
    } else if ["0.0.0.0", "::"].contains(&host.as_str()) {
        Err("nobody can be reached at the address of all")
    } else {
        Ok(Address::Tcp { host, port })
    }
}

fn number(database: &str) -> Result<i64, Problem> {
    let number = if database.is_empty() { Ok(0) } else { database.parse::<i64>() };
    match number {
        Ok(number @ 0..) => Ok(number),
        Ok(_) => Err("a database is not below 0"),
        Err(_) => Err("the database is no number"),
    }
}

/// Decodes each `%` with its code. A `%` without a code stays.
fn decoded(text: &str) -> Result<String, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = match (first, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match code {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| "the codes behind % are not UTF-8")
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
