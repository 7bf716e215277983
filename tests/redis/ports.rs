//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which Linux takes the ports of outgoing connections: a server that is
/// killed and started again must find its port as it left it.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// A port that nobody listens on, and that this process does not give out again. Another process
/// may take it before it is used; whoever listens on it has to be ready for that.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes begin at different places, so that they seldom look at the same port.
    let begin = u16::try_from(std::process::id() * 37 % u32::from(COUNT)).unwrap();
    (0..COUNT)
        // Relaxed: only the numbers have to differ.
        .map(|_| NEXT.fetch_add(1, Ordering::Relaxed))
        .map(|next| FIRST + (begin + next % COUNT) % COUNT)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a port is free")
}
