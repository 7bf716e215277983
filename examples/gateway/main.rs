//! A small HTTP gateway that limits each of its clients, with clients of its own to limit.
//!
//! `cargo run --release --example gateway` starts a server with a pool of threads on a free port
//! of the loopback interface, lets clients with very different appetites loose on it for some
//! seconds, prints what became of them, and then checks the server's own record of every decision
//! against what the limiter promises. A promise found broken is an exit code of 1.
//!
//! With `--serve ADDR` the server stays up instead, for curl. With `--redis URL` as well (and the
//! feature `redis`), its limits are in Redis: gateways in other processes and on other hosts that
//! use the same Redis share them. With `--hybrid URL` instead, each gateway leases units from Redis and
//! decides by itself.
//!
//! Where to look: `server.rs` makes the one call that limits, `answer.rs` turns its decision into
//! HTTP, `history.rs` holds the checks.

#![expect(clippy::print_stdout, reason = "an example prints")]

mod answer;
mod clients;
mod history;
mod http;
mod limits;
mod report;
mod rules;
mod run;
mod server;
mod settings;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use trypema::{Clock, MonotonicClock};

use crate::limits::Limits;
use crate::rules::Rules;
use crate::server::Gateway;
use crate::settings::Settings;

const HELP: &str = "\
A gateway that limits its clients, each by a rate of its own.

usage: gateway [--seconds N]     let clients loose on it for N seconds (1 to 60, default 5)
       gateway --serve ADDR      serve, for curl, until Ctrl-C; for example 127.0.0.1:8080
       gateway --serve ADDR --redis URL
                                 the same, with limits that are shared with all gateways at this
                                 Redis; for example redis://127.0.0.1:6379
       gateway --serve ADDR --hybrid URL
                                 the same, but without asking Redis for each request
       gateway --help            this text

exit codes: 0 all went well, 1 something failed or the limiter broke a promise, 2 bad arguments";

/// The clients' pauses keep requests to a couple of thousand a second, all of which are kept for
/// the report: a minute of that is still nothing, an hour would not be.
const LONGEST_RUN: u64 = 60;

enum Task {
    Help,
    Run { seconds: u64 },
    Serve { address: SocketAddr, shared: Option<Shared> },
}

/// Where gateways share their limits, and how.
struct Shared {
    url: String,
    by_leases: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|text| text.to_string_lossy().into_owned()).collect();
    let done = match parse(&arguments) {
        Ok(Task::Help) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Ok(Task::Run { seconds }) => run(seconds),
        Ok(Task::Serve { address, shared }) => serve(address, shared.as_ref()),
        Err(complaint) => {
            eprintln!("gateway: {complaint}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("gateway: {error}");
        ExitCode::FAILURE
    })
}

fn parse(arguments: &[String]) -> Result<Task, String> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments.as_slice() {
        [] => Ok(Task::Run { seconds: 5 }),
        ["--help" | "-h"] => Ok(Task::Help),
        ["--seconds", number] => match number.parse() {
            Ok(seconds @ 1..=LONGEST_RUN) => Ok(Task::Run { seconds }),
            _ => Err(format!(
                "--seconds takes a whole number from 1 to {LONGEST_RUN}, not {number:?}"
            )),
        },
        ["--serve", address] => serving(address, None),
        ["--serve", address, how @ ("--redis" | "--hybrid"), url]
        | [how @ ("--redis" | "--hybrid"), url, "--serve", address] => {
            serving(address, Some(Shared { url: url.to_owned(), by_leases: how == "--hybrid" }))
        }
        ["--seconds"] => Err("--seconds needs a number after it".into()),
        ["--serve"] => Err("--serve needs an address after it".into()),
        [how @ ("--redis" | "--hybrid"), ..] | ["--serve", _, how @ ("--redis" | "--hybrid")] => {
            Err(format!("{how} needs a URL after it, and --serve with an address"))
        }
        ["--seconds" | "--serve", _, extra, ..] | ["--help" | "-h", extra, ..] => {
            Err(format!("{extra:?} is one argument too many"))
        }
        [unknown, ..] => Err(format!("there is no argument {unknown:?}")),
    }
}

fn serving(address: &str, shared: Option<Shared>) -> Result<Task, String> {
    match address.parse() {
        Ok(address) => Ok(Task::Serve { address, shared }),
        Err(_) => Err(format!(
            "--serve takes an IP address and a port, such as 127.0.0.1:8080, not {address:?}"
        )),
    }
}

#[cfg(feature = "redis")]
fn in_redis(rules: &Rules, shared: &Shared) -> Result<Limits, Box<dyn Error>> {
    let Shared { url, by_leases } = shared;
    Ok(if *by_leases { Limits::by_leases(rules, url)? } else { Limits::in_redis(rules, url)? })
}

#[cfg(not(feature = "redis"))]
fn in_redis(_: &Rules, shared: &Shared) -> Result<Limits, Box<dyn Error>> {
    let Shared { url, by_leases } = shared;
    let how = if *by_leases { "--hybrid" } else { "--redis" };
    let has_it = "cargo run --release --features redis --example gateway has it";
    Err(format!("{how} {url}: built without Redis; {has_it}").into())
}

fn run(seconds: u64) -> Result<ExitCode, Box<dyn Error>> {
    let settings = Settings::standard(Duration::from_secs(seconds));
    println!(
        "{} clients for {seconds} s, each with its own limit \
         over a window of {:?} (buckets of {:?})\n",
        settings.clients.len(),
        settings.window,
        settings.bucket,
    );
    let report = run::run(&settings)?;
    print!("{report}");
    Ok(if report.violations().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn serve(address: SocketAddr, shared: Option<&Shared>) -> Result<ExitCode, Box<dyn Error>> {
    let settings = Settings::standard(Duration::ZERO);
    let rules = Rules::of(&settings)?;
    let clock: Arc<dyn Clock> = Arc::new(MonotonicClock::new());
    let limits = match shared {
        Some(shared) => in_redis(&rules, shared)?,
        None => Limits::here(&rules, &clock)?,
    };
    // Nobody reads a report in the end, and a record of every decision would only grow.
    let gateway = Gateway::start_with(limits, address, rules, clock, None)?;
    let url = format!("http://{}/", gateway.address());
    println!("serving {url} until Ctrl-C; limits, over a window of {:?}:", settings.window);
    for client in &settings.clients {
        if let (Some(name), Some(rate)) = (client.name, client.rate) {
            println!("    {name:<10} {rate}");
        }
    }
    println!("    {:<10} {}\n", "others", settings.default_rate);
    println!("one request, headers and all:\n    curl -i -H 'X-Client: greedy' {url}");
    println!("more than it may:");
    println!("    for i in $(seq 30); do curl -s -H 'X-Client: greedy' {url}; done");
    println!("never admitted, since its rate does not allow one request in a window:");
    println!("    curl -i -H 'X-Client: blocked' {url}");
    println!("limited by its address, for want of a name:\n    curl -i {url}");
    gateway.wait()?;
    Ok(ExitCode::SUCCESS)
}
