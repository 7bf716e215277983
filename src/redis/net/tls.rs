//! TLS: the roots to trust, and our own certificate.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::TrypemaError;
use crate::redis::net::Deadline;
use crate::redis::net::failure::Kind;
use crate::redis::net::socket::Timed;

/// Certificates in PEM, as the builder was given them.
#[derive(Default)]
pub(crate) struct Certificates {
    pub(crate) roots: Option<Vec<u8>>,
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
}

/// The TLS settings of all connections. Made once: reading the system's roots takes a while.
pub(crate) struct Tls {
    pub(crate) config: Arc<ClientConfig>,
}

impl Tls {
    /// The configuration that the user has given.
    pub(crate) fn of(
        config: Arc<ClientConfig>,
        certificates: &Certificates,
    ) -> Result<Self, TrypemaError> {
        if certificates.roots.is_some() || certificates.client.is_some() {
            let given = "set together with tls_roots or tls_client";
            return Err(TrypemaError::config("tls_config", given, "it replaces both"));
        }
        Ok(Self { config })
    }

    pub(crate) fn new(certificates: &Certificates) -> Result<Self, TrypemaError> {
        let mut roots = RootCertStore::empty();
        match &certificates.roots {
            Some(pem) => {
                for root in chain("tls_roots", pem)? {
                    roots.add(root).map_err(|error| invalid("tls_roots", &error.to_string()))?;
                }
            }
            None => {
                // Certificates that cannot be read are skipped.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    let allowed = "this system has no root certificates that can be read, so it is \
                                   needed to know whom to trust";
                    return Err(TrypemaError::config("tls_roots", None::<()>, allowed));
                }
            }
        }
        // Named here, so that the provider does not depend on other users of rustls in the program.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| invalid("url", &error.to_string()))?
            .with_root_certificates(roots);
        let config = match &certificates.client {
            None => config.with_no_client_auth(),
            Some((pem, key_pem)) => {
                let key = PrivateKeyDer::from_pem_slice(key_pem)
                    .map_err(|error| invalid("tls_client", &format!("no private key: {error}")))?;
                config
                    .with_client_auth_cert(chain("tls_client", pem)?, key)
                    .map_err(|error| invalid("tls_client", &error.to_string()))?
            }
        };
        Ok(Self { config: Arc::new(config) })
    }
}

/// Completes the TLS handshake.
pub(crate) fn shake_hands(
    stream: &mut StreamOwned<ClientConnection, Timed>,
    deadline: Deadline,
) -> Result<(), Kind> {
    stream.sock.deadline = deadline;
    while stream.conn.is_handshaking() {
        if let Err(error) = stream.conn.complete_io(&mut stream.sock) {
            return Err(match error_in(&error) {
                Some(refusal) => refused(&refusal),
                None => Kind::of_io(&error, false),
            });
        }
    }
    Ok(())
}

/// Whether the peer answers as Redis does without TLS. Such a server takes the beginning of a handshake for
/// part of a command and waits for the rest, so it would look like one that hangs.
pub(crate) fn is_plain(mut fresh: Timed) -> bool {
    let mut heard = [0];
    let asked = fresh.write_all(b"*1\r\n$4\r\nPING\r\n");
    asked.and_then(|()| fresh.read_exact(&mut heard)).is_ok() && matches!(heard[0], b'+' | b'-')
}

/// The failure of such a port.
pub(crate) fn plain_port() -> Kind {
    Kind::Tls {
        cause: "it does not speak TLS: the URL of such a port begins with redis, not rediss".into(),
    }
}

/// The TLS error behind an I/O error, if any.
pub(crate) fn error_in(error: &io::Error) -> Option<rustls::Error> {
    error.get_ref()?.downcast_ref::<rustls::Error>().cloned()
}

/// The failure of a handshake.
pub(crate) fn refused(error: &rustls::Error) -> Kind {
    let cause = match error {
        rustls::Error::InvalidMessage(_) => return plain_port(),
        rustls::Error::AlertReceived(_) => format!("it refuses to speak TLS with us: {error}"),
        _ => error.to_string(),
    };
    Kind::Tls { cause }
}

fn chain(field: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TrypemaError> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(invalid(field, "no certificate in it")),
        Err(error) => Err(invalid(field, &error.to_string())),
    }
}

fn invalid(field: &'static str, problem: &str) -> TrypemaError {
    TrypemaError::InvalidConfig {
        field,
        given: format!("not loadable ({problem})"),
        allowed: "it must be PEM, the certificate and the key of the same owner".into(),
    }
}
