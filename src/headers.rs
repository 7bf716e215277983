//! Headers that tell HTTP clients their limits: `RateLimit-Policy`, `RateLimit` and `Retry-After`.
//!
//! The fields are those of [draft-ietf-httpapi-ratelimit-headers-10], and `Retry-After` that of
//! RFC 9110. They are plain names and strings, for any HTTP library.
//!
//! ```
//! use trypema::headers::RateLimitHeaders;
//! use trypema::{LocalRateLimiter, RateLimit};
//!
//! # fn main() -> Result<(), trypema::TrypemaError> {
//! let limiter = LocalRateLimiter::builder().build()?;
//! let rate = RateLimit::per_minute(100)?;
//! // Once, when the program starts.
//! let headers = RateLimitHeaders::new("login", &rate, limiter.window(&rate))?;
//!
//! // On every response, whatever was decided.
//! let decision = limiter.absolute().inc("alice", &rate, 1);
//! let mut response = String::from(if decision.is_allowed() {
//!     "HTTP/1.1 200 OK\r\n"
//! } else {
//!     "HTTP/1.1 429 Too Many Requests\r\n"
//! });
//! for (name, value) in headers.of(&decision) {
//!     response += &format!("{name}: {value}\r\n");
//! }
//! assert!(response.contains("RateLimit-Policy: \"login\";q=100;w=60\r\n"));
//! assert!(response.contains("RateLimit: \"login\";r=99\r\n"));
//! # Ok(())
//! # }
//! ```
//!
//! [draft-ietf-httpapi-ratelimit-headers-10]:
//!     https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-10

use core::time::Duration;

use crate::{Combined, RateLimit, RateLimitDecision, TrypemaError};

/// The largest number of a structured field (RFC 9651). It stands for larger ones and for no limit.
const LARGEST: u64 = 999_999_999_999_999;

const NAME_ALLOWED: &str = "a policy's name is one or more printable ASCII characters";

/// The limits that a response tells, and their names.
///
/// | field | told of | value |
/// |---|---|---|
/// | `RateLimit-Policy` | every decision | each policy's name, its quota `q` and its window `w` |
/// | `RateLimit` | every decision | the policy's name, the units `r` that remain, and the seconds `t` until the call fits, where that is known |
/// | `Retry-After` | rejections that fit later | `t` |
/// | `X-RateLimit-Limit`, `-Remaining` | [`legacy`](RateLimitHeaders::legacy) | `q` and `r` |
/// | `X-RateLimit-Reset` | `legacy`, unless the call never fits | `t` where that is known, else `w` |
///
/// Seconds are whole and rounded up, so that nobody is asked back too early; they are at least 1.
/// A quota is the rate's capacity over the window. Numbers beyond 15 digits, and what is left of an
/// unlimited rate, are told as 999999999999999, the largest that these fields can hold.
///
/// No time to wait is told for a call that can never be admitted, since it asks for more than the limit, nor
/// for one that the Suppressed strategy has declined by its draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimitHeaders {
    /// At least one.
    policies: Vec<Policy>,
    /// The value of `RateLimit-Policy`.
    line: String,
    legacy: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Policy {
    /// As it is written: in quotes, and escaped.
    name: String,
    quota: u64,
    window_s: u64,
}

impl RateLimitHeaders {
    /// One policy: what `rate` allows in `window`. The window is the one that the limiter judges the
    /// rate over: the rate's own [period](RateLimit::period), unless the limiter was given others.
    ///
    /// ```
    /// use core::time::Duration;
    /// use trypema::headers::RateLimitHeaders;
    /// use trypema::{RateLimit, RateLimitDecision};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let rate = RateLimit::per_second(2)?;
    /// let headers = RateLimitHeaders::new("search", &rate, Duration::from_secs(10))?;
    /// let rejected = RateLimitDecision::rejected(Some(1_001), 0);
    /// let told: Vec<_> = headers.of(&rejected).collect();
    /// assert_eq!(told[0], ("RateLimit-Policy", r#""search";q=20;w=10"#.to_owned()));
    /// assert_eq!(told[1], ("RateLimit", r#""search";r=0;t=2"#.to_owned()));
    /// assert_eq!(told[2], ("Retry-After", "2".to_owned()));
    ///
    /// assert!(RateLimitHeaders::new("", &rate, rate.period()).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TrypemaError::InvalidConfig`] for a name that is empty or has characters other than
    /// printable ASCII, and for a window of no time. Quotes and backslashes are escaped.
    pub fn new(name: &str, rate: &RateLimit, window: Duration) -> Result<Self, TrypemaError> {
        let none = Self { policies: Vec::new(), line: String::new(), legacy: false };
        none.and(name, rate, window)
    }

