//! Faults of old connections, and of pools.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use trypema::RedisRateLimiter;

use super::scene::{KEY, Scene, ask, builder, counted, describe, then, warm_up};
use super::{DEADLINE, Row};
use crate::cluster::eventually;
use crate::proxy::{Fault, Proxy, Spoiled};
use crate::server::{RedisServer, ask as ask_server};
use crate::sharing;

const CONNECTIONS: u64 = 16;

/// As many idle connections as the pool holds.
fn filled() -> Scene {
    let scene = Scene::new();
    fill(&scene.limiter, &scene.proxy);
    scene
}

fn fill(limiter: &RedisRateLimiter, proxy: &Proxy) {
    proxy.set(Fault::Late(DEADLINE / 6));
    eventually("all connections are there", || {
        let barrier = Barrier::new(16);
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    barrier.wait();
                    _ = ask(limiter, "warm");
                });
            }
        });
        proxy.seen().connections >= CONNECTIONS
    });
    proxy.set(Fault::None);
}

/// The call that waits for the first of them has waited for all: the next call works.
pub(super) fn swallowed() -> Row {
    let scene = filled();
    scene.proxy.spoil_old(Spoiled::Swallowed);
    let asked = scene.ask();
    scene.row("16 idle connections swallowed by a router", &asked)
}

/// The name leads to the new server; the connections are to the old one, which is a replica now.
pub(super) fn demoted() -> Row {
    let scene = filled();
    let new = RedisServer::start();
    let _: () = scene.server.ask(&format!("REPLICAOF 127.0.0.1 {}", new.port()));
    scene.proxy.lead_to(new.port());
    let asked = scene.ask();
    let then = then(&scene.limiter);
    assert_eq!(new.ask::<u64>("EXISTS trypema:a:60000.100:after"), 1, "the new one is asked");
    Row {
        fault: "demoted behind a name, 16 connections to it open",
        gets: describe(&asked.answer),
        took: asked.took,
        counted: counted(&new),
        then,
    }
}

/// 64 callers share 4 connections over a slow network; the breaker would open at the first failure.
pub(super) fn pool_too_small() -> Row {
    let scene = Scene::new();
    let limiter = builder(scene.proxy.url()).pool_size(4).breaker(1, DEADLINE * 100);
    let limiter = limiter.build().unwrap();
    warm_up(&limiter);
    scene.proxy.set(Fault::Late(DEADLINE / 8));
    let asked = thread::scope(|scope| {
        let asking = (0..64).map(|_| scope.spawn(|| ask(&limiter, "busy"))).collect::<Vec<_>>();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    scene.proxy.set(Fault::None);
    let answers = asked.iter().map(|asked| describe(&asked.answer)).collect::<Vec<_>>();
    assert!(answers.iter().any(|answer| answer.starts_with("`PoolTimeout`")), "{answers:?}");
    let asked = ask(&limiter, KEY);
    let then = then(&limiter);
    Row {
        fault: "after all 4 connections were in use for too long for 64 callers",
        gets: describe(&asked.answer),
        took: asked.took,
        counted: scene.counted(),
        then,
    }
}

/// The server has fewer connections to give than there are callers and places in the pool.
pub(super) fn too_many_clients() -> Row {
    let scene = Scene::new();
    // The limiter may have all of the others.
    let mut own = scene.server.connection();
    let _: () = ask_server(&mut own, "CONFIG SET maxclients 5");
    scene.proxy.set(Fault::Late(Duration::from_millis(5)));
    let asked = thread::scope(|scope| {
        let asking = (0..16).map(|_| scope.spawn(|| ask(&scene.limiter, "busy")));
        let asking = asking.collect::<Vec<_>>();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    scene.proxy.set(Fault::None);
    let slowest = asked.iter().max_by_key(|asked| asked.took).unwrap();
    for asked in &asked {
        assert_eq!(describe(&asked.answer), describe(&slowest.answer));
    }
    let _: () = ask_server(&mut own, "CONFIG SET maxclients 10000");
    let then = then(&scene.limiter);
    Row {
        fault: "`maxclients` below `pool_size`, 16 callers",
        gets: describe(&slowest.answer),
        took: slowest.took,
        counted: counted(&scene.server),
        then,
    }
}

/// A call above its limit is rejected without memory, too.
pub(super) fn out_of_memory_but_full() -> Row {
    let scene = Scene::new();
    let limiter = builder(scene.proxy.url()).breaker(1, DEADLINE * 100).build().unwrap();
    let rate = super::scene::rate();
    assert!(limiter.absolute().inc("full", &rate, 100).unwrap().is_allowed());
    let _: () = scene.server.ask("CONFIG SET maxmemory 1");
    assert!(ask(&limiter, KEY).answer.is_err(), "it takes memory");
    let asked = ask(&limiter, "full");
    let _: () = scene.server.ask("CONFIG SET maxmemory 0");
    let then = then(&limiter);
    Row {
        fault: "out of memory, after another key's call had failed: a key that is full",
        gets: describe(&asked.answer),
        took: asked.took,
        counted: scene.counted(),
        then,
    }
}

/// A rejection whose reply came late holds for no longer than the server said.
pub(super) fn late_rejection() -> Row {
    let (scene, clock) = (Scene::new(), trypema::ManualClock::new());
    let limiter = builder(scene.proxy.url())
        .denial_cache(DEADLINE * 1_000)
        .server_time(clock.clone())
        .deadline(DEADLINE * 100)
        .build()
        .unwrap();
    let rate = super::scene::rate();
    assert!(limiter.absolute().inc("full", &rate, 100).unwrap().is_allowed());
    scene.proxy.set(Fault::Late(DEADLINE * 100));
    let calls = scene.server.calls("evalsha");
    let rejected = thread::scope(|scope| {
        let asking = scope.spawn(|| ask(&limiter, "full").answer.unwrap());
        eventually("the server has decided", || scene.server.calls("evalsha") > calls);
        clock.advance(Duration::from_secs(20));
        scene.proxy.set(Fault::None);
        asking.join().unwrap()
    });
    let hint = rejected.retry_after().expect("it will fit");
    clock.advance(hint - Duration::from_secs(20));
    let asked = ask(&limiter, "full");
    Row {
        fault: "a rejection whose reply was 20 s late, once its hint has passed",
        gets: describe(&asked.answer),
        took: asked.took,
        counted: limiter.absolute().usage("full", &rate).unwrap(),
        then: then(&limiter),
    }
}

/// Parent and child ask at the same time, each over connections of its own.
pub(super) fn forked() -> Row {
    let scene = filled();
    let child = sharing::forked(|| i32::from(scene.ask().answer.is_err()));
    let parent = (0..100).map(|_| ask(&scene.limiter, "parent")).max_by_key(|asked| asked.took);
    assert_eq!(sharing::end_of(child), Some(0), "the child is admitted");
    scene.row("forked: a child asks while its parent does", &parent.unwrap())
}
