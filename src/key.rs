//! Keys, and the types that look them up.

use core::borrow::Borrow;
use core::fmt;
use core::hash::{Hash, Hasher};
use std::borrow::Cow;
use std::sync::Arc;

use compact_str::CompactString;

/// A string key as a limiter stores it: up to 24 bytes inline, longer ones on the heap.
///
/// It is made by the limiter, when it first meets a key; callers pass `&str`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(CompactString);

impl Key {
    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// As the text hashes, so that a key is found by `&str`.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self(CompactString::from(text))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A type that looks up a key of type `K`: `K` itself, and for string keys any kind of string.
///
/// The key itself is made only when it is not in the map yet, so looking up by `&str` allocates
/// nothing for a key that is known.
///
/// An implementation must hash as the `K` that it stands for.
///
/// ```
/// use trypema::{LocalRateLimiter, Lookup, RateLimit};
///
/// /// A user's mailbox, as it is stored.
/// #[derive(Clone, PartialEq, Eq, Hash)]
/// struct Mailbox(u32, String);
///
/// /// The same, borrowed.
/// #[derive(Hash)]
/// struct Borrowed<'a>(u32, &'a str);
///
/// impl Lookup<Mailbox> for Borrowed<'_> {
///     fn is(&self, key: &Mailbox) -> bool {
///         self.0 == key.0 && self.1 == key.1
///     }
///
///     fn to_key(&self) -> Mailbox {
///         Mailbox(self.0, self.1.to_owned())
///     }
/// }
///
/// # fn main() -> Result<(), trypema::TrypemaError> {
/// let limiter = LocalRateLimiter::builder().keys::<Mailbox>().build()?;
/// let rate = RateLimit::per_minute(5)?;
/// assert_eq!(limiter.absolute().inc(&Borrowed(7, "inbox"), &rate, 1).remaining(), 4);
/// assert_eq!(limiter.absolute().inc(&Mailbox(7, "inbox".into()), &rate, 1).remaining(), 3);
/// # Ok(())
/// # }
/// ```
pub trait Lookup<K>: Hash {
    /// Whether `key` is the one that is looked up.
    fn is(&self, key: &K) -> bool;

    /// The key, to be stored.
    fn to_key(&self) -> K;
}

impl<K: Hash + Eq + Clone> Lookup<K> for K {
    #[inline]
    fn is(&self, key: &K) -> bool {
        self == key
    }

    fn to_key(&self) -> K {
        self.clone()
    }
}

/// `one == other`, without a call to `memcmp` for the lengths that most keys have: that takes as
/// long as all the rest of a look-up that finds its key in the cache.
#[inline]
fn same_bytes(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        // First and last words, which overlap in the middle.
        8..=16 => {
            one.first_chunk::<8>() == other.first_chunk()
                && one.last_chunk::<8>() == other.last_chunk()
        }
        17..=32 => {
            one.first_chunk::<16>() == other.first_chunk()
                && one.last_chunk::<16>() == other.last_chunk()
        }
        _ => one == other,
    }
}

macro_rules! looked_up_by_text {
    ($($key:ty: $($text:ty),+;)+) => {$($(
        impl Lookup<$key> for $text {
            #[inline]
            fn is(&self, key: &$key) -> bool {
                let text: &str = self.as_ref();
                same_bytes(text.as_bytes(), key.as_str().as_bytes())
            }

            fn to_key(&self) -> $key {
                let text: &str = self.as_ref();
                text.into()
            }
        }
    )+)+};
}

looked_up_by_text! {
    Key: str, &str, String, Box<str>, Arc<str>, Cow<'_, str>;
    String: str, &str, Box<str>, Arc<str>, Cow<'_, str>;
}

#[cfg(test)]
mod tests {
    use super::same_bytes;

    #[test]
    fn every_byte_counts() {
        for len in 0..40 {
            let one = vec![7_u8; len];
            assert!(same_bytes(&one, &one.clone()));
            assert!(!same_bytes(&one, &vec![7; len + 1]));
            for at in 0..len {
                let mut other = one.clone();
                other[at] = 8;
                assert!(!same_bytes(&one, &other), "{at} of {len}");
            }
        }
    }
}
