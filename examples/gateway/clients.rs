//! The clients: each asks in its own way and keeps count of what it was told.

use std::thread;
use std::time::{Duration, Instant};

use crate::http::{Connection, Reply};
use crate::settings::{Appetite, Client};

/// A client's own counts of what the server told it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    pub(crate) admitted: u64,
    pub(crate) rejected: u64,
    /// Rejections that told it, by the absence of a time, not to come back.
    pub(crate) told_never: u64,
    /// Rejections whose two headers were not a time, or not the same time: the seconds are the
    /// milliseconds rounded up, and at least 1.
    pub(crate) told_wrong: u64,
    /// Requests without an answer, and answers that were neither yes nor no.
    pub(crate) failed: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.admitted += other.admitted;
        self.rejected += other.rejected;
        self.told_never += other.told_never;
        self.told_wrong += other.told_wrong;
        self.failed += other.failed;
    }

    fn note(&mut self, reply: &Reply) {
        match reply.status {
            200 => self.admitted += 1,
            429 => {
                self.rejected += 1;
                match (reply.retry_after, reply.retry_after_ms) {
                    (None, None) => self.told_never += 1,
                    (Some(seconds), Some(ms)) if seconds == ms.div_ceil(1_000).max(1) => {}
                    _ => self.told_wrong += 1,
                }
            }
            _ => self.failed += 1,
        }
    }
}

/// Asks over one connection until the time is up.
pub(crate) fn ask(client: &Client, mut connection: Connection, until: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut due = Instant::now();
    let mut asked: u32 = 0;
    while Instant::now() < until {
        let reply = connection.get(client.name).ok();
        match &reply {
            Some(reply) => tally.note(reply),
            None => tally.failed += 1,
        }
        asked += 1;
        let now = Instant::now();
        due = next(client.appetite, asked, due, now, reply.as_ref());
        if reply.is_none() {
            // Something is amiss. To hammer on it would not help.
            due = due.max(now + Duration::from_millis(50));
        }
        thread::sleep(due.min(until).saturating_duration_since(now));
    }
    tally
}

/// When to ask next, having asked `asked` times, last when it was `due`, and been answered `now`.
fn next(
    appetite: Appetite,
    asked: u32,
    due: Instant,
    now: Instant,
    reply: Option<&Reply>,
) -> Instant {
    match appetite {
        // A beat, not a pause: a slow answer does not slow it down. But a beat that was missed
        // is left out, so that it never has to catch up with a burst.
        Appetite::Every(beat) => (due + beat).max(now),
        Appetite::Hammer { pause } => now + pause,
        Appetite::Polite { pause } => {
            // It need not wait for longer than any run takes, whatever it was told.
            let told = reply.and_then(|reply| reply.retry_after).unwrap_or(0).min(3_600);
            now + pause.max(Duration::from_secs(told))
        }
        Appetite::Bursts { size, idle } if asked.is_multiple_of(size) => now + idle,
        Appetite::Bursts { .. } => now,
    }
}
