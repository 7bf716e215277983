//! Redis servers that a test owns.
//!
//! A server listens on a free loopback port and, for the test's own questions, on a unix socket in
//! a directory of its own. It keeps nothing on disk: started again, it is empty.
//!
//! It goes when its value is dropped, by its process id. Should the test process die before that,
//! by a signal or an abort, a shell that reads from a pipe of the test process sees the pipe end,
//! and kills the server.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::build::{self, Build};
use crate::certificates::Certificates;
use crate::common::until::FOREVER;
use crate::ports::{free_port, free_port_and_bus};

/// The password of the user that the tests' own questions are asked by, where a server has users.
const ADMIN_PASSWORD: &str = "of-the-tests";

/// Options that a server is started with, beside its port and its directory.
#[derive(Default)]
pub(crate) struct Setup {
    settings: Vec<(String, Vec<OsString>)>,
    tls: bool,
    sentinel: Option<String>,
    cluster: bool,
    guarded: bool,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A line of `redis.conf`.
    pub(crate) fn set<const N: usize>(mut self, name: &str, values: [&str; N]) -> Self {
        self.settings.push((name.to_owned(), values.map(OsString::from).to_vec()));
        self
    }

    /// Listens with TLS alone, and talks to nobody without a certificate of the same authority.
    pub(crate) fn tls(mut self, certificates: &Certificates) -> Self {
        self.tls = true;
        for (name, path) in [
            ("tls-cert-file", certificates.server_certificate()),
            ("tls-key-file", certificates.server_key()),
            ("tls-ca-cert-file", certificates.authority()),
        ] {
            self.settings.push((name.to_owned(), vec![path.into()]));
        }
        self.set("tls-auth-clients", ["yes"])
    }

    /// Nobody gets in without a name; this one does, and may do what its rules say.
    pub(crate) fn user(mut self, name: &str, password: &str, rules: &str) -> Self {
        self.guarded = true;
        for line in [
            format!("{name} on >{password} {rules}"),
            format!("admin on >{ADMIN_PASSWORD} ~* &* +@all"),
            "default off".to_owned(),
        ] {
            let words = line.split(' ').map(OsString::from).collect();
            self.settings.push(("user".to_owned(), words));
        }
        self
    }

    pub(crate) fn replica_of(self, primary: &RedisServer) -> Self {
        self.set("replicaof", ["127.0.0.1", &primary.port().to_string()])
            // Else the primary waits 5 s for more replicas before it begins to copy.
            .set("repl-ping-replica-period", ["1"])
    }

    /// A node of a cluster; see [`Cluster`](crate::cluster::Cluster).
    pub(crate) fn cluster_node(mut self) -> Self {
        self.cluster = true;
        self.set("cluster-enabled", ["yes"]).set("cluster-node-timeout", ["2000"])
    }

    /// A sentinel, with these lines for a configuration.
    pub(crate) fn sentinel(mut self, lines: &str) -> Self {
        self.sentinel = Some(lines.to_owned());
        self
    }

    pub(crate) fn start(self) -> RedisServer {
        let directory = tempfile::Builder::new().prefix("trypema-redis-").tempdir().unwrap();
        // The port may be gone by the time that the server asks for it.
        for _ in 0..20 {
            let (port, bus_port) = self.ports();
            if let Some(process) = Process::start(&self, directory.path(), port, bus_port) {
                let process = Some(process);
                return RedisServer { setup: self, directory, port, bus_port, process };
            }
        }
        panic!("no port could be had");
    }
}

impl Setup {
    /// The port, and that of the cluster's bus.
    fn ports(&self) -> (u16, Option<u16>) {
        if !self.cluster {
            (free_port(), None)
        } else if Build::get().places_bus() {
            (free_port(), Some(free_port()))
        } else {
            let (port, bus_port) = free_port_and_bus();
            (port, Some(bus_port))
        }
    }
}

/// A server process, and who looks after it.
struct Process {
    server: Child,
    guard: Child,
}

