//! TLS that does not come about is a plain error: it does not pass by itself, so no policy hides it, and the
//! breaker has no part in it.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use rcgen::date_time_ymd;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use trypema::{OnUnavailable, RateLimit, RedisRateLimiter, RedisRateLimiterBuilder, TrypemaError};

use crate::certificates::Certificates;
use crate::common::until::FOREVER;
use crate::server::{RedisServer, Setup};

fn five() -> RateLimit {
    RateLimit::per_minute(5.0).unwrap()
}

fn builder(url: String, certificates: &Certificates) -> RedisRateLimiterBuilder {
    RedisRateLimiter::builder(url).tls_roots(fs::read(certificates.authority()).unwrap())
}

fn with_client(
    builder: RedisRateLimiterBuilder,
    certificates: &Certificates,
) -> RedisRateLimiterBuilder {
    let read = |path| fs::read(path).unwrap();
    builder.tls_client(read(certificates.client_certificate()), read(certificates.client_key()))
}

/// Each call gets an error that says so, whatever is chosen for outages and however many there are.
#[track_caller]
fn is_plain_error(words: &str, deadline: Duration, builder: impl Fn() -> RedisRateLimiterBuilder) {
    for policy in [OnUnavailable::Error, OnUnavailable::Allow, OnUnavailable::Local] {
        let limiter = builder()
            .on_unavailable(policy)
            .breaker(1, FOREVER)
            .deadline(deadline)
            .build()
            .unwrap();
        for _ in 0..2 {
            match limiter.absolute().inc("key", &five(), 1) {
                Err(error @ TrypemaError::Redis { outcome_unknown: false, .. }) => {
                    assert!(error.to_string().contains(words), "{error}");
                }
                other => panic!("{words}, {policy:?}: {other:?}"),
            }
        }
        assert_eq!(limiter.stats().outages, 0);
    }
}

#[test]
fn certificates_that_will_not_do_are_plain_errors() {
    let right = Certificates::make();
    let server = Setup::new().tls(&right).start();
    is_plain_error("refuses to speak TLS", FOREVER, || builder(server.url(), &right));
    let other = Certificates::make();
    is_plain_error("invalid peer certificate", FOREVER, || {
        with_client(builder(server.url(), &other), &right)
    });
    let elsewhere = Certificates::of_server(&["elsewhere.invalid"], |_| {});
    let server = Setup::new().tls(&elsewhere).start();
    is_plain_error("not valid for name", FOREVER, || {
        with_client(builder(server.url(), &elsewhere), &elsewhere)
    });
    let expired = Certificates::of_server(&["127.0.0.1"], |leaf| {
        leaf.not_before = date_time_ymd(2000, 1, 1);
        leaf.not_after = date_time_ymd(2001, 1, 1);
    });
    let server = Setup::new().tls(&expired).start();
    is_plain_error("expired", FOREVER, || with_client(builder(server.url(), &expired), &expired));
}

/// Nothing tells it from a server that hangs until the deadline has nearly passed.
#[test]
fn tls_to_a_port_without_it_is_told() {
    let certificates = Certificates::make();
    let plain = RedisServer::start();
    let url = plain.url().replace("redis://", "rediss://");
    is_plain_error("does not speak TLS", Duration::from_secs(1), || {
        builder(url.clone(), &certificates)
    });
}

/// A configuration of the user's own takes the place of all other settings.
#[test]
fn a_configuration_of_ones_own() {
    let certificates = Certificates::make();
    let server = Setup::new().tls(&certificates).start();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificates.authority()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_file(certificates.client_certificate()).unwrap()],
            PrivateKeyDer::from_pem_file(certificates.client_key()).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let own = || RedisRateLimiter::builder(server.url()).tls_config(Arc::clone(&config));
    let limiter = own().deadline(FOREVER).build().unwrap();
    assert!(limiter.absolute().inc("key", &five(), 1).unwrap().is_allowed());
    for bad in [own().tls_roots(""), own().tls_client("", "")] {
        match bad.build() {
            Err(TrypemaError::InvalidConfig { field, .. }) => assert_eq!(field, "tls_config"),
            other => panic!("{other:?}"),
        }
    }
}

/// Set for a process that is to find no roots.
const WITHOUT_ROOTS: &str = "TRYPEMA_TEST_WITHOUT_ROOTS";

/// Without anybody to trust, nobody could ever be talked to.
#[test]
fn no_roots_are_an_error_at_once() {
    if env::var_os(WITHOUT_ROOTS).is_some() {
        match RedisRateLimiter::builder("rediss://127.0.0.1:1").build() {
            Err(error @ TrypemaError::InvalidConfig { field: "tls_roots", .. }) => {
                assert!(error.to_string().contains("root certificates"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        assert!(RedisRateLimiter::builder("redis://127.0.0.1:1").build().is_ok());
        return;
    }
    let empty = tempfile::tempdir().unwrap();
    let file = empty.path().join("roots.pem");
    fs::write(&file, "").unwrap();
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "tls::no_roots_are_an_error_at_once", "--nocapture"])
        .env(WITHOUT_ROOTS, "1")
        .env("SSL_CERT_FILE", &file)
        .env("SSL_CERT_DIR", empty.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
}
