//! Certain statements about calls that overlapped each other.
//!
//! A call is seen from outside: its effect took place at some moment between `called` and
//! `returned`, and nobody can tell which. So only statements that hold for every such moment are
//! checked. A check that passes may have missed something; one that fails has found a bug.

use super::Grid;

/// A call that had an effect on `units`. Times are nanoseconds of one clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) called: u64,
    pub(crate) returned: u64,
    pub(crate) units: u64,
}

/// Units by time, to be summed up to any moment.
struct Sums(Vec<(u64, u64)>);

impl Sums {
    fn of<'a>(spans: impl IntoIterator<Item = &'a Span>, time: fn(&Span) -> u64) -> Self {
        let mut sums = spans.into_iter().map(|span| (time(span), span.units)).collect::<Vec<_>>();
        sums.sort_unstable();
        let mut sum = 0;
        for (_, units) in &mut sums {
            sum += *units;
            *units = sum;
        }
        Self(sums)
    }

    fn before(&self, moment: u64) -> u64 {
        let count = self.0.partition_point(|&(time, _)| time < moment);
        count.checked_sub(1).map_or(0, |last| self.0[last].1)
    }

    fn total(&self) -> u64 {
        self.before(u64::MAX)
    }
}

/// The stretches of time of this length that are worth looking at, each with the units of those
/// calls that lie in it whole: from what `anchor` makes of the beginning of each call, at or
/// before that.
///
/// A call that takes longer than the stretch cannot lie in one. Of the others, whatever was called
/// before the start has returned before the end. So the sum is "returned by the end" less "called
/// before the start".
fn stretches(
    spans: &[Span],
    length: u64,
    anchor: impl Fn(u64) -> u64,
) -> impl Iterator<Item = (u64, u64)> {
    let short = || spans.iter().filter(move |span| span.returned - span.called <= length);
    let called = Sums::of(short(), |span| span.called);
    let returned = Sums::of(short(), |span| span.returned);
    let mut starts = short().map(|span| anchor(span.called)).collect::<Vec<_>>();
    starts.sort_unstable();
    starts.dedup();
    let inside = move |start| (start, returned.before(start + length + 1) - called.before(start));
    starts.into_iter().map(inside)
}

/// The most units of calls that lie whole in any stretch of this length.
pub(crate) fn most_within(spans: &[Span], length: u64) -> u64 {
    stretches(spans, length, |called| called).map(|(_, units)| units).max().unwrap_or(0)
}

/// The same and more for calls whose times were read from the limiter's own clock: these can be
/// judged to the tick.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticks {
    bucket_ns: u64,
    /// A unit of tick `t` counts at tick `n` while `n - t` is below this: until the end of its
    /// bucket is a window ago.
    span: u64,
}

impl Ticks {
    pub(crate) fn of(grid: Grid) -> Self {
        let buckets = grid.window_ms.div_ceil(grid.bucket_ms);
        Self { bucket_ns: grid.bucket_ms * 1_000_000, span: buckets + 1 }
    }

    /// By how much the units that are certain to have counted at the same time exceed the
    /// capacity. Must be 0.
    ///
    /// The admissions of `span` ticks in a row all count at the last of those ticks. So whichever
    /// of them took place last was judged with all the others counted, except for what had been
    /// given back by then. The tick of an admission is not before that of its call and not after
    /// that of its return, hence those that lie in these ticks whole are bounded by the capacity
    /// and those refunds. A refund that matters took place after one of these admissions and
    /// before another, hence not wholly before or after these ticks.
    pub(crate) fn excess(self, admitted: &[Span], refunded: &[Span], capacity: u64) -> u64 {
        let called = Sums::of(refunded, |span| span.called);
        let returned = Sums::of(refunded, |span| span.returned);
        let length = self.span * self.bucket_ns - 1;
        stretches(admitted, length, |called| called / self.bucket_ns * self.bucket_ns)
            .map(|(start, units)| {
                let refunds = called.before(start + length + 1) - returned.before(start);
                units.saturating_sub(capacity + refunds)
            })
            .max()
            .unwrap_or(0)
    }

    /// The least and the most that usage can be at `now`, when all calls have returned.
    pub(crate) fn usage(self, admitted: &[Span], now: u64) -> (u64, u64) {
        let from = self.oldest_counted(now);
        let since = |sums: Sums| sums.total() - sums.before(from);
        (
            since(Sums::of(admitted, |span| span.called)),
            since(Sums::of(admitted, |span| span.returned)),
        )
    }

    /// A rejection that cannot have been right, since not enough units *may* have counted.
    ///
    /// Units counted against a rejection were asked for before it returned. It was judged at the
    /// tick of its call or later, and they have a tick no later than their return.
    pub(crate) fn unjustified(
        self,
        rejected: &[Span],
        admitted: &[Span],
        capacity: u64,
    ) -> Option<Span> {
        let called = Sums::of(admitted, |span| span.called);
        let returned = Sums::of(admitted, |span| span.returned);
        let unjust = |span: &&Span| {
            let expired = returned.before(self.oldest_counted(span.called));
            called.before(span.returned + 1) - expired + span.units <= capacity
        };
        rejected.iter().find(unjust).copied()
    }

    /// When the oldest bucket that still counts at `now` began.
    fn oldest_counted(self, now: u64) -> u64 {
        (now / self.bucket_ns + 1).saturating_sub(self.span) * self.bucket_ns
    }
}
