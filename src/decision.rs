use core::fmt;
use core::time::Duration;

/// The answer to "may this go ahead?".
///
/// ```
/// use trypema::{LocalRateLimiter, RateLimit, RateLimitDecision};
///
/// # fn main() -> Result<(), trypema::TrypemaError> {
/// let limiter = LocalRateLimiter::builder().build()?;
/// match limiter.absolute().inc("alice", &RateLimit::per_minute(30)?, 1) {
///     RateLimitDecision::Allowed { remaining, .. } => assert_eq!(remaining, 29),
///     RateLimitDecision::Rejected { retry_after_ms: Some(ms), .. } => println!("in {ms} ms"),
///     other => println!("refused: {other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
///
/// Two decisions are equal if they say the same of the call and of the units left. The bucket makes no
/// difference, so that a test can compare with a decision that it made.
#[derive(Debug, Clone, Copy)]
#[must_use = "a decision that nobody looks at limits nothing"]
#[non_exhaustive]
pub enum RateLimitDecision {
    /// Go ahead. For `inc`, the units have been counted.
    #[non_exhaustive]
    Allowed {
        /// The units that are left to the capacity after this call.
        remaining: u64,
        /// The bucket in which the units were counted, for `undo`.
        bucket: Bucket,
    },
    /// Do not go ahead. Nothing has been counted.
    #[non_exhaustive]
    Rejected {
        /// The least whole number of milliseconds after which the same call would be admitted, if nothing
        /// else changes meanwhile. `None` if it never can be: it asks for more than the
        /// rate's capacity.
        retry_after_ms: Option<u64>,
        /// The usage still counted at that moment: the capacity less this is left for other calls.
        /// Where `retry_after_ms` is `None`, the usage now.
        remaining_after_waiting: u64,
        /// The units that are left to the capacity now: fewer than this call asked for.
        remaining: u64,
    },
    /// The call does not fit below the key's soft limit: whether it is admitted was drawn, or it is
    /// above the hard limit.
    #[non_exhaustive]
    Suppressed {
        /// The share of calls that are declined at present, from 0.0 (none) to 1.0 (all).
        suppression_factor: f64,
        /// Whether this call was admitted. If `false` it was counted as declined, not as admitted.
        is_allowed: bool,
        /// The bucket in which the units were counted, for `undo`.
        bucket: Bucket,
        /// The units that are left to the soft limit after this call.
        remaining: u64,
        /// Whether the call asks for more than the hard limit, so that it can never be admitted.
        is_never: bool,
    },
}

impl RateLimitDecision {
    /// `Allowed`, for tests and for limiters of your own.
    ///
    /// ```
    /// use trypema::RateLimitDecision;
    ///
    /// let decision = RateLimitDecision::allowed(7);
    /// assert!(decision.is_allowed());
    /// assert_eq!(decision.remaining(), 7);
    /// ```
    pub const fn allowed(remaining: u64) -> Self {
        Self::Allowed { remaining, bucket: Bucket::NONE }
    }

    /// A rejection, for tests and for limiters of your own. Nothing remains, unless
    /// [`with_remaining`](RateLimitDecision::with_remaining) says otherwise.
    pub const fn rejected(retry_after_ms: Option<u64>, remaining_after_waiting: u64) -> Self {
        Self::Rejected { retry_after_ms, remaining_after_waiting, remaining: 0 }
    }

    /// A suppression, for tests and for limiters of your own. Nothing remains, unless
    /// [`with_remaining`](RateLimitDecision::with_remaining) says otherwise.
    pub const fn suppressed(suppression_factor: f64, is_allowed: bool) -> Self {
        Self::Suppressed {
            suppression_factor,
            is_allowed,
            bucket: Bucket::NONE,
            remaining: 0,
            is_never: false,
        }
    }

    /// The same decision, with so many units left.
    ///
    /// ```
    /// use trypema::RateLimitDecision;
    ///
    /// let decision = RateLimitDecision::rejected(Some(250), 0).with_remaining(2);
    /// assert_eq!(decision.remaining(), 2);
    /// ```
    pub const fn with_remaining(mut self, left: u64) -> Self {
        match &mut self {
            Self::Allowed { remaining, .. }
            | Self::Rejected { remaining, .. }
            | Self::Suppressed { remaining, .. } => *remaining = left,
        }
        self
    }

    /// The same decision, with its units counted in this bucket. A rejection has none.
    pub const fn with_bucket(mut self, counted_in: Bucket) -> Self {
        match &mut self {
            Self::Allowed { bucket, .. } | Self::Suppressed { bucket, .. } => *bucket = counted_in,
            Self::Rejected { .. } => {}
        }
        self
    }

    /// The same suppression, of a call that asks for more than the hard limit.
    pub(crate) const fn never(mut self) -> Self {
        if let Self::Suppressed { is_never, .. } = &mut self {
            *is_never = true;
        }
        self
    }

