//! How far a rival goes beyond its capacity in some interval exactly as long as the window.
//!
//! Threads ask for one key without pause and note of each admission when the call began and ended.
//! An admission belongs to an interval if its whole call lies inside: then it does, whatever moment of
//! the call one takes for the admission. Nothing else is counted, so that what is reported happened.
//!
//! The clock is that of the library under test, quanta's, with the calibration that this process
//! shares: two clocks would disagree about what a window is.

use core::time::Duration;
use std::sync::Barrier;
use std::thread;

use crate::keys::Prepared;
use crate::rivals::Rival;
use crate::rule::Rule;

/// The threads that ask, and their calls.
#[derive(Debug, Clone, Copy)]
pub struct Attack {
    /// How many threads.
    pub threads: usize,
    /// Units of each call.
    pub batch: u32,
    /// A single unit goes ahead by so much. Where a bucket begins with its first unit and expires by
    /// its beginning, the rest then expires early.
    pub ahead: Option<Duration>,
    /// How long.
    pub time: Duration,
}

/// Units admitted in one interval of the window's length, in the worst such interval.
#[must_use]
pub fn worst_window<R: Rival>(rule: Rule, attack: Attack) -> u64 {
    let rival = R::new(rule);
    let key = Prepared::new(0);
    let clock = quanta::Clock::new();
    let origin = clock.raw();
    let nanos = |raw: u64| clock.delta_as_nanos(origin, raw);
    let length = u64::try_from(attack.time.as_nanos()).expect("a short time");
    if let Some(ahead) = attack.ahead {
        rival.inc(&key);
        thread::sleep(ahead);
    }
    let ready = Barrier::new(attack.threads);
    let ask = || {
        let mut admissions = Vec::new();
        ready.wait();
        loop {
            let before = nanos(clock.raw());
            let admitted = rival.inc_by(&key, attack.batch);
            let after = nanos(clock.raw());
            if admitted {
                admissions.push((before, after));
            }
            if after > length {
                return admissions;
            }
        }
    };
    let mut admissions: Vec<(u64, u64)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..attack.threads).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread panicked")).collect()
    });
    admissions.sort_unstable();
    let window = u64::try_from(rule.window.as_nanos()).expect("a short window");
    most_within(&admissions, window) * u64::from(attack.batch)
}

/// The most calls, given by beginning and end and sorted, inside one interval of length `window`.
fn most_within(calls: &[(u64, u64)], window: u64) -> u64 {
    // The worst interval may be taken to begin where a call does.
    let inside = |from: usize| {
        let end = calls[from].0 + window;
        let begun = calls[from..].iter().take_while(|call| call.0 <= end);
        begun.filter(|call| call.1 <= end).count() as u64
    };
    (0..calls.len()).map(inside).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::most_within;

    #[test]
    fn counts_calls_that_lie_inside_as_a_whole() {
        let calls = [(0, 2), (1, 20), (9, 10), (10, 11), (12, 13)];
        assert_eq!(most_within(&calls, 10), 3); // 9 to 19
        assert_eq!(most_within(&calls, 11), 3);
        assert_eq!(most_within(&calls, 13), 4); // 0 to 13, without the one that ends at 20
        assert_eq!(most_within(&calls, 20), 5);
        assert_eq!(most_within(&[], 10), 0);
    }
}
