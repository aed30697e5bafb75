//! Certificates, files of them, and TLS servers in threads.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
};

use super::*;
use crate::net::transport::TlsConfig;
use crate::types::tls_options::TlsOptions;

pub(super) type ServerStream = StreamOwned<ServerConnection, TcpStream>;

/// A folder that goes when the test does.
pub(super) struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("puka-tls-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Somebody who signs.
pub(super) struct Ca {
    pub(super) certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub(super) fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        Self {
            certificate,
            issuer,
        }
    }

    pub(super) fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate, key }
    }
}

/// A certificate and its key.
pub(super) struct Identity {
    pub(super) certificate: Certificate,
    pub(super) key: KeyPair,
}

impl Identity {
    pub(super) fn self_signed(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, key }
    }

    pub(super) fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }
}

/// A certificate of this subject, for these names.
pub(super) fn params(subject: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    params
}

/// One CA, and its file.
pub(super) struct Pki {
    pub(super) folder: Folder,
    pub(super) ca: Ca,
}

impl Pki {
    pub(super) fn new() -> Self {
        let folder = Folder::new();
        let ca = Ca::new("a CA");
        folder.write("ca.pem", &ca.certificate.pem());
        Self { folder, ca }
    }

    /// A client's options, with this CA alone.
    pub(super) fn options(&self) -> TlsOptions {
        TlsOptions::new().ca_file(self.folder.0.join("ca.pem"))
    }

    /// A server that has all it should.
    pub(super) fn server(&self) -> Server {
        self.server_with(
            self.ca
                .sign(&params("a server", &["localhost", "127.0.0.1"])),
        )
    }

    pub(super) fn server_with(&self, identity: Identity) -> Server {
        Server {
            identity,
            client_ca: None,
            versions: rustls::ALL_VERSIONS.to_vec(),
        }
    }

    /// A client's certificate that this CA, or another, has signed.
    pub(super) fn with_client_certificate(&self, ca: &Ca, options: TlsOptions) -> TlsOptions {
        let identity = ca.sign(&params("a client", &[]));
        let certificate = self.folder.write("cert.pem", &identity.certificate.pem());
        let key = self.folder.write("key.pem", &identity.key.serialize_pem());
        options.client_certificate(certificate, key)
    }
}

/// What a TLS server is to be.
pub(super) struct Server {
    identity: Identity,
    client_ca: Option<CertificateDer<'static>>,
    versions: Vec<&'static SupportedProtocolVersion>,
}

impl Server {
    /// Asks each client for a certificate which this CA has signed.
    pub(super) fn wants_client_of(mut self, ca: &Ca) -> Self {
        self.client_ca = Some(ca.certificate.der().clone());
        self
    }

    pub(super) fn only(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.versions = vec![version];
        self
    }

    pub(super) fn config(self) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.versions)
            .unwrap();
        let builder = match self.client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots.add(ca).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
                builder.with_client_cert_verifier(verifier.unwrap())
            }
        };
        let chain = vec![self.identity.certificate.der().clone()];
        let config = builder.with_single_cert(chain, self.identity.key_der());
        Arc::new(config.unwrap())
    }

    /// Starts it, for one connection.
    pub(super) fn start<T: Send + 'static>(
        self,
        talk: impl FnOnce(ServerStream) -> T + Send + 'static,
    ) -> Started<T> {
        let config = self.config();
        let (address, peer) = serve(move |stream| {
            let connection = ServerConnection::new(config).unwrap();
            talk(StreamOwned::new(connection, stream))
        });
        Started { address, peer }
    }
}

pub(super) struct Started<T> {
    pub(super) address: SocketAddr,
    pub(super) peer: JoinHandle<T>,
}

impl<T> Started<T> {
    /// A client with a session, whose handshake is not done.
    pub(super) fn connect(&self, options: &TlsOptions) -> Result<Client, Disconnect> {
        let mut client = Client::connect(self.address);
        let config = TlsConfig::new(options).unwrap();
        client.transport.secure(&config, "localhost")?;
        Ok(client)
    }
}
