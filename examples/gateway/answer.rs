//! From a decision to an HTTP answer.

use std::io::Cursor;
use std::time::Duration;

use tiny_http::{Header, Response, StatusCode};
use trypema::{RateLimit, RateLimitDecision};

/// What a client is told.
pub(crate) struct Answer {
    status: u16,
    /// How long to wait before asking again, where that helps.
    retry_after: Option<Duration>,
    text: String,
}

impl Answer {
    /// 200 for what was admitted, else 429.
    pub(crate) fn to(
        decision: &RateLimitDecision,
        client: &str,
        rate: &RateLimit,
        window: Duration,
    ) -> Self {
        if decision.is_allowed() {
            return Self { status: 200, retry_after: None, text: format!("hello, {client}\n") };
        }
        let text = match *decision {
            RateLimitDecision::Rejected {
                retry_after_ms: Some(wait),
                remaining_after_waiting: in_use,
                ..
            } => {
                let capacity = rate.capacity(window);
                let free = capacity.saturating_sub(in_use);
                format!(
                    "too many requests: come back in {wait} ms, \
                     with {free} of {capacity} left then\n"
                )
            }
            _ => format!("never: a rate of {rate} allows no request in a window of {window:?}\n"),
        };
        Self { status: 429, retry_after: decision.retry_after(), text }
    }

    pub(crate) fn healthy() -> Self {
        Self { status: 200, retry_after: None, text: "in good health\n".to_owned() }
    }

    /// 503: the limits are somewhere else, and nobody answers there.
    pub(crate) fn undecided() -> Self {
        let text = "the limits are out of reach, try again\n".to_owned();
        Self { status: 503, retry_after: None, text }
    }

    /// For a client whose name is none.
    pub(crate) fn unreadable_name() -> Self {
        let text = "X-Client takes 1 to 64 letters, digits, - and _\n".to_owned();
        Self { status: 400, retry_after: None, text }
    }

    pub(crate) fn into_response(self) -> Response<Cursor<Vec<u8>>> {
        let mut response =
            Response::from_string(self.text).with_status_code(StatusCode(self.status));
        if let Some(wait) = self.retry_after {
            // HTTP's own header counts whole seconds. Rounded down it would have clients back
            // before it helps, and 0 would have them back at once.
            let seconds = wait.as_millis().div_ceil(1_000).max(1);
            response = with(response, "Retry-After", seconds);
            // For those who can make use of it: the time that the limiter gave.
            response = with(response, "Retry-After-Ms", wait.as_millis());
        }
        response
    }
}

fn with(response: Response<Cursor<Vec<u8>>>, name: &str, value: u128) -> Response<Cursor<Vec<u8>>> {
    match Header::from_bytes(name, value.to_string()) {
        Ok(header) => response.with_header(header),
        // Only what is not ASCII is refused.
        Err(()) => response,
    }
}
