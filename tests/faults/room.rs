//! `max_keys` and a key that two threads bring at the same time.

// each proves: G6

use std::cell::RefCell;
use std::hash::{Hash, Hasher};

use trypema::{LocalRateLimiter, Lookup, ManualClock, RateLimit};

type Before = Box<dyn FnOnce()>;

thread_local! {
    /// Done once, where a call has seen that its key is not there, as another thread might.
    static BEFORE: RefCell<Option<Before>> = const { RefCell::new(None) };
}

struct Ask(u64);

impl Hash for Ask {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Lookup<u64> for Ask {
    fn is(&self, key: &u64) -> bool {
        self.0 == *key
    }

    fn to_key(&self) -> u64 {
        if let Some(before) = BEFORE.take() {
            before();
        }
        self.0
    }
}

fn limiter() -> LocalRateLimiter<u64> {
    LocalRateLimiter::builder().clock(ManualClock::new()).max_keys(1).keys::<u64>().build().unwrap()
}

#[test]
fn a_key_that_another_thread_has_just_inserted_is_found() {
    let rate = RateLimit::per_minute(2.0).unwrap();

    let limiter_ = limiter();
    let other = limiter_.clone();
    BEFORE.set(Some(Box::new(move || {
        assert!(other.absolute().inc(&7, &rate, 1).is_allowed());
    })));
    assert!(limiter_.absolute().inc(&Ask(7), &rate, 1).is_allowed());
    assert!(!limiter_.absolute().inc(&Ask(7), &rate, 1).is_allowed(), "both were counted");

    let limiter_ = limiter();
    let other = limiter_.clone();
    BEFORE.set(Some(Box::new(move || {
        assert!(other.suppressed().inc(&7, &rate, 1).is_allowed());
    })));
    assert!(limiter_.suppressed().inc(&Ask(7), &rate, 1).is_allowed());
    assert_eq!(limiter_.stats().turned_away, 0);
}
