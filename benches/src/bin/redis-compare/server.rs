//! The Redis server that is measured: started here, on a free loopback port, in a directory of its own.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use redis::{Connection, Value, cmd, pipe};
use tempfile::TempDir;

const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// Goes when it is dropped, by its process id. Should this process be killed before that, a shell sees
/// the pipe from it end, and kills the server.
pub(crate) struct Server {
    process: Child,
    guard: Child,
    port: u16,
    is_counted: bool,
    directory: TempDir,
}

impl Server {
    /// Keeps nothing on disk.
    pub(crate) fn start() -> Self {
        Self::start_as(&[])
    }

    /// Under callgrind, which collects in the command that runs a script, with all that it calls.
    pub(crate) fn start_counted() -> Self {
        Self::start_as(&[
            "valgrind",
            "--quiet",
            "--tool=callgrind",
            "--collect-atstart=no",
            "--toggle-collect=evalShaCommand",
            // Redis brings its own allocator, which stays.
            "--soname-synonyms=somalloc=nouserintercepts",
            "--callgrind-out-file=callgrind.out",
        ])
    }

    fn start_as(before: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let mut words = before.iter().chain(&["redis-server"]);
        let process = Command::new(words.next().expect("there is at least one"))
            .args(words)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(directory.path())
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed, and valgrind if it is to count");
        let guard = Command::new("sh")
            .args(["-c", r#"read _ || kill -9 "$0""#, &process.id().to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let is_counted = !before.is_empty();
        let server = Self { process, guard, port, is_counted, directory };
        let begun = Instant::now();
        while server.connect().is_err() {
            assert!(begun.elapsed() < STARTS_WITHIN, "the server does not answer");
            thread::sleep(Duration::from_millis(20));
        }
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn connect(&self) -> redis::RedisResult<Connection> {
        redis::Client::open(self.url())?.get_connection()
    }

    pub(crate) fn connection(&self) -> Connection {
        self.connect().expect("the server answers")
    }

    pub(crate) fn admin(&self) -> Admin {
        let counter = self.is_counted.then(|| Counter {
            process: self.process.id(),
            directory: self.directory.path().to_owned(),
        });
        Admin { connection: self.connection(), counter }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The guard first: once the server is gone, its process id may be somebody else's.
        for process in [&mut self.guard, &mut self.process] {
            _ = process.kill();
            _ = process.wait();
        }
    }
}

/// Tells callgrind what to do.
struct Counter {
    process: u32,
    /// Where it puts what it has counted.
    directory: PathBuf,
}

impl Counter {
    fn control(&self, order: &str) {
        let told = Command::new("callgrind_control")
            .args([order, &self.process.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(told.is_ok_and(|status| status.success()), "callgrind does not listen");
    }

    /// Instructions since it was set to zero.
    fn read(&self) -> f64 {
        self.control("--dump");
        let files = fs::read_dir(&self.directory).expect("a directory");
        let dumps = files.map(|file| file.expect("a file").path());
        // callgrind.out.1, callgrind.out.2 and so on.
        let number = |path: &PathBuf| path.extension()?.to_str()?.parse::<u32>().ok();
        let last = dumps.filter(|path| number(path).is_some()).max_by_key(number);
        let text = fs::read_to_string(last.expect("a dump")).expect("a text");
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        total.and_then(|total| total.trim().parse().ok()).expect("a total")
    }
}

/// A connection that asks for the server's own figures.
pub(crate) struct Admin {
    connection: Connection,
    counter: Option<Counter>,
}

impl Admin {
    pub(crate) fn version(&mut self) -> String {
        self.info("server", "redis_version:")
    }

    /// Forgets all keys, at once.
    pub(crate) fn flush(&mut self) {
        cmd("FLUSHALL").arg("SYNC").exec(&mut self.connection).expect("flushed");
    }

    /// Begins to count commands anew.
    pub(crate) fn begin(&mut self) {
        cmd("CONFIG").arg("RESETSTAT").exec(&mut self.connection).expect("reset");
        if let Some(counter) = &self.counter {
            counter.control("--zero");
        }
    }

    /// Since then: the microseconds that a call of the command took, or the instructions where those are
    /// counted, and how many calls there were.
    pub(crate) fn cost(&mut self, command: &str) -> (f64, u64) {
        let line = self.info("commandstats", &format!("cmdstat_{command}:"));
        let field = |name: &str| -> u64 {
            let fields = line.split(',').filter_map(|field| field.split_once('='));
            let text = fields.into_iter().find(|(key, _)| *key == name).expect("a field").1;
            text.parse().expect("a number")
        };
        let calls = field("calls");
        let spent = match &self.counter {
            Some(counter) => counter.read(),
            None => field("usec") as f64,
        };
        (spent / calls as f64, calls)
    }

    /// Bytes of all keys together.
    pub(crate) fn memory(&mut self) -> u64 {
        let keys: Vec<String> = cmd("KEYS").arg("*").query(&mut self.connection).expect("keys");
        let mut asks = pipe();
        for key in &keys {
            asks.cmd("MEMORY").arg("USAGE").arg(key).arg("SAMPLES").arg(0);
        }
        let sizes: Vec<Option<u64>> = asks.query(&mut self.connection).expect("sizes");
        sizes.into_iter().flatten().sum()
    }

    /// Copies of a key, with the time that it has left.
    pub(crate) fn copy(&mut self, from: &str, to: impl Iterator<Item = String>) {
        let mut copies = pipe();
        for name in to {
            copies.cmd("COPY").arg(from).arg(name);
        }
        let copied: Vec<Value> = copies.query(&mut self.connection).expect("copies");
        assert!(copied.iter().all(|copied| *copied == Value::Int(1)), "nothing to copy");
    }

    fn info(&mut self, section: &str, line: &str) -> String {
        let text: String = cmd("INFO").arg(section).query(&mut self.connection).expect("figures");
        let found = text.lines().find_map(|each| each.strip_prefix(line));
        found.unwrap_or_else(|| panic!("no {line} in the figures")).to_owned()
    }
}
