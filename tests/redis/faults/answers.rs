//! Faults that the server itself reports, or that change what it holds.

use std::time::Duration;

use trypema::{OnUnavailable, RateLimit};

use super::Row;
use super::scene::{Asked, KEY, Scene, ask, builder, counted, describe, then};
use crate::any;
use crate::clocks::Unsteady;
use crate::cluster::eventually;
use crate::proxy::Proxy;
use crate::server::{RedisServer, Setup};

pub(super) fn scripts_flushed() -> Row {
    let scene = Scene::new();
    let _: () = scene.server.ask("SCRIPT FLUSH");
    let asked = scene.ask();
    scene.row("`SCRIPT FLUSH`", &asked)
}

/// Scripts are not replicated: the new primary knows none of them. What was counted, it knows.
pub(super) fn failed_over() -> Row {
    let mut primary = RedisServer::start();
    let replica = Setup::new().replica_of(&primary).start();
    eventually("the replica is in step", || {
        replica.ask::<String>("INFO replication").contains("master_link_status:up")
    });
    let scene = Scene::of(primary);
    let warm = |server: &RedisServer| server.ask::<bool>("EXISTS trypema:a:60000.100:warm");
    eventually("the replica has the key", || warm(&replica));
    let Scene { limiter, proxy, server } = scene;
    primary = server;
    primary.kill();
    proxy.close_all();
    proxy.lead_to(replica.port());
    let _: () = replica.ask("REPLICAOF NO ONE");
    let scene = Scene { limiter, proxy, server: replica };
    let asked = scene.ask();
    assert!(warm(&scene.server), "what had been counted is there");
    scene.row("failed over to a replica, which has no scripts", &asked)
}

pub(super) fn out_of_memory() -> Row {
    let scene = Scene::new();
    let _: () = scene.server.ask("CONFIG SET maxmemory 1");
    let asked = scene.ask();
    let _: () = scene.server.ask("CONFIG SET maxmemory 0");
    scene.row("out of memory (`maxmemory`, `noeviction`)", &asked)
}

pub(super) fn read_only() -> Row {
    let scene = Scene::new();
    // A replica of nobody that is there: read-only, with what it had.
    let _: () = scene.server.ask("CONFIG SET replica-serve-stale-data yes");
    let _: () = scene.server.ask("REPLICAOF 127.0.0.1 1");
    let asked = scene.ask();
    let _: () = scene.server.ask("REPLICAOF NO ONE");
    scene.row("server is a read-only replica", &asked)
}

/// Somebody else's script does not end.
pub(super) fn busy() -> Row {
    let scene = Scene::new();
    let _: () = scene.server.ask("CONFIG SET lua-time-limit 1");
    let mut other = scene.server.connection();
    let endless = std::thread::spawn(move || {
        let script = redis::cmd("EVAL").arg("while true do end").arg(0).query::<()>(&mut other);
        script.unwrap_err()
    });
    let mut connection = scene.server.connection();
    eventually("it is busy", || redis::cmd("PING").query::<String>(&mut connection).is_err());
    let asked = scene.ask();
    let _: () = redis::cmd("SCRIPT").arg("KILL").query(&mut connection).unwrap();
    endless.join().unwrap();
    scene.row("busy with an endless script", &asked)
}

/// An error whatever is chosen for outages, and none of the breaker's business.
pub(super) fn wrong_type() -> Row {
    let scene = Scene::new();
    let limiter = builder(scene.proxy.url()).breaker(1, crate::common::until::FOREVER);
    let limiter = limiter.build().unwrap();
    let name = format!("trypema:a:60000.100:{KEY}");
    let _: () = scene.server.ask(&format!("LPUSH {name} value"));
    let asked = ask(&limiter, KEY);
    let again = ask(&limiter, KEY).answer;
    assert_eq!(describe(&again), describe(&asked.answer), "however often it is asked");
    assert_eq!(scene.server.ask::<Vec<String>>(&format!("LRANGE {name} 0 -1")), ["value"]);
    assert!(ask(&limiter, "another").answer.is_ok(), "other keys are none the worse");
    let _: () = scene.server.ask(&format!("DEL {name}"));
    Row { then: then(&limiter), ..scene.row("something else under the key's name", &asked) }
}

pub(super) fn wrong_password() -> Row {
    let server = Setup::new().user("limits", "right", "~trypema:* +@all").start();
    let url = |password| server.url().replace("//", &format!("//limits:{password}@"));
    let limiter = |password| {
        builder(url(password)).breaker(1, crate::common::until::FOREVER).build().unwrap()
    };
    let wrong = limiter("wrong");
    let asked = ask(&wrong, KEY);
    assert_eq!(describe(&ask(&wrong, KEY).answer), describe(&asked.answer), "however often");
    assert!(!describe(&asked.answer).contains("wrong@"), "passwords are not shown");
    let counted = limiter("right").absolute().usage(KEY, &any()).unwrap();
    let _: () = server.ask("ACL SETUSER limits >wrong");
    Row {
        fault: "wrong password",
        gets: describe(&asked.answer),
        took: asked.took,
        counted,
        then: then(&wrong),
    }
}

