//! Faults of the server as a process.

use std::thread;
use std::time::Duration;

use super::scene::{Asked, KEY, Scene, ask, builder, counted, describe, then, warm_up};
use super::{DEADLINE, Row};
use crate::cluster::eventually;
use crate::server::RedisServer;

pub(super) fn killed() -> Row {
    let mut server = RedisServer::start();
    let limiter = builder(server.url()).build().unwrap();
    warm_up(&limiter);
    server.kill();
    let Asked { answer, took } = ask(&limiter, KEY);
    server.restart();
    let then = then(&limiter);
    Row { fault: "server killed", gets: describe(&answer), took, counted: counted(&server), then }
}

/// While it has the question: it waits its turn behind a script that takes forever.
pub(super) fn killed_in_the_middle() -> Row {
    let mut scene = Scene::new();
    scene.server.pause();
    let before = scene.proxy.seen();
    let asked = thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&scene.limiter, KEY));
        eventually("the question is on its way", || scene.proxy.seen().bytes > before.bytes);
        scene.server.kill();
        asking.join().unwrap()
    });
    scene.server.restart();
    scene.row("server killed while it has the question", &asked)
}

/// Its memory and its scripts are gone; the connection is too.
pub(super) fn restarted_empty() -> Row {
    let mut scene = Scene::new();
    scene.server.restart();
    let asked = scene.ask();
    scene.row("server restarted, empty", &asked)
}

pub(super) fn stopped() -> Row {
    let scene = Scene::new();
    scene.server.pause();
    let asked = scene.ask();
    scene.server.resume();
    // It finds the question among what has come meanwhile, and nobody to answer.
    eventually("the question has been executed", || scene.counted() > 0);
    scene.row("server stopped (SIGSTOP)", &asked)
}

/// The same for a caller with another deadline; how long it took.
pub(super) fn stopped_for(deadline: Duration) -> (Duration, Duration) {
    let server = RedisServer::start();
    let limiter = builder(server.url()).deadline(deadline).build().unwrap();
    eventually("there is a connection", || ask(&limiter, "warm").answer.is_ok());
    server.pause();
    let asked = ask(&limiter, KEY);
    assert!(asked.answer.is_err());
    (deadline, asked.took)
}

/// The server sees the caller go, and drops the question.
pub(super) fn paused() -> Row {
    let scene = Scene::new();
    let pause = DEADLINE * 2;
    let _: () = scene.server.ask(&format!("CLIENT PAUSE {} ALL", pause.as_millis()));
    let asked = scene.ask();
    // This question waits until the pause is over.
    assert_eq!(scene.server.ask::<String>("PING"), "PONG");
    scene.row("`CLIENT PAUSE`", &asked)
}

/// The sixth call to a server that is gone, with the breaker as it is by default.
pub(super) fn left_alone() -> Row {
    let mut server = RedisServer::start();
    let limiter = builder(server.url()).breaker(5, Duration::from_millis(500)).build().unwrap();
    warm_up(&limiter);
    server.kill();
    for _ in 0..5 {
        assert!(ask(&limiter, KEY).answer.is_err());
    }
    let asked = ask(&limiter, KEY);
    server.restart();
    // How many fail until the pause is over is a matter of how fast they are asked.
    let then_ = match then(&limiter).as_str() {
        "the next call works" => "the next call works".to_owned(),
        _ => "works when the breaker's pause is over".to_owned(),
    };
    let counted = counted(&server);
    Row {
        fault: "server killed, after five failures in a row",
        gets: describe(&asked.answer),
        took: asked.took,
        counted,
        then: then_,
    }
}