    /// One more policy, in the same line: for calls of `inc_all`, in the order of its list.
    ///
    /// ```
    /// use trypema::headers::RateLimitHeaders;
    /// use trypema::{Combined, RateLimit, RateLimitDecision};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let (burst, day) = (RateLimit::per_second(10)?, RateLimit::per_day(5_000)?);
    /// let headers = RateLimitHeaders::new("burst", &burst, burst.period())?
    ///     .and("day", &day, day.period())?;
    /// // The second of them is the tightest.
    /// let combined = Combined::new(RateLimitDecision::allowed(3), 1);
    /// let told: Vec<_> = headers.of_combined(&combined).collect();
    /// assert_eq!(told[0].1, r#""burst";q=10;w=1, "day";q=5000;w=86400"#);
    /// assert_eq!(told[1].1, r#""day";r=3"#);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`new`](RateLimitHeaders::new), and for a name that another of the policies has.
    pub fn and(
        mut self,
        name: &str,
        rate: &RateLimit,
        window: Duration,
    ) -> Result<Self, TrypemaError> {
        let policy = Policy::new(name, rate, window)?;
        if self.policies.iter().any(|other| other.name == policy.name) {
            return Err(TrypemaError::config("name", name, "each policy has a name of its own"));
        }
        if !self.line.is_empty() {
            self.line.push_str(", ");
        }
        self.line += &format!("{};q={};w={}", policy.name, policy.quota, policy.window_s);
        self.policies.push(policy);
        Ok(self)
    }

    /// Tells `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset` as well, which
    /// older clients look for. `Reset` is in seconds from now.
    ///
    /// ```
    /// use trypema::headers::RateLimitHeaders;
    /// use trypema::{RateLimit, RateLimitDecision};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let rate = RateLimit::per_minute(100)?;
    /// let headers = RateLimitHeaders::new("login", &rate, rate.period())?.legacy();
    /// let told: Vec<_> = headers.of(&RateLimitDecision::allowed(42)).skip(2).collect();
    /// assert_eq!(told[0], ("X-RateLimit-Limit", "100".to_owned()));
    /// assert_eq!(told[1], ("X-RateLimit-Remaining", "42".to_owned()));
    /// assert_eq!(told[2], ("X-RateLimit-Reset", "60".to_owned()));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn legacy(mut self) -> Self {
        self.legacy = true;
        self
    }

    /// Names and values for a response, by a decision on the first policy. Allocates each value.
    pub fn of(
        &self,
        decision: &RateLimitDecision,
    ) -> impl Iterator<Item = (&'static str, String)> + use<> {
        self.told(decision, self.policies.first())
    }

    /// Names and values for a response, by a decision on all of the policies. `RateLimit` tells of
    /// the tightest; of none if the tightest is a limit that has no policy here.
    ///
    /// Policies and calls are matched by position, so make one value for each list of calls: a policy that was
    /// not asked about would be told all the same.
    pub fn of_combined(
        &self,
        combined: &Combined,
    ) -> impl Iterator<Item = (&'static str, String)> + use<> {
        self.told(&combined.decision, self.policies.get(combined.tightest))
    }

    fn told(
        &self,
        decision: &RateLimitDecision,
        policy: Option<&Policy>,
    ) -> impl Iterator<Item = (&'static str, String)> + use<> {
        let retry_s = decision.retry_after().map(seconds);
        let remaining = decision.remaining().min(LARGEST);
        let of_policy = policy.map(|policy| {
            let time = retry_s.map_or_else(String::new, |retry_s| format!(";t={retry_s}"));
            format!("{};r={remaining}{time}", policy.name)
        });
        let legacy = policy.filter(|_| self.legacy);
        let reset = legacy.filter(|_| !decision.is_never()).map(|policy| policy.window_s);
        let told = [
            ("RateLimit-Policy", Some(self.line.clone())),
            ("RateLimit", of_policy),
            ("Retry-After", retry_s.map(|retry_s| retry_s.to_string())),
            ("X-RateLimit-Limit", legacy.map(|policy| policy.quota.to_string())),
            ("X-RateLimit-Remaining", legacy.map(|_| remaining.to_string())),
            ("X-RateLimit-Reset", reset.map(|window_s| retry_s.unwrap_or(window_s).to_string())),
        ];
        told.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }
}

impl Policy {
    fn new(name: &str, rate: &RateLimit, window: Duration) -> Result<Self, TrypemaError> {
        if name.is_empty() || !name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(TrypemaError::config("name", name, NAME_ALLOWED));
        }
        if window.is_zero() {
            return Err(TrypemaError::config("window", window, "it must be above zero"));
        }
        let escaped = name.replace('\\', r"\\").replace('"', r#"\""#);
        Ok(Self {
            name: format!("\"{escaped}\""),
            quota: rate.capacity(window).min(LARGEST),
            window_s: seconds(window),
        })
    }
}

/// Whole seconds, rounded up, at least 1.
fn seconds(time: Duration) -> u64 {
    let part = u64::from(time.subsec_nanos() > 0);
    time.as_secs().saturating_add(part).clamp(1, LARGEST)
}
