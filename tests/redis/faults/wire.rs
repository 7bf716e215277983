//! Faults of the connection.

use std::thread;
use std::time::Duration;

use trypema::TrypemaError;

use super::Row;
use super::scene::{Asked, KEY, Scene, ask, builder, describe, then, warm_up};
use crate::cluster::eventually;
use crate::common::until::FOREVER;
use crate::proxy::Fault;

/// One call with this fault in its way.
fn with(fault: Fault, name: &'static str) -> Row {
    let scene = Scene::new();
    scene.proxy.set(fault);
    let asked = scene.ask();
    scene.proxy.set(Fault::None);
    // The question has passed the proxy by now, but the server may not have come to it yet.
    eventually("it is counted", || scene.counted() > 0);
    scene.row(name, &asked)
}

pub(super) fn cut() -> Row {
    with(Fault::Cut(2), "reply cut in the middle")
}

pub(super) fn late() -> Row {
    with(Fault::Late(FOREVER), "reply after the deadline")
}

pub(super) fn dripped() -> Row {
    with(Fault::Drip(Duration::from_millis(100)), "reply byte by byte, 100 ms apart")
}

pub(super) fn refused() -> Row {
    let mut scene = Scene::new();
    scene.proxy.refuse();
    let asked = scene.ask();
    scene.proxy.accept();
    scene.row("connection refused", &asked)
}

pub(super) fn hanging() -> Row {
    let mut scene = Scene::new();
    let hanging = scene.proxy.hang();
    let asked = scene.ask();
    drop(hanging);
    scene.proxy.accept();
    scene.row("connecting never completes", &asked)
}

pub(super) fn closed_while_idle() -> Row {
    let scene = Scene::new();
    scene.proxy.close_all();
    let asked = scene.ask();
    scene.row("pooled connection closed while idle", &asked)
}

/// A call that finds the only connection in use, until its deadline and for longer.
pub(super) fn pool_exhausted() -> Row {
    let scene = Scene::new();
    let limiter = builder(scene.proxy.url()).pool_size(1).build().unwrap();
    warm_up(&limiter);
    scene.proxy.set(Fault::Late(FOREVER));
    let before = limiter.stats().pool_timeouts;
    // Whoever gets the connection keeps it for as long as it may, and then another does. Of these,
    // some never get it.
    let turned_away = thread::scope(|scope| {
        let ask = || ask(&limiter, KEY);
        let threads = (0..8).map(|_| scope.spawn(ask)).collect::<Vec<_>>();
        let mut asked = threads.into_iter().map(|thread| thread.join().unwrap());
        let is_pool_timeout =
            |asked: &Asked| matches!(asked.answer, Err(TrypemaError::PoolTimeout { .. }));
        let first = asked.find(is_pool_timeout);
        asked.for_each(drop);
        first.expect("one of them found no connection")
    });
    assert!(limiter.stats().pool_timeouts > before);
    scene.proxy.set(Fault::None);
    // The others asked for the key too. What the one that got no connection asked for was not
    // sent, so a key of its own would have nothing on it; that is what the line says.
    let sent = scene.proxy.seen();
    let then = then(&limiter);
    assert!(scene.proxy.seen().bytes > sent.bytes);
    Row {
        fault: "all connections in use",
        gets: describe(&turned_away.answer),
        took: turned_away.took,
        counted: 0,
        then,
    }
}
