//! The code under test: a client that delivers messages, limited per tenant, and that retries.
//!
//! Not for show alone: nothing in here knows that it is tested. It takes a limiter and a clock.

use std::time::Duration;

use trypema::{Clock, Limiter, RateLimit, RateLimitDecision, TrypemaError};

/// Delivers messages for tenants.
pub(crate) struct Client<'a> {
    pub(crate) limiter: &'a dyn Limiter,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) rate: RateLimit,
    /// The limiter's window.
    pub(crate) window: Duration,
    /// A message that has not been sent by then is given up.
    pub(crate) patience: Duration,
    /// How often to ask again.
    pub(crate) retries: u32,
    /// As the first version of this client did.
    pub(crate) refunds_late: bool,
}

/// A message that waits to be sent.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) tenant: String,
    /// The units that it takes of the tenant's budget.
    pub(crate) units: u64,
    pub(crate) submitted: Duration,
    pub(crate) asked: u32,
}

/// To be sent now.
#[derive(Debug)]
pub(crate) struct Permit {
    pub(crate) message: Message,
    pub(crate) admitted: Duration,
}

#[derive(Debug)]
pub(crate) enum Next {
    Send(Permit),
    AskAgain(Message, Duration),
    GiveUp,
}

impl Client<'_> {
    /// The next step for a message.
    pub(crate) fn next(&self, mut message: Message) -> Result<Next, TrypemaError> {
        let now = self.clock.now();
        let decision = self.limiter.inc(&message.tenant, &self.rate, message.units)?;
        message.asked += 1;
        if decision.is_allowed() {
            return Ok(Next::Send(Permit { message, admitted: now }));
        }
        let wait = match decision {
            RateLimitDecision::Rejected { retry_after_ms: Some(ms), .. } => {
                Duration::from_millis(ms)
            }
            // It asks for more than it can ever get.
            RateLimitDecision::Rejected { retry_after_ms: None, .. } => return Ok(Next::GiveUp),
            // No hint: ask half as often each time.
            _ => Duration::from_millis(10) * 2_u32.saturating_pow(message.asked),
        };
        let waited = now.saturating_sub(message.submitted);
        if message.asked > self.retries || waited.saturating_add(wait) > self.patience {
            return Ok(Next::GiveUp);
        }
        Ok(Next::AskAgain(message, wait))
    }

    /// A message could not be delivered: its units are given back. Returns how many were.
    pub(crate) fn failed(&self, permit: &Permit) -> Result<u64, TrypemaError> {
        // A unit counts for longer than the window. After that it may be gone, and a refund would
        // take another's.
        let age = self.clock.now().saturating_sub(permit.admitted);
        if age > self.window && !self.refunds_late {
            return Ok(0);
        }
        self.limiter.refund(&permit.message.tenant, &self.rate, permit.message.units)
    }
}
