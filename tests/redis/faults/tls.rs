//! Faults of TLS. No outage: what is chosen for those hides none of them.

use std::fs;

use trypema::{OnUnavailable, RedisRateLimiterBuilder};

use super::Row;
use super::scene::{KEY, ask, builder, describe, then};
use crate::certificates::Certificates;
use crate::server::{RedisServer, Setup};

/// Under `Allow`, where an outage would be `Allowed`.
fn row(fault: &'static str, wrong: RedisRateLimiterBuilder, right: RedisRateLimiterBuilder) -> Row {
    let wrong = wrong.on_unavailable(OnUnavailable::Allow).build().unwrap();
    let asked = ask(&wrong, KEY);
    let right = right.build().unwrap();
    let counted = right.absolute().usage(KEY, &super::scene::rate()).unwrap();
    Row { fault, gets: describe(&asked.answer), took: asked.took, counted, then: then(&right) }
}

fn over_tls(server: &RedisServer, certificates: &Certificates) -> RedisRateLimiterBuilder {
    let read = |path| fs::read(path).unwrap();
    builder(server.url())
        .tls_roots(read(certificates.authority()))
        .tls_client(read(certificates.client_certificate()), read(certificates.client_key()))
}

pub(super) fn wrong_host() -> Row {
    let certificates = Certificates::of_server(&["localhost"], |_| {});
    let server = Setup::new().tls(&certificates).start();
    let right = server.url().replace("127.0.0.1", "localhost");
    let right = builder(right).tls_roots(fs::read(certificates.authority()).unwrap()).tls_client(
        fs::read(certificates.client_certificate()).unwrap(),
        fs::read(certificates.client_key()).unwrap(),
    );
    row("certificate of another host, under `Allow`", over_tls(&server, &certificates), right)
}

pub(super) fn no_client_certificate() -> Row {
    let certificates = Certificates::make();
    let server = Setup::new().tls(&certificates).start();
    let wrong = builder(server.url()).tls_roots(fs::read(certificates.authority()).unwrap());
    let right = over_tls(&server, &certificates);
    row("no certificate for a server that asks for one, under `Allow`", wrong, right)
}

pub(super) fn plain_port() -> Row {
    let certificates = Certificates::make();
    let server = RedisServer::start();
    let url = server.url().replace("redis://", "rediss://");
    let wrong = builder(url).tls_roots(fs::read(certificates.authority()).unwrap());
    row("TLS to a port without it, under `Allow`", wrong, builder(server.url()))
}
