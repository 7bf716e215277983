use core::time::Duration;

/// The answer to "may this go ahead?".
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use = "a decision that nobody looks at limits nothing"]
#[non_exhaustive]
pub enum RateLimitDecision {
    /// Go ahead. For `inc`, the units have been counted.
    Allowed,
    /// Do not go ahead. Nothing has been counted.
    #[non_exhaustive]
    Rejected {
        /// The least whole number of milliseconds after which the same call would be admitted if
        /// nothing else happened meanwhile. `None` if it never can be: it asks for more than the
        /// rate's capacity.
        retry_after_ms: Option<u64>,
        /// The usage still counted at that moment: what is left for others is the capacity less
        /// this. Where `retry_after_ms` is `None`, the usage now.
        remaining_after_waiting: u64,
    },
    /// The key is past its soft limit and is being thinned out.
    #[non_exhaustive]
    Suppressed {
        /// The share of calls that are turned away at present, from 0.0 (none) to 1.0 (all).
        suppression_factor: f64,
        /// What became of this call. If `false` it was counted as declined, not as admitted.
        is_allowed: bool,
    },
}

impl RateLimitDecision {
    /// A rejection, for tests and for limiters of your own.
    pub const fn rejected(retry_after_ms: Option<u64>, remaining_after_waiting: u64) -> Self {
        Self::Rejected { retry_after_ms, remaining_after_waiting }
    }

    /// A suppression, for tests and for limiters of your own.
    pub const fn suppressed(suppression_factor: f64, is_allowed: bool) -> Self {
        Self::Suppressed { suppression_factor, is_allowed }
    }

    /// Whether the work may go ahead.
    #[inline]
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        match self {
            Self::Allowed => true,
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
}
