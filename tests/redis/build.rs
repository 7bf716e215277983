//! The program under test: Debian's `redis-server`, unless the environment names another, and its
//! abilities, as far as the tests' own set-up depends on them.

use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The path of the server, if it is not the one that is installed.
const PROGRAM: &str = "TRYPEMA_REDIS_SERVER";

pub(crate) fn program() -> OsString {
    env::var_os(PROGRAM).unwrap_or_else(|| "redis-server".into())
}

/// Whether the tests' own texts are of this server: others word their errors differently.
pub(crate) fn is_usual() -> bool {
    env::var_os(PROGRAM).is_none()
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Build {
    /// `7` of `7.0.15`.
    pub(crate) version: u32,
    /// Whether it was built with TLS.
    pub(crate) has_tls: bool,
}

impl Build {
    pub(crate) fn get() -> Self {
        static BUILD: OnceLock<Build> = OnceLock::new();
        *BUILD.get_or_init(|| Self { version: version(), has_tls: has_tls() })
    }

    /// Whether it can be told the port of a cluster's bus.
    pub(crate) fn places_bus(self) -> bool {
        self.version >= 7
    }
}

/// `Redis server v=7.0.15 ..`, `Valkey server v=8.1.8 ..`
fn version() -> u32 {
    let said = Command::new(program()).arg("--version").output().expect("a server is installed");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let number = said.split_once("v=").and_then(|(_, rest)| rest.split('.').next());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no version: {said}"))
}

/// With TLS, it refuses to start because it has no certificate; else because it does not know TLS.
fn has_tls() -> bool {
    let mut command = Command::new(program());
    command.arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = command.spawn().expect("a server is installed");
    let mut settings = server.stdin.take().expect("it is piped");
    settings.write_all(b"port 0\ntls-port 1\n").unwrap();
    drop(settings);
    let said = server.wait_with_output().unwrap();
    let said = [said.stdout, said.stderr].concat();
    String::from_utf8_lossy(&said).contains("tls-cert-file")
}
