//! TLS: whom to trust, and how to say who we are.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::TrypemaError;

/// Certificates in PEM, as the builder was given them.
#[derive(Default)]
pub(crate) struct Certificates {
    pub(crate) roots: Option<Vec<u8>>,
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
}

/// What all connections with TLS go by. Made once: reading the system's roots takes a while.
pub(crate) struct Tls {
    pub(crate) config: Arc<ClientConfig>,
}

impl Tls {
    /// As the user has it.
    pub(crate) fn of(
        config: Arc<ClientConfig>,
        certificates: &Certificates,
    ) -> Result<Self, TrypemaError> {
        if certificates.roots.is_some() || certificates.client.is_some() {
            let given = "together with tls_roots or tls_client";
            return Err(TrypemaError::config("tls_config", given, "it says all there is to say"));
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
                // Those that cannot be read are of no use to anybody else either.
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        // Named here, so that it does not matter what else the program uses rustls with.
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
        given: format!("not of use ({problem})"),
        allowed: "it must be PEM, the certificate and the key of the same owner".into(),
    }
}
