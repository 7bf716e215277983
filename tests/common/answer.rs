//! A decision, in a shape that tests can build and compare.

use trypema::RateLimitDecision;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    Allowed,
    Rejected { retry_after_ms: Option<u64>, remaining_after_waiting: u64 },
    Suppressed { factor: f64, is_allowed: bool },
}

impl Answer {
    pub(crate) fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed | Self::Suppressed { is_allowed: true, .. })
    }
}

impl From<RateLimitDecision> for Answer {
    fn from(decision: RateLimitDecision) -> Self {
        match decision {
            RateLimitDecision::Allowed { .. } => Self::Allowed,
            RateLimitDecision::Rejected { retry_after_ms, remaining_after_waiting, .. } => {
                Self::Rejected { retry_after_ms, remaining_after_waiting }
            }
            RateLimitDecision::Suppressed { suppression_factor, is_allowed, .. } => {
                Self::Suppressed { factor: suppression_factor, is_allowed }
            }
            other => panic!("{other:?} is never answered where keys are unbounded"),
        }
    }
}

/// The same variant with the same values, the factor but for rounding.
impl PartialEq for Answer {
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Self::Allowed, Self::Allowed) => true,
            (
                Self::Rejected { retry_after_ms, remaining_after_waiting },
                Self::Rejected { retry_after_ms: its_hint, remaining_after_waiting: its_rest },
            ) => (retry_after_ms, remaining_after_waiting) == (its_hint, its_rest),
            (
                Self::Suppressed { factor, is_allowed },
                Self::Suppressed { factor: its_factor, is_allowed: its_fate },
            ) => same_factor(factor, its_factor) && is_allowed == its_fate,
            _ => false,
        }
    }
}

/// Equal to a billionth of it, and within rounding of 1 where it is next to nothing.
pub(crate) fn same_factor(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * one.abs().max(other.abs()) + 1e-15
}
