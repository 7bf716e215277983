//! A client of somebody else's service, which counts our calls: we stay below its limit ourselves.
//!
//! `cargo run --example outbound_client`
//!
//! A call is counted before it is made, and taken back if it never got there: `undo`, with the bucket
//! that the decision told. Afterwards all is as if that call had never been tried. (`refund` would not
//! do: it gives back the oldest units, so that each failure would trade an old unit for a fresh one,
//! and a client that fails for long would have less and less.)
//!
//! Only what certainly did not arrive is taken back. Where a connection breaks after the request was
//! sent, the other side may have counted it, and so do we.
//!
//! The service is a thread here that allows so many calls, goes away in the middle, and comes back.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use trypema::{LocalAbsolute, LocalRateLimiter, RateLimit};

const KEY: &str = "partner";

struct Client {
    service: SocketAddr,
    limit: LocalAbsolute,
    rate: RateLimit,
}

enum Failure {
    /// Not sent: the limit is used up. There is room after this.
    LimitedFor(Duration),
    /// Not sent: nobody listens. Not counted either.
    Unreachable(io::Error),
    /// Sent, and counted, but not answered.
    Unanswered(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LimitedFor(wait) => write!(f, "at the limit, for {} ms", wait.as_millis()),
            Self::Unreachable(error) => write!(f, "not sent: {error}"),
            Self::Unanswered(error) => write!(f, "sent, but not answered: {error}"),
        }
    }
}

impl Client {
    fn call(&self) -> Result<u8, Failure> {
        let decision = self.limit.inc(KEY, &self.rate, 1);
        if !decision.is_allowed() {
            // A count of one fits in the end, so there is a time.
            return Err(Failure::LimitedFor(decision.retry_after().unwrap_or_default()));
        }
        let mut stream = TcpStream::connect(self.service).map_err(|error| {
            if let Some(bucket) = decision.bucket() {
                self.limit.undo(KEY, &self.rate, bucket, 1);
            }
            Failure::Unreachable(error)
        })?;
        let mut reply = [0];
        let exchange = stream.write_all(b"?").and_then(|()| stream.read_exact(&mut reply));
        exchange.map_err(Failure::Unanswered)?;
        Ok(reply[0])
    }
}

/// Answers so many calls, then is gone.
fn serve(listener: &TcpListener, calls: u32) -> io::Result<()> {
    for _ in 0..calls {
        let (mut stream, _) = listener.accept()?;
        let mut request = [0];
        stream.read_exact(&mut request)?;
        stream.write_all(b"!")?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let rate = RateLimit::per(20, Duration::from_millis(300))?;
    let limiter = LocalRateLimiter::builder().build()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let service = listener.local_addr()?;
    let client = Client { service, limit: limiter.absolute().clone(), rate };
    let used = || client.limit.usage(KEY, &rate);

    thread::scope(|scope| {
        let server = scope.spawn(|| serve(&listener, 8));
        for _ in 0..8 {
            client.call().map_err(|failure| failure.to_string())?;
        }
        println!("8 calls answered, {} units in use", used());
        server.join().map_err(|_| "the service panicked")?.map_err(Box::<dyn Error>::from)
    })?;

    // It goes away. A hundred tries, and not one counts.
    drop(listener);
    let before = used();
    for _ in 0..100 {
        assert!(matches!(client.call(), Err(Failure::Unreachable(_))));
    }
    println!("100 calls found nobody, {} units in use", used());
    assert!(used() <= before);

    // It is back, and all of the limit is there for it.
    let listener = TcpListener::bind(service)?;
    let begun = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| serve(&listener, 30));
        let mut answered = 0;
        while answered < 30 {
            match client.call() {
                Ok(_) => answered += 1,
                Err(Failure::LimitedFor(wait)) => {
                    println!("{answered} answered; limited for {} ms", wait.as_millis());
                    thread::sleep(wait);
                }
                Err(failure) => return Err(failure.to_string()),
            }
        }
        Ok(())
    })?;
    println!("30 calls answered in {} ms", begun.elapsed().as_millis());
    Ok(())
}
