//! Limits by name, from a file that may change while the program runs.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use serde::Deserialize;
use trypema::{Limiter, LimiterConfig, RateLimit, RateLimitDecision};

/// The file's content, checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Where counts are kept, and how. Fixed while the program runs.
    #[serde(default)]
    limiter: LimiterConfig,
    /// May change.
    limits: BTreeMap<String, RateLimit>,
}

pub(crate) struct Limits {
    path: PathBuf,
    config: LimiterConfig,
    /// It holds the counts, and stays when the file changes: rates come with each call.
    limiter: Arc<dyn Limiter>,
    current: RwLock<Current>,
}

struct Current {
    text: String,
    limits: Arc<BTreeMap<String, RateLimit>>,
}

impl Limits {
    pub(crate) fn open(path: impl Into<PathBuf>) -> Result<Self, Box<dyn Error>> {
        let path = path.into();
        let text = fs::read_to_string(&path)?;
        let File { limiter: config, limits } = toml::from_str(&text)?;
        let limiter = config.build()?;
        let current = RwLock::new(Current { text, limits: Arc::new(limits) });
        Ok(Self { path, config, limiter, current })
    }

    /// Looks at the file, and goes by it from the next call on if it has changed; tells whether it
    /// has. On an error all stays as it was.
    ///
    /// A limit whose count has changed goes on with what is counted. One whose period has changed is
    /// judged over another window, in which nothing is counted yet.
    pub(crate) fn reload(&self) -> Result<bool, Box<dyn Error>> {
        let text = fs::read_to_string(&self.path)?;
        if text == self.current.read().unwrap_or_else(PoisonError::into_inner).text {
            return Ok(false);
        }
        let File { limiter: config, limits } = toml::from_str(&text)?;
        if config != self.config {
            return Err("the limiter itself has changed: that takes a restart".into());
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Current { text, limits: Arc::new(limits) };
        Ok(true)
    }

    /// Counts a call of `who` against a limit.
    pub(crate) fn inc(&self, limit: &str, who: &str) -> Result<RateLimitDecision, Box<dyn Error>> {
        let limits = {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(&current.limits)
        };
        let rate = limits.get(limit).ok_or_else(|| format!("there is no limit named {limit:?}"))?;
        Ok(self.limiter.inc(&format!("{limit}:{who}"), rate, 1)?)
    }
}