/// Redis repeats commands that it does not know; the password among them is not handed on.
pub(super) fn unknown_auth() -> Row {
    let mut server = Setup::new().set("rename-command", ["AUTH", "AUTHENTICATE"]).start();
    let limiter = builder(server.url().replace("//", "//:Passphrase@")).build().unwrap();
    let asked = ask(&limiter, KEY);
    assert!(!describe(&asked.answer).contains("Pass"), "passwords are not shown");
    let counted = counted(&server);
    // The same server, as it should have been.
    server = Setup::new().set("requirepass", ["Passphrase"]).start();
    let right = builder(server.url().replace("//", "//:Passphrase@")).build().unwrap();
    Row {
        fault: "a server that does not know `AUTH`, and repeats it",
        gets: describe(&asked.answer),
        took: asked.took,
        counted,
        then: then(&right),
    }
}

/// Set back by an hour, a window is none the longer, and none the emptier.
pub(super) fn stepped_back() -> Row {
    let (scene, clock) = (Scene::new(), Unsteady::default());
    let limiter = builder(scene.proxy.url()).server_time(clock.clone()).build().unwrap();
    let two = RateLimit::per_minute(2.0).unwrap();
    let inc = |key| limiter.absolute().inc(key, &two, 1).unwrap();
    let set = |ms: u64| clock.set(1_000 * ms);
    let hour = 3_600_000;
    set(2 * hour);
    assert!(inc("full").is_allowed());
    assert!(inc("full").is_allowed());
    set(hour);
    let Asked { answer, took } = {
        let begun = std::time::Instant::now();
        let answer = limiter.absolute().inc(KEY, &two, 1);
        Asked { answer, took: begun.elapsed() }
    };
    // The full key stays full for a minute and a bucket from now, and the hint says so.
    let rejected = inc("full");
    assert_eq!(rejected.retry_after(), Some(Duration::from_millis(60_100)), "{rejected:?}");
    assert_eq!(limiter.absolute().usage("full", &any()).unwrap(), 2);
    set(hour + 60_099);
    assert!(!inc("full").is_allowed());
    set(hour + 60_100);
    assert!(inc("full").is_allowed());
    // By now, what was counted on the key has expired. It was, then.
    set(hour);
    let counted = limiter.absolute().usage(KEY, &any()).unwrap();
    Row {
        fault: "server's clock set back by an hour",
        gets: describe(&answer),
        took,
        counted,
        then: then(&limiter),
    }
}

/// The server makes room by dropping keys. What it has forgotten counts no more.
pub(super) fn evicted() -> Row {
    let scene = Scene::new();
    for setting in ["maxmemory 4mb", "maxmemory-policy allkeys-lru"] {
        let _: () = scene.server.ask(&format!("CONFIG SET {setting}"));
    }
    let key = |number: u32| format!("{number} {}", "x".repeat(200));
    let mut number = 0;
    eventually("it has evicted keys", || {
        for _ in 0..500 {
            number += 1;
            assert!(ask(&scene.limiter, &key(number)).answer.is_ok());
        }
        let info: String = scene.server.ask("INFO stats");
        !info.contains("evicted_keys:0\r")
    });
    // Some are left and some are not, and nobody is told.
    let usages =
        (1..=number).map(|number| scene.limiter.absolute().usage(&key(number), &any()).unwrap());
    let forgotten = usages.filter(|usage| *usage == 0).count();
    assert!(forgotten > 0, "none is forgotten");
    let asked = scene.ask();
    assert_eq!(counted(&scene.server), 1);
    scene.row("keys evicted (`maxmemory`, `allkeys-lru`)", &asked)
}

/// A server whose scripts lack something, under `Allow`, which hides no such error.
fn lacking(fault: &'static str, text: &'static str, by: &'static str) -> Row {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    proxy.rewrite(text, by);
    let limiter = builder(proxy.url()).on_unavailable(OnUnavailable::Allow).build().unwrap();
    let Asked { answer, took } = ask(&limiter, KEY);
    proxy.rewrite(text, text);
    let then = then(&limiter);
    Row { fault, gets: describe(&answer), took, counted: counted(&server), then }
}

pub(super) fn without_struct() -> Row {
    lacking("scripts without the library `struct`, under `Allow`", "struct.", "strict.")
}

pub(super) fn without_time() -> Row {
    lacking("scripts without `TIME`, under `Allow`", "call('TIME')", "call('PING')")
}
