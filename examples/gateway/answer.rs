//! From a decision to an HTTP answer.

use std::io::Cursor;
use std::time::Duration;

use tiny_http::{Header, Response, StatusCode};
use trypema::{RateLimitDecision, TrypemaError};

use super::rules::Rules;

/// The answer to a client.
pub(crate) struct Answer {
    status: u16,
    /// Where the client stands; and, of those, how long to wait before asking again.
    headers: Vec<(&'static str, String)>,
    /// The same wait to the millisecond.
    retry_after: Option<Duration>,
    text: String,
}

impl Answer {
    /// 200 for what was admitted, else 429. Both tell the client where it stands.
    pub(crate) fn to(
        decision: &RateLimitDecision,
        client: &str,
        rules: &Rules,
    ) -> Result<Self, TrypemaError> {
        let headers = rules.headers(client)?.of(decision).collect();
        if decision.is_allowed() {
            return Ok(Self { headers, ..Self::plain(200, &format!("hello, {client}\n")) });
        }
        let (rate, window) = (rules.rate(client), rules.window);
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
        Ok(Self { status: 429, headers, retry_after: decision.retry_after(), text })
    }

    fn plain(status: u16, text: &str) -> Self {
        Self { status, headers: Vec::new(), retry_after: None, text: text.to_owned() }
    }

    pub(crate) fn healthy() -> Self {
        Self::plain(200, "in good health\n")
    }

    /// 503: the limits are somewhere else, and nobody answers there.
    pub(crate) fn undecided() -> Self {
        Self::plain(503, "the limits are out of reach, try again\n")
    }

    /// For a client whose name is none.
    pub(crate) fn unreadable_name() -> Self {
        Self::plain(400, "X-Client takes 1 to 64 letters, digits, - and _\n")
    }

    pub(crate) fn into_response(self) -> Response<Cursor<Vec<u8>>> {
        let mut response =
            Response::from_string(self.text).with_status_code(StatusCode(self.status));
        for (name, value) in self.headers {
            response = with(response, name, &value);
        }
        if let Some(wait) = self.retry_after {
            // For those who can make use of it: the time that the limiter gave.
            response = with(response, "Retry-After-Ms", &wait.as_millis().to_string());
        }
        response
    }
}

fn with(response: Response<Cursor<Vec<u8>>>, name: &str, value: &str) -> Response<Cursor<Vec<u8>>> {
    match Header::from_bytes(name, value) {
        Ok(header) => response.with_header(header),
        // Only what is not ASCII is refused.
        Err(()) => response,
    }
}
