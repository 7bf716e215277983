//! A client inside a company's network that spares the service it calls.
//!
//! `cargo run --example internal_client`
//!
//! The service downstream takes so many bytes per second before it suffers. Its callers agree to
//! thin themselves out as they get near that, rather than to run into a wall: the Suppressed
//! strategy. A call is charged in three steps:
//!
//! 1. *Before* it: what a call costs as a rule, by `inc`. If that is declined nothing is sent at
//!    all. A token unit would do to count the call, but not to show the demand: the factor by which
//!    callers thin themselves out is that of units asked for, those of declined calls included.
//! 2. If the call could not be made, since nobody listened, all is given back by `refund`: the
//!    service was not burdened.
//! 3. *After* it the true cost is known. If it was more, the rest is counted by `record`, whatever
//!    the limit, and makes it harder for the calls to come; if it was less, the rest is given back.
//!
//! The service is a thread here that answers over a real socket, goes away in the middle, and comes
//! back.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use trypema::{LocalRateLimiter, LocalSuppressed, RateLimit, TrypemaError};

const CALLERS: u64 = 4;
const PHASE: Duration = Duration::from_millis(1_200);
/// The usual size of an answer, in kilobytes.
const USUAL: u64 = 4;

/// Calls by their outcome.
#[derive(Default)]
struct Outcomes {
    answered: AtomicU64,
    declined: AtomicU64,
    refunded: AtomicU64,
    kilobytes: AtomicU64,
}

/// The client: whoever wants to call the service asks it.
struct Client {
    service: SocketAddr,
    limit: LocalSuppressed,
    /// In kilobytes.
    rate: RateLimit,
    outcomes: Outcomes,
}

impl Client {
    /// Calls the service, unless that is to be spared. `Ok(None)`: it is.
    fn call(&self, report: u64) -> io::Result<Option<u64>> {
        let count = |counter: &AtomicU64, units| counter.fetch_add(units, Ordering::Relaxed);
        // One key for each service that is called.
        if !self.limit.inc("reports", &self.rate, USUAL).is_allowed() {
            count(&self.outcomes.declined, 1);
            return Ok(None);
        }
        let stream = TcpStream::connect_timeout(&self.service, Duration::from_millis(200));
        let stream = stream.inspect_err(|_| {
            count(&self.outcomes.refunded, self.limit.refund("reports", &self.rate, USUAL));
        })?;
        // From here on the service has had the trouble, whatever comes of it.
        let bytes = ask(stream, report)?;
        let kilobytes = bytes.div_ceil(1_024);
        if kilobytes < USUAL {
            self.limit.refund("reports", &self.rate, USUAL - kilobytes);
        } else {
            self.limit.record("reports", &self.rate, kilobytes - USUAL);
        }
        count(&self.outcomes.answered, 1);
        count(&self.outcomes.kilobytes, kilobytes);
        Ok(Some(bytes))
    }
}

/// Asks for a report and reads all of it.
fn ask(mut stream: TcpStream, report: u64) -> io::Result<u64> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET /reports/{report} HTTP/1.0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer.len() as u64)
}

/// The service downstream.
struct Service {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<()>>,
}

impl Service {
    fn start(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let serve = move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return Ok(());
                }
                // A caller that goes away is its own concern.
                let _ = answer(stream?);
            }
            Ok(())
        };
        Ok(Self { address, stop, thread: thread::spawn(serve) })
    }

    fn stop(self) -> io::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        // It waits for a connection, so it is given one.
        drop(TcpStream::connect(self.address)?);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the service panicked")))
    }
}

/// Reports are of very different sizes, and nobody knows which before asking.
fn answer(stream: TcpStream) -> io::Result<()> {
    let mut request = BufReader::new(stream);
    let mut line = String::new();
    request.read_line(&mut line)?;
    let path = line.split_whitespace().nth(1).unwrap_or_default();
    let report = path.rsplit('/').next().and_then(|number| number.parse::<usize>().ok());
    let size = report.map_or(0, |report| report * 37 % 8 * 1_000);
    while line.trim_end() != "" {
        line.clear();
        request.read_line(&mut line)?;
    }
    let body = "x".repeat(size);
    let mut stream = request.into_inner();
    write!(stream, "HTTP/1.0 200 OK\r\nContent-Length: {size}\r\n\r\n{body}")
}

fn main() -> Result<(), Box<dyn Error>> {
    let service = Service::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let address = service.address;
    let client = client(address)?;
    println!("the service takes 400 kB/s; four callers want much more, in steps of 1.2 s each");
    println!("{:<16} answered  declined  given back  kB/s  factor", "");

    phase(&client, "service is up");
    service.stop()?;
    phase(&client, "service is down");
    // The address may be somebody else's by now; then there is no service to come back.
    let service = Service::start(address)?;
    phase(&client, "service is back");
    service.stop()?;

    let stats = client.limit.stats();
    println!(
        "in all: {} allowed, {} let through and {} declined between the limits and above",
        stats.allowed, stats.suppressed_admitted, stats.suppressed_declined
    );
    Ok(())
}

fn client(service: SocketAddr) -> Result<Client, TrypemaError> {
    let limiter = LocalRateLimiter::builder()
        .window(Duration::from_millis(500))
        .bucket(Duration::from_millis(10))
        .suppression_refresh(Duration::from_millis(20))
        .build()?;
    Ok(Client {
        service,
        // A handle of its own: the limiter lives as long as its last handle.
        limit: limiter.suppressed().clone(),
        rate: RateLimit::per_second(400.0)?,
        outcomes: Outcomes::default(),
    })
}

/// Lets the callers call for a while, and prints what became of it.
fn phase(client: &Client, name: &str) {
    let begun = Instant::now();
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            scope.spawn(move || {
                let mut report = caller;
                while begun.elapsed() < PHASE {
                    report += CALLERS;
                    // Declined or not to be had: they have more to do, and come back.
                    let _ = client.call(report);
                    thread::sleep(Duration::from_millis(2));
                }
            });
        }
    });
    let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
    let Outcomes { answered, declined, refunded, kilobytes } = &client.outcomes;
    println!(
        "{name:<16} {:>8}  {:>8}  {:>10}  {:>4.0}  {:>6.2}",
        take(answered),
        take(declined),
        take(refunded),
        take(kilobytes) as f64 / begun.elapsed().as_secs_f64(),
        client.limit.suppression_factor("reports", &client.rate),
    );
}
