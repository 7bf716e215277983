//! One run: a server, its clients, and the report on what became of them.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use trypema::{Clock, MonotonicClock};

use crate::clients::{self, Tally};
use crate::history::Ledger;
use crate::http::Connection;
use crate::report::{Report, Row};
use crate::rules::Rules;
use crate::server::Gateway;
use crate::settings::Settings;

/// Starts a server on a free port of the loopback interface, lets the clients ask for as long as
/// the settings say, stops it, and reports. When it returns, all of its threads have ended.
pub(crate) fn run(settings: &Settings) -> Result<Report, Box<dyn Error>> {
    let clock: Arc<dyn Clock> = Arc::new(MonotonicClock::new());
    let ledger = Arc::new(Ledger::default());
    let gateway = Gateway::start(
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        Rules::of(settings)?,
        Arc::clone(&clock),
        Some(Arc::clone(&ledger)),
    )?;
    let outcome = connect(settings, gateway.address()).and_then(|connections| {
        let started = clock.now();
        Ok((started, let_loose(settings, connections)?))
    });
    // Stopped also where a client failed: all threads are to end.
    gateway.stop()?;
    let (started, tallies) = outcome?;

    let rules = Rules::of(settings)?;
    let mut rows = Vec::new();
    for (client, tally) in settings.clients.iter().zip(tallies) {
        // Without a name it was known by its address, and all of them come from the same one.
        let name = client.name.map_or_else(|| Ipv4Addr::LOCALHOST.to_string(), str::to_owned);
        let rate = *rules.rate(&name);
        let history = ledger.history(&name);
        rows.push(Row { name, rate, capacity: rate.capacity(settings.window), history, tally });
    }
    let Settings { window, bucket, length, .. } = *settings;
    Ok(Report { window, bucket, started, length, rows })
}

/// All connections, each with the index of its client.
///
/// One after the other, each answered before the next is opened: of connections that arrive at
/// the same moment, tiny_http 0.12 may leave one without a thread until another one closes.
fn connect(settings: &Settings, server: SocketAddr) -> io::Result<Vec<(usize, Connection)>> {
    let mut connections = Vec::new();
    for (index, client) in settings.clients.iter().enumerate() {
        for _ in 0..client.connections {
            connections.push((index, Connection::open(server)?));
        }
    }
    Ok(connections)
}

/// Lets the clients ask, over each connection from a thread of its own, and returns what each of
/// them saw.
fn let_loose(settings: &Settings, connections: Vec<(usize, Connection)>) -> io::Result<Vec<Tally>> {
    let until = Instant::now() + settings.length;
    thread::scope(|scope| {
        let mut asking = Vec::new();
        for (index, connection) in connections {
            let client = &settings.clients[index];
            let thread = thread::Builder::new()
                .name(client.name.unwrap_or("stranger").to_owned())
                .spawn_scoped(scope, move || clients::ask(client, connection, until))?;
            asking.push((index, thread));
        }
        let mut tallies = vec![Tally::default(); settings.clients.len()];
        for (index, thread) in asking {
            let tally = thread.join().map_err(|_| io::Error::other("a client panicked"))?;
            tallies[index].add(&tally);
        }
        Ok(tallies)
    })
}
