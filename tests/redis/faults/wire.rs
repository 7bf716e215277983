//! Faults of the connection.

use std::thread;
use std::time::Duration;

use trypema::TrypemaError;

use super::scene::{Answer, Asked, KEY, Scene, ask, builder, describe, then, warm_up};
use super::{DEADLINE, Row};
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
    with(Fault::CutOnce(2), "reply cut in the middle")
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

/// More callers than the only connection can serve before their deadline: those who never get it.
pub(super) fn pool_exhausted() -> Row {
    let scene = Scene::new();
    let limiter = builder(scene.proxy.url()).pool_size(1).build().unwrap();
    warm_up(&limiter);
    scene.proxy.set(Fault::Late(DEADLINE / 15));
    let asked = thread::scope(|scope| {
        // Twice each, so that not all of their deadlines are at the same moment.
        let twice = || [(); 2].map(|()| ask(&limiter, KEY));
        let asking = (0..45).map(|_| scope.spawn(twice)).collect::<Vec<_>>();
        asking.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    scene.proxy.set(Fault::None);
    let then = then(&limiter);
    let count = |is: fn(&Answer) -> bool| asked.iter().filter(|asked| is(&asked.answer)).count();
    let allowed = count(|answer| answer.is_ok()) as u64;
    let unknown =
        count(|answer| matches!(answer, Err(TrypemaError::Redis { outcome_unknown: true, .. })))
            as u64;
    let turned_away =
        |asked: &&Asked| matches!(asked.answer, Err(TrypemaError::PoolTimeout { .. }));
    let latest = asked.iter().filter(turned_away).max_by_key(|asked| asked.took);
    let latest = latest.expect("somebody never gets the connection");
    assert!(allowed > 0 && limiter.stats().pool_timeouts > 0, "{:?}", limiter.stats());
    // Only the units that other callers were told of are counted.
    let counted = scene.counted().saturating_sub(allowed + unknown);
    Row {
        fault: "all connections in use",
        gets: describe(&latest.answer),
        took: latest.took,
        counted,
        then,
    }
}