    /// Whether the work may go ahead.
    #[inline]
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        match self {
            Self::Allowed { .. } => true,
            Self::Rejected { .. } => false,
            Self::Suppressed { is_allowed, .. } => *is_allowed,
        }
    }

    /// How long to wait before asking again, where that is known: for a rejection that can be
    /// admitted later.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rejected { retry_after_ms: Some(ms), .. } => Some(Duration::from_millis(*ms)),
            _ => None,
        }
    }

    /// The units that are left: to the rate's capacity, which is the soft limit under the Suppressed
    /// strategy. True at the moment of the decision. For a look, the units that would be left after the call.
    /// `u64::MAX` for an unlimited rate.
    #[inline]
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        match self {
            Self::Allowed { remaining, .. }
            | Self::Rejected { remaining, .. }
            | Self::Suppressed { remaining, .. } => *remaining,
        }
    }

    /// Whether the same call can never be admitted, however long it waits: it asks for more than the
    /// capacity, or under the Suppressed strategy for more than the hard limit.
    ///
    /// ```
    /// use trypema::{LocalRateLimiter, RateLimit};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let limiter = LocalRateLimiter::builder().build()?;
    /// let rate = RateLimit::per_minute(5)?;
    /// assert!(limiter.absolute().inc("alice", &rate, 6).is_never());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn is_never(&self) -> bool {
        match self {
            Self::Allowed { .. } => false,
            Self::Rejected { retry_after_ms, .. } => retry_after_ms.is_none(),
            Self::Suppressed { is_never, .. } => *is_never,
        }
    }

    /// The bucket in which this call has counted units, for `undo`. `None` if it counted none: a look,
    /// a count of zero, a call that was rejected or declined.
    ///
    /// ```
    /// use trypema::{LocalRateLimiter, RateLimit};
    ///
    /// # fn main() -> Result<(), trypema::TrypemaError> {
    /// let limiter = LocalRateLimiter::builder().build()?;
    /// let (limit, rate) = (limiter.absolute(), RateLimit::per_minute(5)?);
    /// assert!(limit.is_allowed("alice", &rate, 1).bucket().is_none());
    /// assert!(limit.inc("alice", &rate, 1).bucket().is_some());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn bucket(&self) -> Option<Bucket> {
        match self {
            Self::Allowed { bucket, .. } | Self::Suppressed { bucket, .. } => bucket.some(),
            Self::Rejected { .. } => None,
        }
    }
}

impl PartialEq for RateLimitDecision {
    fn eq(&self, other: &Self) -> bool {
        self.remaining() == other.remaining()
            && match (self, other) {
                (Self::Allowed { .. }, Self::Allowed { .. }) => true,
                (
                    Self::Rejected { retry_after_ms, remaining_after_waiting, .. },
                    Self::Rejected {
                        retry_after_ms: other_ms, remaining_after_waiting: left, ..
                    },
                ) => retry_after_ms == other_ms && remaining_after_waiting == left,
                (
                    Self::Suppressed { suppression_factor, is_allowed, .. },
                    Self::Suppressed { suppression_factor: factor, is_allowed: fate, .. },
                ) => suppression_factor == factor && is_allowed == fate,
                _ => false,
            }
    }
}

/// The bucket of time that admitted units were counted in. With it, `undo` takes out those very units.
///
/// Opaque; it means something only together with the key and the window that it came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bucket {
    tick: u64,
    /// A cumulative count that lies inside of the bucket, where a provider keeps one.
    position: u64,
}

impl Bucket {
    /// No bucket: nothing was counted. For limiters of your own.
    pub const NONE: Self = Self { tick: u64::MAX, position: u64::MAX };

    #[inline]
    pub(crate) const fn new(tick: u64, position: u64) -> Self {
        Self { tick, position }
    }

    #[inline]
    pub(crate) const fn tick(self) -> u64 {
        self.tick
    }

    #[inline]
    pub(crate) const fn position(self) -> u64 {
        self.position
    }

    /// `None` for [`Bucket::NONE`].
    #[inline]
    pub(crate) fn some(self) -> Option<Self> {
        (self != Self::NONE).then_some(self)
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.some() {
            Some(Self { tick, .. }) => write!(f, "Bucket({tick})"),
            None => f.write_str("Bucket(none)"),
        }
    }
}

/// An `acquire` that was admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admitted {
    /// How long it waited; zero if it was admitted at once.
    pub waited: Duration,
    /// The bucket in which its units were counted, for `undo`. [`Bucket::NONE`] if it asked for none.
    pub bucket: Bucket,
}

impl Admitted {
    /// For limiters of your own.
    #[must_use]
    pub const fn new(waited: Duration, bucket: Bucket) -> Self {
        Self { waited, bucket }
    }
}
