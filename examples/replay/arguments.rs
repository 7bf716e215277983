//! What the command line asks for.

use std::path::PathBuf;

use trypema::RateLimit;

use super::log::Unit;

pub(crate) const HELP: &str = "\
What limits would have rejected of a log: by key, over time, and which limit would have rejected nothing.

usage: replay [--limit RATE].. [LOG]

  LOG               lines of time,key,count; - for standard input; none: a made-up hour
  --limit RATE      such as 100/minute or 20/10s; several are tried side by side
                    (default: 60/minute, 200/minute, 10/second)
  --suppressed      by the Suppressed strategy instead of Absolute
  --millis          times are numbers of milliseconds, not seconds (times with dates stay what they are)
  --top N           how many keys to show for each limit (default: 10)
  --picture FILE    draws an SVG, too
";

/// Where the log comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Demo,
    Input,
    File(PathBuf),
}

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) source: Source,
    pub(crate) limits: Vec<RateLimit>,
    pub(crate) is_suppressed: bool,
    pub(crate) unit: Unit,
    pub(crate) top: usize,
    pub(crate) picture: Option<PathBuf>,
}

impl Arguments {
    /// `None`: help was asked for.
    pub(crate) fn parse(mut given: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut arguments = Self {
            source: Source::Demo,
            limits: Vec::new(),
            is_suppressed: false,
            unit: Unit::Seconds,
            top: 10,
            picture: None,
        };
        while let Some(argument) = given.next() {
            let mut value = || given.next().ok_or(format!("{argument} needs a value after it"));
            match &*argument {
                "-h" | "--help" => return Ok(None),
                "--limit" => {
                    let text = value()?;
                    let rate = text.parse().map_err(|error| format!("--limit {text}: {error}"))?;
                    arguments.limits.push(rate);
                }
                "--suppressed" => arguments.is_suppressed = true,
                "--millis" => arguments.unit = Unit::Millis,
                "--top" => {
                    let text = value()?;
                    arguments.top = text
                        .parse()
                        .map_err(|_| format!("--top takes a whole number, not {text:?}"))?;
                }
                "--picture" => arguments.picture = Some(value()?.into()),
                _ if arguments.source != Source::Demo => {
                    return Err(format!("{argument:?} is one argument too many"));
                }
                "-" => arguments.source = Source::Input,
                option if option.starts_with('-') => {
                    return Err(format!("there is no argument {option:?}"));
                }
                path => arguments.source = Source::File(path.into()),
            }
        }
        if arguments.limits.is_empty() {
            let limits = ["60/minute", "200/minute", "10/second"].map(str::parse);
            arguments.limits =
                limits.into_iter().collect::<Result<_, _>>().map_err(|error| format!("{error}"))?;
        }
        Ok(Some(arguments))
    }
}
