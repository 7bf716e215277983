//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which Linux takes the ports of outgoing connections: a server that is
/// killed and started again must find its port as it left it.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// Where a node of a cluster has its bus if nobody says otherwise: so much above its port.
const BUS: u16 = 10_000;

/// A free port, and the one that a node of a cluster at that port has for its bus by default.
pub(crate) fn free_port_and_bus() -> (u16, u16) {
    std::iter::repeat_with(free_port)
        .take(100)
        .map(|port| (port, port + BUS))
        .find(|(_, bus)| is_free(*bus))
        .expect("a port is free for the bus")
}

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
        .find(|port| is_free(*port))
        .expect("a port is free")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
