//! Statistics of limiters over HTTP, in the text format that Prometheus scrapes.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use trypema::LocalRateLimiter;

/// Limiters, each with the name that it is told apart by.
pub(crate) type Limiters = Vec<(&'static str, LocalRateLimiter)>;

/// Fields that can fall; all others are counters.
const GAUGES: [&str; 4] = ["keys", "memory_bytes", "waiting", "longest_wait_ms"];
/// The longest that a client may take to send its request.
const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST_HEAD: u64 = 8 * 1024;

/// All metrics of all limiters. What is of one metric stands together, as the format has it.
pub(crate) fn text(limiters: &Limiters) -> String {
    let stats: Vec<_> = limiters.iter().map(|(name, limiter)| (name, limiter.stats())).collect();
    let Some((_, first)) = stats.first() else {
        return String::new();
    };
    let mut text = String::new();
    for (position, (field, _)) in first.iter().enumerate() {
        let (metric, kind) = if GAUGES.contains(&field) {
            (format!("trypema_{field}"), "gauge")
        } else {
            (format!("trypema_{field}_total"), "counter")
        };
        let _ = writeln!(text, "# TYPE {metric} {kind}");
        for (name, stats) in &stats {
            if let Some((_, value)) = stats.iter().nth(position) {
                let _ = writeln!(text, "{metric}{{limiter=\"{}\"}} {value}", escaped(name));
            }
        }
    }
    text
}

fn escaped(label: &str) -> String {
    label.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

pub(crate) struct Exporter {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Exporter {
    pub(crate) fn start(address: SocketAddr, limiters: Limiters) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stopping);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                // Acquire: pairs with the Release in `stop`.
                if told.load(Ordering::Acquire) {
                    break;
                }
                // One scrape after the other: there are few. One that fails is made again.
                let _ = stream.and_then(|stream| answer(&stream, &limiters));
            }
        });
        Ok(Self { address, stopping, thread })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn stop(self) -> io::Result<()> {
        // Release: pairs with the Acquire of the thread, which this connection wakes.
        self.stopping.store(true, Ordering::Release);
        TcpStream::connect(self.address)?;
        self.thread.join().map_err(|_| io::Error::other("the exporter panicked"))
    }
}

fn answer(mut stream: &TcpStream, limiters: &Limiters) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = BufReader::new(stream.take(LONGEST_HEAD));
    let mut request = String::new();
    head.read_line(&mut request)?;
    // The rest of the head: a client whose request is not read may not read the reply.
    let mut line = String::new();
    while head.read_line(&mut line)? > 0 && line.trim_end() != "" {
        line.clear();
    }
    let (status, body) = if request.starts_with("GET /metrics ") {
        ("200 OK", text(limiters))
    } else {
        ("404 Not Found", "look at /metrics\n".to_owned())
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len(),
    )
}

/// One scrape, as Prometheus would do it: status line and body.
pub(crate) fn scrape(exporter: SocketAddr, path: &str) -> io::Result<(String, String)> {
    let mut stream = TcpStream::connect(exporter)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {exporter}\r\nAccept: text/plain\r\n\r\n")?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    let (head, body) = reply.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((head.lines().next().unwrap_or_default().to_owned(), body.to_owned()))
}
