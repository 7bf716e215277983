//! How rates, times and windows are written in a file.

use core::fmt;
use core::time::Duration;

use serde::de::{self, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::RateLimit;
use crate::rate::text::{period_ms, time_text};

/// Characters of a refused text that an error repeats.
const ECHOED: usize = 64;

/// As text: `"100/minute"`. [`FromStr`](core::str::FromStr) of a rate tells the forms that can be read.
impl Serialize for RateLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From text: `"100/minute"`.
impl<'de> Deserialize<'de> for RateLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(RateText)
    }
}

struct RateText;

impl Visitor<'_> for RateText {
    type Value = RateLimit;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rate as text, such as \"100/minute\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RateLimit, E> {
        text.parse().map_err(E::custom)
    }
}

struct Time(Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TimeText).map(Self)
    }
}

struct TimeText;

impl Visitor<'_> for TimeText {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time as text, such as \"500ms\" or \"15min\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        period_ms(text.trim()).map(Duration::from_millis).ok_or_else(|| {
            let given = text.chars().take(ECHOED).collect::<String>();
            E::invalid_value(de::Unexpected::Str(&given), &self)
        })
    }
}

fn write_time(time: Duration) -> String {
    // Times from a file are whole milliseconds; finer times that a program has set are rounded down.
    time_text(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// A time that may be missing.
pub(super) mod time {
    use super::{Deserialize, Deserializer, Duration, Serializer, Time, write_time};

    #[expect(clippy::ref_option, reason = "serde calls it with this")]
    pub(crate) fn serialize<S: Serializer>(
        time: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.serialize_str(&write_time(*time)),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Time>::deserialize(deserializer)?.map(|time| time.0))
    }
}

/// A time, or a list of them.
pub(super) mod times {
    use super::{Deserializer, Duration, SerializeSeq, Serializer, Times, write_time};

    pub(crate) fn serialize<S: Serializer>(
        times: &[Duration],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(times.len()))?;
        for time in times {
            list.serialize_element(&write_time(*time))?;
        }
        list.end()
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Duration>, D::Error> {
        deserializer.deserialize_any(Times)
    }
}

struct Times;

impl<'de> Visitor<'de> for Times {
    type Value = Vec<Duration>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time as text, such as \"1min\", or a list of them")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<Duration>, E> {
        Ok(vec![TimeText.visit_str(text)?])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Duration>, A::Error> {
        let mut times = Vec::new();
        while let Some(Time(time)) = list.next_element()? {
            times.push(time);
        }
        Ok(times)
    }
}
