//! The calls of a run.

use core::time::Duration;
use std::time::Instant;

use clap::ValueEnum;

use crate::alloc;
use crate::keys::{self, Prepared};
use crate::rivals::Rival;
use crate::rule::Rule;

/// The capacity where nothing is ever rejected: no run comes near it.
const UNREACHED: u32 = 1_000_000_000;
/// The capacity of the hot key that is over its limit. At a hundred a second a bucket that refills
/// (governor's) admits a handful during a run.
const HOT_OVER: u32 = 1_000;

/// A way of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Workload {
    /// One key for all threads, used up.
    HotOver,
    /// One key for all threads, never used up.
    HotAllowed,
    /// 100,000 keys, each as likely as any other, never used up.
    UniformAllowed,
    /// 100,000 keys, each as likely as any other, with one unit per window, used up.
    UniformOver,
    /// [`Workload::UniformAllowed`], with a fence between calls: the processor must not begin one before the
    /// last has ended, as it may where a program does nothing else in between.
    FencedAllowed,
    /// [`Workload::UniformOver`], with a fence between calls.
    FencedOver,
    /// [`Workload::UniformAllowed`] in a window of a second, each second of which has been used: a bucket
    /// leaves with nearly every call.
    UniformSecond,
    /// [`Workload::UniformAllowed`] in a window of 64 buckets.
    UniformCoarse,
    /// A million keys by Zipf's law with exponent 1, never used up.
    Zipf,
    /// A million keys, each asked for once, on an empty limiter.
    NewKeys,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::HotOver,
        Self::HotAllowed,
        Self::UniformAllowed,
        Self::UniformOver,
        Self::FencedAllowed,
        Self::FencedOver,
        Self::UniformSecond,
        Self::UniformCoarse,
        Self::Zipf,
        Self::NewKeys,
    ];

    /// As on the command line.
    #[must_use]
    pub fn label(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// As in a heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::HotOver => "hot key, over limit",
            Self::HotAllowed => "hot key, allowed",
            Self::UniformAllowed => "uniform 100k, allowed",
            Self::UniformOver => "uniform 100k, over limit",
            Self::FencedAllowed => "uniform 100k, allowed, fenced",
            Self::FencedOver => "uniform 100k, over limit, fenced",
            Self::UniformSecond => "uniform 100k, allowed, window of 1 s",
            Self::UniformCoarse => "uniform 100k, allowed, 64 buckets",
            Self::Zipf => "Zipf 1M keys",
            Self::NewKeys => "1M new keys",
        }
    }

    /// Whether what is asked for is rejected.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::HotOver | Self::UniformOver | Self::FencedOver)
    }

    /// Whether there is a fence between calls.
    #[must_use]
    pub fn is_fenced(self) -> bool {
        matches!(self, Self::FencedAllowed | Self::FencedOver)
    }

    /// How long its keys are in use before the clock starts.
    fn warm_up(self) -> Duration {
        match self {
            Self::UniformSecond => Duration::from_millis(1_200),
            _ => Duration::ZERO,
        }
    }

    /// The rule under which it runs.
    #[must_use]
    pub fn rule(self) -> Rule {
        match self {
            Self::HotOver => Rule::timed(HOT_OVER),
            // One unit in ten seconds: used up, it stays so for a whole run, with any algorithm.
            Self::UniformOver | Self::FencedOver => Rule::timed(1),
            Self::UniformSecond => Rule::second(UNREACHED),
            Self::UniformCoarse => Rule::coarse(UNREACHED),
            _ => Rule::timed(UNREACHED),
        }
    }
}

/// How many keys there are, and how long the prepared orders.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Keys of the uniform workloads.
    pub uniform: usize,
    /// Keys of the Zipf workload and new keys.
    pub many: usize,
    /// Keys that a thread asks for before it begins again.
    pub order: usize,
}

