//! The limits that a gateway enforces: a rate for each client it knows, another for the rest.

use std::collections::HashMap;
use std::time::Duration;

use trypema::headers::RateLimitHeaders;
use trypema::{RateLimit, TrypemaError};

use super::settings::Settings;

/// Window, bucket and rates, parsed: from here on none of them can be wrong.
pub(crate) struct Rules {
    pub(crate) window: Duration,
    pub(crate) bucket: Duration,
    default: RateLimit,
    known: HashMap<&'static str, RateLimit>,
}

impl Rules {
    /// Reads rates such as `20/second` from the settings.
    pub(crate) fn of(settings: &Settings) -> Result<Self, TrypemaError> {
        let mut known = HashMap::new();
        for client in &settings.clients {
            if let (Some(name), Some(rate)) = (client.name, client.rate) {
                known.insert(name, rate.parse::<RateLimit>()?);
            }
        }
        Ok(Self {
            window: settings.window,
            bucket: settings.bucket,
            default: settings.default_rate.parse::<RateLimit>()?,
            known,
        })
    }

    /// The limit of a client, as the replies to it tell.
    pub(crate) fn headers(&self, client: &str) -> Result<RateLimitHeaders, TrypemaError> {
        RateLimitHeaders::new("requests", self.rate(client), self.window)
    }

    /// The rate of a client. It goes along with every call to the limiter, which keeps none of
    /// them: were these rules reloaded, the next request would be judged by the new rate.
    pub(crate) fn rate(&self, client: &str) -> &RateLimit {
        self.known.get(client).unwrap_or(&self.default)
    }
}
