//! The tests' own machinery does what the tests count on.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::Duration;

use crate::certificates::Certificates;
use crate::cluster::{Cluster, eventually};
use crate::common::until::FOREVER;
use crate::proxy::{Fault, Proxy};
use crate::sentinel::Watched;
use crate::server::{RedisServer, Setup};

fn connect(url: &str) -> redis::RedisResult<redis::Connection> {
    redis::Client::open(url).unwrap().get_connection_with_timeout(FOREVER)
}

fn ping(url: &str) -> redis::RedisResult<String> {
    redis::cmd("PING").query(&mut connect(url)?)
}

#[test]
fn a_server_starts_and_goes() {
    let mut server = RedisServer::start();
    assert_eq!(ping(&server.url()).unwrap(), "PONG");
    let _: () = server.ask("SET key value");
    server.restart();
    assert_eq!(server.ask::<u64>("DBSIZE"), 0, "started again, it is empty");
    assert_eq!(server.calls("set"), 0);
    let (port, directory) = (server.port(), server.socket());
    drop(server);
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(!directory.parent().unwrap().exists());
}

#[test]
fn a_paused_server_answers_when_it_is_resumed() {
    let server = RedisServer::start();
    let mut connection = server.connection();
    connection.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    server.pause();
    assert!(redis::cmd("PING").query::<String>(&mut connection).unwrap_err().is_timeout());
    server.resume();
    assert_eq!(server.ask::<String>("PING"), "PONG");
}

#[test]
fn users_have_to_name_themselves() {
    let server = Setup::new().user("limited", "secret", "~trypema:* +evalsha").start();
    let error = ping(&server.url()).unwrap_err().to_string();
    assert!(error.contains("NOAUTH"), "{error}");
    let named = server.url().replace("//", "//limited:secret@");
    let error = ping(&named).unwrap_err().to_string();
    assert!(error.contains("NoPerm"), "{error}");
    assert_eq!(server.ask::<String>("PING"), "PONG");
}

#[test]
fn tls_servers_talk_to_nobody_without_a_certificate() {
    let certificates = Certificates::make();
    let server = Setup::new().tls(&certificates).start();
    assert_eq!(server.ask::<String>("PING"), "PONG", "over the unix socket");
    let plain = server.url().replace("rediss", "redis");
    assert!(ping(&plain).is_err());
}

#[test]
fn a_cluster_sends_where_the_key_is() {
    let cluster = Cluster::start();
    let slot = cluster.slot_of("key");
    let from = cluster.owner_of(slot);
    let to = (from + 1) % 3;
    let _: () = cluster.nodes[from].ask("SET key value");
    cluster.begin_move(slot, from, to);
    assert_eq!(cluster.move_keys(slot, from, to), 1);
    let asked = redis::cmd("GET").arg("key").query::<String>(&mut cluster.nodes[from].connection());
    let error = asked.unwrap_err();
    assert_eq!(error.code(), Some("ASK"), "{error}");
    cluster.end_move(slot, to);
    assert_eq!(cluster.owner_of(slot), to);
    assert_eq!(cluster.nodes[to].ask::<String>("GET key"), "value");
}

#[test]
fn sentinels_fail_over() {
    let mut watched = Watched::start();
    assert_eq!(watched.primary(), watched.servers[0].port());
    watched.servers[0].kill();
    watched.until_failed_over();
    assert_eq!(watched.primary(), watched.servers[1].port());
}

/// A reply of 13 bytes through the proxy.
fn proxied(proxy: &Proxy) -> TcpStream {
    let address = proxy.url().replace("redis://", "");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    stream.write_all(b"ECHO 1234567\r\n").unwrap();
    stream
}

#[test]
fn the_proxy_gets_in_the_way() {
    let server = RedisServer::start();
    let mut proxy = Proxy::to(server.port());
    assert_eq!(ping(&proxy.url()).unwrap(), "PONG");
    let mut reply = [0; 13];

    let before = proxy.seen();
    proxied(&proxy).read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"$7\r\n1234567\r\n");
    assert_eq!(proxy.seen().connections, before.connections + 1);
    assert_eq!(proxy.seen().bytes, before.bytes + 14);

    proxy.set(Fault::CutOnce(5));
    let mut cut = Vec::new();
    proxied(&proxy).read_to_end(&mut cut).unwrap();
    assert_eq!(cut, b"$7\r\n1");

    proxy.set(Fault::Late(FOREVER));
    let mut late = proxied(&proxy);
    assert_eq!(late.read(&mut reply).unwrap_err().kind(), ErrorKind::WouldBlock);
    eventually("it reached the server all the same", || server.calls("echo") == 3);
    proxy.set(Fault::None);
    late.set_read_timeout(Some(FOREVER)).unwrap();
    late.read_exact(&mut reply).unwrap();

    proxy.set(Fault::Drip(Duration::from_millis(1)));
    let mut dripping = proxied(&proxy);
    dripping.set_read_timeout(Some(FOREVER)).unwrap();
    assert_eq!(dripping.read(&mut reply).unwrap(), 1);
    proxy.set(Fault::None);

    proxy.close_all();
    if let Err(error) = dripping.read_to_end(&mut Vec::new()) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(ping(&proxy.url()).unwrap(), "PONG");

    proxy.refuse();
    assert!(ping(&proxy.url()).unwrap_err().is_connection_refusal());
    let address = proxy.url().replace("redis://", "").parse().unwrap();
    let hanging = proxy.hang();
    let connected = TcpStream::connect_timeout(&address, Duration::from_millis(100));
    assert_eq!(connected.unwrap_err().kind(), ErrorKind::TimedOut);
    drop(hanging);
    proxy.accept();
    assert_eq!(ping(&proxy.url()).unwrap(), "PONG");
}
