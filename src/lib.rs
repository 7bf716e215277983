// With what docs.rs passes, each item says which feature it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

//! Rate limits per key for programs without an async runtime: sliding windows, no overshoot, lock-free in
//! process, shared between processes through Redis.
//!
//! A key is whatever you limit: an address, a user, a tenant, a route. Ask whether it may do `n` more under a
//! rate such as 100 per minute; the limiter answers, and counts what it allowed, in one atomic step.
//!
//! ```
//! use trypema::{LocalRateLimiter, RateLimit};
//!
//! # fn main() -> Result<(), trypema::TrypemaError> {
//! // One for the program. Clones are cheap and share their keys.
//! let limiter = LocalRateLimiter::builder().max_keys(100_000).build()?;
//! limiter.run_cleanup_loop(); // a thread that forgets idle keys; it ends with the limiter
//! let rate = RateLimit::per_minute(100)?; // or "100/minute".parse()?, "20/10s", "1/week"
//!
//! let decision = limiter.absolute().inc("ip:203.0.113.7", &rate, 1);
//! if decision.is_allowed() {
//!     println!("served, {} left", decision.remaining());
//! } else if let Some(wait) = decision.retry_after() {
//!     println!("429, try again in {wait:?}");
//! } else {
//!     println!("this call asks for more than the limit ever allows");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Where to begin
//!
//! - [`LocalRateLimiter`] keeps its state in this process.
#![cfg_attr(
    feature = "redis",
    doc = "- [`RedisRateLimiter`] (feature `redis`) shares it between processes and hosts, call by call; \
           [`HybridRateLimiter`] by leases, at nearly the speed of Local."
)]
#![cfg_attr(
    not(feature = "redis"),
    doc = "- `RedisRateLimiter` and `HybridRateLimiter` (feature `redis`) share it between processes and hosts."
)]
//! - [`LocalAbsolute`] and [`LocalSuppressed`] are the strategies: reject past the limit, or thin calls out between
//!   a soft and a hard limit.
//! - [`RateLimitDecision`] is the answer; [`headers`] tells it to HTTP clients.
//! - [`Limiter`] is one interface to every strategy of every provider.
//! - [`ManualClock`] makes tests of your code quick and exact.
#![cfg_attr(
    doc,
    doc = "- The [guide] has the rest: [choosing](guide::choosing), a [cookbook](guide::cookbook), \
           [operations](guide::operations) with every error and its answer, and [more](guide)."
)]
//!
//! # Calls
//!
//! Those of every strategy of every provider. Over Redis they return a `Result`; in process only `acquire` can fail.
//!
//! | call | does |
//! |---|---|
//! | [`inc`](Limiter::inc) | checks and counts, in one step |
//! | [`acquire`](Limiter::acquire) | the same, and parks this thread until admitted, in line |
//! | [`inc_many`](Limiter::inc_many) | many calls, each decided by itself: one round trip over Redis |
//! | [`inc_all`](Limiter::inc_all) | several limits at once: all of them, or nothing is counted |
//! | [`is_allowed`](Limiter::is_allowed) | says what `inc` would say; counts nothing |
//! | [`usage`](Limiter::usage) | units that still count |
//! | [`record`](Limiter::record) | counts whatever the limit: for cost that is known only afterwards |
//! | [`undo`](Limiter::undo) | takes back the very units of an admission |
//! | [`refund`](Limiter::refund) | gives units back, those that expire first before the others |
//! | [`reset`](Limiter::reset) | forgets the key |
//!
//! `is_allowed` followed by `inc` is not one step: another thread may take the room in between. To act on the answer,
//! call `inc` alone, and `undo` if the work was not done after all.
//!
//! # Guarantees
//!
//! In any interval of a window's length, no more units are admitted for a key than its capacity, for any number of
//! threads, or of processes over Redis. A unit counts for more than the window and at most a bucket more. A hint of
//! when to come back is exact to the millisecond. Decisions about keys in the map take no lock. Forgetting idle keys
//! loses no admission.
#![cfg_attr(
    doc,
    doc = "The [whole text](guide::guarantees) has their conditions, and what proves each."
)]
//!
//! # When not to use it
//!
//! For futures that wait; for one limit over several processes without a server; for quotas that must survive everything;
//! for traffic that is to be paced evenly; and where a rough limit in one word per key is enough.
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | adds |
//! |---|---|
//! | `redis` | limits shared through Redis, over blocking connections |
//! | `serde` | rates and whole limiters from configuration files |
//! | `metrics` | `publish_metrics`, for the `metrics` facade |
//! | `proptest` | random rates and decisions, for tests |

#[cfg(feature = "proptest")]
mod arbitrary;
mod clock;
mod combined;
#[cfg(feature = "serde")]
mod config;
mod decision;
mod error;
pub mod headers;
#[cfg(feature = "redis")]
mod hybrid;
mod key;
mod limiter;
mod local;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg_attr(
    not(feature = "redis"),
    expect(dead_code, reason = "only limiters over Redis lease units")
)]
mod policy;
mod random;
mod rate;
#[cfg(feature = "redis")]
mod redis;
mod settings;
mod sync;
mod thread_exit;
mod wait;
mod window;

// Documentation alone, so it costs users nothing.
#[cfg(any(doc, doctest))]
pub mod guide;

#[cfg(feature = "serde")]
pub use self::config::{LimiterConfig, Provider};
#[cfg(feature = "redis")]
pub use self::hybrid::{
    HybridAbsolute, HybridRateLimiter, HybridRateLimiterBuilder, HybridStats, HybridSuppressed,
};
#[cfg(feature = "metrics")]
pub use self::metrics::publish_metrics;
#[cfg(feature = "redis")]
pub use self::redis::{
    DecisionSource, OnUnavailable, RedisAbsolute, RedisConnectionSettings, RedisConnections,
    RedisEvent, RedisRateLimiter, RedisRateLimiterBuilder, RedisStats, RedisSuppressed,
};
pub use clock::{Clock, ManualClock, MonotonicClock, Watch};
pub use combined::{Buckets, Combined};
pub use decision::{Admitted, Bucket, RateLimitDecision};
pub use error::TrypemaError;
pub use key::{Key, Lookup};
pub use limiter::Limiter;
pub use local::{
    Event, LocalAbsolute, LocalRateLimiter, LocalRateLimiterBuilder, LocalSuppressed, Stats,
    Strategy, SuppressedUsage,
};
pub use random::{Random, SeededRandom, ThreadRandom};
pub use rate::RateLimit;

/// How keys are hashed unless the builder is told otherwise: keyed afresh in every process, so
/// that nobody can prepare keys that collide.
pub type DefaultHashBuilder = foldhash::fast::RandomState;

/// Its examples have to run. One of them needs Redis.
#[cfg(all(doctest, feature = "redis"))]
#[doc = include_str!("../README.md")]
struct Readme;
