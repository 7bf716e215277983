//! An authority, a server's certificate and a client's, for as long as a test lasts.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

pub(crate) struct Certificates {
    directory: TempDir,
}

impl Certificates {
    /// For a server at `localhost` and `127.0.0.1`, and for a client.
    pub(crate) fn make() -> Self {
        Self::of_server(&["localhost", "127.0.0.1"], |_| {})
    }

    /// The same for a server of other names, whose certificate is further as `set` has it.
    pub(crate) fn of_server(names: &[&str], set: impl Fn(&mut CertificateParams)) -> Self {
        let directory = tempfile::Builder::new().prefix("trypema-tls-").tempdir().unwrap();
        let write = |name: &str, text: String| fs::write(directory.path().join(name), text);

        let mut authority = CertificateParams::new([]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "authority of a test");
        let key = KeyPair::generate().unwrap();
        write("authority.pem", authority.self_signed(&key).unwrap().pem()).unwrap();
        let authority = Issuer::new(authority, key);

        for (who, names) in [("server", names), ("client", &["client"])] {
            let names = names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
            let mut leaf = CertificateParams::new(names).unwrap();
            leaf.distinguished_name.push(DnType::CommonName, who);
            leaf.use_authority_key_identifier_extension = true;
            if who == "server" {
                set(&mut leaf);
            }
            let key = KeyPair::generate().unwrap();
            let certificate = leaf.signed_by(&key, &authority).unwrap();
            write(&format!("{who}.pem"), certificate.pem()).unwrap();
            write(&format!("{who}.key"), key.serialize_pem()).unwrap();
        }
        Self { directory }
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }

    pub(crate) fn server_certificate(&self) -> PathBuf {
        self.directory.path().join("server.pem")
    }

    pub(crate) fn server_key(&self) -> PathBuf {
        self.directory.path().join("server.key")
    }

    pub(crate) fn client_certificate(&self) -> PathBuf {
        self.directory.path().join("client.pem")
    }

    pub(crate) fn client_key(&self) -> PathBuf {
        self.directory.path().join("client.key")
    }
}
