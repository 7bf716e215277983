//! The verdict on a round: what was counted against what the callers were told, and what a window held.

use std::fs;
use std::time::Duration;

use trypema::{RedisRateLimiter, TrypemaError};

use super::load::{HOT, hot_rates, once_rate};
use crate::common::Grid;
use crate::common::spans::{Span, Ticks};
use crate::processes::now;

/// Windows of the keys that all threads ask for.
const GRID: Grid = Grid { window_ms: 500, bucket_ms: 1 };
/// So much of a round is looked at again with the next, since windows reach across.
const KEPT_NS: u64 = 2_000_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// One of those that all threads ask for, under Absolute.
    Hot(u64),
    Suppressed(u64),
    /// Asked for by one call alone.
    Once(u64),
}

impl Key {
    pub(super) fn name(self) -> String {
        match self {
            Self::Hot(number) | Self::Suppressed(number) => format!("hot-{number}"),
            Self::Once(number) => format!("once-{number:x}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Admitted,
    TurnedAway,
    /// An error that says that nothing was counted.
    NotCounted,
    /// An error that does not know.
    Unknown,
}

impl Outcome {
    fn is_good(self) -> bool {
        matches!(self, Self::Admitted | Self::TurnedAway)
    }
}

/// Records of a round that there is room for from the beginning, so that a long one does not look like
/// memory that the library has lost.
const MOST: usize = 400_000;

/// Memory for so many records, in use already.
pub(super) fn room(count: usize) -> Vec<Record> {
    let nothing = Record {
        target: 0,
        thread: 0,
        key: Key::Once(0),
        called: 0,
        returned: 0,
        units: 0,
        outcome: Outcome::Unknown,
    };
    let mut room = vec![nothing; count];
    room.clear();
    room
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    pub(super) target: usize,
    pub(super) thread: usize,
    pub(super) key: Key,
    pub(super) called: u64,
    pub(super) returned: u64,
    pub(super) units: u64,
    pub(super) outcome: Outcome,
}

/// A time in which a target may lose what it had acknowledged, or in which its clock went forward.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) target: usize,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// A round as the test has seen it: a fault of one target, when it began, and when the servers were
/// well again by their own account.
#[derive(Debug, Clone)]
pub(super) struct Round {
    pub(super) target: usize,
    pub(super) begun: u64,
    pub(super) healed: u64,
    pub(super) cuts: Vec<Cut>,
}

impl Round {
    pub(super) fn line(&self) -> String {
        let cuts = self.cuts.iter().map(|cut| format!(" {} {} {}", cut.target, cut.from, cut.to));
        format!("end {} {} {}{}", self.target, self.begun, self.healed, cuts.collect::<String>())
    }

    pub(super) fn parse(line: &str) -> Self {
        let numbers = line.split(' ').map(|word| word.parse().unwrap()).collect::<Vec<u64>>();
        let ([target, begun, healed], cuts) = numbers.split_first_chunk().expect("three numbers");
        let index = |number: u64| usize::try_from(number).unwrap();
        let cuts =
            cuts.chunks(3).map(|cut| Cut { target: index(cut[0]), from: cut[1], to: cut[2] });
        Self { target: index(*target), begun: *begun, healed: *healed, cuts: cuts.collect() }
    }
}

/// The numbers of a round. Times are nanoseconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdict {
    /// Calls to all targets.
    pub(super) calls: u64,
    /// Calls to the target of the fault, from when it began.
    pub(super) meanwhile: u64,
    pub(super) failed: u64,
    pub(super) unknown: u64,
    pub(super) longest: u64,
    /// From when the servers were well, until every key that all threads ask for had been answered.
    pub(super) first_good: u64,
    /// The most calls of one thread that began after that, and failed.
    pub(super) failed_after: u64,
    /// How late a thread was that did nothing but sleep.
    pub(super) late: u64,
    /// Of the process.
    pub(super) threads: u64,
    pub(super) memory_kb: u64,
    pub(super) descriptors: u64,
    /// Calls whose units were counted again, one by one.
    pub(super) checked: u64,
    pub(super) wrong: String,
}

impl Verdict {
    fn line(&self) -> String {
        let Self { calls, meanwhile, failed, unknown, longest, first_good, failed_after, .. } =
            self;
        let Self { late, threads, memory_kb, descriptors, checked, wrong, .. } = self;
        format!(
            "{calls} {meanwhile} {failed} {unknown} {longest} {first_good} {failed_after} {late} \
             {threads} {memory_kb} {descriptors} {checked} {wrong}"
        )
    }

    pub(super) fn parse(line: &str) -> Self {
        let mut words = line.trim_end().splitn(13, ' ');
        let mut number = || words.next().expect("a number").parse::<u64>().unwrap();
        Self {
            calls: number(),
            meanwhile: number(),
            failed: number(),
            unknown: number(),
            longest: number(),
            first_good: number(),
            failed_after: number(),
            late: number(),
            threads: number(),
            memory_kb: number(),
            descriptors: number(),
            checked: number(),
            wrong: words.next().unwrap_or_default().to_owned(),
        }
    }
}

pub(super) struct Judge {
    /// Have no breaker.
    patient: Vec<RedisRateLimiter>,
    /// The round's.
    records: Vec<Record>,
    /// The last records of the round before.
    kept: Vec<Record>,
    cuts: Vec<Cut>,
}

impl Judge {
    pub(super) fn new(patient: Vec<RedisRateLimiter>) -> Self {
        Self { patient, records: room(MOST), kept: room(MOST), cuts: Vec::new() }
    }

    /// A line for [`Verdict::parse`].
    pub(super) fn judge(
        &mut self,
        round: &Round,
        made: impl Iterator<Item = Record>,
        late: u64,
    ) -> String {
        let (end, mut records) = (now(), std::mem::take(&mut self.records));
        records.extend(made);
        self.cuts.retain(|cut| cut.to + 2 * KEPT_NS > round.begun);
        self.cuts.extend(&round.cuts);
        let mut verdict = numbers(round, &records);
        verdict.late = late;
        let mut wrong = Vec::new();
        for record in &records {
            if let Key::Once(_) = record.key {
                verdict.checked += 1;
                wrong.extend(self.miscounted(record));
            }
        }
        self.kept.extend(&records);
        records.clear();
        self.records = records;
        wrong.extend(self.overshot());
        self.kept.retain(|record| record.returned + KEPT_NS > end);
        wrong.truncate(10);
        verdict.wrong = wrong.join("; ");
        let [threads, memory_kb, descriptors] = held();
        verdict = Verdict { threads, memory_kb, descriptors, ..verdict };
        verdict.line()
    }

    /// A call that was counted other than the caller was told.
    fn miscounted(&self, record: &Record) -> Option<String> {
        let counted = self.counted(record);
        let may_be_lost = self.cuts_of(record.target).any(|cut| record.called < cut.to);
        let is_right = match (&counted, record.outcome) {
            (Ok(1), Outcome::Admitted) | (Ok(0), Outcome::NotCounted) => true,
            (Ok(0), Outcome::Admitted) => may_be_lost,
            (Ok(0 | 1), Outcome::Unknown) => true,
            _ => false,
        };
        (!is_right).then(|| format!("counted {counted:?} of {record:?}"))
    }

    /// Asked until it is answered: old connections may lead nowhere.
    fn counted(&self, record: &Record) -> Result<u64, TrypemaError> {
        let (limiter, name) = (&self.patient[record.target], record.key.name());
        let ask = || limiter.absolute().usage(&name, &once_rate());
        std::iter::repeat_with(ask).take(30).find(Result::is_ok).unwrap_or_else(ask)
    }

    fn cuts_of(&self, target: usize) -> impl Iterator<Item = &Cut> {
        self.cuts.iter().filter(move |cut| cut.target == target)
    }

    /// Keys that were given more than fits into a window.
    fn overshot(&self) -> Vec<String> {
        let [absolute, suppressed] = hot_rates();
        let window = Duration::from_millis(GRID.window_ms);
        // The hard limit is 1.5 times the soft one.
        let bounds = [absolute.capacity(window), suppressed.capacity(window) * 3 / 2];
        let mut found = Vec::new();
        for target in 0..self.patient.len() {
            for number in 0..HOT {
                for (key, bound) in
                    [Key::Hot(number), Key::Suppressed(number)].into_iter().zip(bounds)
                {
                    let admitted = self.kept.iter().filter(|record| {
                        let is_this = record.target == target && record.key == key;
                        is_this && record.outcome == Outcome::Admitted
                    });
                    let spans = admitted.map(|record| {
                        let Record { called, returned, units, .. } = *record;
                        Span { called, returned, units }
                    });
                    for part in self.parts(target, &spans.collect::<Vec<_>>()) {
                        let excess = Ticks::of(GRID).excess(&part, &[], bound);
                        if excess > 0 {
                            found.push(format!("{excess} over {bound} on {key:?} of {target}"));
                        }
                    }
                }
            }
        }
        found
    }

    /// The calls before, between and after the cuts.
    fn parts(&self, target: usize, spans: &[Span]) -> Vec<Vec<Span>> {
        let mut cuts = self.cuts_of(target).map(|cut| (cut.from, cut.to)).collect::<Vec<_>>();
        cuts.sort_unstable();
        let begins = std::iter::once(0).chain(cuts.iter().map(|(_, to)| *to));
        let ends = cuts.iter().map(|(from, _)| *from).chain([u64::MAX]);
        let within = |(begin, end): (u64, u64)| {
            let inside = |span: &&Span| span.called >= begin && span.returned <= end;
            spans.iter().filter(inside).copied().collect()
        };
        begins.zip(ends).map(within).collect()
    }
}

fn numbers(round: &Round, records: &[Record]) -> Verdict {
    let meanwhile = records.iter().filter(|record| record.target == round.target);
    let meanwhile = meanwhile.filter(|record| record.returned >= round.begun).collect::<Vec<_>>();
    let count =
        |is: &dyn Fn(&Record) -> bool| meanwhile.iter().filter(|record| is(record)).count() as u64;
    let after = |record: &Record| record.called >= round.healed;
    let first_good = |number| {
        let of_key = meanwhile.iter().filter(|record| record.key == Key::Hot(number));
        let good = of_key.filter(|record| after(record) && record.outcome.is_good());
        good.map(|record| record.returned - round.healed).min().unwrap_or(u64::MAX)
    };
    let failed_after = |thread| {
        count(&|record| record.thread == thread && after(record) && !record.outcome.is_good())
    };
    Verdict {
        calls: records.len() as u64,
        meanwhile: meanwhile.len() as u64,
        failed: count(&|record| !record.outcome.is_good()),
        unknown: count(&|record| record.outcome == Outcome::Unknown),
        longest: meanwhile.iter().map(|record| record.returned - record.called).max().unwrap_or(0),
        first_good: (0..HOT).map(first_good).max().unwrap_or(0),
        failed_after: (0..16).map(failed_after).max().unwrap_or(0),
        ..Verdict::default()
    }
}

/// Threads, kilobytes in memory and descriptors of this process.
fn held() -> [u64; 3] {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it is there");
        line.split_whitespace().next().expect("a number").parse().unwrap()
    };
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    [field("Threads:"), field("VmRSS:"), descriptors]
}
