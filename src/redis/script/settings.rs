//! The settings of a window's scripts, as text in them or packed as arguments.

use crate::policy::Grid;
use crate::policy::suppressed::Suppression;
use crate::redis::request::MAX_COUNT;

/// Microseconds, the unit of time of the scripts, in a millisecond.
const MILLI: u64 = 1_000;

/// The settings that all scripts for a window share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) grid: Grid,
    pub(crate) suppression: Suppression,
    /// Whether tests set the time: the server then forgets a key a day later.
    pub(crate) told_time: bool,
}

impl Settings {
    /// `arguments`: how many the operation takes; the time comes after them, if tests set it.
    pub(super) fn common(&self, arguments: usize) -> String {
        format!(
            "local now, G, SPAN, TTL = ARGV[{now}], {bucket_us}, {span}, '{ttl}'\n",
            now = arguments + 1,
            bucket_us = self.bucket_ms() * MILLI,
            span = self.grid.span(),
            ttl = self.keep_ms(),
        )
    }

    /// The arguments of one key for the script of `inc_all`: for a call of so many units under a capacity.
    ///
    /// As `f64`, which all of them are exactly: a script reads these faster than whole numbers.
    pub(crate) fn pack_absolute(&self, count: u64, capacity: u64, out: &mut Vec<u8>) {
        reals(&self.common_reals(count), out);
        reals(&[real(capacity)], out);
        self.pack_ttl(out);
    }

    /// The same for a call under a soft and a hard limit, at this rate, with this draw.
    pub(crate) fn pack_suppressed(
        &self,
        count: u64,
        [soft, hard]: [u64; 2],
        [rate, draw]: [f64; 2],
        out: &mut Vec<u8>,
    ) {
        let Suppression { recent_span, recent_s, window_s, .. } = self.suppression;
        reals(&self.common_reals(count), out);
        reals(&[real(soft), real(hard), rate, draw, real(recent_span), recent_s, window_s], out);
        reals(&[real(self.refresh_us())], out);
        self.pack_ttl(out);
    }

    /// The arguments for [`Script::reset`](crate::redis::script::Script::reset).
    pub(crate) fn pack_reset(&self, out: &mut Vec<u8>) {
        reals(&[self.bucket_ms() * MILLI, self.grid.span()].map(real), out);
        self.pack_ttl(out);
    }

    fn common_reals(&self, count: u64) -> [f64; 3] {
        [self.bucket_ms() * MILLI, self.grid.span(), count].map(real)
    }

    /// As text, since the script hands it on as it is.
    fn pack_ttl(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.keep_ms().to_string().as_bytes());
        out.push(0);
    }

    fn refresh_us(&self) -> u64 {
        // Numbers are exact in scripts up to here.
        self.suppression.refresh_ns.div_ceil(1_000).min(MAX_COUNT)
    }

    /// The settings by which Suppressed measures the demand.
    pub(super) fn of_demand(&self) -> String {
        let Suppression { recent_span, recent_s, window_s, .. } = self.suppression;
        format!(
            "local RECENT, RECENT_S, WINDOW_S, REFRESH = {recent_span}, {recent_s}, {window_s}, {refresh}\n",
            refresh = self.refresh_us(),
        )
    }

    /// How long the server keeps a key after its newest bucket began: the window and two buckets, in
    /// milliseconds.
    fn keep_ms(&self) -> u64 {
        /// A day in milliseconds.
        const LONG: u64 = 86_400_000;
        let bucket_ms = self.bucket_ms();
        let held_ms = (self.grid.span() - 1) * bucket_ms;
        held_ms + 2 * bucket_ms + if self.told_time { LONG } else { 0 }
    }

    fn bucket_ms(&self) -> u64 {
        // A bucket is at most a hundred years.
        u64::try_from(self.grid.bucket().as_millis()).unwrap_or(u64::MAX)
    }
}

#[expect(clippy::cast_precision_loss, reason = "all are below 2^53")]
fn real(number: u64) -> f64 {
    number as f64
}

fn reals(numbers: &[f64], out: &mut Vec<u8>) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

/// The low bytes of a number, the lowest first.
pub(crate) fn pack<const BYTES: usize>(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_le_bytes()[..BYTES]);
}
