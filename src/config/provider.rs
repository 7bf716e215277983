//! The names of providers in a file.

use core::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The place where a limiter keeps its state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Provider {
    /// In this process: `local`.
    #[default]
    Local,
    /// In Redis: `redis`.
    #[cfg(feature = "redis")]
    Redis,
    /// In this process, by leases from Redis: `hybrid`.
    #[cfg(feature = "redis")]
    Hybrid,
}

impl Serialize for Provider {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Local => "local",
            #[cfg(feature = "redis")]
            Self::Redis => "redis",
            #[cfg(feature = "redis")]
            Self::Hybrid => "hybrid",
        })
    }
}

/// By hand, to tell a provider that was not built in from one that does not exist.
impl<'de> Deserialize<'de> for Provider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(ProviderName)
    }
}

struct ProviderName;

impl Visitor<'_> for ProviderName {
    type Value = Provider;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a provider: \"local\", \"redis\" or \"hybrid\"")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Provider, E> {
        match name {
            "local" => Ok(Provider::Local),
            #[cfg(feature = "redis")]
            "redis" => Ok(Provider::Redis),
            #[cfg(feature = "redis")]
            "hybrid" => Ok(Provider::Hybrid),
            #[cfg(not(feature = "redis"))]
            "redis" | "hybrid" => {
                Err(E::custom(format!("the provider {name} needs trypema's feature `redis`")))
            }
            _ => Err(E::unknown_variant(name, &["local", "redis", "hybrid"])),
        }
    }
}