impl Process {
    /// Started, and ready to answer; `None` if the port was taken.
    fn start(setup: &Setup, directory: &Path, port: u16, bus_port: Option<u16>) -> Option<Self> {
        let log = directory.join("log");
        _ = fs::remove_file(&log);
        let build = Build::get();
        let mut command = Command::new(build::program());
        if let Some(lines) = &setup.sentinel {
            // A sentinel writes what it learns into its configuration.
            let file = directory.join("sentinel.conf");
            fs::write(&file, lines).unwrap();
            command.arg(file).arg("--sentinel");
        } else {
            command.args(["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]);
            command.arg("--unixsocket").arg(directory.join("socket"));
        }
        let port = port.to_string();
        command.args(["--bind", "127.0.0.1"]);
        if setup.tls {
            command.args(["--port", "0", "--tls-port", &port]);
        } else {
            command.args(["--port", &port]);
        }
        command.arg("--dir").arg(directory).arg("--logfile").arg(&log);
        if let Some(bus_port) = bus_port.filter(|_| build.places_bus()) {
            command.args(["--cluster-port", &bus_port.to_string()]);
        }
        for (name, values) in &setup.settings {
            command.arg(format!("--{name}")).args(values);
        }
        let server = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = server.spawn().expect("a server is installed");
        let guard = Command::new("sh")
            .args(["-c", r#"read _ || kill -9 "$0""#, &server.id().to_string()])
            .stdin(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let mut process = Self { server, guard };
        let begun = Instant::now();
        loop {
            let written = fs::read_to_string(&log).unwrap_or_default();
            if written.contains("Ready to accept connections") || written.contains("Sentinel ID is")
            {
                return Some(process);
            }
            if process.server.try_wait().unwrap().is_some() {
                let taken = written.contains("Address already in use");
                assert!(taken, "the server ended at once: {written}");
                return None;
            }
            assert!(begun.elapsed() < FOREVER, "the server is not ready: {written}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.server), signal).expect("the server is there");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The guard first: once the server is waited for, its number may become somebody else's.
        if let Some(mut pipe) = self.guard.stdin.take() {
            _ = pipe.write_all(b"\n");
        }
        _ = self.guard.wait();
        _ = self.server.kill();
        _ = self.server.wait();
    }
}

pub(crate) struct RedisServer {
    setup: Setup,
    // Declared, and so dropped, before the directory that it works in.
    process: Option<Process>,
    directory: TempDir,
    port: u16,
    bus_port: Option<u16>,
}

impl RedisServer {
    /// Without any options.
    pub(crate) fn start() -> Self {
        Setup::new().start()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn bus_port(&self) -> Option<u16> {
        self.bus_port
    }

    /// `host:port`
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis{}://{}", if self.setup.tls { "s" } else { "" }, self.address())
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// A connection of the test's own, past whatever stands between the limiter and the server:
    /// over the unix socket, as the user who may do everything.
    pub(crate) fn connection(&self) -> redis::Connection {
        self.connect().expect("the server answers")
    }

    fn connect(&self) -> redis::RedisResult<redis::Connection> {
        let socket = self.socket();
        let user = if self.setup.guarded {
            format!("?user=admin&pass={ADMIN_PASSWORD}")
        } else {
            String::new()
        };
        let url = if self.setup.sentinel.is_some() {
            self.url()
        } else {
            format!("redis+unix://{}{user}", socket.display())
        };
        let client = redis::Client::open(url).unwrap();
        let connection = client.get_connection_with_timeout(FOREVER)?;
        connection.set_read_timeout(Some(FOREVER))?;
        Ok(connection)
    }

    /// The answer to a question, if the server gives one: sentinels end all connections of a server
    /// whose role they change.
    pub(crate) fn try_ask<T: redis::FromRedisValue>(&self, words: &str) -> Option<T> {
        try_ask(&mut self.connect().ok()?, words).ok()
    }

    /// Asks the server a question, words separated by spaces.
    #[track_caller]
    pub(crate) fn ask<T: redis::FromRedisValue>(&self, words: &str) -> T {
        ask(&mut self.connection(), words)
    }

    /// The last lines of what it has written down.
    pub(crate) fn log(&self) -> String {
        let text = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let lines = text.lines().collect::<Vec<_>>();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    /// By its own account, if it gives one.
    pub(crate) fn is_replica(&self) -> bool {
        let info = self.try_ask::<String>("INFO replication");
        info.is_some_and(|info| info.contains("role:slave"))
    }

    /// How often a command was executed since the server started, inside of scripts too.
    pub(crate) fn calls(&self, command: &str) -> u64 {
        let info: String = self.ask("INFO commandstats");
        let line = format!("cmdstat_{command}:calls=");
        let found = info.lines().find_map(|text| text.strip_prefix(&line));
        found.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    }

    /// Stops the process in its tracks, until [`resume`](Self::resume). Its sockets stay.
    pub(crate) fn pause(&self) {
        self.process.as_ref().expect("the server runs").signal(Signal::STOP);
    }

    pub(crate) fn resume(&self) {
        self.process.as_ref().expect("the server runs").signal(Signal::CONT);
    }

    /// Ends the process without a word.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again after [`kill`](Self::kill), on the same port, with nothing in it.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let started = Process::start(&self.setup, self.directory.path(), self.port, self.bus_port);
        self.process = Some(started.expect("nobody took the port"));
    }
}

/// Asks a question, words separated by spaces.
#[track_caller]
pub(crate) fn ask<T: redis::FromRedisValue>(connection: &mut redis::Connection, words: &str) -> T {
    try_ask(connection, words).unwrap_or_else(|error| panic!("{words}: {error}"))
}

fn try_ask<T: redis::FromRedisValue>(
    connection: &mut redis::Connection,
    words: &str,
) -> redis::RedisResult<T> {
    let mut command = redis::Cmd::new();
    words.split_whitespace().for_each(|word| _ = command.arg(word));
    command.query(connection)
}
