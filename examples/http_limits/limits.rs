//! Several limits for one request, decided in one step.

use std::net::IpAddr;

use trypema::headers::RateLimitHeaders;
use trypema::{LocalRateLimiter, LocalRateLimiterBuilder, RateLimit, TrypemaError};

use super::address::key_of;

/// The limits of a client. Every request counts against the first two; with a key, against all three.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    /// Of an address.
    pub(crate) burst: RateLimit,
    /// Of an address.
    pub(crate) steady: RateLimit,
    /// Of a key.
    pub(crate) quota: RateLimit,
}

pub(crate) struct Limits {
    limiter: LocalRateLimiter,
    rates: Rates,
    anonymous: RateLimitHeaders,
    with_key: RateLimitHeaders,
}

/// Whether a request may go ahead, and what to tell the client of its limits in either case.
pub(crate) struct Verdict {
    pub(crate) is_allowed: bool,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Limits {
    pub(crate) fn new(
        builder: LocalRateLimiterBuilder,
        rates: Rates,
    ) -> Result<Self, TrypemaError> {
        let limiter = builder.build()?;
        // Forgets whoever has not been seen for some minutes.
        limiter.run_cleanup_loop();
        let Rates { burst, steady, quota } = &rates;
        let anonymous = RateLimitHeaders::new("burst", burst, limiter.window(burst))?.and(
            "steady",
            steady,
            limiter.window(steady),
        )?;
        let with_key = anonymous.clone().and("quota", quota, limiter.window(quota))?;
        Ok(Self { limiter, rates, anonymous, with_key })
    }

    /// Counts a request against all of its limits, or against none of them.
    pub(crate) fn admit(&self, client: IpAddr, api_key: Option<&str>) -> Verdict {
        let Rates { burst, steady, quota } = &self.rates;
        let address = key_of(client);
        // No address is spelled like that, so nobody gets at a key's quota with an address.
        let key = api_key.map(|key| format!("key:{key}"));
        let mut calls = vec![(&*address, burst, 1), (&*address, steady, 1)];
        let mut headers = &self.anonymous;
        if let Some(key) = &key {
            calls.push((key, quota, 1));
            headers = &self.with_key;
        }
        let combined = self.limiter.absolute().inc_all(&calls);
        Verdict {
            is_allowed: combined.is_allowed(),
            headers: headers.of_combined(&combined).collect(),
        }
    }
}
