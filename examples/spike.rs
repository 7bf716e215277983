//! A spike of eight times the limit, as Absolute and as Suppressed take it: a plot-ready table.
//!
//! ```sh
//! cargo run --release --example spike > spike.csv
//! ```
//!
//! The load is calm (half the limit), spikes to eight times the limit, and is calm again. Both
//! strategies are offered the very same calls. Absolute admits the spike until its window is full,
//! then nothing until that burst leaves the window, then the next burst: a sawtooth. Suppressed
//! begins with a burst too, and from then on admits about the limit.
//!
//! Time is a manual clock and draws are seeded: the output is the same on every run. Rates are
//! those of the 100 ms up to `time_s`; a plot is easier to read with the two columns of admitted
//! rates averaged over a second or so. With gnuplot:
//!
//! ```sh
//! gnuplot -persist -e "
//!     set datafile separator ','; set key autotitle columnhead; set logscale y
//!     set xlabel 'seconds'; set ylabel 'calls per second'
//!     plot for [c=2:4] 'spike.csv' using 1:c smooth sbezier, '' using 1:5 axes x1y2 with lines"
//! ```
//!
//! or with Python:
//!
//! ```python
//! import pandas
//! table = pandas.read_csv("spike.csv", index_col="time_s")
//! table.rolling(10).mean().plot(secondary_y="suppression_factor").figure.savefig("spike.png")
//! ```

use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

use trypema::{LocalRateLimiter, ManualClock, RateLimit, SeededRandom};

const HELP: &str = "\
Writes a table of a load that is calm, spikes to 8 times the limit, and is calm again, and of what
each strategy admits of it, as comma-separated values. The same on every run.

usage: cargo run --release --example spike > spike.csv

columns: time_s, offered_per_s, absolute_admitted_per_s, suppressed_admitted_per_s,
         suppression_factor
limit:   100 calls per second over a window of 10 s, in buckets of 100 ms
load:    50 calls per second for 15 s, 800 for 60 s, 50 for 25 s
";

const PER_SECOND: f64 = 100.0;
const WINDOW: Duration = Duration::from_secs(10);
/// Of the table.
const STEP_MS: u64 = 100;
const SEED: u64 = 2;
/// Until when, in milliseconds, and how many calls are evenly spread over each step.
const LOAD: [(u64, u32); 3] = [(15_000, 5), (75_000, 80), (100_000, 5)];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let written = match arguments.next().as_deref() {
        None => write_table(BufWriter::new(io::stdout().lock())),
        Some("-h" | "--help") => io::stdout().write_all(HELP.as_bytes()).map_err(Into::into),
        Some(other) => Err(format!("unknown argument {other:?}; --help tells more").into()),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough, as `head` does.
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nowhere to report a failure of this to.
            let _ = writeln!(io::stderr(), "spike: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_table(mut out: impl Write) -> Result<(), Box<dyn Error>> {
    let clock = ManualClock::new();
    let limiter = LocalRateLimiter::builder()
        .window(WINDOW)
        .bucket(Duration::from_millis(100))
        .clock(clock.clone())
        .random(SeededRandom::new(SEED))
        .build()?;
    let rate = RateLimit::per_second(PER_SECOND)?;
    let (absolute, suppressed) = (limiter.absolute(), limiter.suppressed());

    writeln!(
        out,
        "time_s,offered_per_s,absolute_admitted_per_s,suppressed_admitted_per_s,suppression_factor"
    )?;
    let mut begun_ms = 0;
    for (until_ms, calls) in LOAD {
        while begun_ms < until_ms {
            let (mut by_absolute, mut by_suppressed) = (0, 0);
            for call in 0..calls {
                let into_step = Duration::from_millis(STEP_MS) * call / calls;
                clock.set(Duration::from_millis(begun_ms) + into_step);
                by_absolute += u64::from(absolute.inc("shared", &rate, 1).is_allowed());
                by_suppressed += u64::from(suppressed.inc("shared", &rate, 1).is_allowed());
            }
            // Before the next bucket begins, so that a row is of one time.
            let factor = suppressed.suppression_factor("shared", &rate);
            begun_ms += STEP_MS;
            let per_second = |calls: u64| calls * 1_000 / STEP_MS;
            writeln!(
                out,
                "{}.{},{},{},{},{factor:.4}",
                begun_ms / 1_000,
                begun_ms % 1_000 / 100,
                per_second(calls.into()),
                per_second(by_absolute),
                per_second(by_suppressed),
            )?;
        }
    }
    Ok(out.flush()?)
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
