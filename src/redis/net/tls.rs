//! TLS: whom to trust, and how to say who we are.

use std::sync::{Arc, OnceLock};

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

/// A configuration, made when it is first needed: reading the system's roots takes a while.
pub(crate) struct Tls {
    roots: Option<Vec<CertificateDer<'static>>>,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    config: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Tls {
    pub(crate) fn new(certificates: &Certificates) -> Result<Self, TrypemaError> {
        let roots = certificates.roots.as_deref();
        let roots = roots.map(|pem| chain("tls_roots", pem)).transpose()?;
        let client = match &certificates.client {
            None => None,
            Some((chain_pem, key_pem)) => {
                let key = PrivateKeyDer::from_pem_slice(key_pem)
                    .map_err(|error| invalid("tls_client", &format!("no private key: {error}")))?;
                Some((chain("tls_client", chain_pem)?, key))
            }
        };
        let tls = Self { roots, client, config: OnceLock::new() };
        // What was given has to fit together, which is known without the system's roots.
        tls.build(RootCertStore::empty()).map_err(|cause| invalid("tls_client", &cause))?;
        Ok(tls)
    }

    pub(crate) fn config(&self) -> Result<Arc<ClientConfig>, String> {
        self.config
            .get_or_init(|| {
                let mut store = RootCertStore::empty();
                match &self.roots {
                    Some(roots) => {
                        for root in roots {
                            store.add(root.clone()).map_err(|error| error.to_string())?;
                        }
                    }
                    None => {
                        let found = rustls_native_certs::load_native_certs();
                        store.add_parsable_certificates(found.certs);
                    }
                }
                self.build(store)
            })
            .clone()
    }

    fn build(&self, roots: RootCertStore) -> Result<Arc<ClientConfig>, String> {
        // Named here, so that it does not matter what else the program uses rustls with.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let config = match &self.client {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|error| error.to_string())?,
        };
        Ok(Arc::new(config))
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