impl Scale {
    /// As the names of the workloads say.
    pub const FULL: Self = Self { uniform: 100_000, many: 1_000_000, order: 1 << 17 };
    /// A tenth, for a quick look.
    pub const SHORT: Self = Self { uniform: 10_000, many: 100_000, order: 1 << 14 };
}

/// All keys of all workloads, for as many threads as will ever be asked.
///
/// Made before anything else: on a heap that nobody has used, strings that are made one after the
/// other lie one after the other. Made between runs they would be put into the gaps that rivals
/// left behind, and every rival that looks up by a `String` would be charged for finding them.
#[derive(Debug)]
pub struct Stock {
    hot: Vec<Prepared>,
    distinct: Vec<Prepared>,
    uniform: Vec<Vec<Prepared>>,
    zipf: Vec<Vec<Prepared>>,
    scale: Scale,
}

impl Stock {
    /// Keys for these workloads.
    #[must_use]
    pub fn new(workloads: &[Workload], threads: usize, scale: Scale) -> Self {
        use Workload::{
            FencedAllowed, FencedOver, NewKeys, UniformAllowed, UniformCoarse, UniformOver,
            UniformSecond, Zipf,
        };
        const UNIFORM: &[Workload] =
            &[UniformAllowed, UniformOver, FencedAllowed, FencedOver, UniformSecond, UniformCoarse];
        let asked_for =
            |some: &[Workload]| workloads.iter().any(|workload| some.contains(workload));
        let seeds = |some: &[Workload]| 0..if asked_for(some) { threads as u64 } else { 0 };
        let distinct = if asked_for(&[Zipf, NewKeys]) { scale.many } else { scale.uniform };
        Self {
            hot: keys::hot(64),
            distinct: keys::distinct(distinct),
            uniform: seeds(UNIFORM)
                .map(|seed| keys::uniform(scale.uniform, scale.order, seed))
                .collect(),
            zipf: seeds(&[Zipf]).map(|seed| keys::zipf(scale.many, scale.order, seed)).collect(),
            scale,
        }
    }

    /// A workload for some threads. Every rival gets the same.
    ///
    /// # Panics
    /// If the stock was not made for this workload or for fewer threads.
    #[must_use]
    pub fn scene(&self, workload: Workload, threads: usize) -> Scene<'_> {
        fn slices(orders: &[Vec<Prepared>]) -> Vec<&[Prepared]> {
            orders.iter().map(Vec::as_slice).collect()
        }
        let (present, orders) = match workload {
            Workload::HotOver | Workload::HotAllowed => {
                (&self.hot[..1], vec![self.hot.as_slice(); threads])
            }
            Workload::UniformAllowed
            | Workload::UniformOver
            | Workload::FencedAllowed
            | Workload::FencedOver
            | Workload::UniformSecond
            | Workload::UniformCoarse => {
                (&self.distinct[..self.scale.uniform], slices(&self.uniform[..threads]))
            }
            Workload::Zipf => (self.distinct.as_slice(), slices(&self.zipf[..threads])),
            Workload::NewKeys => {
                let share = self.distinct.len().div_ceil(threads);
                (&[][..], self.distinct.chunks(share).collect())
            }
        };
        Scene { workload, orders, present }
    }
}

/// A workload for some threads, with all its keys prepared.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The kind of calls.
    pub workload: Workload,
    /// The calls of each thread, in this order; from the beginning again, unless keys are new.
    pub orders: Vec<&'a [Prepared]>,
    /// Keys that are known before the clock starts.
    present: &'a [Prepared],
}

impl Scene<'_> {
    /// A fresh rival, with the keys that it should know, on a heap that was tidied up.
    #[must_use]
    pub fn rival<R: Rival>(&self) -> R {
        alloc::tidy();
        let rival = R::new(self.workload.rule());
        for key in self.present {
            if self.workload.is_over() {
                rival.fill(key);
            } else {
                rival.inc(key);
            }
        }
        let warm = Instant::now() + self.workload.warm_up();
        while Instant::now() < warm {
            for key in self.present {
                rival.inc(key);
            }
        }
        rival
    }
}
